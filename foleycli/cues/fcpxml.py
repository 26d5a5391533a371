"""Cues as markers (or clips) of a Final Cut Pro XML, read strictly: nothing outside the file, no entities.

Times in it are rational seconds.  A story element stands at its `offset` on its parent's own clock, and its own clock
begins at its `start`; markers stand on that.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from foleycli.cues.columns import Row, comments_of, marker_values, sheet_of, title_of
from foleycli.cues.cue import CueSheet
from foleycli.cues.table import values_of
from foleycli.cues.text import read_text
from foleycli.cues.times import ReelClock
from foleycli.errors import FoleyError
from foleycli.records import Video

VERSION = "1.10"
STORY = ("clip", "asset-clip", "sync-clip", "mc-clip", "ref-clip", "video", "audio", "title", "gap", "caption")
RATIONAL = re.compile(r"^(-?\d{1,18})(?:/(\d{1,12})|\.(\d{1,12}))?s$")
DEEPEST = 64
HINT = "Export the project as XML from Final Cut Pro"


@dataclass(frozen=True)
class _Found:
    """A marker or a clip: seconds from the sequence's beginning."""

    start_s: Fraction
    end_s: Fraction
    name: str
    note: str
    is_marker: bool


def read_fcpxml(path: Path, clock: ReelClock, reel_s: Fraction) -> CueSheet:
    """The markers of the first sequence, or its clips where there are none.

    A marker with a length is a cue, one of a picture at most is a hit.
    Errors: FoleyError for a file that is something else, or declares entities.
    """
    text = read_text(path)
    if "<!ENTITY" in text.upper():
        raise FoleyError(f"{path.name} declares entities, which no editor writes", HINT)
    try:
        root = ET.fromstring(text.encode() if not re.match(r"\s*<\?xml[^>]*encoding", text) else text)
    except (ET.ParseError, ValueError) as error:
        raise FoleyError(f"{path.name} is no XML: {error}", HINT) from error
    sequence = next(root.iter("sequence"), None)
    if root.tag != "fcpxml" or sequence is None:
        raise FoleyError(f"{path.name} is no FCPXML with a sequence", HINT)
    try:
        tc_start_s = _seconds(sequence.get("tcStart", "0s"))
        spine = sequence.find("spine")
        found = [] if spine is None else list(_walk(spine, -tc_start_s, Fraction(0), 0))
    except ValueError as error:
        raise FoleyError(f"{path.name}: {error}", HINT) from error
    offset_s = tc_start_s - clock.start_s if clock.start and sequence.get("tcStart") else Fraction(0)
    markers = [one for one in found if one.is_marker]
    rows = []
    for n, one in enumerate(markers or found, start=1):
        values = marker_values(one.start_s + offset_s, one.end_s + offset_s, one.name, clock, reel_s, one.note)
        rows.append(Row(values, f"{'marker' if markers else 'clip'} {n}"))
    return sheet_of(rows, path, clock, reel_s)


def _walk(parent: ET.Element, origin_s: Fraction, own_start_s: Fraction, depth: int) -> Iterator[_Found]:
    """What lies below an element whose own clock shows `own_start_s` at `origin_s`."""
    if depth > DEEPEST:
        raise ValueError("elements lie too deep in one another")
    for element in parent:
        if element.tag in ("marker", "chapter-marker"):
            start_s = origin_s + _seconds(element.get("start", "0s")) - own_start_s
            end_s = start_s + _seconds(element.get("duration", "0s"))
            yield _Found(start_s, end_s, element.get("value", ""), element.get("note", ""), True)
        elif element.tag == "spine":
            at_s = origin_s + _seconds(element.get("offset", "0s")) - own_start_s
            yield from _walk(element, at_s, Fraction(0), depth + 1)
        elif element.tag in STORY:
            start_s = _seconds(element.get("start", "0s"))
            at_s = origin_s + _seconds(element.get("offset", "0s")) - own_start_s
            end_s = at_s + _seconds(element.get("duration", "0s"))
            if element.tag != "gap":
                yield _Found(at_s, end_s, element.get("name", ""), element.findtext("note", ""), False)
            yield from _walk(element, at_s, start_s, depth + 1)


def _seconds(text: str) -> Fraction:
    found = RATIONAL.match(text.strip())
    if not found or (found[2] and int(found[2]) == 0):
        raise ValueError(f"{text[:40]!r} is no time")
    return Fraction(int(found[1]), int(found[2])) if found[2] else Fraction(text.strip()[:-1])


def fcpxml_text(sheet: CueSheet, clock: ReelClock, video: Video) -> str:
    """A project with the reel in it, and a marker for each cue."""
    n_frames = max(1, clock.frame(Fraction(video.duration_s)))
    tc_start, tc_format = time_text(clock.start_s), "DF" if clock.is_drop else "NDF"
    length = time_text(n_frames / clock.fps)
    root = ET.Element("fcpxml", version=VERSION)
    resources = ET.SubElement(root, "resources")
    width, height = str(video.width_px), str(video.height_px)
    ET.SubElement(resources, "format", id="r1", frameDuration=time_text(1 / clock.fps), width=width, height=height)
    stem = video.path.stem
    asset = ET.SubElement(
        resources, "asset", id="r2", name=stem, start=tc_start, duration=length, hasVideo="1", format="r1"
    )
    ET.SubElement(asset, "media-rep", kind="original-media", src=video.path.absolute().as_uri())
    project = ET.SubElement(ET.SubElement(ET.SubElement(root, "library"), "event", name=stem), "project", name=stem)
    sequence = ET.SubElement(project, "sequence", format="r1", duration=length, tcStart=tc_start, tcFormat=tc_format)
    clip = ET.SubElement(
        ET.SubElement(sequence, "spine"),
        "asset-clip",
        ref="r2",
        name=stem,
        offset=tc_start,
        start=tc_start,
        duration=length,
        tcFormat=tc_format,
    )
    for cue in sheet.cues:
        first = clock.frame(cue.start_s)
        n = max(1, clock.frame(cue.end_s) - first)
        values = values_of(cue, clock)
        ET.SubElement(
            clip,
            "marker",
            start=time_text(clock.start_s + first / clock.fps),
            duration=time_text(n / clock.fps),
            value=title_of(cue),
            note="\n".join(comments_of(values)),
        )
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n' + ET.tostring(root, "unicode") + "\n"


def time_text(time_s: Fraction) -> str:
    """Exact seconds as the format writes them: `1001/30000s`."""
    time_s = Fraction(time_s)
    return f"{time_s.numerator}s" if time_s.denominator == 1 else f"{time_s.numerator}/{time_s.denominator}s"
