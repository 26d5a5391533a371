"""Stems of a cue sheet as files beside the mix, with the credits: what `--stems DIR` asks of a `CueJob`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from foleycli.cues.cue import Stem
from foleycli.cues.times import nearest
from foleycli.library.library import Recording
from foleycli.media.output import replacing
from foleycli.media.part import copyable_part
from foleycli.records import Report
from foleycli.rendering.cues import CueJob
from foleycli.rendering.output import n_channels
from foleycli.settings.loudness import loudness_target
from foleycli.stems.bwf import SAMPLE_BYTES, SampleFormat
from foleycli.stems.credits import CREDITS_NAME, credits_text
from foleycli.stems.names import PATTERN
from foleycli.stems.write import By, Reel, StemFile, files_of, write_stem_files
from foleycli.timebase import seconds_to_samples

HEADER_BYTES = 8192  # of a stem, with its iXML, and what is lost in blocks of the disk


@dataclass(frozen=True)
class StemDelivery:
    """Writes the stems of a job into a folder; see `rendering.cues.Delivery`."""

    folder: Path
    by: By = "cue"
    pattern: str = PATTERN
    sample_format: SampleFormat = "pcm24"

    def outputs(self, job: CueJob) -> list[Path]:
        """The files that `deliver` writes; of room tone whose licence is not allowed there is none."""
        planned = self.files(job, planned_stems(job))
        return [*(self.folder / file.name for file in planned), self.folder / CREDITS_NAME]

    def check(self, job: CueJob) -> None:
        """Nothing: every reel has stems."""

    def needed_bytes(self, job: CueJob) -> dict[Path, int]:
        """See `rendering.cues.Delivery`."""
        return {self.folder: self.bytes_of(job, self.files(job, planned_stems(job)))}

    def bytes_of(self, job: CueJob, files: Sequence[StemFile]) -> int:
        """Room that some of the files take."""
        frame_bytes = n_channels(job.settings, job.out) * SAMPLE_BYTES[self.sample_format]
        return sum(file.n_samples * frame_bytes + HEADER_BYTES for file in files)

    def files(self, job: CueJob, stems: Sequence[Stem]) -> list[StemFile]:
        """The files for stems, whether they have a sound yet or not."""
        ordered = sorted(stems, key=lambda stem: stem.cue is None)  # what lies between comes last: it names no other
        return files_of(ordered, reel_of(job), self.by, self.pattern)

    def deliver(self, job: CueJob, stems: Sequence[Stem], report: Report) -> tuple[str, ...]:
        """Write the stems, and whom to credit for the library sounds in them."""
        used = [match.recording for stem in stems for match in stem.recordings]
        return self.write(job, self.files(job, stems), used, report)

    def write(
        self,
        job: CueJob,
        files: Sequence[StemFile],
        used: Sequence[Recording],
        report: Report,
        *,
        at_gain_of_mix: bool = False,
    ) -> tuple[str, ...]:
        """Write some of the files, and whom to credit for the library sounds that were used; returns notes.

        at_gain_of_mix   also where stems are to have a loudness of their own
        """
        per_stem = job.settings.loudness_per == "stem" and not at_gain_of_mix
        notes = write_stem_files(
            files,
            self.folder,
            reel_of(job),
            sample_format=self.sample_format,
            target=loudness_target(job.settings.loudness_lufs) if per_stem else None,
            overwrite=job.overwrite,
            report=report,
        )
        with replacing(self.folder / CREDITS_NAME, overwrite=job.overwrite) as part:
            part.write_text(credits_text(used, job.out.name), encoding="utf-8")
        return notes


def reel_of(job: CueJob) -> Reel:
    """The job's reel and the span of it that the mix has."""
    part, rate_hz = copyable_part(job.video, job.out, job.start_s, job.duration_s, job.exact), job.settings.rate_hz
    start, n_samples = nearest(Fraction(part.start_s) * rate_hz), seconds_to_samples(part.duration_s, rate_hz)
    return Reel(job.video.path, job.clock, rate_hz, start, n_samples)


def planned_stems(job: CueJob) -> list[Stem]:
    """The stems that a job will make, without their sound: cues, takes and places are known before."""
    part, rate_hz = copyable_part(job.video, job.out, job.start_s, job.duration_s, job.exact), job.settings.rate_hz
    offset = nearest(Fraction(part.start_s) * rate_hz)
    stems = []
    for one in job.placed(part):
        if one.cue is None or one.silent:
            continue
        begin, start, end, stop = one.samples(rate_hz)
        stem = Stem(one.cue, 1, Path(), offset + begin, stop - begin, rate_hz, start - begin, stop - min(end, stop))
        stems += [replace(stem, take=take, seed=seed) for take, seed in enumerate(job.seeds(one), start=1)]
    if job.wants_room_tone() or any(one.cue is None for one in job.placed(part)):
        n_samples = seconds_to_samples(part.duration_s, rate_hz)
        stems.append(Stem(None, 1, Path(), offset, n_samples, rate_hz, seed=job.settings.seed))
    return stems
