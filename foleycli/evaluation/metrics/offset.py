"""How far is a sound out of time with its picture?  V-AURA's synchronisation metric (papers.md 3.1).

Something that knows pictures and sounds scores 21 offsets, -2 to 2 s in steps of 0.2 s; the best one is the
clip's, and the metric is the mean of its absolute value over clips.  The paper asks Synchformer; anything
that meets `OffsetScorer` can be asked.  Guessing gives 1048 ms.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from typing import Protocol

import numpy as np

from foleycli.features.sync import SyncExtractor
from foleycli.features.sync_score import agreement
from foleycli.media.audio import resample
from foleycli.records import Stream

STEP_S = Fraction(1, 5)
OFFSETS_S = tuple(k * STEP_S for k in range(-10, 11))  # positive: the sound is late


class OffsetScorer(Protocol):
    """Knows when a sound fits a picture."""

    def scores(self, stream: Stream, samples: np.ndarray, rate_hz: int) -> np.ndarray:
        """How likely it is that mono float32 samples [N] are late by each of OFFSETS_S, [21]; higher is likelier."""
        ...


class SyncOffsets:
    """The shipped encoder as an `OffsetScorer`: how well the rest fits when an offset is taken back."""

    def __init__(self, extractor: SyncExtractor) -> None:
        self.extractor = extractor

    def scores(self, stream: Stream, samples: np.ndarray, rate_hz: int) -> np.ndarray:
        own_rate_hz = self.extractor.encoder.config.audio_rate_hz
        samples = resample(samples[None], rate_hz, own_rate_hz)[0] if rate_hz != own_rate_hz else samples
        return np.array([
            agreement(self.extractor, *moved(stream, samples, own_rate_hz, offset_s), own_rate_hz).score
            for offset_s in OFFSETS_S
        ])  # fmt: skip


def moved(stream: Stream, samples: np.ndarray, rate_hz: int, offset_s: Fraction) -> tuple[Stream, np.ndarray]:
    """Picture and sound as they belong together if the sound is late by `offset_s`: one loses its beginning."""
    n_frames, n_samples = round(-offset_s * stream.rate_hz), round(offset_s * rate_hz)
    return replace(stream, values=stream.values[max(0, n_frames) :]), samples[max(0, n_samples) :]


def offset_of(scorer: OffsetScorer, stream: Stream, samples: np.ndarray, rate_hz: int) -> Fraction:
    """The offset in seconds at which a sound fits best; of equal ones the smallest."""
    scores = scorer.scores(stream, samples, rate_hz)
    best = np.flatnonzero(scores == scores.max())
    return min((OFFSETS_S[k] for k in best), key=abs)


def mean_offset_ms(scorer: OffsetScorer, clips: Iterable[tuple[Stream, np.ndarray, int]]) -> float:
    """V-AURA's "Sync": mean absolute offset in ms over clips, each (stream, samples [N], rate_hz).

    Errors: ValueError when there is no clip.
    """
    offsets = [abs(offset_of(scorer, *clip)) for clip in clips]
    if not offsets:
        raise ValueError("there is no clip to measure")
    return float(sum(offsets) / len(offsets)) * 1000
