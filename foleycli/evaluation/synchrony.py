"""How well a sound fits its picture by the shipped synchronisation encoder, and by how much the sound is late.

The shipped models are conditioned on this encoder, so both figures favour their sound: on filmed clips it scores their
sound above the film's own.  DeSync (`embedders/desync.py`) asks a network that none of them was conditioned on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from foleycli.evaluation.metrics.offset import OFFSETS_S, best_offset_s
from foleycli.features.base import Extractor
from foleycli.features.extract import extract_features
from foleycli.features.sync import SyncExtractor
from foleycli.features.sync_score import sync_score
from foleycli.media.audio import resample
from foleycli.media.frames import read_frames
from foleycli.media.probe import probe
from foleycli.records import Stream
from foleycli.timebase import FEATURE_FPS

SYNC_ENCODER = "sync-mini"  # the same for every model, so that figures compare
MAX_OFFSET_S = 2.0  # searched in both directions: a clip must be twice as long


def extract_stream(path: Path, extractor: Extractor) -> Stream:
    """The features of a video's pictures by one extractor; errors: FoleyError when it cannot be read."""
    return extract_streams(path, [extractor])[extractor.name]


def extract_streams(path: Path, extractors: Sequence[Extractor]) -> dict[str, Stream]:
    """The features by several extractors that take the same pictures, by their names."""
    side_px, fit, scaling = extractors[0].frame_format
    frames = read_frames(probe(path), FEATURE_FPS, side_px, side_px, fit=fit, scaling=scaling)
    return extract_features(frames, extractors)


def estimate_offset_s(extractor: SyncExtractor, stream: Stream, samples: np.ndarray, rate_hz: int) -> float | None:
    """By how much mono float32 samples [N] are late, of 21 offsets up to 2 s; None for a clip too short to shift."""
    if min(len(samples) / rate_hz, float(len(stream.values) / stream.rate_hz)) < 2 * MAX_OFFSET_S:
        return None
    return float(best_offset_s(offset_scores(extractor, stream, samples, rate_hz)))


def offset_scores(extractor: SyncExtractor, stream: Stream, samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """How well mono float32 samples [N] fit the picture after each of OFFSETS_S is undone: [21], higher is better."""
    own_rate_hz = extractor.encoder.config.audio_rate_hz
    samples = resample(samples[None], rate_hz, own_rate_hz)[0] if rate_hz != own_rate_hz else samples
    shifted = (undo_offset(stream, samples, own_rate_hz, offset_s) for offset_s in OFFSETS_S)
    return np.array([sync_score(extractor, pictures, sound, own_rate_hz) for pictures, sound in shifted])


def undo_offset(stream: Stream, samples: np.ndarray, rate_hz: int, offset_s: Fraction) -> tuple[Stream, np.ndarray]:
    """Picture and sound as they belong together if the sound is late by `offset_s`: one loses its beginning."""
    n_frames, n_samples = round(-offset_s * stream.rate_hz), round(offset_s * rate_hz)
    return replace(stream, values=stream.values[max(0, n_frames) :]), samples[max(0, n_samples) :]
