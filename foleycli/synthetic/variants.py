"""Other sounds for the same picture: at the same times, driven by the same speed, but of another kind.

What is drawn and what sounds are then no longer tied, so that a generator must follow the words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from foleycli.soundset.bank import SoundBank
from foleycli.soundset.kinds import SOUND_KINDS, SoundKind
from foleycli.synthetic.clips import make_clip, make_scene, own_mix
from foleycli.synthetic.config import SILENT_WORDS, Clip, Mode, Track, WorldConfig
from foleycli.synthetic.sound import Mix, library_sound_of, mix_of

# What may sound instead, as often as it stands here: sounds of a shape, or an even texture.
_ALTERNATIVES: dict[Mode, tuple[str, ...]] = {
    "hits": ("hit", "hit", "hit", "hit", "hit", "voice", "voice", "even"),
    "driven": ("loop", "loop", "loop", "even"),
    "texture": ("even",),
    "silence": ("even", "even", "silence"),
}


@dataclass(frozen=True)
class SoundVariant:
    """A sound for a picture."""

    samples: np.ndarray  # float32 [N]
    words: tuple[str, ...]  # ways to say what it is
    library_sound: np.ndarray | None  # what sounds by itself, float32 [N_SAMPLES]; None: silence, or not known


def make_clip_and_track(seed: int, config: WorldConfig, bank: SoundBank) -> tuple[Clip, Track]:
    """A clip as `make_clip` gives it, and the track that its sound was made from."""
    frames, track = make_scene(seed, config)
    return make_clip(seed, config, bank, scene=(frames, track)), track


def own_sound(track: Track, bank: SoundBank) -> SoundVariant:
    """The sound that `make_clip` gives the track."""
    return _variant(own_mix(track, bank), track, np.random.default_rng((track.sound_seed, 11)))


def sounds_for(track: Track, bank: SoundBank, rng: np.random.Generator, n: int) -> list[SoundVariant]:
    """`n` sounds for the track, of kinds that have takes in its split."""
    variants = []
    for _ in range(n):
        other = _draw_alternative(track, bank, rng)
        variants.append(_variant(mix_of(other, bank, rng), other, np.random.default_rng(rng.integers(2**62))))
    return variants


def _variant(mix: Mix, track: Track, rng: np.random.Generator) -> SoundVariant:
    if mix.sound_kind is None or mix.source is None:
        return SoundVariant(mix.samples, SILENT_WORDS, None)
    library_sound = library_sound_of(mix.source, is_even=track.mode != "hits", rng=rng)
    return SoundVariant(mix.samples, mix.sound_kind.labels, library_sound)


def _draw_alternative(track: Track, bank: SoundBank, rng: np.random.Generator) -> Track:
    """The track, mostly with another kind of sound (its own ones follow), sometimes with an even texture instead."""
    alternatives = _ALTERNATIVES[track.mode]
    alternative = alternatives[rng.integers(len(alternatives))]
    if alternative == "silence":
        return track
    if alternative == "even":
        track = replace(track, mode="texture", drive=None)
        fitting: Sequence[str] = bank.even_kinds(track.split)
    else:
        fitting = [name for name, kind in SOUND_KINDS.items() if _fits(kind, alternative)]
    names = [name for name in fitting if bank.takes(name, track.split)]
    if not names or (alternative != "even" and rng.random() < 0.15):
        return track
    return replace(track, sound_kinds=(names[rng.integers(len(names))], *track.sound_kinds))


def _fits(kind: SoundKind, alternative: str) -> bool:
    """Whether a kind is of a shape; of the rough ones only everyday kinds stand for hits."""
    return kind.shape == alternative or (alternative == "hit" and kind.shape == "rough" and kind.is_everyday)
