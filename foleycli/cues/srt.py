"""Cues as subtitles (SubRip): a caption a cue, what is heard in its words, other columns as lines like `takes: 3`."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

from foleycli.cues.columns import Row, comment_values, comments_of, sheet_of, words_of
from foleycli.cues.cue import CueSheet
from foleycli.cues.table import values_of
from foleycli.cues.text import read_text
from foleycli.cues.times import ReelClock, nearest
from foleycli.errors import FoleyError

TIMES = re.compile(r"^\s*(\d{1,3}:\d{1,2}:\d{1,2}[,.]\d{1,3})\s*-->\s*(\d{1,3}:\d{1,2}:\d{1,2}[,.]\d{1,3})")
MARKUP = re.compile(r"</?[a-zA-Z][^>]*>|\{\\[^}]*\}")


def read_srt(path: Path, clock: ReelClock, reel_s: Fraction) -> CueSheet:
    """The captions; times count from the first picture.  Errors: FoleyError for a file that has none."""
    rows: list[Row] = []
    lines = read_text(path).splitlines()
    starts = [(k, found) for k, line in enumerate(lines) if (found := TIMES.match(line))]
    ends = [*(k for k, _ in starts[1:]), len(lines) + 1]
    for (k, found), following in zip(starts, ends, strict=False):
        words = [MARKUP.sub("", line).strip() for line in lines[k + 1 : following - 1]]
        values, others = comment_values(words)
        number = lines[k - 1].strip() if k else ""
        given = {"number": number} if number.isascii() and number.isdigit() else {}
        rows.append(
            Row({"prompt": " ".join(others), **values, **given, "start": found[1], "end": found[2]}, f"line {k + 1}")
        )
    if not rows:
        raise FoleyError(f"{path.name} has no captions", "A caption has times such as 00:00:01,500 --> 00:00:03,200")
    return sheet_of(rows, path, clock, reel_s)


def srt_text(sheet: CueSheet, clock: ReelClock) -> str:
    """The sheet as captions, with a line for every column that a cue has beside its words."""
    blocks = []
    for n, cue in enumerate(sheet.cues, start=1):
        comments = [line for line in comments_of(values_of(cue, clock)) if not line.startswith("prompt: ")]
        words = words_of(cue)
        blocks.append("\n".join([str(n), f"{_time(cue.start_s)} --> {_time(cue.end_s)}", words, *comments, ""]))
    return "\n".join(blocks)


def _time(time_s: Fraction) -> str:
    thousandths = nearest(time_s * 1000)
    seconds = thousandths // 1000
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},{thousandths % 1000:03}"
