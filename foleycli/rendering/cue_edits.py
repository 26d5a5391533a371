"""One cue of a finished reel made anew, or a span of one, all else kept: other words, other seeds, another take.

The mix is a plain sum: the cue's stem is taken away from the finished samples and the new one added, at the gain that
the whole has.  Every other sample, and every other stem, stays as it was.  Where the stems are on the disk, only the
one cue is rendered; else all are, so that the old one is known.  Of a span the new stem is the old one but for the
span and its edges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import soundfile

from foleycli.cues.cue import Stem
from foleycli.errors import UsageError
from foleycli.library.library import Recording
from foleycli.media.loudness import PRINTED_DB
from foleycli.media.output import temporary_beside
from foleycli.media.part import Part, copyable_part
from foleycli.media.together import as_written
from foleycli.records import Report, silent
from foleycli.rendering.cues import CueJob, Delivery, PlacedCue
from foleycli.rendering.delivery import StemDelivery, planned_stems
from foleycli.rendering.job import SpanEdit, check_edits
from foleycli.rendering.result import RenderResult
from foleycli.settings.loudness import loudness_target
from foleycli.stems.bwf import SampleFormat

_Key = tuple[str | None, int]
BLOCK = 1 << 19  # samples of a file that are in memory at once

if TYPE_CHECKING:
    from foleycli.media.finish import FinishedSound
    from foleycli.models.model import Model


@dataclass(frozen=True)
class CueEdit:
    """What is changed about a cue; None: as it was."""

    number: str
    seeds: tuple[int, ...]  # of all its takes; the first is in the mix
    prompt: str | None = None
    negative_prompt: str | None = None
    kept: tuple[int, ...] = ()  # seeds of takes that stay as they were, with the spans that were made anew in them
    span: SpanEdit | None = None  # only this of one take is made anew, the cue's words and seeds stay
    take: int = 1  # that the span is in

    @classmethod
    def of_report(cls, told: Mapping[str, Any]) -> CueEdit:
        """An edit as a report has it; errors: KeyError, TypeError or ValueError for what is none."""
        span = told.get("span")
        lists = {name: tuple(told.get(name, ())) for name in ("seeds", "kept")}
        return cls(**{**told, **lists, "span": None if span is None else SpanEdit(**span)})

    def applied(self, job: CueJob) -> CueJob:
        """The job with the cue as it is after the edit."""
        if self.span is not None:
            key = (self.number, self.seeds[self.take - 1])
            return replace(job, cue_spans={**job.cue_spans, key: (*job.cue_spans.get(key, ()), self.span)})
        cues, settings = list(job.sheet.cues), list(job.cue_settings)
        k = [cue.number for cue in cues].index(self.number)
        prompt = settings[k].prompt if self.prompt is None else self.prompt
        negative = settings[k].negative_prompt if self.negative_prompt is None else self.negative_prompt
        cues[k] = replace(cues[k], prompt=prompt, negative_prompt=negative)
        settings[k] = replace(settings[k], seed=self.seeds[0], prompt=prompt, negative_prompt=negative)
        return replace(
            job,
            sheet=replace(job.sheet, cues=tuple(cues)),
            cue_settings=tuple(settings),
            cue_seeds={**job.cue_seeds, self.number: self.seeds},
            cue_spans={
                (number, seed): spans
                for (number, seed), spans in job.cue_spans.items()
                if number != self.number or seed in self.kept
            },
        )


@dataclass(frozen=True)
class CueEditJob(CueJob):
    """A reel and its cues as they were first rendered, and what was changed afterwards, one edit after the other."""

    edits: tuple[CueEdit, ...] = field(default=(), metadata={"is_reported": False})
    n_new: int = field(default=1, metadata={"is_reported": False})  # of the edits, at the end: not made yet
    # The result before the new edits, where it gives its samples back; None: they are the stems' sum, or made again.
    kept: Path | None = field(default=None, metadata={"is_reported": False})
    # Who has written the stems before the new edits to the disk; None: they are made again.
    stems: StemDelivery | None = field(default=None, metadata={"is_reported": False})
    sample_format: SampleFormat = field(default="pcm24", metadata={"is_reported": False})  # that stems were asked in
    applied_db: float = field(default=0.0, metadata={"is_reported": False})  # that those stems were multiplied with
    credited: tuple[Recording, ...] = field(default=(), metadata={"is_reported": False})  # of cues that are kept
    earlier: Mapping[str, Any] = field(default_factory=dict, metadata={"is_reported": False})  # the report before

    def after(self, n_edits: int) -> CueJob:
        """The job with the first edits applied."""
        job = CueJob(**{one.name: getattr(self, one.name) for one in fields(CueJob)})
        for edit in self.edits[:n_edits]:
            job = edit.applied(job)
        return job

    def outputs(self) -> list[Path]:
        """The mix, and the stems and timelines as they are called after the last edit."""
        return self.after(len(self.edits)).outputs()

    def needed_by_folder(self) -> dict[Path, int]:
        """See `RenderJob.needed_by_folder`; of the stems those that are made anew."""
        job = self.after(len(self.edits))
        if self.stems is None or not self.edits:
            return job.needed_by_folder()
        needed = Counter({self.out.parent: self.needed_bytes()})
        numbers = {edit.number for edit in self.edits[-self.n_new :]}
        for one in self._stems():
            files = [file for file in one.files(job, planned_stems(job)) if _key(file.stems[0])[0] in numbers]
            needed[one.folder] += one.bytes_of(job, files)
        return dict(needed)

    def check(self) -> None:
        """See `CueJob.check`; errors: UsageError for a number that no cue of the sheet has, or several."""
        numbers = [cue.number for cue in self.sheet.cues]
        for edit in self.edits:
            if numbers.count(edit.number) != 1:
                what = "no cue" if edit.number not in numbers else "several cues"
                raise UsageError(f"{what} with the number {edit.number}", f"Choose among {', '.join(numbers)}")
        check_edits([edit.span for edit in self.edits if edit.span is not None], self.length_s())
        self.after(len(self.edits)).check()

    def run(self, model: Model, report: Report = silent) -> list[RenderResult]:
        """Make what is not kept, then each edited cue, and write the result; errors as `CueJob.run`."""
        import torch

        from foleycli.device import oom_as_foley_error

        if not self.edits:
            return self.after(0).run(model, report)
        with oom_as_foley_error(), torch.inference_mode():
            return [self._edited(model, report)]

    def _edited(self, model: Model, report: Report) -> RenderResult:
        from foleycli.rendering.redo import decode_lossless, write_finished

        part, n = copyable_part(self.video, self.out, self.start_s, self.duration_s, self.exact), len(self.edits)
        with temporary_beside(self.out, ".wav", self.needed_bytes() * 2) as sound:
            credited, numbers = list(self.credited), self._known_cues()
            made: RenderResult | None = None
            applied_db, first = self.applied_db, n - self.n_new
            changed: set[_Key] = set()
            before: dict[_Key, Path] = {}
            if self.stems is not None:
                if self.kept is None:
                    self._sum_stems(sound, part)
                files = _files(self.stems, self.after(first), numbers)
            else:
                made, files = self._all_made(sound, numbers, credited, model, report)
                applied_db, first, changed = made.applied_db, 0, set(files)
            for k in range(first, n):
                if k == n - self.n_new:
                    before = files
                    if self.kept is not None:
                        decode_lossless(self.kept, sound)
                one, new, start = self._one_made(k, sound, files, applied_db, credited, model, report)
                number, joined = self.edits[k].number, sound.with_name(f"{k}.wav")
                if (number, 1) in new:
                    exchange(sound, files[number, 1], new[number, 1], joined, start)
                    sound = joined
                files, changed, made = files | new, changed | new.keys(), _merged(made, one, number)
            assert made is not None
            if self._is_put_in_place():
                notes = self._put_in_place(before, files, credited, sound.with_name("in_place"), report)
            else:
                notes = self._hand_over({key: files[key] for key in changed}, credited, report)
            finished = write_finished(self.with_channels(), part, sound, report)
        return replace(
            made,
            out=self.out,
            settings=self.settings,
            notes=made.notes + notes + finished.notes + self._loud(finished) + self._left_behind(),
            applied_db=applied_db,
            peak_dbtp=finished.peak_dbtp,
            lufs=finished.lufs,
            files=tuple(path for path in self.outputs()[1:] if as_written(path).exists()),
        )

    def _all_made(
        self, sound: Path, numbers: set[str | None], credited: list[Recording], model: Model, report: Report
    ) -> tuple[RenderResult, dict[_Key, Path]]:
        """All cues as they were first rendered: the mix to `sound`, and the stems of some, beside it.

        Stems of the others go to where they are asked for, unless those that are there are kept.
        """
        kept, job = StemDelivery(sound.with_name("stems"), sample_format=self._format()), self.after(0)
        kept.folder.mkdir()
        others = frozenset({None, *(cue.number for cue in self.sheet.cues)} - numbers)
        shown = [_Some(each, self.after(len(self.edits)), others, credited) for each in self._stems()]
        shown = [] if self._is_put_in_place() else shown
        everything = _Some(kept, job, None, [], at_gain_of_mix=True)
        [made] = _Step.of(replace(job, deliveries=(everything, *shown)), target=sound).run(model, report)
        return made, _files(kept, job, numbers)

    def _one_made(
        self,
        k: int,
        sound: Path,
        files: Mapping[_Key, Path],
        applied_db: float,
        credited: list[Recording],
        model: Model,
        report: Report,
    ) -> tuple[RenderResult, dict[_Key, Path], int]:
        """What an edit makes: the facts, the new stems beside `sound`, and the sample at which they begin.

        files   of the cue's takes before it
        """
        job, edit = self.after(k + 1), self.edits[k]
        fresh = StemDelivery(sound.with_name(f"{k}.stems"), sample_format=self._format())
        fresh.folder.mkdir()
        taken = _Some(fresh, job, None, credited, at_gain_of_mix=True)
        step = _Step.of(replace(job, deliveries=(taken,)), edit=edit, applied_db=applied_db)
        [made] = step.run(model, report)
        start = step.start(copyable_part(self.video, self.out, self.start_s, self.duration_s, self.exact))
        new = _files(fresh, job, {edit.number})
        if edit.span is not None:
            key, begin_s = (edit.number, edit.take), start / self.settings.rate_hz
            new = {key: _with_span(edit.span, files[key], new[key], begin_s, sound.with_name(f"{k}.span.wav"))}
        return made, new, start

    def _is_put_in_place(self) -> bool:
        """Whether spans are put into files that do not sum to the mix, or hold several cues each."""
        return self.stems is None and bool(self._stems()) and all(one.span for one in self.edits[-self.n_new :])

    def _known_cues(self) -> set[str | None]:
        """The cues whose stems are needed before the new edits: where a file has a loudness of its own, all in it."""
        if self._is_put_in_place() and self.settings.loudness_per == "stem":
            return {None, *(cue.number for cue in self.sheet.cues)}
        return {edit.number for edit in self.edits}

    def _put_in_place(
        self,
        before: Mapping[_Key, Path],
        after: Mapping[_Key, Path],
        credited: list[Recording],
        folder: Path,
        report: Report,
    ) -> tuple[str, ...]:
        """Put the new samples of spans into the files that hold their cues; all others stay as they are, bit for bit.

        before, after   the stems at the gain of the mix, that differ in the spans alone
        """
        job, notes = self.after(len(self.edits)), []
        folder.mkdir()
        for delivery in self._stems():
            files = []
            for number, file in enumerate(delivery.files(job, planned_stems(job))):
                touched = [stem for stem in file.stems if before.get(_key(stem)) != after.get(_key(stem))]
                if not touched:
                    continue
                wav, gain = delivery.folder / file.name, 1.0
                if self.settings.loudness_per == "stem":
                    gain = gain_between([(before[_key(one)], one.start - file.start) for one in file.stems], wav)
                for k, stem in enumerate(touched):
                    old, new, out = before[_key(stem)], after[_key(stem)], folder / f"{number}.{k}.wav"
                    if exchange(wav, old, new, out, stem.start - file.start, gain=gain):
                        notes.append(f"{file.name} is cut off at full scale within the span: give the cue less gain")
                    wav = out
                files.append(replace(file, wav=wav))
            notes += delivery.write(job, files, credited, report, at_gain_of_mix=True)
        for other in self.deliveries:
            if not isinstance(other, StemDelivery):
                notes += other.deliver(job, planned_stems(job), report)
        return tuple(notes)

    def _loud(self, finished: FinishedSound) -> tuple[str, ...]:
        """A note where the whole, whose gain is kept, has become louder than it may be."""
        ceiling_dbtp = loudness_target(self.settings.loudness_lufs).ceiling_dbtp
        if finished.peak_dbtp is None or finished.peak_dbtp <= ceiling_dbtp + PRINTED_DB:
            return ()
        return (
            f"it peaks at {finished.peak_dbtp:g} dBTP now, as the gain of the whole is kept: give the cue less gain",
        )

    def _left_behind(self) -> tuple[str, ...]:
        """Notes on stems whose names came from other words."""
        named = set(self.outputs())
        before = self.after(len(self.edits) - self.n_new)
        old = [path for path in before.outputs() if path not in named and path.exists()]
        return tuple(f"{path} is of the cue as it was, and in the mix no longer" for path in old)

    def _format(self) -> SampleFormat:
        """Of stems on the way: as those that were asked for, so that both have the same samples."""
        return "float32" if self.settings.loudness_per == "stem" else self.sample_format

    def _stems(self) -> list[StemDelivery]:
        return [one for one in self.deliveries if isinstance(one, StemDelivery)]

    def _hand_over(self, files: Mapping[_Key, Path], credited: list[Recording], report: Report) -> tuple[str, ...]:
        """Write some cues' stems to where those of all are; timelines name them all, and all are there."""
        job, numbers = self.after(len(self.edits)), frozenset(number for number, _ in files)
        stems = [replace(stem, wav=files[_key(stem)]) for stem in planned_stems(job) if _key(stem) in files]
        others = [one for one in self.deliveries if not isinstance(one, StemDelivery)]
        notes: tuple[str, ...] = ()
        for delivery in (*self._stems(), *others):
            notes += _Some(delivery, job, numbers, credited).deliver(job, stems, report)
        return notes

    def _sum_stems(self, sound: Path, part: Part) -> None:
        """The samples before the last edit as a WAV of 24 bit, from the stems on the disk."""
        from foleycli.media.finish import encode_sound
        from foleycli.rendering.cue_sounds import write_mix
        from foleycli.timebase import seconds_to_samples

        job, rate_hz = self.after(len(self.edits) - self.n_new), self.settings.rate_hz
        assert self.stems is not None
        files = [file for file in self.stems.files(job, planned_stems(job)) if file.stems[0].take == 1]
        stems = [replace(file.stems[0], wav=self.stems.folder / file.name) for file in files]
        summed = sound.with_name("summed.wav")
        write_mix(summed, stems, part, seconds_to_samples(part.duration_s, rate_hz), rate_hz)
        encode_sound(summed, sound, loudness_target(self.settings.loudness_lufs).ceiling_dbtp)


