"""Cue sheets as files: which format an ending stands for, reading one and writing one."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from foleycli.cues import edl, fcpxml, midi, otio, srt, table
from foleycli.cues.cue import CueSheet
from foleycli.cues.times import ReelClock
from foleycli.errors import UsageError
from foleycli.records import Video

Reader = Callable[[Path, ReelClock, Fraction], CueSheet]
READERS: dict[str, Reader] = {
    ".csv": table.read_csv,
    ".tsv": table.read_csv,
    ".json": table.read_json,
    ".edl": edl.read_edl,
    ".otio": otio.read_otio,
    ".fcpxml": fcpxml.read_fcpxml,
    ".srt": srt.read_srt,
    ".txt": table.read_labels,
}
REAPER = ".reaper.csv"
WRITERS: dict[str, Callable[[CueSheet, ReelClock, Video], str | bytes]] = {
    REAPER: lambda sheet, clock, video: table.reaper_text(sheet, clock),
    ".csv": lambda sheet, clock, video: table.csv_text(sheet, clock),
    ".json": lambda sheet, clock, video: table.json_text(sheet, clock, str(video.path)),
    ".edl": lambda sheet, clock, video: edl.edl_text(sheet, clock, video.path.stem),
    ".otio": otio.otio_text,
    ".fcpxml": fcpxml.fcpxml_text,
    ".srt": lambda sheet, clock, video: srt.srt_text(sheet, clock),
    ".txt": lambda sheet, clock, video: table.labels_text(sheet),
    ".mid": lambda sheet, clock, video: midi.midi_bytes(sheet, clock),
}


def read_sheet(path: Path, video: Video, clock: ReelClock) -> CueSheet:
    """The cues of a file, each checked against the reel.

    Errors: UsageError for an ending that is not read; FoleyError for a broken file, or naming the row that is wrong.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"{path.name}: {path.suffix or 'this'} is no cue sheet", f"Use one of {' '.join(READERS)}")
    return reader(path, clock, Fraction(video.duration_s))


def ending_of(path: Path) -> str:
    """The ending that a sheet is written by; errors: UsageError for one that is not known."""
    for ending in WRITERS:
        if path.name.lower().endswith(ending):
            return ending
    raise UsageError(f"{path.name}: {path.suffix or 'this'} is no cue sheet", f"Use one of {' '.join(WRITERS)}")


def sheet_bytes(sheet: CueSheet, path: Path, video: Video, clock: ReelClock) -> bytes:
    """A sheet in the format of a file's ending; errors: see `ending_of`."""
    written = WRITERS[ending_of(path)](sheet, clock, video)
    return written.encode() if isinstance(written, str) else written
