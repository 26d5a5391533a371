"""A take as a recording of its own: where it goes on, its strokes, calls or texture are laid beside the model's sound.

Strokes come at the moments seen, or without a picture in the take's own rhythm.  At the take's edges the model's sound,
which goes on from it, is alone for a moment; of a texture it is the take mirrored, which is as steady as the take.
All is at the level that the track has in the take's place, so that one gain brings it to the take's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from foleycli.dsp.gain_riding import STEPS_PER_S, rms_levels_db
from foleycli.dsp.onsets import detect_onsets
from foleycli.dsp.rhythm import continued_moments
from foleycli.features.base import Extractor
from foleycli.recordings.engine import ChosenSound, Events, place_blocks
from foleycli.recordings.mix import loud_level_db
from foleycli.recordings.takes import cut_takes, guess_kind
from foleycli.rendering.analyze import VideoAnalysis

Blocks = Callable[[], Iterator[np.ndarray]]  # mono float32 of `engine.block_samples`, from the beginning each time

MODEL_GAIN = 0.25  # of the model's sound beside the take's own, both at equal level
LEVEL_S = 0.1  # next to the take, after which the model's sound is no louder than the take
CROSS_S = 0.3  # over which the model's sound and what is laid beside it change places next to the take
RISE_S = 0.003  # of strokes after the take, and of their end before it
UNHEARD_DB = -55.0  # a sound whose loud moments are softer is none
MODEL_RANGE_DB = 12.0  # by which the model's sound is moved to the take's level at most
LEAD_S = 0.05  # the detector does not see an onset at the very beginning


@dataclass(frozen=True)
class Span:
    """Where the take is on the track, in seconds; a loop begins it again at `again_s`."""

    start_s: float
    end_s: float
    again_s: float | None = None

    def distance_s(self, times_s: np.ndarray) -> np.ndarray:
        """How far each time [n] is outside the take, in seconds; negative within it."""
        outside_s = np.maximum(self.start_s - times_s, times_s - self.end_s)
        return outside_s if self.again_s is None else np.minimum(outside_s, self.again_s - times_s)


@dataclass(frozen=True)
class Continuation:
    """What is laid beside the model's sound, and where the take is."""

    take: np.ndarray  # mono float32 [M]
    chosen: ChosenSound
    events: Events
    loudness_db: np.ndarray
    dynamics_db: np.ndarray | None
    span: Span
    n_samples: int  # of the result, at the rate
    rate_hz: int
    seed: int
    with_model: bool  # whether the model's sound goes on beside it

    def mixed(self, model_blocks: Blocks) -> Iterator[np.ndarray]:
        """The whole track, mono float32 in blocks: the model's sound alone in the take's place and at its edges.

        model_blocks   of the whole track; it may be longer than the result: what leads up to a loop's beginning
        """
        model_db = rms_levels_db(model_blocks(), self.rate_hz)
        laid_db = self._loud_db(rms_levels_db(self._laid(), self.rate_hz), inside=False)
        is_texture = self.chosen.kind == "texture"
        take_db = loud_level_db(rms_levels_db([self.take], self.rate_hz))
        if not is_texture:
            take_db = self._loud_db(model_db, inside=True)
        if min(laid_db, take_db) <= UNHEARD_DB:
            yield from model_blocks()
            return
        norm = np.hypot(1.0, MODEL_GAIN) if self.with_model else 1.0
        laid_gain = 10 ** ((take_db - laid_db) / 20) / norm
        missing_db = np.clip(take_db - self._loud_db(model_db, inside=False), -MODEL_RANGE_DB, MODEL_RANGE_DB)
        levelling = 10 ** (missing_db / 20)
        model_gain = MODEL_GAIN * levelling / norm if self.with_model else 0.0
        first = 0
        for model, laid in zip_longest(model_blocks(), self._laid()):
            distance_s = self.span.distance_s((first + np.arange(len(model))) / self.rate_hz)
            crossed = np.clip(distance_s / CROSS_S, 0, 1)
            if is_texture:  # both are there at the edge: equal power
                laid_curve = np.sin(np.pi / 2 * crossed)
                out = model_gain * laid_curve * model + np.cos(np.pi / 2 * crossed) * self._mirrored(first, len(model))
            else:
                near = 1 + (min(1.0, levelling) - 1) * np.clip(distance_s / LEVEL_S, 0, 1)
                laid_curve = np.clip(distance_s / RISE_S, 0, 1)
                out = (near + (model_gain - near) * crossed) * model
            if laid is not None:  # the model's sound may be longer
                out[: len(laid)] += laid_gain * laid_curve[: len(laid)] * laid
            first += len(model)
            yield out.astype(np.float32)

    def _mirrored(self, first: int, n: int) -> np.ndarray:
        """Samples [first, first + n) of the take in its place, mirrored at its edges; far from it they mean nothing."""
        start, end = (round(time_s * self.rate_hz) for time_s in (self.span.start_s, self.span.end_s))
        k = first + np.arange(n)
        index = np.where(k < start, start - 1 - k, np.where(k < end, k - start, 2 * end - 1 - k - start))
        if self.span.again_s is not None:
            again = round(self.span.again_s * self.rate_hz)
            index = np.where(2 * k > end + again, np.where(k < again, again - 1 - k, k - again), index)
        return self.take[np.clip(index, 0, len(self.take) - 1)]

    def _laid(self) -> Iterator[np.ndarray]:
        return place_blocks(
            [self.chosen],
            self.events,
            self.loudness_db,
            self.n_samples,
            self.rate_hz,
            dynamics_db=self.dynamics_db,
            seed=self.seed,
        )

    def _loud_db(self, levels_db: np.ndarray, inside: bool) -> float:
        """The level of the loud moments of levels [T] in the take's place, or everywhere else."""
        times_s = (np.arange(len(levels_db)) + 0.5) / STEPS_PER_S
        return loud_level_db(levels_db[(self.span.distance_s(times_s) < 0) == inside])


