"""All scene kinds by name: how often each is drawn, and which are kept for tests only."""

from __future__ import annotations

from foleycli.synthetic.scenes.bodies import first_person_steps, side_steps
from foleycli.synthetic.scenes.flow import ambience, engine, pour, roll, rub, splash
from foleycli.synthetic.scenes.objects import bounce, door, drop, hit_and_fly, pendulum, rally
from foleycli.synthetic.scenes.quiet import near_misses, passing, still_view, waving
from foleycli.synthetic.scenes.stage import Builder, Props, Stage, occluders
from foleycli.synthetic.scenes.strikes import chop, drumming, strike, tapping
from foleycli.synthetic.scenes.voices import firework, mouth, recoil

# name: (builder, weight)
SCENES: dict[str, tuple[Builder, float]] = {
    "strike": (strike, 24),
    "chop": (chop, 8),
    "drumming": (drumming, 8),
    "bounce": (bounce, 8),
    "drop": (drop, 5),
    "hit_and_fly": (hit_and_fly, 7),
    "side_steps": (side_steps, 6),
    "first_person_steps": (first_person_steps, 5),
    "door": (door, 3),
    "rub": (rub, 4),
    "roll": (roll, 3),
    "mouth": (mouth, 9),
    "recoil": (recoil, 5),
    "firework": (firework, 2),
    "splash": (splash, 3),
    "pour": (pour, 3),
    "engine": (engine, 3),
    "ambience": (ambience, 4),
    "near_misses": (near_misses, 3),
    "waving": (waving, 2),
    "passing": (passing, 2),
    "still_view": (still_view, 6),
    "pendulum": (pendulum, 4),
    "tapping": (tapping, 4),
    "rally": (rally, 4),
}
HELD_OUT = frozenset({"pendulum", "tapping"})  # never in the split "train"

__all__ = ["HELD_OUT", "SCENES", "Props", "Stage", "occluders"]
