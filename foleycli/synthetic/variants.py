"""Other sounds for the same picture: struck at the same times, driven by the same speed, but of another kind.

What is drawn and what sounds are then no longer tied, so that a generator must listen to the words.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from foleycli.soundset.bank import SoundBank
from foleycli.soundset.kinds import FAMILIES
from foleycli.synthetic.clips import make_clip, make_scene, own_mix
from foleycli.synthetic.config import Clip, Track, WorldConfig
from foleycli.synthetic.sound import Mix, mix_of, reel_of

# How a track may sound in other words.  An even texture goes with any picture, if words ask for it.
_KINDS = {
    "hits": ("hit", "hit", "hit", "hit", "hit", "voice", "voice", "even"),
    "driven": ("loop", "loop", "loop", "even"),
    "texture": ("even",),
    "silence": ("even", "even", "silence"),
}
_EVEN = ("engine", "machine", "water", "rain", "wind", "fire", "nature", "place")
_SILENT_WORDS = ("silence", "no sound", "quiet")


@dataclass(frozen=True)
class Sounding:
    """A sound for a picture."""

    samples: np.ndarray  # float32 [N]
    words: tuple[str, ...]  # ways to say what it is
    reel: np.ndarray | None  # what sounds by itself, float32 [REEL_SAMPLES]; None: silence, or not known


def make_clip_and_track(seed: int, config: WorldConfig, bank: SoundBank) -> tuple[Clip, Track]:
    """A clip as `make_clip` gives it, and the track that its sound was made from."""
    frames, track = make_scene(seed, config)
    return make_clip(seed, config, bank, scene=(frames, track)), track


def own_sound(track: Track, bank: SoundBank) -> Sounding:
    """The sound that `make_clip` gives the track."""
    return _sounding(own_mix(track, bank), track, np.random.default_rng((track.sound_seed, 11)))


def sounds_for(track: Track, bank: SoundBank, rng: np.random.Generator, n: int) -> list[Sounding]:
    """`n` sounds for the track, of families that have takes in its split."""
    made = []
    for _ in range(n):
        other = _otherwise(track, bank, rng)
        made.append(_sounding(mix_of(other, bank, rng), other, np.random.default_rng(rng.integers(2**62))))
    return made


def _sounding(mix: Mix, track: Track, rng: np.random.Generator) -> Sounding:
    if mix.family is None or mix.source is None:
        return Sounding(mix.samples, _SILENT_WORDS, None)
    return Sounding(mix.samples, mix.family.labels, reel_of(mix.source, track.kind != "hits", rng))


def _otherwise(track: Track, bank: SoundBank, rng: np.random.Generator) -> Track:
    """Mostly another family, with the track's own behind it for safety; sometimes another way of sounding."""
    kinds = _KINDS[track.kind]
    kind = kinds[rng.integers(len(kinds))]
    if kind == "silence":
        return track
    if kind == "even":
        track = replace(track, kind="texture", drive=None)
    names = [
        name
        for name, family in FAMILIES.items()
        if (name in _EVEN if kind == "even" else family.kind == kind) and bank.takes(name, track.split)
    ]
    if not names or (kind != "even" and rng.random() < 0.15):
        return track
    return replace(track, families=(names[rng.integers(len(names))], *track.families))
