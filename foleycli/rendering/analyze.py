"""What a video shows: its pictures in, feature streams, scene cuts, labels, events and loudness out."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from foleycli.device import oom_as_foley_error
from foleycli.features.base import Extractor
from foleycli.features.cuts import CutDetector, cut_times
from foleycli.features.extract import extract_features
from foleycli.features.position import MotionPosition
from foleycli.features.tagger import is_outdoors, labels_of
from foleycli.media.ahead import read_ahead
from foleycli.media.frames import grid_length, read_frames
from foleycli.media.probe import probe
from foleycli.models.model import Model
from foleycli.records import Report, Stream, Video, silent
from foleycli.rendering.dynamics import predict_dynamics_db
from foleycli.rendering.result import StageClock
from foleycli.timebase import FEATURE_FPS

NEAR_S = 0.25  # of a span's ends: a scene cut there is where the span was meant to begin or end


@dataclass(frozen=True)
class VideoAnalysis:
    """What is known of a video (or a part of one) before anything is generated; times count from `start_s`."""

    duration_s: float
    start_s: float = 0.0
    streams: Mapping[str, Stream] = field(default_factory=dict)  # of every extractor, by name: float32 [T, D]
    cuts_s: list[float] = field(default_factory=list)  # scene cuts
    labels: list[tuple[str, float]] = field(default_factory=list)  # with a confidence from 0 to 1
    is_outdoors: bool | None = None  # whether it was taken outdoors; None: not known
    events_s: list[float] = field(default_factory=list)  # predicted times of sounds
    loudness_db: np.ndarray | None = None  # float32 [T] at 25 Hz, expected from the picture; None: not known
    dynamics_db: np.ndarray | None = None  # and how it moves over seconds, [T] of any reference; None: as loudness_db
    # Where something moves, float32 [T, 2] at 25 Hz: -1 (left edge) to 1 (right edge), and a weight; None: not asked.
    position: np.ndarray | None = None


@oom_as_foley_error()
@torch.inference_mode()
def analyze(
    video: str | Path | Video,
    model: Model,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    detect_cuts: bool = True,
    locate_motion: bool = True,
    extra_extractors: Sequence[Extractor] = (),
    clock: StageClock | None = None,
    report: Report = silent,
) -> VideoAnalysis:
    """Watch a video, or the part of it from `start_s` on, with a model's picture encoders.

    The pictures are read once for each form that encoders need: once in all for the shipped models; two chunks are
    read ahead while one is encoded.
    Memory grows by the features alone, about 20 kB a second.

    video             a file, or what `media.probe.probe` says of one
    detect_cuts       whether windows shall begin anew at scene cuts
    locate_motion     whether it is found where and how much something moves, for sound in stereo and for its loudness
    extra_extractors  further encoders to feed in the same pass; their streams are in the result
    Errors: FoleyError when the video cannot be read.
    """
    video = video if isinstance(video, Video) else probe(Path(video))
    duration_s = video.duration_s - start_s if duration_s is None else duration_s
    clock = clock or StageClock()
    aspect = video.width_px / video.height_px
    extractors = [extractor.for_aspect(aspect) for extractor in (model.sync, model.semantic, *extra_extractors)]
    extractors += [CutDetector()] if detect_cuts else []
    extractors += [MotionPosition()] if locate_motion else []
    n_frames = grid_length(duration_s, FEATURE_FPS)
    streams: dict[str, Stream] = {}
    waited_before_s, began_s = clock.spent_s["decode"], time.perf_counter()
    for wanted in dict.fromkeys(extractor.frame_format for extractor in extractors):
        side_px, fit, scaling = wanted
        frames = read_frames(
            video, FEATURE_FPS, side_px, side_px, start_s=start_s, duration_s=duration_s, fit=fit, scaling=scaling
        )
        alike = [extractor for extractor in extractors if extractor.frame_format == wanted]
        report("features", 0, n_frames)
        streams |= extract_features(_timed(read_ahead(frames), clock), alike, n_frames, report)
    waited_s = clock.spent_s["decode"] - waited_before_s
    clock.spent_s["features"] += time.perf_counter() - began_s - waited_s
    with clock.stage("features"):
        return analysis_of_streams(streams, model, duration_s=duration_s, start_s=start_s)


def analysis_of_streams(
    streams: Mapping[str, Stream], model: Model, *, duration_s: float, start_s: float = 0.0
) -> VideoAnalysis:
    """An analysis of feature streams that are there already, by extractor name."""
    sync, cuts, position = streams[model.sync.name], streams.get("cuts"), streams.get("position")
    motion = position.values.numpy() if position is not None else None  # [T, 4]
    loudness_db = model.sync.loudness_db(sync)
    return VideoAnalysis(
        duration_s=duration_s,
        start_s=start_s,
        streams={name: stream for name, stream in streams.items() if name not in ("cuts", "position")},
        cuts_s=cut_times(cuts) if cuts is not None else [],
        labels=labels_of(streams[model.semantic.name]),
        is_outdoors=is_outdoors(streams[model.semantic.name]),
        events_s=model.sync.events_s(sync),
        loudness_db=loudness_db,
        dynamics_db=predict_dynamics_db(loudness_db, motion[:, 2:] if motion is not None else None),
        position=motion[:, :2] if motion is not None else None,
    )


def excerpt(
    analysis: VideoAnalysis,
    model: Model,
    *,
    begin_s: Fraction,
    start_s: Fraction,
    end_s: Fraction,
    stop_s: Fraction,
    hits_s: Sequence[float] | None = None,
) -> VideoAnalysis:
    """What is known of a span of an analysed video, times counted from `begin_s`.

    begin_s, stop_s   of the sound that is wanted; before `start_s` and after `end_s` it has no picture of its own: the
                      span's first and last are held, and nothing happens
    hits_s            events in place of those that are seen, counted as the analysis counts
    """
    streams: dict[str, Stream] = {}
    for name, stream in analysis.streams.items():
        index = _held_steps(len(stream.values), stream.rate_hz, begin_s, start_s, end_s, stop_s)
        streams[name] = Stream(stream.values[index], stream.rate_hz)
    sync = model.sync
    events_s = [
        time_s - float(begin_s)
        for time_s in (analysis.events_s if hits_s is None else hits_s)
        if start_s <= time_s < end_s
    ]
    marked_s = events_s if hits_s is not None else None
    streams[sync.name] = sync.mark_events(
        streams[sync.name], marked_s, float(start_s - begin_s), float(end_s - begin_s)
    )
    position = analysis.position
    if position is not None:
        position = position[_held_steps(len(position), FEATURE_FPS, begin_s, start_s, end_s, stop_s)]
    dynamics = analysis.dynamics_db
    if dynamics is not None:
        dynamics = dynamics[_held_steps(len(dynamics), FEATURE_FPS, begin_s, start_s, end_s, stop_s)]
    return VideoAnalysis(
        duration_s=float(stop_s - begin_s),
        start_s=analysis.start_s + float(begin_s),
        streams=streams,
        cuts_s=[cut_s - float(begin_s) for cut_s in analysis.cuts_s if start_s + NEAR_S < cut_s < end_s - NEAR_S],
        labels=labels_of(analysis.streams[model.semantic.name], float(start_s), float(end_s)),
        is_outdoors=is_outdoors(analysis.streams[model.semantic.name], float(start_s), float(end_s)),
        events_s=events_s,
        loudness_db=sync.loudness_db(streams[sync.name]),
        dynamics_db=dynamics,
        position=position,
    )


def _held_steps(
    n_steps: int, rate_hz: Fraction, begin_s: Fraction, start_s: Fraction, end_s: Fraction, stop_s: Fraction
) -> list[int]:
    """Which steps of a stream cover begin_s to stop_s, none of them before start_s or after end_s."""
    first = min(math.ceil(start_s * rate_hz), n_steps - 1)
    last = max(first, min(math.ceil(end_s * rate_hz), n_steps) - 1)
    origin, n_wanted = round(begin_s * rate_hz), max(1, math.ceil((stop_s - begin_s) * rate_hz))
    return [min(max(origin + k, first), last) for k in range(n_wanted)]


def _timed(frames: Iterator[np.ndarray], clock: StageClock) -> Iterator[np.ndarray]:
    """The same frames; waiting for them is time spent decoding."""
    while True:
        with clock.stage("decode"):
            chunk = next(frames, None)
        if chunk is None:
            return
        yield chunk
