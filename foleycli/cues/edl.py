"""Cues as an edit decision list in the form CMX 3600: an event a cue, its words in the comments below it.

    TITLE: REEL
    FCM: NON-DROP FRAME

    001  AX       A     C        00:00:00:00 00:00:02:12 01:00:02:00 01:00:04:12
    * FROM CLIP NAME: Steps
    * PROMPT: boots on gravel

A cue lies where its event lies on the record side, which is the reel.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

from foleycli.cues.columns import Row, comment_values, comments_of, sheet_of, title_of
from foleycli.cues.cue import CueSheet
from foleycli.cues.table import values_of
from foleycli.cues.text import read_text
from foleycli.cues.times import ReelClock, rate_name
from foleycli.errors import FoleyError, UsageError

TIME = r"(\d{1,2}[:;.]\d{2}[:;.]\d{2}[:;.,]\d{2,3})"
EVENT = re.compile(rf"^(\d{{1,6}})\s+(\S+)\s+(\S+)\s+(\S+)(?:\s+\d+)?\s+{TIME}\s+{TIME}\s+{TIME}\s+{TIME}\s*$")
NAMED = re.compile(r"^\*\s*(?:FROM CLIP NAME|CLIP NAME)\s*:\s*(.*)$", re.IGNORECASE)
COMMENT = re.compile(r"^\*\s*(?:COMMENTS?\s*:\s*)?(.*)$", re.IGNORECASE)
MOST_EVENTS = 999  # that the form has numbers for


def read_edl(path: Path, clock: ReelClock, reel_s: Fraction) -> CueSheet:
    """The events of an EDL.  A comment that names a column sets it; others say what is heard, or else the clip's name.

    Errors: FoleyError for a line that begins like an event and is none, and for drop-frame that is not the reel's.
    """
    events: list[tuple[str, list[str], list[str]]] = []  # where, the event's fields, its comments
    is_drop = clock.is_drop
    for n, line in enumerate(read_text(path).splitlines(), start=1):
        line = line.strip()
        if line.upper().startswith("FCM:"):
            is_drop = "NON" not in line.upper()
        elif found := EVENT.match(line):
            fields = [_timecode(text, is_drop) for text in found.groups()[4:]]
            events.append((f"line {n}", [found[1], found[3], *fields], []))
        elif re.match(r"^\d{1,6}\s", line):
            raise FoleyError(f"{path.name}, line {n}, is no event of a CMX 3600 list", "Export the list as CMX 3600")
        elif line.startswith("*") and events:
            events[-1][2].append(line)
    if not events:
        raise FoleyError(f"{path.name} has no events", "Export the list as CMX 3600")
    return sheet_of([_row(*event) for event in events], path, clock, reel_s)


def _timecode(text: str, is_drop: bool) -> str:
    """The text with the sign of its count, which the list states once for all."""
    digits = re.split(r"[:;.,]", text)
    is_drop = is_drop or ";" in text
    return f"{':'.join(digits[:3])}{';' if is_drop else ':'}{digits[3]}"


def _row(where: str, fields: list[str], comments: list[str]) -> Row:
    number, channel, _, _, start, end = fields
    names = [found[1].strip() for line in comments if (found := NAMED.match(line))]
    spoken = [found[1] for line in comments if not NAMED.match(line) and (found := COMMENT.match(line))]
    values, others = comment_values(spoken)
    track = {"track": channel} if channel.upper() not in ("V", "B", "AA/V", "NONE") else {}
    own = {"prompt": " ".join(others) or (names[0] if names else "")}
    name = {"name": names[0]} if names else {}
    number = number.lstrip("0") or "0"
    return Row({**track, **own, **name, **values, "number": number, "start": start, "end": end}, where)


def check_two_digits(clock: ReelClock) -> None:
    """Errors: UsageError for a reel whose pictures of a second an EDL cannot count."""
    if clock.n_digits > 2:
        raise UsageError(
            f"an .edl counts pictures with two digits, and the reel has {rate_name(clock.fps)} a second",
            "Write .otio or .fcpxml",
        )


def edl_text(sheet: CueSheet, clock: ReelClock, title: str) -> str:
    """The sheet as a list; errors: FoleyError for more cues or pictures a second than the form has numbers for."""
    check_two_digits(clock)
    if len(sheet.cues) > MOST_EVENTS:
        raise FoleyError(
            f"an EDL holds {MOST_EVENTS} events, but there are {len(sheet.cues)} cues", "Write CSV or OTIO"
        )
    lines = [f"TITLE: {title}", f"FCM: {'DROP FRAME' if clock.is_drop else 'NON-DROP FRAME'}", ""]
    for n, cue in enumerate(sheet.cues, start=1):
        first, end = clock.frame(cue.start_s), max(clock.frame(cue.end_s), clock.frame(cue.start_s) + 1)
        source = [clock.of_lengths().timecode_of_frame(frame) for frame in (0, end - first)]
        record = [clock.timecode_of_frame(frame) for frame in (first, end)]
        lines.append(f"{n:03}  AX       A     C        {' '.join([*source, *record])}")
        lines.append(f"* FROM CLIP NAME: {title_of(cue)}")
        for comment in comments_of(values_of(cue, clock)):
            name, _, value = comment.partition(": ")
            lines.append(f"* {name.upper()}: {' '.join(value.split())}")
        lines.append("")
    return "\n".join(lines)
