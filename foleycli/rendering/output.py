"""From generated sound to the finished file: level, rate, channels, mix, and the video around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from foleycli.cues.times import ReelClock, nearest
from foleycli.dsp.gain_riding import apply_gains, riding_gains_db, rms_levels_db
from foleycli.dsp.stereo import pan_curve, stereo_blocks
from foleycli.media.audio import SoundWriter
from foleycli.media.finish import FinishedSound, finish_sound
from foleycli.media.mux import mux
from foleycli.media.output import is_video_name, replacing, temporary_beside
from foleycli.media.part import Part
from foleycli.recordings.engine import block_samples
from foleycli.recordings.mix import Recorded
from foleycli.records import Report, Video
from foleycli.settings.loudness import loudness_target, mix_target
from foleycli.settings.settings import Settings
from foleycli.stems.write import Reel, place_on_reel
from foleycli.timebase import seconds_to_samples

if TYPE_CHECKING:
    from foleycli.rendering.job import RenderJob

BLOCK_S = 10  # of a file that is read at once


def apply_gain_riding(wav: Path, loudness_db: np.ndarray, amount: float) -> None:
    """`dsp.gain_riding.ride_gain` for a mono WAV of any length, in memory of a few seconds; renamed into place.

    loudness_db   float32 [T] at 25 Hz, expected from the picture
    amount        0: the file stays as it is, to 1: the whole difference is made up
    """
    with soundfile.SoundFile(wav) as file:
        rate_hz = file.samplerate
    gains_db = riding_gains_db(rms_levels_db(_blocks(wav), rate_hz), loudness_db, amount)
    with replacing(wav) as part, SoundWriter(part, rate_hz) as writer:
        for samples in apply_gains(_blocks(wav), rate_hz, gains_db):
            writer.write(samples)


def add_recordings(wav: Path, recorded: Recorded, n_samples: int, rate_hz: int, seed: int, *, has_model: bool) -> None:
    """Lay recordings beside the model's sound in a mono WAV, or write them alone; renamed into place.

    The WAV is as long as it was, or `n_samples` where `has_model` is false: then `wav` is written anew.
    """
    if has_model:
        with soundfile.SoundFile(wav) as file:
            n_samples = file.frames

    def model_blocks() -> Iterator[np.ndarray]:
        with soundfile.SoundFile(wav) as file:
            yield from file.blocks(block_samples(rate_hz), dtype="float32")

    with replacing(wav) as part, SoundWriter(part, rate_hz) as writer:
        for block in recorded.blocks(model_blocks if has_model else None, n_samples, rate_hz, seed):
            writer.write(block)


def is_widened(settings: Settings, out: Path) -> bool:
    """Whether a result has two channels that differ."""
    return n_channels(settings, out) == 2 and settings.width > 0


def n_channels(settings: Settings, out: Path) -> int:
    """The channels of a result."""
    return settings.channels or (2 if is_video_name(out) else 1)


def write_stereo(wav: Path, out: Path, position: np.ndarray | None, width: float) -> None:
    """`dsp.stereo.to_stereo` for a mono WAV of any length, to another WAV, in memory of a few seconds."""
    with soundfile.SoundFile(wav) as file:
        rate_hz = file.samplerate
    pan = pan_curve(rms_levels_db(_blocks(wav), rate_hz), position)
    with SoundWriter(out, rate_hz, channels=2) as writer:
        for samples in stereo_blocks(_blocks(wav), rate_hz, pan, width):
            writer.write(samples)


def _blocks(wav: Path) -> Iterator[np.ndarray]:
    with soundfile.SoundFile(wav) as file:
        yield from file.blocks(BLOCK_S * file.samplerate, dtype="float32")


def write_result(
    job: RenderJob, part: Part, generated: Path, out: Path, position: np.ndarray | None, report: Report
) -> FinishedSound:
    """Bring a generated mono WAV to the given rate, channels, level and mix, and write `out` around it.

    `out` is written aside and renamed into place.  Two channels differ as `dsp.stereo` says, by `position` [T, 2].
    """
    if is_widened(job.settings, out):
        with temporary_beside(out, ".wav", job.needed_bytes()) as stereo:
            write_stereo(generated, stereo, position, job.settings.width)
            return _finish(job, part, stereo, out, report)
    return _finish(job, part, generated, out, report)


def _finish(job: RenderJob, part: Part, generated: Path, out: Path, report: Report) -> FinishedSound:
    """`write_result` of a WAV whose channels are those of the result, or one."""
    settings = job.settings

    def finish(path: Path) -> FinishedSound:
        return finish_sound(
            generated,
            path,
            rate_hz=settings.rate_hz,
            channels=n_channels(settings, out),
            n_samples=seconds_to_samples(part.duration_s, settings.rate_hz),
            gain_db=settings.gain_db,
            target=mix_target(settings.loudness_lufs, settings.loudness_per),
            original=job.video.path if settings.mix and job.video.has_audio else None,
            original_tracks=job.original_tracks,
            original_gain_db=settings.original_gain_db,
            original_start_s=part.start_s,
            report=report,
        )

    notes, needed_bytes = job.video_notes() + part.notes, job.needed_bytes()
    if not is_video_name(out):
        with replacing(out, overwrite=job.overwrite, needed_bytes=needed_bytes) as written:
            finished = finish(written)
            clock = ReelClock.of(job.video)
            if clock.start and out.suffix.lower() == ".wav":
                start = nearest(Fraction(part.start_s) * settings.rate_hz)
                n_samples = seconds_to_samples(part.duration_s, settings.rate_hz)
                reel = Reel(job.video.path, clock, settings.rate_hz, start, n_samples)
                place_on_reel(written, reel, settings.prompt, settings.seed)
            return replace(finished, notes=notes + finished.notes)
    with (
        temporary_beside(out, ".wav", needed_bytes) as finished_wav,
        replacing(out, overwrite=job.overwrite, needed_bytes=needed_bytes) as written,
    ):
        finished = finish(finished_wav)
        muxed = mux(
            job.video,
            finished_wav,
            written,
            start_s=part.start_s,
            duration_s=None if is_whole(job.video, part) else part.duration_s,
            exact=job.exact,
            ceiling_dbtp=loudness_target(settings.loudness_lufs).ceiling_dbtp,
            pcm=job.pcm,
            report=report,
        )
        return replace(finished, notes=notes + finished.notes + muxed.notes)


def is_whole(video: Video, part: Part) -> bool:
    """Whether a part is all of its video, which is copied without being cut."""
    return part.start_s == 0 and abs(part.duration_s - video.duration_s) < 1e-6
