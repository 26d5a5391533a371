"""A generated sound beside the real one: which files belong together, and how alike the two are.

Two folders in, pairs by file name out; of each pair timing, loudness, spectrum and how well it fits the picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from foleycli.dsp.onsets import agreement, detect_onsets, envelope_correlation
from foleycli.dsp.spectrum import spectral_distance_db
from foleycli.errors import FoleyError
from foleycli.evaluation.synchrony import estimate_offset_s, extract_stream
from foleycli.features.sync import SyncExtractor
from foleycli.features.sync_score import sync_score
from foleycli.media.audio import read_audio
from foleycli.media.probe import picture_start_s
from foleycli.records import Stream

RATE_HZ = 44100
MIN_SHARED_S = 0.2
MIN_ONSETS = 3  # of a real sound, from which on timing means something
ENDINGS = {
    ".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v",
    ".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".aif", ".aiff",
}  # fmt: skip
RENDERED = ".foley"  # clip.foley.mp4 is what `foley render clip.mp4` writes
SHOWN_NAMES = 3  # of a folder, in an error


@dataclass(frozen=True)
class Pair:
    """A generated sound and the real one it is compared with; either may be a video."""

    name: str  # what both are called: sub-folder and stem
    real: Path
    generated: Path

    @property
    def folder(self) -> str:
        """The sub-folder that it is in; "" when it is in none."""
        return self.name.rpartition("/")[0]

    @property
    def video(self) -> Path | None:
        """The file that has pictures: the real one where both have them."""
        return next((path for path in (self.real, self.generated) if picture_start_s(path) is not None), None)


@dataclass(frozen=True)
class Pairs:
    """What two folders hold."""

    pairs: list[Pair]
    only_real: list[Path]
    only_generated: list[Path]


def pair_up(real: Path, generated: Path) -> Pairs:
    """Files of the same sub-folder and stem, videos or sounds; `clip.foley.mp4` goes with `clip.mp4`.

    Errors: FoleyError for what is no folder, two files of one name in a folder, or when nothing has a partner.
    """
    real_files, generated_files = media_in(real), media_in(generated)
    both = sorted(real_files.keys() & generated_files.keys())

    def examples(files: Mapping[str, Path]) -> str:
        names = sorted(path.name for path in files.values())
        return ", ".join(names[:SHOWN_NAMES]) + (", …" if len(names) > SHOWN_NAMES else "")

    if not both:
        raise FoleyError(
            f"no file in {generated} has the name of one in {real} "
            f"({examples(generated_files)}; {examples(real_files)})",
            "Files belong together by their names without endings: clip.mp4 and clip.wav, or clip.foley.mp4",
        )
    return Pairs(
        [Pair(name, real_files[name], generated_files[name]) for name in both],
        [real_files[name] for name in sorted(real_files.keys() - generated_files.keys())],
        [generated_files[name] for name in sorted(generated_files.keys() - real_files.keys())],
    )


def media_in(folder: Path) -> dict[str, Path]:
    """Videos and sounds of a folder and its sub-folders, by their names without endings."""
    if not folder.is_dir():
        why = "is a file, not a folder" if folder.exists() else "does not exist"
        raise FoleyError(
            f"{folder} {why}", "Give a folder of real sounds or videos and one of generated ones, or --model and clips"
        )
    found: dict[str, Path] = {}
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file()):
        name = path.relative_to(folder).with_suffix("").as_posix().removesuffix(RENDERED)
        if name in found:
            raise FoleyError(f"{found[name]} and {path} have the same name", "Keep one of them in the folder")
        found[name] = path
    if not found:
        raise FoleyError(f"{folder} holds no video and no sound", f"It may hold {' '.join(sorted(ENDINGS))}")
    return found


@dataclass(frozen=True)
class PairSamples:
    """A pair as read: mono float32 [N] each, of one length, at RATE_HZ."""

    pair: Pair
    real: np.ndarray
    generated: np.ndarray

    @property
    def duration_s(self) -> float:
        """What both have; a longer one is cut."""
        return len(self.real) / RATE_HZ


@dataclass(frozen=True)
class PairMetrics:
    """One pair's figures; "above" is above chance: the mean over circular shifts is subtracted."""

    name: str
    duration_s: float
    real_onsets: int
    generated_onsets: int
    f1_60ms: float
    above_60ms: float
    f1_100ms: float
    above_100ms: float
    real_onsets_per_s: float
    generated_onsets_per_s: float
    envelope: float  # correlation of the two loudness envelopes
    spectral_distance_db: float  # of the long-term spectra
    sync: float | None  # how well the generated sound fits the picture, by sync-mini; None: there is no picture
    real_sync: float | None  # and the real one: scores of different pictures cannot be compared
    offset_s: float | None  # how late the generated sound is, by sync-mini; None: no picture, or too short

    @property
    def has_onsets(self) -> bool:
        """Whether the real sound has enough onsets for timing to mean something."""
        return self.real_onsets >= MIN_ONSETS