def _files(delivery: StemDelivery, job: CueJob, numbers: Collection[str | None]) -> dict[_Key, Path]:
    """The files of some cues' takes."""
    files = delivery.files(job, planned_stems(job))
    return {key: delivery.folder / file.name for file in files if (key := _key(file.stems[0]))[0] in numbers}


def _with_span(span: SpanEdit, old: Path, new: Path, begin_s: float, out: Path) -> Path:
    """Write a stem that begins at `begin_s` of the result with its new samples in a span."""
    from foleycli.rendering.redo import splice

    is_24_bit = all(soundfile.info(path).subtype == "PCM_24" for path in (old, new))
    subtype: Literal["PCM_24", "FLOAT"] = "PCM_24" if is_24_bit else "FLOAT"
    splice(old, new, out, span.start_s - begin_s, span.end_s - begin_s, subtype=subtype)
    return out


def exchange(sound: Path, old: Path, new: Path, out: Path, start: int, *, gain: float = 1.0) -> bool:
    """Write a WAV of 24 bit, or of float, with one stem in the place of another, which begin at its sample `start`.

    What is not in the stems, and where they are equal, stays as it is, bit for bit.

    gain   that both stems have in it
    Returns whether samples went above what 24 bit hold, and were cut off.
    """
    is_cut, is_24_bit = False, soundfile.info(sound).subtype == "PCM_24"
    subtype = "PCM_24" if is_24_bit else "FLOAT"
    with (
        soundfile.SoundFile(sound) as base,
        soundfile.SoundFile(old) as before,
        soundfile.SoundFile(new) as after,
        soundfile.SoundFile(
            out, "w", samplerate=base.samplerate, channels=base.channels, subtype=subtype, format="RF64"
        ) as writer,
    ):
        for first in range(0, base.frames, BLOCK):
            block = base.read(BLOCK, dtype="float64", always_2d=True)  # [n, C]
            a, b = max(start, first), min(start + before.frames, first + len(block))
            if a < b:
                gone, come = (gain * stem.read(b - a, dtype="float64", always_2d=True) for stem in (before, after))
                if is_24_bit:
                    gone, come = (np.rint(samples * 2**23) / 2**23 for samples in (gone, come))
                block[a - first : b - first] += come - gone
            if not is_24_bit:
                writer.write(block)
                continue
            whole = np.rint(block * 2**23)  # as numbers: libsndfile would scale by one less, and move samples
            kept = np.clip(whole, -(2**23), 2**23 - 1)
            is_cut = is_cut or bool((kept != whole).any())
            writer.write(kept.astype(np.int32) << 8)
    return is_cut


