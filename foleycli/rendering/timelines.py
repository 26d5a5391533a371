"""The stems of a job on a timeline for editors: what `--timeline FILE` asks of a `CueJob`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import soundfile

from foleycli.cues.cue import Stem
from foleycli.cues.times import nearest
from foleycli.media.together import as_written
from foleycli.records import Report
from foleycli.rendering.cues import CueJob
from foleycli.rendering.delivery import StemDelivery, planned_stems
from foleycli.stems.write import StemFile, track_of
from foleycli.timeline.files import check_timeline, write_timeline
from foleycli.timeline.timeline import Clip, Media, Region, Timeline, Track, laid_out

ROOM_TONE = "Room tone"
BITS = {"PCM_16": 16, "PCM_24": 24, "FLOAT": 32}


@dataclass(frozen=True)
class TimelineDelivery:
    """Writes a timeline with the files that a `StemDelivery` has written; see `rendering.cues.Delivery`."""

    path: Path
    stems: StemDelivery

    def outputs(self, job: CueJob) -> list[Path]:
        """The one file."""
        return [self.path]

    def check(self, job: CueJob) -> None:
        """Errors: UsageError for a reel, or more cues, than the format holds."""
        files = self.stems.files(job, planned_stems(job))
        clips = {_cue_of(file) or file.name for file in files}
        check_timeline(self.path, job.clock, len(clips))

    def needed_bytes(self, job: CueJob) -> dict[Path, int]:
        """Nothing: it is small."""
        return {}

    def deliver(self, job: CueJob, stems: Sequence[Stem], report: Report) -> tuple[str, ...]:
        """Write the timeline."""
        files = self.stems.files(job, stems)
        write_timeline(timeline_of(job, files, self.stems.folder), self.path, overwrite=job.overwrite)
        return ()


def timeline_of(job: CueJob, files: Sequence[StemFile], folder: Path) -> Timeline:
    """A job's stem files, which lie in `folder`, as tracks of clips; takes of one cue are one clip."""
    rate_hz = job.settings.rate_hz
    return Timeline(
        name=job.out.stem,
        clock=job.clock,
        rate_hz=rate_hz,
        video=job.video.path,
        n_frames=nearest(Fraction(job.video.duration_s) * job.clock.fps),
        width_px=job.video.width_px,
        height_px=job.video.height_px,
        tracks=_tracks(files, folder),
        regions=tuple(
            Region(
                n,
                cue.name or cue.prompt or f"cue {cue.number}",
                *(nearest(t * rate_hz) for t in (cue.start_s, cue.end_s)),
            )
            for n, cue in enumerate(job.sheet.cues, start=1)
        ),
    )


def _tracks(files: Sequence[StemFile], folder: Path) -> tuple[Track, ...]:
    """A clip a cue; a file that is the sum of several stems is one clip as long as it."""
    single: dict[str, list[StemFile]] = {}
    clips: list[tuple[str, Clip]] = []
    for file in files:
        if number := _cue_of(file):
            single.setdefault(number, []).append(file)
        else:
            between = all(stem.cue is None for stem in file.stems)
            name = ROOM_TONE if between else file.fields.track
            clips.append((name, Clip(name, file.start, file.n_samples, (_media(file, folder),))))
    for takes in single.values():
        takes.sort(key=lambda file: file.stems[0].take)
        stem = takes[0].stems[0]
        assert stem.cue is not None
        clip = Clip(
            name=stem.cue.name or stem.cue.prompt or f"cue {stem.cue.number}",
            start=stem.start + stem.handle_in,
            n_samples=stem.n_samples - stem.handle_in - stem.handle_out,
            takes=tuple(_media(file, folder) for file in takes),
            notes=stem.cue.notes,
        )
        clips.append((track_of(stem), clip))
    return laid_out(clips)


def _cue_of(file: StemFile) -> str | None:
    """The number of the cue that a file is a take of; None: it is the sum of several stems, or what lies between."""
    stem = file.stems[0]
    is_take = len(file.stems) == 1 and file.n_samples == stem.n_samples and stem.cue is not None
    return stem.cue.number if is_take and stem.cue is not None else None


def _media(file: StemFile, folder: Path) -> Media:
    path = folder / file.name
    facts = soundfile.info(as_written(path))
    take = file.stems[0].take if len(file.stems) == 1 else 1
    return Media(path.stem, path, take, file.start, file.n_samples, facts.channels, BITS.get(facts.subtype, 24))
