"""From generated sound to the finished file: level, rate, channels, mix, and the video around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from foleycli.cues.times import ReelClock, nearest
from foleycli.dsp.evenness import even_out
from foleycli.dsp.gain_riding import apply_gains, riding_gains_db, rms_levels_db
from foleycli.dsp.stereo import pan_curve, stereo_blocks
from foleycli.media.audio import SoundWriter
from foleycli.media.finish import FinishedSound, finish_sound
from foleycli.media.mux import Muxed, mux_takes
from foleycli.media.output import is_video_name, replacing, temporary_beside
from foleycli.media.part import Part
from foleycli.recordings.engine import block_samples
from foleycli.recordings.mix import Layer, Recorded, mix_layers
from foleycli.records import Report, Video
from foleycli.rendering.result import subprogress
from foleycli.settings.loudness import loudness_target, mix_target
from foleycli.settings.settings import Settings
from foleycli.stems.write import Reel, place_on_reel
from foleycli.timebase import seconds_to_samples

if TYPE_CHECKING:
    from foleycli.rendering.job import RenderJob

BESIDE_BYTES = 500_000_000  # of finished sounds that lie beside one another until their videos are written
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
    """Bring the model's sound in a mono WAV to its level and lay recordings beside it, or write them alone.

    The WAV is as long as it was, or `n_samples` where `has_model` is false: then `wav` is written anew.
    What is new is renamed into place.
    """
    add_layers(wav, [Layer(recorded, seed)], n_samples, rate_hz, room_seed=seed, has_model=has_model)


def add_layers(
    wav: Path, layers: Sequence[Layer], n_samples: int, rate_hz: int, *, room_seed: int, has_model: bool
) -> None:
    """`add_recordings` with recordings that several seeds place: see `recordings.mix.mix_layers`."""
    if has_model:
        with soundfile.SoundFile(wav) as file:
            n_samples = file.frames

    model_blocks = partial(file_blocks, wav) if has_model else None
    with replacing(wav) as part, SoundWriter(part, rate_hz) as writer:
        for block in mix_layers(layers, model_blocks, n_samples, rate_hz, room_seed=room_seed):
            writer.write(block)
    last = layers[-1].recorded
    if last.evenness > 0:
        with replacing(wav) as part, SoundWriter(part, rate_hz) as writer:
            for block in even_out(partial(file_blocks, wav), n_samples, rate_hz, last.cuts_s, amount=last.evenness):
                writer.write(block)


def file_blocks(wav: Path) -> Iterator[np.ndarray]:
    """A mono WAV [n], or another [n, C], in blocks as long as those of recordings."""
    with soundfile.SoundFile(wav) as file:
        yield from file.blocks(block_samples(file.samplerate), dtype="float32")


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
    return write_results(job, part, [(generated, out)], position, report)[0]


def write_results(
    job: RenderJob,
    part: Part,
    takes: Sequence[tuple[Path, Path]],
    position: np.ndarray | None,
    report: Report,
) -> list[FinishedSound]:
    """`write_result` for the takes of a job, each a generated WAV and its output; a video is read once for many."""
    if not is_video_name(takes[0][1]):
        return [
            _write_sound(job, part, generated, out, position, subprogress(report, k, 1, len(takes)))
            for k, (generated, out) in enumerate(takes)
        ]
    sound_bytes = seconds_to_samples(part.duration_s, job.settings.rate_hz) * 2 * 3
    at_once = max(1, BESIDE_BYTES // max(1, sound_bytes))
    results = []
    for first in range(0, len(takes), at_once):
        batch = takes[first : first + at_once]
        results += _write_videos(job, part, batch, position, subprogress(report, first, len(batch), len(takes)))
    return results


def _write_sound(
    job: RenderJob, part: Part, generated: Path, out: Path, position: np.ndarray | None, report: Report
) -> FinishedSound:
    with replacing(out, overwrite=job.overwrite, needed_bytes=job.needed_bytes()) as written:
        finished = finish_generated(
            job, part, generated, written, position, channels=n_channels(job.settings, out), report=report
        )
        stamp(job, part, written)
        return finished


def _write_videos(
    job: RenderJob, part: Part, takes: Sequence[tuple[Path, Path]], position: np.ndarray | None, report: Report
) -> list[FinishedSound]:
    """Finish each sound, then write all videos in one run of ffmpeg."""
    needed_bytes = job.needed_bytes()
    with ExitStack() as files:
        # Left in the opposite order: a take gets its name before the next one does.
        written = [
            files.enter_context(replacing(out, overwrite=job.overwrite, needed_bytes=needed_bytes))
            for _, out in reversed(takes)
        ][::-1]
        finished_wavs, finished = [], []
        for k, (generated, out) in enumerate(takes):
            finished_wavs.append(files.enter_context(temporary_beside(out, ".wav", needed_bytes)))
            channels, progress = n_channels(job.settings, out), subprogress(report, k, 1, len(takes))
            finished.append(
                finish_generated(job, part, generated, finished_wavs[k], position, channels=channels, report=progress)
            )
        muxed = _mux(job, part, list(zip(finished_wavs, written, strict=True)), report)
    return [replace(one, notes=one.notes + video.notes) for one, video in zip(finished, muxed, strict=True)]


def finish_generated(
    job: RenderJob,
    part: Part,
    generated: Path,
    finished: Path,
    position: np.ndarray | None,
    *,
    channels: int,
    whole_gain_db: float | None = None,
    report: Report,
) -> FinishedSound:
    """A generated mono WAV at the result's rate, channels, level and mix, to a sound file.

    whole_gain_db   of everything, in place of what loudness and peaks ask for: see `finish_sound`
    """
    settings = job.settings
    with ExitStack() as files:
        if channels == 2 and settings.width > 0:
            stereo = files.enter_context(temporary_beside(finished, ".wav", job.needed_bytes()))
            write_stereo(generated, stereo, position, settings.width)
            generated = stereo
        sound = finish_sound(
            generated,
            finished,
            rate_hz=settings.rate_hz,
            channels=channels,
            n_samples=seconds_to_samples(part.duration_s, settings.rate_hz),
            gain_db=settings.gain_db,
            target=mix_target(settings.loudness_lufs, settings.loudness_per),
            original=job.video.path if settings.mix and job.video.has_audio else None,
            original_tracks=job.original_tracks,
            original_gain_db=settings.original_gain_db,
            original_start_s=part.start_s,
            whole_gain_db=whole_gain_db,
            report=report,
        )
    return replace(sound, notes=job.video_notes() + part.notes + sound.notes)


def stamp(job: RenderJob, part: Part, written: Path) -> None:
    """Make the .wav of a video that has time code a broadcast WAV in its place; other files stay as they are."""
    clock, rate_hz = ReelClock.of(job.video), job.settings.rate_hz
    if clock.start and written.suffix.lower() == ".wav":
        start = nearest(Fraction(part.start_s) * rate_hz)
        reel = Reel(job.video.path, clock, rate_hz, start, seconds_to_samples(part.duration_s, rate_hz))
        place_on_reel(written, reel, job.settings.prompt, job.settings.seed)


def write_video(job: RenderJob, part: Part, finished_wav: Path, out: Path, report: Report) -> Muxed:
    """The video with a finished sound, written aside and renamed into place."""
    with replacing(out, overwrite=job.overwrite, needed_bytes=job.needed_bytes()) as written:
        return _mux(job, part, [(finished_wav, written)], report)[0]


def _mux(job: RenderJob, part: Part, takes: Sequence[tuple[Path, Path]], report: Report) -> list[Muxed]:
    return mux_takes(
        job.video,
        takes,
        start_s=part.start_s,
        duration_s=None if is_whole(job.video, part) else part.duration_s,
        exact=job.exact,
        ceiling_dbtp=loudness_target(job.settings.loudness_lufs).ceiling_dbtp,
        pcm=job.pcm,
        report=report,
    )


def is_whole(video: Video, part: Part) -> bool:
    """Whether a part is all of its video, which is copied without being cut."""
    return part.start_s == 0 and abs(part.duration_s - video.duration_s) < 1e-6
