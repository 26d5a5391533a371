"""The picture of a session: film strip, cues in lanes with their stems and hits, and time code, on one time axis.

Arrays in, one PNG out; pillow and numpy only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from foleycli.report.picture import (
    EVENT,
    FAINT,
    HEADER,
    INK,
    LEFT,
    PANEL,
    PAPER,
    RULE,
    STRIP,
    WELL,
    WIDTH,
    Axis,
    cut_to,
    draw_columns,
    draw_film,
    draw_header,
    draw_time_axis,
    font,
)

LANE, LABEL, BETWEEN = 104, 30, 8  # heights: of a cue's box, of the words in it, and between boxes
TOP, FOOT = 18, 84  # above the first lane, and below the last: seconds and time code
BOX = (30, 34, 46)
COLOURS = 192  # of the PNG: few, so that it is small
TIMECODE_PX = 300  # between time codes, at least


@dataclass(frozen=True)
class DrawnCue:
    """A cue as it is drawn; times in seconds from the picture's beginning."""

    number: str
    words: str
    start_s: float
    end_s: float
    hits_s: tuple[float, ...] = ()  # that are struck, or events that are seen
    takes: int = 1
    is_silent: bool = False
    stem: np.ndarray | None = None  # mono float [N] of its first take, handles included
    stem_s: tuple[float, float] = (0.0, 0.0)  # where that begins and ends
    spans_s: tuple[tuple[float, float], ...] = ()  # that were made anew


def draw_session(
    path: Path,
    *,
    filmstrip: np.ndarray,
    cues: Sequence[DrawnCue],
    duration_s: float,
    timecode: Callable[[float], str],
    title: str,
    facts: str,
) -> None:
    """Write the picture of a session.

    filmstrip  uint8 [n, H, W, 3], from the middles of n equal parts
    timecode   of a time in seconds from the picture's beginning
    """
    axis, lanes = Axis(max(duration_s, 1e-3)), lanes_of(cues)
    n_lanes = max(lanes, default=-1) + 1
    lanes_y = HEADER + STRIP + TOP
    page = Image.new("RGB", (WIDTH, lanes_y + n_lanes * (LANE + BETWEEN) + FOOT), PAPER)
    draw_header(page, title, facts)
    draw_film(page, HEADER, filmstrip)
    loudest = max((float(np.abs(cue.stem).max(initial=0.0)) for cue in cues if cue.stem is not None), default=0.0)
    for cue, lane in zip(cues, lanes, strict=True):
        _cue(ImageDraw.Draw(page), axis, cue, lanes_y + lane * (LANE + BETWEEN), loudest)
    foot = lanes_y + n_lanes * (LANE + BETWEEN)
    draw_time_axis(page, axis, foot)
    _timecodes(ImageDraw.Draw(page), axis, timecode, foot + 42)
    page.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, optimize=True)


def lanes_of(cues: Sequence[DrawnCue]) -> list[int]:
    """The lane of each cue, from 0: the first in which it, with its handles, covers no cue before it."""
    ends_s: list[float] = []
    lanes = [0] * len(cues)
    for k in sorted(range(len(cues)), key=lambda k: _reach_s(cues[k])):
        start_s, end_s = _reach_s(cues[k])
        free = next((lane for lane, taken_s in enumerate(ends_s) if taken_s <= start_s + 1e-6), len(ends_s))
        ends_s[free:] = [end_s, *ends_s[free + 1 :]]
        lanes[k] = free
    return lanes


def _reach_s(cue: DrawnCue) -> tuple[float, float]:
    if cue.stem is None:
        return cue.start_s, cue.end_s
    return min(cue.start_s, cue.stem_s[0]), max(cue.end_s, cue.stem_s[1])


def _cue(draw: ImageDraw.ImageDraw, axis: Axis, cue: DrawnCue, y: int, loudest: float) -> None:
    """A box from in to out with number and words, in it what is heard: handles are beside the box."""
    left, right = axis.x(cue.start_s), max(axis.x(cue.end_s), axis.x(cue.start_s) + 2)
    draw.rectangle((left, y, right - 1, y + LANE - 1), WELL if cue.is_silent else BOX)
    for start_s, end_s in cue.spans_s:
        draw.rectangle((axis.x(start_s), y + LABEL, axis.x(end_s), y + LANE - 1), RULE)
    middle = y + LABEL + (LANE - LABEL) / 2
    if cue.stem is not None and len(cue.stem) and loudest > 0:
        first, last = axis.x(cue.stem_s[0]), axis.x(cue.stem_s[1])
        scaled = cue.stem / loudest * ((LANE - LABEL) / 2 - 4)
        draw_columns(draw, first, max(1, round(last - first)), middle, scaled)
    draw.rectangle((left, y, left + 2, y + LANE - 1), EVENT)
    for start_s, end_s in cue.spans_s:
        draw.line((axis.x(start_s), y + LANE - 2, axis.x(end_s), y + LANE - 2), EVENT, 3)
    for time_s in cue.hits_s:
        x = axis.x(time_s)
        draw.polygon([(x - 6, y + LABEL), (x + 6, y + LABEL), (x, y + LABEL + 10)], EVENT)
    takes = f" ({cue.takes} takes)" if cue.takes > 1 else ""
    words = "silent" if cue.is_silent else cue.words or "what is seen"
    room_px = right - left - 20
    if room_px > 40:
        draw.text((left + 12, y + 6), cut_to(f"{cue.number}: {words}{takes}", room_px, 18), INK, font(18))
    elif room_px > 12:
        draw.text((left + 8, y + 6), cut_to(cue.number, room_px, 18), INK, font(18))


def _timecodes(draw: ImageDraw.ImageDraw, axis: Axis, timecode: Callable[[float], str], y: int) -> None:
    """Time code at even distances, the first and the last at the edges."""
    n = max(1, PANEL // TIMECODE_PX)
    for k in range(n + 1):
        time_s = axis.duration_s * k / n
        x, anchor = LEFT + PANEL * k / n, "lt" if k == 0 else "rt" if k == n else "mt"
        draw.text((x, y), timecode(time_s), FAINT, font(17), anchor=anchor)
