"""Other sounds for the same picture: struck at the same times, driven by the same speed, but of another kind.

What is drawn and what sounds are then no longer tied, so that a generator must listen to the words.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from foleycli.training.worlds.bank import SoundBank
from foleycli.training.worlds.clips import make_clip, make_scene
from foleycli.training.worlds.config import Clip, Track, WorldConfig
from foleycli.training.worlds.families import FAMILIES
from foleycli.training.worlds.sound import mix_of

# How a track may sound in other words.  An even texture goes with any picture, if words ask for it.
_KINDS = {
    "hits": ("hit", "hit", "hit", "hit", "hit", "voice", "voice", "even"),
    "driven": ("loop", "loop", "loop", "even"),
    "texture": ("even",),
    "silence": ("even", "even", "silence"),
}
_EVEN = ("engine", "machine", "water", "rain", "wind", "fire", "nature", "place")
_SILENT_WORDS = ("silence", "no sound", "quiet")


def make_clip_and_track(seed: int, config: WorldConfig, bank: SoundBank) -> tuple[Clip, Track]:
    """A clip as `make_clip` gives it, and the track that its sound was made from."""
    frames, track = make_scene(seed, config)
    return make_clip(seed, config, bank, scene=(frames, track)), track


def sounds_for(
    track: Track, bank: SoundBank, rng: np.random.Generator, n: int
) -> list[tuple[np.ndarray, tuple[str, ...]]]:
    """`n` sounds float32 [N] with the words for each, of families that have takes in the track's split."""
    made = []
    for _ in range(n):
        mix = mix_of(_otherwise(track, bank, rng), bank, rng)
        words = mix.family.labels if mix.family is not None else _SILENT_WORDS
        made.append((mix.samples, words))
    return made


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
