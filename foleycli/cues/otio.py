"""Cues as markers (or clips) of an OpenTimelineIO timeline.

The file is plain JSON and is read strictly here: the reference library crashes on damaged files.  Every object names
its schema; times are a value at a rate, and places follow from the order of a track's children.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from foleycli.cues.columns import Row, known_columns, marker_values, sheet_of, title_of
from foleycli.cues.cue import CueSheet
from foleycli.cues.table import values_of
from foleycli.cues.text import read_text
from foleycli.cues.times import ReelClock, standard_rate
from foleycli.errors import FoleyError
from foleycli.records import Video
from foleycli.settings.checking import short_repr

METADATA = "foley"  # what is ours in an object's metadata
DEEPEST = 64
HINT = "Export a timeline as .otio"


class _Broken(ValueError):
    """What is wrong with the file, in words that follow its name."""


@dataclass(frozen=True)
class _Found:
    """A marker or a clip: seconds from the timeline's beginning."""

    start_s: Fraction
    end_s: Fraction
    values: dict[str, Any]  # the object in the file
    is_marker: bool


def read_otio(path: Path, clock: ReelClock, reel_s: Fraction) -> CueSheet:
    """The markers of a timeline, or its clips where there are none.

    A marker with a length is a cue, one of a picture at most is a hit; what is ours in the metadata says the rest.
    Errors: FoleyError for a file that is something else.
    """
    try:
        timeline = _timeline(json.loads(read_text(path)))
        begin = timeline.get("global_start_time")
        offset_s = _seconds(begin) - clock.start_s if begin is not None and clock.start else Fraction(0)
        found = list(_walk(timeline.get("tracks"), Fraction(0), 0))
    except _Broken as error:
        raise FoleyError(f"{path.name} {error}", HINT) from error
    except (ValueError, RecursionError) as error:
        raise FoleyError(f"{path.name} is no OpenTimelineIO file: {error}", HINT) from error
    kind = "marker" if any(one.is_marker for one in found) else "clip"
    used = sorted((one for one in found if one.is_marker == (kind == "marker")), key=lambda one: one.start_s)
    notes: dict[str, None] = {}
    rows = []
    for n, one in enumerate(used, start=1):
        own, unknown = _own(one.values.get("metadata"), path.name)
        notes |= dict.fromkeys(unknown)
        name, comment = _text(one.values, "name"), _text(one.values, "comment")
        values = marker_values(one.start_s + offset_s, one.end_s + offset_s, name, clock, reel_s, comment)
        rows.append(Row({**values, **own}, f"{kind} {n}"))
    return sheet_of(rows, path, clock, reel_s, notes)


def _timeline(found: Any) -> dict[str, Any]:
    if _schema(found) == "SerializableCollection":
        found = next((one for one in _list(found, "children") if _schema(one) == "Timeline"), found)
    if _schema(found) != "Timeline":
        raise _Broken("holds no timeline")
    return dict(found)


def _schema(value: Any) -> str:
    """What an object is, without the version: `Clip`; "" where it says nothing."""
    return str(value.get("OTIO_SCHEMA", "")).partition(".")[0] if isinstance(value, dict) else ""


def _list(value: dict[str, Any], key: str) -> list[Any]:
    found = value.get(key) or []
    if not isinstance(found, list):
        raise _Broken(f"has {short_repr(found)} as its {key}")
    return found


