"""Stems as files: one a cue and take, or one a track or class of sound, each knowing its place on the reel.

What the files are called and where they begin follows from the cues alone, so that it is known before any sound is
made; `files_of` gives the same answer for stems that have no sound yet.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import soundfile

from foleycli import __version__
from foleycli.cues.cue import Cue, Stem
from foleycli.cues.times import ReelClock
from foleycli.errors import FoleyError
from foleycli.media.finish import MOST_RAISED_DB, level_db
from foleycli.media.loudness import Loudness, measure_file
from foleycli.media.output import replacing, temporary_beside
from foleycli.records import Report, silent
from foleycli.settings.loudness import LoudnessTarget
from foleycli.stems.bwf import SAMPLE_BYTES, Bext, BwfWriter, Ixml, SampleFormat, coding_line, read_bwf, stamp_loudness
from foleycli.stems.names import CREATOR, PATTERN, StemFields, fx_name, stem_names
from foleycli.stems.ucs import ROOM_TONE, class_of, find_cat_id, is_cat_id

By = Literal["cue", "track", "class"]
WAYS: tuple[By, ...] = get_args(By)
BLOCK_S = 10  # of a stem that is in memory at once
FULL_SCALE = 1 - 2.0**-23  # the most that 24 bit hold
TOLD_LU = 0.5  # a loudness that differs by more from what was asked for is told
SILENT_LUFS = -70.0  # what the meter gives where no block is loud enough to count


@dataclass(frozen=True)
class Reel:
    """The reel that stems belong to, and the span of it that the mix has."""

    path: Path
    clock: ReelClock
    rate_hz: int
    start: int  # sample of the mix's first sample, from the reel's first picture
    n_samples: int  # of the mix

    def timecode(self, sample: int) -> str:
        """Time code of the picture that a sample from the first picture belongs to."""
        return self.clock.timecode_of_frame(int(sample * self.clock.fps / self.rate_hz // 1))

    def time_reference(self, sample: int) -> int:
        """Samples from midnight to a sample from the first picture."""
        return self.clock.time_reference(sample, self.rate_hz)


@dataclass(frozen=True)
class StemFile:
    """One file: the sum of its stems, from `start` on."""

    name: str
    stems: tuple[Stem, ...]
    fields: StemFields
    start: int  # sample of its first sample, from the reel's first picture
    n_samples: int
    wav: Path | None = None  # its samples, where they are there already; None: they are the sum


def cat_id_of_stem(stem: Stem) -> str:
    """The UCS category of a stem: the sheet's own, else what its words name; room tone between cues."""
    if stem.cue is None:
        return ROOM_TONE
    if is_cat_id(stem.cue.category):
        return stem.cue.category
    return find_cat_id(stem.cue.prompt or stem.cue.name)


def track_of(stem: Stem) -> str:
    """The track of a stem: the sheet's own, else its class of sound."""
    return stem.cue.track if stem.cue is not None and stem.cue.track else class_of(cat_id_of_stem(stem))


def files_of(stems: Sequence[Stem], reel: Reel, by: By = "cue", pattern: str = PATTERN) -> list[StemFile]:
    """The files for stems: one each, or by track or class the sum of first takes, as long as the mix."""
    files = [_single(stem, reel) for stem in stems] if by == "cue" else _grouped(stems, reel, by)
    named = zip(files, stem_names([file.fields for file in files], pattern), strict=True)
    return [replace(file, name=name) for file, name in named]


def _single(stem: Stem, reel: Reel) -> StemFile:
    cue, cat_id = stem.cue, cat_id_of_stem(stem)
    words = (cue.name or cue.prompt or class_of(cat_id)) if cue is not None else "Room Tone"
    fields = StemFields(
        cat_id=cat_id,
        fx=fx_name(words),
        creator=CREATOR,
        source=reel.path.stem,
        cue=cue.number if cue is not None else "Room",
        take=stem.take,
        seed=stem.seed,
        track=track_of(stem),
        kind=class_of(cat_id),
        timecode=_dotted(reel.timecode(stem.start)),
    )
    return StemFile("", (stem,), fields, stem.start, stem.n_samples)


def _dotted(timecode: str) -> str:
    """A time code as names have it."""
    return timecode.replace(":", ".").replace(";", ".")