def gain_between(stems: Sequence[tuple[Path, int]], sound: Path) -> float:
    """What the sum of stems, each with its first sample's place, was multiplied with to be a file.

    By least squares, as the file may be rounded to 24 bit; 1 where the stems are silent.
    """
    product = power = 0.0
    with ExitStack() as opened, soundfile.SoundFile(sound) as file:
        parts = [(opened.enter_context(soundfile.SoundFile(path)), start) for path, start in stems]
        for first in range(0, file.frames, BLOCK):
            block = file.read(BLOCK, dtype="float64", always_2d=True)  # [n, C]
            summed = np.zeros_like(block)
            for part, start in parts:
                a, b = max(start, first), min(start + part.frames, first + len(block))
                if a < b:
                    summed[a - first : b - first] += part.read(b - a, dtype="float64", always_2d=True)
            product, power = product + float((block * summed).sum()), power + float((summed**2).sum())
    return product / power if power else 1.0


@dataclass(frozen=True)
class _Step(CueJob):
    """A job that leaves out the writing of its result: of all cues, or of one."""

    target: Path = field(default=Path(), metadata={"is_reported": False})  # for the finished mix of all, a WAV
    edit: CueEdit | None = None  # of the one cue; None: all
    applied_db: float = 0.0  # to the stems of the one cue

    @classmethod
    def of(cls, job: CueJob, *, target: Path = Path(), edit: CueEdit | None = None, applied_db: float = 0.0) -> _Step:
        """A step of a job."""
        given = {one.name: getattr(job, one.name) for one in fields(CueJob)}
        return cls(**given, target=target, edit=edit, applied_db=applied_db)

    def leaves_open(self, one: PlacedCue, seed: int) -> bool:
        """See `CueJob.leaves_open`: the span of the edit goes into the stem that there is."""
        edit = self.edit
        return edit is not None and edit.span is not None and seed == edit.seeds[edit.take - 1]

    def placed(self, part: Part | None = None) -> list[PlacedCue]:
        """See `CueJob.placed`; beside the one cue those that silence it."""
        everything = super().placed(part)
        return everything if self.edit is None else [one for one in everything if one.silent or self._is_mine(one)]

    def wants_room_tone(self) -> bool:
        """See `CueJob.wants_room_tone`."""
        return self.edit is None and super().wants_room_tone()

    def start(self, part: Part) -> int:
        """The sample of the part at which the one cue's stems begin."""
        [mine] = [one for one in self.placed(part) if self._is_mine(one)]
        return mine.samples(self.settings.rate_hz)[0]

    def _is_mine(self, one: PlacedCue) -> bool:
        return one.cue is not None and self.edit is not None and one.cue.number == self.edit.number

    def write_mix(self, part: Part, mix: Path, report: Report) -> FinishedSound:
        """See `CueJob.write_mix`."""
        from foleycli.media.finish import FinishedSound
        from foleycli.rendering.output import finish_generated, n_channels

        if self.edit is not None:
            return FinishedSound(None, None, 0.0, 0.0, applied_db=self.applied_db)
        channels = n_channels(self.settings, self.out)
        return finish_generated(self.with_channels(), part, mix, self.target, None, channels=channels, report=report)