def read_pair(pair: Pair) -> PairSamples:
    """Both sounds; errors: FoleyError when one cannot be read, or they share less than MIN_SHARED_S."""
    real, generated = (read_audio(path, RATE_HZ, 1).samples[0] for path in (pair.real, pair.generated))
    n = min(len(real), len(generated))
    if n < MIN_SHARED_S * RATE_HZ:
        raise FoleyError(f"{pair.real} and {pair.generated} share {n / RATE_HZ:.2f} s of sound", "Give longer sounds")
    return PairSamples(pair, real[:n], generated[:n])


def measure_pair(sounds: PairSamples, extractor: SyncExtractor, stream: Stream | None = None) -> PairMetrics:
    """All figures of one pair; the video, where there is one, is read once, or not at all where its stream is given."""
    generated_onsets, real_onsets = detect_onsets(sounds.generated, RATE_HZ), detect_onsets(sounds.real, RATE_HZ)
    at_60ms, at_100ms = (
        agreement(generated_onsets, real_onsets, tolerance_s, sounds.duration_s) for tolerance_s in (0.06, 0.1)
    )
    video = sounds.pair.video
    stream = extract_stream(video, extractor) if video is not None and stream is None else stream
    return PairMetrics(
        name=sounds.pair.name,
        duration_s=sounds.duration_s,
        real_onsets=len(real_onsets),
        generated_onsets=len(generated_onsets),
        f1_60ms=at_60ms.f1,
        above_60ms=at_60ms.above_chance,
        f1_100ms=at_100ms.f1,
        above_100ms=at_100ms.above_chance,
        real_onsets_per_s=len(real_onsets) / sounds.duration_s,
        generated_onsets_per_s=len(generated_onsets) / sounds.duration_s,
        envelope=envelope_correlation(sounds.generated, sounds.real, RATE_HZ),
        spectral_distance_db=spectral_distance_db(sounds.generated, sounds.real, RATE_HZ),
        sync=sync_score(extractor, stream, sounds.generated, RATE_HZ) if stream else None,
        real_sync=sync_score(extractor, stream, sounds.real, RATE_HZ) if stream else None,
        offset_s=estimate_offset_s(extractor, stream, sounds.generated, RATE_HZ) if stream else None,
    )


def mean_metrics(rows: Sequence[PairMetrics]) -> dict[str, float | None]:
    """The mean of each figure over those pairs that have it; of offsets the mean of absolute values."""
    means: dict[str, float | None] = {}
    for name in (field.name for field in fields(PairMetrics) if field.name != "name"):
        values = np.array([value for row in rows if (value := getattr(row, name)) is not None], dtype=np.float64)
        means[name] = float(np.mean(np.abs(values) if name == "offset_s" else values)) if len(values) else None
    return means
