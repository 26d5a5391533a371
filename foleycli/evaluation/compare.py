"""One made sound against the real one: is it in time, as loud, of the same timbre, and does it fit the picture?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from foleycli.dsp.onsets import agreement, detect_onsets, envelope_correlation
from foleycli.dsp.spectrum import spectral_distance_db
from foleycli.errors import FoleyError
from foleycli.evaluation.metrics.offset import SyncOffsets, offset_of
from foleycli.evaluation.pairs import Pair
from foleycli.features.extract import extract_features
from foleycli.features.sync import SyncExtractor
from foleycli.features.sync_score import sync_score
from foleycli.media.audio import read_audio
from foleycli.media.frames import read_frames
from foleycli.media.probe import picture_start_s, probe
from foleycli.models.model import Model
from foleycli.records import Report, Stream, Video, silent
from foleycli.rendering.render import RenderJob, render
from foleycli.settings.settings import Settings
from foleycli.timebase import FEATURE_FPS

RATE_HZ = 44100
SHORTEST_S = 0.2
STRUCK = 3  # so many onsets make a sound one of strikes, where timing says something
LONGEST_OFFSET_S = 2.0  # that the encoder is asked about: a clip must be twice as long


@dataclass(frozen=True)
class Compared:
    """One pair's figures; "above" is above chance: the mean over circular shifts is taken away."""

    name: str
    duration_s: float  # what both have; a longer one is cut
    real_onsets: int
    made_onsets: int
    f1_60ms: float
    above_60ms: float
    f1_100ms: float
    above_100ms: float
    real_onsets_per_s: float
    made_onsets_per_s: float
    envelope: float  # correlation of the two loudness envelopes
    spectral_distance_db: float  # of the long-term spectra
    sync: float | None  # how well the made sound fits the picture, by sync-mini; None: there is no picture
    real_sync: float | None  # and the real one: scores of different pictures cannot be compared
    offset_s: float | None  # the made sound is late by so much, by the same encoder; None: no picture, or too short

    @property
    def is_struck(self) -> bool:
        """Whether the real sound is one of strikes."""
        return self.real_onsets >= STRUCK


@dataclass(frozen=True)
class Sounds:
    """A pair as read: mono float32 [N] each, of one length, at RATE_HZ."""

    pair: Pair
    real: np.ndarray
    made: np.ndarray

    @property
    def duration_s(self) -> float:
        return len(self.real) / RATE_HZ


def read(pair: Pair) -> Sounds:
    """Both sounds; errors: FoleyError when one cannot be read, or they share too little to compare."""
    real, made = (read_audio(path, RATE_HZ, 1).samples[0] for path in (pair.real, pair.made))
    n = min(len(real), len(made))
    if n < SHORTEST_S * RATE_HZ:
        raise FoleyError(f"{pair.real} and {pair.made} share {n / RATE_HZ:.2f} s of sound", "give longer sounds")
    return Sounds(pair, real[:n], made[:n])


def rendered(video: Video, model: Model, settings: Settings, folder: Path, report: Report = silent) -> Pair:
    """A clip's own sound beside the one that `foley render` makes for it, as a WAV in `folder`."""
    made = sound_file(video.path, folder)
    render(RenderJob(video, made, settings), model, report)
    return Pair(video.path.stem, video.path, made)


def sound_file(clip: Path, folder: Path) -> Path:
    """Where the sound that is rendered for a clip lies."""
    return folder / f"{clip.stem}.foley.wav"


def picture_of(pair: Pair) -> Path | None:
    """The video of a pair: the real one where both are."""
    return next((path for path in (pair.real, pair.made) if picture_start_s(path) is not None), None)


def compare(sounds: Sounds, extractor: SyncExtractor) -> Compared:
    """All figures of one pair; the picture, where there is one, is watched once."""
    found, true = detect_onsets(sounds.made, RATE_HZ), detect_onsets(sounds.real, RATE_HZ)
    close, near = (agreement(found, true, tolerance_s, sounds.duration_s) for tolerance_s in (0.06, 0.1))
    picture = picture_of(sounds.pair)
    stream = watched(picture, extractor) if picture is not None else None
    return Compared(
        sounds.pair.name, sounds.duration_s, len(true), len(found),
        close.f1, close.f1 - close.shifted_f1, near.f1, near.f1 - near.shifted_f1,
        len(true) / sounds.duration_s, len(found) / sounds.duration_s,
        envelope_correlation(sounds.made, sounds.real, RATE_HZ),
        spectral_distance_db(sounds.made, sounds.real, RATE_HZ),
        sync_score(extractor, stream, sounds.made, RATE_HZ) if stream else None,
        sync_score(extractor, stream, sounds.real, RATE_HZ) if stream else None,
        offset_s(extractor, stream, sounds.made) if stream else None,
    )  # fmt: skip


def watched(path: Path, extractor: SyncExtractor) -> Stream:
    """What the synchronisation encoder sees in a video."""
    side_px, fit, scaling = extractor.frame_format
    frames = read_frames(probe(path), FEATURE_FPS, side_px, side_px, fit=fit, scaling=scaling)
    return extract_features(frames, [extractor])[extractor.name]


def offset_s(extractor: SyncExtractor, stream: Stream, made: np.ndarray) -> float | None:
    """By how much a sound is late, of 21 offsets up to 2 s; None for clips too short to move it so far."""
    if min(len(made) / RATE_HZ, len(stream.values) / stream.rate_hz) < 2 * LONGEST_OFFSET_S:
        return None
    return float(offset_of(SyncOffsets(extractor), stream, made, RATE_HZ))


def means(rows: Sequence[Compared]) -> dict[str, float | None]:
    """The mean of each figure over those pairs that have it; of offsets the mean of absolute values."""
    found: dict[str, float | None] = {}
    for name in (field.name for field in fields(Compared) if field.name != "name"):
        values = [value for row in rows if (value := getattr(row, name)) is not None]
        values = np.abs(values) if name == "offset_s" else values
        found[name] = float(np.mean(values)) if len(values) else None
    return found