@dataclass(frozen=True)
class _Some:
    """Takes the stems of some cues to where those of all are; a timeline is written as a whole."""

    delivery: Delivery
    job: CueJob  # with all cues, as they are after the last edit
    wanted: frozenset[str | None] | None  # numbers, None being what lies between cues; without: all that there are
    credited: list[Recording]  # of the cues so far
    at_gain_of_mix: bool = False  # also where stems are to have a loudness of their own

    def outputs(self, job: CueJob) -> list[Path]:
        """Nothing that was not checked before."""
        return []

    def check(self, job: CueJob) -> None:
        """Nothing that was not checked before."""

    def needed_bytes(self, job: CueJob) -> dict[Path, int]:
        """Nothing that was not asked for before."""
        return {}

    def deliver(self, job: CueJob, stems: Sequence[Stem], report: Report) -> tuple[str, ...]:
        """See `rendering.cues.Delivery`."""
        mine = {_key(stem): stem for stem in stems if self.wanted is None or _key(stem)[0] in self.wanted}
        everything = [mine.get(_key(stem), stem) for stem in planned_stems(self.job)]
        if not isinstance(self.delivery, StemDelivery):
            return self.delivery.deliver(self.job, everything, report)
        files = [file for file in self.delivery.files(self.job, everything) if _key(file.stems[0]) in mine]
        self.credited.extend(match.recording for stem in mine.values() for match in stem.recordings)
        return self.delivery.write(self.job, files, self.credited, report, at_gain_of_mix=self.at_gain_of_mix)


def _key(stem: Stem) -> _Key:
    """A stem's cue, None being what lies between cues, and its take."""
    return (None if stem.cue is None else stem.cue.number), stem.take


def _merged(before: RenderResult | None, made: RenderResult, number: str) -> RenderResult:
    """The facts of all cues after one was made anew; None: those of the others are in the report before."""
    own = [one for one in made.cues if one.cue.number == number]
    if before is None:
        return replace(made, cues=tuple(own))
    cues = {one.cue.number: one for one in (*before.cues, *own)}
    found = {match.recording.name: match for match in (*before.recordings, *made.recordings)}
    return replace(before, cues=tuple(cues.values()), recordings=list(found.values()), notes=before.notes + made.notes)
