"""The options of stems: where they go, how they are parted, named and written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from foleycli.cli import options
from foleycli.errors import UsageError

if TYPE_CHECKING:
    from foleycli.records import Video
    from foleycli.rendering.cues import CueJob, Delivery
    from foleycli.rendering.delivery import StemDelivery
    from foleycli.rendering.job import RenderJob

MOST_HANDLE_S = 60

Stems = Annotated[
    Path | None,
    typer.Option(
        "--stems",
        metavar="DIR",
        help="Write the parts of the sound as broadcast WAV files too, and CREDITS.txt; they sum to the mix.",
        rich_help_panel=options.STEMS,
    ),
]
StemsBy = Annotated[
    Literal["cue", "track", "class"] | None,
    typer.Option(
        "--stems-by",
        help="A file for each cue and take, track, or class of sound (footsteps, movement, ambience, effects).",
        show_default="cue",
        rich_help_panel=options.STEMS,
    ),
]
StemBits = Annotated[
    Literal["24", "32"] | None,
    typer.Option("--stem-bits", help="24 bit, or 32 bit float.", show_default="24", rich_help_panel=options.STEMS),
]

Handles = Annotated[
    str | None,
    typer.Option(
        "--handles",
        metavar="TIME",
        help="How long a cue's own sound goes on before its in and after its out, fading: 2 (seconds) or 48f.",
        show_default="0.2",
        rich_help_panel=options.STEMS,
    ),
]
Timelines = Annotated[
    list[Path] | None,
    typer.Option(
        "--timeline",
        metavar="FILE",
        help="With --stems: picture, stems and takes as .rpp .otio .fcpxml .edl or .aaf; may be given again.",
        rich_help_panel=options.STEMS,
    ),
]


@dataclass(frozen=True)
class StemRequest:
    """What one call asks of stems."""

    folder: Path
    by: Literal["cue", "track", "class"]
    bits: Literal["24", "32"]
    name: str | None  # a pattern
    timelines: tuple[Path, ...] = ()

    def deliveries(self, sub_folder: str = "") -> tuple[Delivery, ...]:
        """Who takes the stems of one job: the files first, then the timelines that name them."""
        from foleycli.rendering.timelines import TimelineDelivery

        stems = self.delivery(sub_folder)
        return (stems, *(TimelineDelivery(path, stems) for path in self.timelines))

    def delivery(self, sub_folder: str = "") -> StemDelivery:
        """Who writes the stems of one job; of several jobs each has a folder of its own."""
        from foleycli.rendering.delivery import StemDelivery
        from foleycli.stems.names import PATTERN

        return StemDelivery(
            self.folder / sub_folder,
            by=self.by,
            pattern=self.name or PATTERN,
            sample_format="pcm24" if self.bits == "24" else "float32",
        )

    def as_cue_job(self, job: RenderJob, sub_folder: str = "") -> CueJob:
        """A render without cues as one cue that is all of it, which hands its stems over."""
        from foleycli.rendering.cues import whole_as_cue

        return whole_as_cue(job, self.deliveries(sub_folder))


def request(
    folder: Path | None,
    by: Literal["cue", "track", "class"] | None,
    bits: Literal["24", "32"] | None,
    name: str | None,
    timelines: Sequence[Path],
    n_videos: int,
) -> StemRequest | None:
    """The options put together.

    Errors: UsageError for those that say nothing without --stems, for bad patterns, and for timelines of no known
    format or of several videos.
    """
    if folder is None:
        for option, value in (("--stems-by", by), ("--stem-bits", bits), ("--timeline", timelines)):
            if value:
                raise UsageError(f"{option} is given without --stems", "Add --stems DIR")
        return None
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--stems {folder} is not a folder", "Name a folder; it is made if missing")
    if name is not None:
        from foleycli.stems.names import check_pattern

        check_pattern(name)
    if timelines and n_videos > 1:
        raise UsageError(
            f"--timeline names one file, but {n_videos} videos are given", "Give one video, or foley batch"
        )
    if timelines:
        from foleycli.timeline.files import check_timeline_name

        for path in timelines:
            check_timeline_name(path)
    return StemRequest(folder, by or "cue", bits or "24", name, tuple(timelines))


def handle_s(text: str, video: Video) -> Fraction:
    """The length of --handles; errors: UsageError for what is no time, or a senselessly long one."""
    from foleycli.cues.times import ReelClock

    clock = ReelClock.of(video).of_lengths()
    length_s = options.parsed("--handles", text, clock, hint="Write seconds (2) or frames (48f)")
    if not 0 <= length_s <= MOST_HANDLE_S:
        raise UsageError(f"--handles is {float(length_s):g} s", f"Give 0 to {MOST_HANDLE_S} s")
    return length_s
