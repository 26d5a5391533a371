"""Kinds of recorded sound: which recordings are of a kind, how they go over time, and what people call them.

The 56 kinds here have a pattern over the index of the set of game sounds (`soundset.debian`), and a recipe of
`soundset.synth` used where there is no recording.  `everyday.yaml` has more kinds: they exist only where a
set has recordings of them, and are found by the category and sub-category that the set's index gives each sound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import yaml

from foleycli.errors import FoleyError

RATE_HZ = 44100  # of every sound of a bank
EVERYDAY = Path(__file__).with_name("everyday.yaml")

Split = Literal["train", "test"]
Shape = Literal["hit", "rough", "voice", "loop"]


@dataclass(frozen=True)
class SoundKind:
    """Sounds that can replace one another."""

    name: str
    shape: Shape  # hit: one sharp attack; rough: short, may rattle; voice: softer attack; loop: even texture
    labels: tuple[str, ...]  # ways to say what it is; the first is the main label
    pattern: str = ""  # searched in "category|group|name" (lower case, no digits) of an index; "": finds nothing
    material: str = ""  # recipe of `synth` when there is no recording; "": then the kind has no takes
    subcategories: frozenset[str] = frozenset()  # "category/sub" of an index that has sub-categories

    @property
    def is_everyday(self) -> bool:
        """Whether it exists only where it was recorded."""
        return not self.material


def _kind(shape: Shape, name: str, material: str, labels: tuple[str, ...], pattern: str) -> SoundKind:
    return SoundKind(name, shape, labels, pattern, material)


# fmt: off
_HITS = (
    _kind("hit", "wood", "wood", ("wood hit", "stick hitting wood", "knocking on wood", "wooden knock"),
            r"^wood\|.*(wood hit|shield wood|sling wood|con wood|hammer hit|dig choppy|elec wood)"),
    _kind("hit", "metal", "metal", ("metal hit", "stick hitting metal", "metal clang",
             "hitting a metal pole"),
            r"^metal\|.*(shield metal|sling metal|metal hit|metal clang|\|clang|dig metal|breakmetal|"
            r"cowbell)"),
    _kind("hit", "anvil", "metal", ("hammer on anvil", "hammer hitting metal", "blacksmith hammering",
             "metal hammering"),
            r"^metal\|.*(anvil|mine metal|perc bell)"),
    _kind("hit", "stone", "stone", ("stone hit", "hitting rocks", "pickaxe on stone", "stone knock"),
            r"^stone\|.*(sling stone|mine stone|\|rock$|stone hit|worker mine|con stone|dig cracky)"),
    _kind("hit", "chop", "wood", ("chopping wood", "axe chopping wood", "wood chopping", "chopping"),
            r"^wood\|.*(lumber tree|harvest wood|dig choppy)|^sword_arrow\|.*(axe thrower)"),
    _kind("rough", "knife", "soft", ("chopping vegetables", "knife chopping", "cutting", "chopping food"),
            r"^sword_arrow\|.*(knife (hard|flesh)|knife$)|^other\|.*(gather meat|\|cut)"),
    _kind("hit", "sword", "metal", ("sword clash", "sword hit", "blades clashing", "metal sword fight"),
            r"^sword_arrow\|.*(swordhit|knife hard|soundfx\|melee attack|seq\|sword hit)"),
    _kind("hit", "arrow", "wood", ("arrow hit", "arrow hitting a target", "arrow thud"),
            r"^sword_arrow\|.*(arrow (wood|dirt|stone|metal|hit)|\|arrow$)"),
    _kind("hit", "drum", "drum", ("drum hit", "drum kit", "playing drums", "snare drum"),
            r"^drum\|.*(snare|tom|bass (hard|thick|drum)|drum bass|bd |perc|sweet trip)|^impact_ball\|"
            r".*(mm kick)"),
    _kind("hit", "hand drum", "drum", ("hand drum", "congas", "playing congas", "tabla drumming"),
            r"^other\|.*tabla|^drum\|.*(drum tom)"),
    _kind("rough", "cymbal", "metal", ("cymbal", "hi-hat", "cymbal crash"),
            r"^(drum|impact_ball)\|.*cymbal"),
    _kind("hit", "ball", "ball", ("ball bounce", "bouncing ball", "ball bouncing on the floor",
             "basketball dribbling"),
            r"^impact_ball\|.*(bounce|default place node|ctf drop|\|drop|ball|perc impact|thud)"),
    _kind("hit", "thud", "soft", ("thud", "punch", "body hit", "dull impact", "hitting a bag"),
            r"^impact_ball\|.*(flesh|thud|body impact|sfx hit|punch|fleshimp|hard|\|hit|damage)"),
    _kind("rough", "glass", "glass", ("glass breaking", "glass hit", "glass smash"),
            r"^glass\|.*(break|window close|bottle)"),
    _kind("hit", "click", "plastic", ("click", "clicking", "switch", "typing on a keyboard"),
            r"^machine\|.*(click|switch|\|key)"),
    _kind("rough", "step gravel", "gravel", ("footsteps on gravel", "walking on gravel", "steps on gravel"),
            r"footstep\|.*gravel|^stone\|.*(fs gravel|footsteps\|gravel)"),
    _kind("rough", "step grass", "leaves", ("footsteps on grass", "walking on grass"),
            r"footstep\|.*grass"),
    _kind("rough", "step wood", "wood", ("footsteps on wood", "walking on a wooden floor", "steps on wood"),
            r"footstep\|.*wood|^wood\|.*(fs wood|footsteps\|wood)"),
    _kind("rough", "step tile", "stone", ("footsteps on tile", "footsteps on concrete",
             "walking on a hard floor"),
            r"footstep\|.*(tile|boots|echo|hard footstep|leather|concrete)|footsteps\|stone"),
    _kind("rough", "step snow", "gravel", ("footsteps on snow", "walking on snow", "footsteps on ice",
             "crunching snow steps"),
            r"^(footstep|weather)\|.*(snow)$|^(footstep|weather)\|.*snow (footstep)|icy walk|"
            r"ice footstep"),
    _kind("rough", "step dirt", "leaves", ("footsteps on dirt", "walking on sand", "footsteps on soil"),
            r"footstep\|.*(dirt|foley foot|sand)|^stone\|.*(fs sand|footsteps\|(dirt|sand))"),
    _kind("rough", "step metal", "metal", ("footsteps on metal", "walking on a metal grid"),
            r"footstep\|.*metal"),
    _kind("rough", "step water", "splash", ("footsteps in water", "walking through puddles"),
            r"^water\|footsteps|footstep\|.*water|^water\|.*splashin"),
    _kind("rough", "door", "door", ("door slam", "door closing", "closing a door", "slamming door"),
            r"^door\|.*(door close|door slam|gate close|fencegate|cardoor|chest close|doors door)|"
            r"^(metal|glass)\|.*door close|^stone\|.*gate close"),
    _kind("rough", "splash", "splash", ("splash", "water splash", "object falling into water"),
            r"^water\|.*(splash|water impact|splashin|water drop|drip|droplet)|^other\|.*splosh|"
            r"^impact_ball\|.*droplet"),
    _kind("hit", "gun", "shot", ("gunshot", "gun shot", "rifle shot", "pistol shooting", "shooting"),
            r"^gun\|.*(\|shotgun|\|pistol|musket|minigun|rifle|sshotgun|\|mg$|\|sg$|gun fire|shotty|"
            r"secondary)"),
    _kind("hit", "explosion", "shot", ("explosion", "firework", "bang", "blast"),
            r"^explosion\|.*(bang|boom|explosion|explode|explo |bomb)"),
)
_VOICES = (
    _kind("voice", "dog", "voice", ("dog bark", "dog barking", "barking dog"),
            r"^animal\|(animal)?( \|)?.*\bdog\b|^animal\|dog|wolf"),
    _kind("voice", "sheep", "voice", ("sheep bleat", "sheep", "bleating"),
            r"^animal\|.*sheep"),
    _kind("voice", "cow", "voice", ("cow moo", "cow", "cattle"),
            r"^animal\|.*(cattle|cow)\b"),
    _kind("voice", "bird", "chirp", ("bird call", "bird", "chicken", "bird chirping"),
            r"^animal\|.*\b(chicken|crow|hawk|eagle|peacock|owl|bird)\b"),
    _kind("voice", "horse", "voice", ("horse neigh", "horse", "neighing"),
            r"^animal\|.*\bhorse\b"),
    _kind("voice", "lion", "voice", ("animal roar", "lion roar", "roaring"),
            r"^animal\|.*(lion attack|monster|sea lion|ele\b|elephant)"),
    _kind("voice", "pig", "voice", ("pig oink", "pig grunt", "animal grunt"),
            r"^animal\|.*(pig|frog)"),
    _kind("voice", "man", "voice", ("grunt", "man grunting", "shout", "cough"),
            r"^other\|.*(\|man|zombie|ogre|\|woman|grunt|aard)"),
)
_LOOPS = (
    _kind("loop", "engine", "engine", ("engine", "engine idling", "car engine", "motor running"),
            r"^engine_vehicle\|.*(engine|car$|helicopter|plane|jet|revup|accel|airship|cars|spaceship)"),
    _kind("loop", "machine", "engine", ("machine running", "machine hum", "machinery"),
            r"^machine\|.*(morph|machine|pump|machinery)"),
    _kind("loop", "water", "water", ("water flowing", "river", "waterfall", "stream of water"),
            r"^water\|.*(river|waterfall|fountain|water fill|water loop|ambience\|water|\|water$|wave|"
            r"creek)"),
    _kind("loop", "pour", "water", ("pouring water", "water pouring", "filling a glass"),
            r"^water\|.*(water fill|fountain|bubble|river (fast|med|slow)|waterfontain|\|water$)"),
    _kind("loop", "rain", "rain", ("rain", "rainfall", "heavy rain"),
            r"^(water|weather)\|.*rain"),
    _kind("loop", "wind", "wind", ("wind", "wind blowing", "strong wind"),
            r"^weather\|.*wind"),
    _kind("loop", "fire", "fire", ("fire crackling", "campfire", "burning fire"),
            r"^fire\|.*(fire|burn|\|fire)|^door\|.*open fire loop"),
    _kind("loop", "nature", "wind", ("forest ambience", "birds and crickets", "outdoor ambience"),
            r"^ambience\|.*(farm|forest|day|night|cric|cycad|creek|tropical)"),
    _kind("loop", "place", "room", ("ambience", "room tone", "background noise"),
            r"^ambience\|.*(port|trade|cave|hum|market|vent|lava)"),
    _kind("loop", "scrape", "scrape", ("scraping", "rubbing", "scratching a surface", "sliding"),
            r"^other\|slide|^wood\|.*(saw)|^other\|.*(eraser|shell|hoe)|^glass\|.*rub"),
    _kind("loop", "saw", "scrape", ("sawing wood", "saw", "hand saw"),
            r"^wood\|.*(con saw|dssaw)"),
    _kind("loop", "roll", "roll", ("rolling", "ball rolling", "rolling on the floor"),
            r"^engine_vehicle\|.*(cart moving|carts)|^stone\|.*(minecart|falling rocks)|^other\|.*roll"),
)
# fmt: on

_GAME_KINDS = {kind.name: kind for kind in (*_HITS, *_VOICES, *_LOOPS)}
# Loops among them that go with any picture, if a prompt names them; those of `everyday.yaml` all do.
EVEN_KINDS = ("engine", "machine", "water", "rain", "wind", "fire", "nature", "place")


def read_kinds(path: Path = EVERYDAY) -> dict[str, SoundKind]:
    """All kinds by name: the game kinds, with the sub-categories that the table adds to them, then the table's own.

    Errors: FoleyError for a row that is neither a new kind with shape and labels nor adds to a game kind.
    """
    kinds = dict(_GAME_KINDS)
    for row in yaml.safe_load(path.read_text(encoding="utf-8")):
        name, subcategories = row["name"], frozenset(row["from"])
        if name in _GAME_KINDS and row.keys() == {"name", "from"}:
            kinds[name] = replace(kinds[name], subcategories=subcategories)
        elif name not in kinds and row.get("shape") in get_args(Shape) and row.get("labels"):
            kinds[name] = SoundKind(name, row["shape"], tuple(row["labels"]), subcategories=subcategories)
        else:
            raise FoleyError(
                f"{path.name}: {name!r} is no new kind with shape and labels, and adds to no game kind",
                "Give it a name of its own, a shape and labels",
            )
    return kinds


SOUND_KINDS = read_kinds()