def _grouped(stems: Sequence[Stem], reel: Reel, by: By) -> list[StemFile]:
    groups: dict[str, list[Stem]] = {}
    for stem in stems:
        if stem.take == 1:
            groups.setdefault(track_of(stem) if by == "track" else class_of(cat_id_of_stem(stem)), []).append(stem)
    files = []
    for name, members in groups.items():
        cat_ids = {cat_id_of_stem(stem) for stem in members}
        kind = class_of(cat_id_of_stem(members[0]))
        fields = StemFields(
            cat_id=cat_ids.pop() if len(cat_ids) == 1 else "MIX",  # UCS: premixes and stems
            fx=fx_name(name),
            source=reel.path.stem,
            cue=name,
            seed=members[0].seed,
            track=name,
            kind=kind,
            timecode=_dotted(reel.timecode(reel.start)),
        )
        files.append(StemFile("", tuple(members), fields, reel.start, reel.n_samples))
    return files


def write_stem_files(
    files: Sequence[StemFile],
    folder: Path,
    reel: Reel,
    *,
    sample_format: SampleFormat = "pcm24",
    target: LoudnessTarget | None = None,
    overwrite: bool = True,
    report: Report = silent,
) -> tuple[str, ...]:
    """Write the files, each aside, checked, and renamed into place; returns notes for the user.

    target   each file by itself gets this loudness and peak, and their sum is no longer the mix; None: as they are

    Errors: FoleyError for a file that would not be right.
    """
    notes = []
    for k, file in enumerate(files):
        report("stems", k, len(files))
        form = sample_format
        gain = _gain(file, reel, target)
        if form == "pcm24" and _peak(file, reel) * gain > FULL_SCALE:
            form = "float32"
            notes.append(f"{file.name} goes above full scale: it is 32 bit float")
        with replacing(folder / file.name, overwrite=overwrite) as part:
            measured = _write_measured(file, part, reel, form, gain)
        if target is not None and (note := _loudness_note(measured, target)):
            notes.append(f"{file.name}: {note}")
    report("stems", len(files), len(files))
    return tuple(notes)


def _loudness_note(measured: Loudness, target: LoudnessTarget) -> str:
    """Why a file has another loudness than asked for; "" where it has that, none was asked for, or it is silent."""
    if target.lufs is None or abs(measured.lufs - target.lufs) <= TOLD_LU or not math.isfinite(measured.peak_dbtp):
        return ""
    if measured.lufs <= SILENT_LUFS:
        return "it is too short or too soft to have a loudness"
    is_full = measured.peak_dbtp > target.ceiling_dbtp - TOLD_LU
    full = f"its peaks are at {target.ceiling_dbtp:g} dBTP"
    reason = full if is_full else f"it is raised by {MOST_RAISED_DB:g} dB at most"
    return f"{measured.lufs:.1f} LUFS instead of {target.lufs:g}: {reason}"


def place_on_reel(wav: Path, reel: Reel, words: str, seed: int) -> None:
    """Make a finished WAV of 24 bit a broadcast WAV that knows its place, sample for sample; renamed into place."""
    cue = Cue(
        "1", Fraction(reel.start, reel.rate_hz), Fraction(reel.start + reel.n_samples, reel.rate_hz), prompt=words
    )
    stem = Stem(cue, 1, wav, reel.start, reel.n_samples, reel.rate_hz, seed=seed)
    [file] = files_of([stem], reel)
    with replacing(wav) as part:
        _write_measured(file, part, reel, "pcm24", 1.0)


def _write_measured(file: StemFile, path: Path, reel: Reel, form: SampleFormat, gain: float) -> Loudness:
    """Write a file with the loudness that it measures in its bext; errors: FoleyError where it would not be right."""
    _write(file, path, reel, form, gain)
    measured = measure_file(path)
    stamp_loudness(path, measured)
    _check(file, path, reel)
    return measured


def _write(file: StemFile, path: Path, reel: Reel, form: SampleFormat, gain: float) -> None:
    channels = _channels(file)
    with BwfWriter(
        path,
        rate_hz=reel.rate_hz,
        channels=channels,
        bext=_bext(file, reel, channels, form),
        ixml=_ixml(file, reel, channels),
        sample_format=form,
    ) as writer:
        for block in blocks_of(file, reel.rate_hz):
            if isinstance(block, int):
                writer.write_silence(block)
            else:
                writer.write(np.float32(gain) * block if gain != 1 else block)


