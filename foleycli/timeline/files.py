"""A timeline to a file, by its ending."""

from __future__ import annotations

from pathlib import Path

from foleycli.cues.times import ReelClock
from foleycli.errors import UsageError
from foleycli.media.output import replacing
from foleycli.timeline.aaf import check_aaf, write_aaf
from foleycli.timeline.edl import check_edl, edl_text
from foleycli.timeline.fcpxml import fcpxml_text
from foleycli.timeline.otio import otio_text
from foleycli.timeline.rpp import rpp_text
from foleycli.timeline.timeline import Timeline

ENDINGS = (".rpp", ".otio", ".fcpxml", ".edl", ".aaf")


def check_timeline_name(path: Path) -> None:
    """Errors: UsageError for an ending that is none of a timeline; FoleyError where an .aaf cannot be written here."""
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(
            f"{path.name}: {path.suffix or 'this'} is no known format of timelines", f"Use {' '.join(ENDINGS)}"
        )
    if path.suffix.lower() == ".aaf":
        check_aaf()


def check_timeline(path: Path, clock: ReelClock, n_clips: int) -> None:
    """Errors: UsageError for a reel or a number of clips that the format of a file does not hold."""
    if path.suffix.lower() == ".edl":
        check_edl(clock, n_clips)


def write_timeline(timeline: Timeline, path: Path, *, overwrite: bool = True) -> None:
    """Write a timeline in the format of the ending; renamed into place.

    Errors: see `check_timeline`.
    """
    with replacing(path, overwrite=overwrite) as part:
        ending = path.suffix.lower()
        if ending == ".aaf":
            write_aaf(timeline, part)
            return
        texts = {
            ".rpp": lambda: rpp_text(timeline, path.parent),
            ".otio": lambda: otio_text(timeline, path.parent),
            ".fcpxml": lambda: fcpxml_text(timeline),
            ".edl": lambda: edl_text(timeline),
        }
        part.write_text(texts[ending](), encoding="utf-8", errors="replace", newline="\n")