def _text(value: dict[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""


def _walk(item: Any, origin_s: Fraction, depth: int) -> Iterator[_Found]:
    """The markers and clips of an item that begins at `origin_s`."""
    if depth > DEEPEST:
        raise _Broken("has things too deep in one another")
    kind = _schema(item)
    if kind not in ("Stack", "Track", "Clip", "Gap"):
        if kind:
            raise _Broken(f"has a {short_repr(kind)} where a track or a clip should be")
        raise _Broken("has no tracks")
    start_s, duration_s = _span(item, depth)
    for marker in _list(item, "markers"):
        if _schema(marker) != "Marker":
            raise _Broken(f"has {short_repr(marker)} as a marker")
        first_s, length_s = _range(marker.get("marked_range"))
        at_s = origin_s + first_s - start_s
        yield _Found(at_s, at_s + length_s, marker, True)
    if kind == "Clip":
        yield _Found(origin_s, origin_s + duration_s, item, False)
    at_s = origin_s - start_s
    for child in _children(item):
        yield from _walk(child, at_s, depth + 1)
        if kind == "Track":
            at_s += _span(child, depth + 1)[1]


def _children(item: dict[str, Any]) -> list[Any]:
    """A composition's items; transitions take no time of their own."""
    return [child for child in _list(item, "children") if _schema(child) != "Transition"]


def _span(item: Any, depth: int) -> tuple[Fraction, Fraction]:
    """Where an item's own clock begins, and how long it lasts."""
    if depth > DEEPEST or not isinstance(item, dict):
        raise _Broken("has things too deep in one another, or none where one should be")
    if item.get("source_range") is not None:
        return _range(item["source_range"])
    if _schema(item) in ("Stack", "Track"):
        lengths = [_span(child, depth + 1)[1] for child in _children(item)]
        total = sum(lengths, Fraction(0)) if _schema(item) == "Track" else max(lengths, default=Fraction(0))
        return Fraction(0), total
    medias = item.get("media_references")
    media = item.get("media_reference")
    if isinstance(medias, dict):
        media = medias.get(_text(item, "active_media_reference_key"))
    if isinstance(media, dict) and media.get("available_range") is not None:
        return _range(media["available_range"])
    raise _Broken(f"has a clip of no known length: {short_repr(_text(item, 'name'))}")


def _range(value: Any) -> tuple[Fraction, Fraction]:
    if _schema(value) != "TimeRange":
        raise _Broken(f"has {short_repr(value)} as a range of time")
    return _seconds(value.get("start_time")), _seconds(value.get("duration"))


def _seconds(value: Any) -> Fraction:
    """Exact seconds of a RationalTime, whose rate is a float: 23.976 is 24000/1001."""
    if _schema(value) != "RationalTime":
        raise _Broken(f"has {short_repr(value)} as a time")
    rate, count = value.get("rate"), value.get("value")
    for number in (rate, count):
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
            raise _Broken(f"has {short_repr(value)} as a time")
    if not 0 < rate < 1e7 or abs(count) > 1e12:
        raise _Broken(f"has {short_repr(value)} as a time")
    exact = standard_rate(Fraction(rate).limit_denominator(1_000_000))
    return Fraction(count).limit_denominator(1_000_000) / exact


def _own(metadata: Any, file: str) -> tuple[dict[str, Any], list[str]]:
    """The columns in an object's metadata, but not its place, which is on the timeline; notes about unknown ones."""
    own = metadata.get(METADATA) if isinstance(metadata, dict) else None
    if not isinstance(own, dict):
        return {}, []
    columns, notes = known_columns(own, file)
    values = {columns[name]: value for name, value in own.items() if name in columns}
    return {name: value for name, value in values.items() if name not in ("start", "end", "duration")}, notes


def otio_text(sheet: CueSheet, clock: ReelClock, video: Video) -> str:
    """A timeline with the reel in it and a marker for each cue."""
    rate = float(clock.fps)

    def time(frame: int) -> dict[str, Any]:
        return {"OTIO_SCHEMA": "RationalTime.1", "rate": rate, "value": float(frame)}

    def span(first: int, n_frames: int) -> dict[str, Any]:
        return {"OTIO_SCHEMA": "TimeRange.1", "start_time": time(first), "duration": time(n_frames)}

    markers = []
    for cue in sheet.cues:
        first = clock.frame(cue.start_s)
        own = {name: value for name, value in values_of(cue, clock).items() if value and name not in ("in", "out")}
        markers.append(
            {
                "OTIO_SCHEMA": "Marker.2",
                "name": title_of(cue),
                "color": "GREEN",
                "marked_range": span(first, max(1, clock.frame(cue.end_s) - first)),
                "metadata": {METADATA: own},
            }
        )
    whole = span(clock.start_frame, max(1, clock.frame(Fraction(video.duration_s))))
    url = video.path.absolute().as_uri()
    media = {"OTIO_SCHEMA": "ExternalReference.1", "target_url": url, "available_range": whole, "metadata": {}}
    clip = {"OTIO_SCHEMA": "Clip.1", "name": video.path.stem, "source_range": whole, "media_reference": media}
    track = {"OTIO_SCHEMA": "Track.1", "name": "Picture", "kind": "Video", "children": [clip]}
    timeline = {
        "OTIO_SCHEMA": "Timeline.1",
        "name": video.path.stem,
        "global_start_time": time(clock.start_frame),
        "tracks": {"OTIO_SCHEMA": "Stack.1", "name": "tracks", "children": [track], "markers": markers},
    }
    return json.dumps(timeline, indent=1, ensure_ascii=False) + "\n"
