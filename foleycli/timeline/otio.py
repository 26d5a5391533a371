"""OpenTimelineIO: plain JSON; sounds in samples, the picture in frames; takes are media references of a clip."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import quote

from foleycli.timeline.timeline import Clip, Media, Timeline, Track

ACTIVE = "DEFAULT_MEDIA"  # the key of the reference that is used, as the library names it


def otio_text(timeline: Timeline, folder: Path) -> str:
    """The timeline; paths are relative to `folder`, where it will lie."""
    fps = timeline.clock.fps
    picture = _item(
        "Clip.2",
        timeline.video.name,
        source_range=_range(timeline.clock.start_frame, timeline.n_frames, fps),
        media_references={
            ACTIVE: _reference(timeline.video, folder, timeline.clock.start_frame, timeline.n_frames, fps)
        },
        active_media_reference_key=ACTIVE,
    )
    markers = [
        {
            "OTIO_SCHEMA": "Marker.2",
            "name": region.name,
            "color": "GREEN",
            "marked_range": _range(region.start, region.end - region.start, Fraction(timeline.rate_hz)),
            "metadata": {"foley": {"number": region.number}},
        }
        for region in timeline.regions
    ]
    tracks = [_track("Picture", "Video", [picture]), *(_sounds(timeline, track, folder) for track in timeline.tracks)]
    told = {
        "OTIO_SCHEMA": "Timeline.1",
        "name": timeline.name,
        "global_start_time": _time(timeline.clock.start_frame, fps),
        "metadata": {"foley": {"timecode": timeline.clock.start, "rate": str(fps)}},
        "tracks": _item("Stack.1", "tracks", children=tracks, markers=markers),
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _sounds(timeline: Timeline, track: Track, folder: Path) -> dict[str, Any]:
    rate, done = Fraction(timeline.rate_hz), 0
    children = []
    for clip in track.clips:
        if clip.start > done:
            children.append(_item("Gap.1", "", source_range=_range(0, clip.start - done, rate)))
        children.append(_clip(timeline, clip, folder))
        done = clip.end
    return _track(track.name, "Audio", children)


def _clip(timeline: Timeline, clip: Clip, folder: Path) -> dict[str, Any]:
    rate = Fraction(timeline.rate_hz)

    def reference(media: Media) -> dict[str, Any]:
        return _reference(media.path, folder, timeline.time_reference(media), media.n_samples, rate)

    keys = [ACTIVE, *(f"take {take.take}" for take in clip.takes[1:])]
    begin = timeline.time_reference(clip.media) + clip.start - clip.media.start
    return _item(
        "Clip.2",
        clip.name,
        source_range=_range(begin, clip.n_samples, rate),
        media_references={key: reference(take) for key, take in zip(keys, clip.takes, strict=True)},
        active_media_reference_key=ACTIVE,
        metadata={"foley": {"notes": clip.notes}} if clip.notes else {},
    )


def _track(name: str, kind: str, children: list[dict[str, Any]]) -> dict[str, Any]:
    return _item("Track.1", name, kind=kind, children=children)


def _item(schema: str, name: str, **more: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {"source_range": None, "effects": [], "markers": [], "enabled": True, "metadata": {}}
    return {"OTIO_SCHEMA": schema, "name": name, **usual, **more}


def _reference(path: Path, folder: Path, start: int, n: int, rate: Fraction) -> dict[str, Any]:
    return {
        "OTIO_SCHEMA": "ExternalReference.1",
        "name": path.name,
        "metadata": {},
        "available_range": _range(start, n, rate),
        "available_image_bounds": None,
        "target_url": _url(path, folder),
    }


def _url(path: Path, folder: Path) -> str:
    try:
        return quote(Path(os.path.relpath(os.path.abspath(path), os.path.abspath(folder))).as_posix())
    except ValueError:  # on another drive of Windows
        return Path(os.path.abspath(path)).as_uri()


def _range(start: int, n: int, rate: Fraction) -> dict[str, Any]:
    return {"OTIO_SCHEMA": "TimeRange.1", "start_time": _time(start, rate), "duration": _time(n, rate)}


def _time(value: int, rate: Fraction) -> dict[str, Any]:
    return {"OTIO_SCHEMA": "RationalTime.1", "value": float(value), "rate": float(rate)}