def continue_take(
    mono: np.ndarray,
    rate_hz: int,
    span: Span,
    analysis: VideoAnalysis,
    sync: Extractor,
    *,
    n_samples: int,
    seed: int,
    with_model: bool,
) -> Continuation | None:
    """How a take, mono float32 [N], goes on by itself; None where nothing of it can be used again.

    analysis   of the picture; without one, or one whose encoder predicts no events, the take's own rhythm goes on
    """
    kind = guess_kind(mono, rate_hz)
    takes = cut_takes(mono, rate_hz, kind)
    if not takes:
        return None
    if analysis.streams and analysis.loudness_db is not None:
        times_s = np.asarray(analysis.events_s, np.float64)
        strengths = sync.event_strengths(analysis.streams[sync.name], analysis.events_s)
    else:
        onsets_s = detect_onsets(np.pad(mono, (round(LEAD_S * rate_hz), 0)), rate_hz) - LEAD_S
        length_s = span.end_s - span.start_s
        until_s = (n_samples / rate_hz if span.again_s is None else span.again_s) - span.start_s
        coming_s = continued_moments(onsets_s, length_s, until_s, np.random.default_rng((seed, 32)))
        times_s = span.start_s + coming_s
        strengths = np.ones(len(times_s))
    events = Events(times_s, strengths)[span.distance_s(times_s) >= 0]
    if kind == "hits" and not len(events.times_s):
        return None
    return Continuation(
        take=mono,
        chosen=ChosenSound("the take", kind, takes),
        events=events,
        loudness_db=np.zeros(1) if analysis.loudness_db is None else analysis.loudness_db,
        dynamics_db=analysis.dynamics_db,
        span=span,
        n_samples=n_samples,
        rate_hz=rate_hz,
        seed=seed,
        with_model=with_model,
    )