def blocks_of(file: StemFile, rate_hz: int) -> Iterator[np.ndarray | int]:
    """A file's samples, the sum of its stems, in blocks float32 [C, n], or how many samples of silence come."""
    channels, size = _channels(file), BLOCK_S * rate_hz
    if file.wav is not None:
        with soundfile.SoundFile(file.wav) as wav:
            yield from (block.T for block in wav.blocks(size, dtype="float32", always_2d=True))
        return
    end = file.start + file.n_samples
    for first in range(file.start, end, size):
        stop = min(first + size, end)
        sounding = [stem for stem in file.stems if stem.start < stop and stem.start + stem.n_samples > first]
        if not sounding:
            yield stop - first
            continue
        out = np.zeros((channels, stop - first), np.float32)
        for stem in sounding:
            a, b = max(first, stem.start), min(stop, stem.start + stem.n_samples)
            with soundfile.SoundFile(stem.wav) as wav:
                wav.seek(a - stem.start)
                out[:, a - first : b - first] += wav.read(b - a, dtype="float32", always_2d=True).T
        yield out


def _channels(file: StemFile) -> int:
    return max(soundfile.info(wav).channels for wav in ([file.wav] if file.wav else [stem.wav for stem in file.stems]))


def _peak(file: StemFile, reel: Reel) -> float:
    peaks = (np.abs(block).max(initial=0.0) for block in blocks_of(file, reel.rate_hz) if not isinstance(block, int))
    return float(max(peaks, default=0.0))


def _gain(file: StemFile, reel: Reel, target: LoudnessTarget | None) -> float:
    """What brings a file to a loudness of its own; 1 without one, and for silence."""
    if target is None:
        return 1.0
    with temporary_beside(file.stems[0].wav, ".wav") as trial:
        _write(file, trial, reel, "float32", 1.0)
        measured = measure_file(trial)
    return float(10 ** (level_db(measured, target) / 20))


def _bext(file: StemFile, reel: Reel, channels: int, form: SampleFormat) -> Bext:
    stem, fields = file.stems[0], file.fields
    cue = stem.cue if len(file.stems) == 1 else None
    what = (cue.prompt or cue.name) if cue is not None else fields.fx
    description = f"{reel.path.stem}, {fields.cue}, take {fields.take}: {what}"
    identity = f"{description} {fields.seed} {file.start} {file.n_samples} {reel.rate_hz} {file.name}"
    day = time.localtime(reel.path.stat().st_mtime)  # of the picture that it belongs to: same reel, same bytes
    return Bext(
        description=description,
        originator=f"foley {__version__}",
        originator_reference=f"FOLEY{hashlib.sha256(identity.encode('utf-8', 'replace')).hexdigest()[:24].upper()}",
        date=time.strftime("%Y-%m-%d", day),
        time=time.strftime("%H:%M:%S", day),
        time_reference=reel.time_reference(file.start),
        coding_history=coding_line(reel.rate_hz, 8 * SAMPLE_BYTES[form], channels, f"foley {__version__}"),
    )


def _ixml(file: StemFile, reel: Reel, channels: int) -> Ixml:
    stem, fields, fps = file.stems[0], file.fields, reel.clock.fps
    is_one = len(file.stems) == 1
    cue = stem.cue if is_one else None
    told = [text for text in ((cue.prompt, cue.notes) if cue is not None else ()) if text]
    if is_one and (stem.handle_in or stem.handle_out):
        told.append(f"handles: {stem.handle_in} samples before, {stem.handle_out} after")
    sides = ("",) if channels == 1 else (" L", " R")
    return Ixml(
        project=reel.path.stem,
        scene=fields.cue,
        take=str(fields.take),
        tape=reel.path.stem,
        note="; ".join(told),
        is_circled=fields.take == 1,
        tracks=tuple(f"{fields.fx}{side}" for side in sides),
        timecode_rate=f"{fps.numerator}/{fps.denominator}",
        is_drop_frame=reel.clock.is_drop,
    )


def _check(file: StemFile, path: Path, reel: Reel) -> None:
    """Errors: FoleyError for a file that libsndfile reads otherwise than it was meant."""
    info, bext = soundfile.info(path), read_bwf(path).bext
    place = reel.time_reference(file.start)
    if info.frames != file.n_samples or bext is None or bext.time_reference != place:
        raise FoleyError(
            f"the stem {file.name} would not be right and is not written: it has {info.frames} samples, "
            f"not {file.n_samples}",
            "Try again; where it stays so, this is a bug",
        )
