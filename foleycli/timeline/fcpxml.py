"""Final Cut Pro XML 1.10: the picture on the storyline, sounds connected to it, further takes switched off beside them.

Edges are those of pictures, as the program asks for; each file's own clock is that of its bext.  Files are named by
absolute address: the program takes no other.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from fractions import Fraction
from pathlib import Path

from foleycli.cues.fcpxml import time_text
from foleycli.timeline.timeline import Clip, Media, Timeline

VERSION = "1.10"


def fcpxml_text(timeline: Timeline) -> str:
    """The project in a library of its own."""
    root = ET.Element("fcpxml", version=VERSION)
    resources = ET.SubElement(root, "resources")
    size = {"width": str(timeline.width_px), "height": str(timeline.height_px)}
    ET.SubElement(resources, "format", {"id": "r1", "frameDuration": time_text(1 / timeline.clock.fps), **size})
    begin, length = timeline.clock.start_s, timeline.duration_s
    picture = {"start": time_text(begin), "duration": time_text(length), "hasVideo": "1", "format": "r1"}
    _asset(resources, "r2", timeline.video, timeline.video.name, picture)
    event = ET.SubElement(ET.SubElement(root, "library"), "event", name=timeline.name)
    sequence = ET.SubElement(
        ET.SubElement(event, "project", name=timeline.name),
        "sequence",
        format="r1",
        duration=time_text(length),
        tcStart=time_text(begin),
        tcFormat="DF" if timeline.clock.is_drop else "NDF",
        audioLayout="stereo",
        audioRate=f"{timeline.rate_hz // 1000}k",
    )
    storyline = ET.SubElement(sequence, "spine")
    reel = ET.SubElement(
        storyline,
        "asset-clip",
        ref="r2",
        name=timeline.video.name,
        offset=time_text(begin),
        start=time_text(begin),
        duration=time_text(length),
    )
    lane, number = 0, 2
    for track in timeline.tracks:
        lane -= 1
        deepest = max(len(clip.takes) for clip in track.clips)
        for clip in track.clips:
            for k, take in enumerate(clip.takes):
                number += 1
                _sound(timeline, resources, reel, clip, take, ref=f"r{number}", lane=lane - k, role=track.name)
        lane -= deepest - 1
    for region in timeline.regions:
        first, end = timeline.frame(region.start), timeline.frame(region.end)
        duration = time_text(max(1, end - first) / timeline.clock.fps)
        ET.SubElement(reel, "marker", start=time_text(_at(timeline, first)), duration=duration, value=region.name)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _sound(
    timeline: Timeline,
    resources: ET.Element,
    reel: ET.Element,
    clip: Clip,
    take: Media,
    *,
    ref: str,
    lane: int,
    role: str,
) -> None:
    begin_s = Fraction(timeline.time_reference(take), timeline.rate_hz)
    facts = {
        "start": time_text(begin_s),
        "duration": time_text(timeline.seconds(take.n_samples)),
        "hasAudio": "1",
        "audioSources": "1",
        "audioChannels": str(take.channels),
        "audioRate": str(timeline.rate_hz),
    }
    _asset(resources, ref, take.path, take.name, facts)
    first = timeline.frame(clip.start)
    n_frames = max(1, timeline.frame(clip.end) - first)
    sound = ET.SubElement(
        reel,
        "asset-clip",
        ref=ref,
        lane=str(lane),
        name=clip.name_of(take),
        offset=time_text(_at(timeline, first)),
        start=time_text(begin_s + (first / timeline.clock.fps - timeline.seconds(take.start))),
        duration=time_text(n_frames / timeline.clock.fps),
        audioRole=f"effects.{''.join(c if c.isalnum() or c in ' -_' else ' ' for c in role).strip() or 'foley'}",
    )
    if take is not clip.media:
        sound.set("enabled", "0")
    if clip.notes:
        ET.SubElement(sound, "note").text = clip.notes


def _asset(resources: ET.Element, ref: str, path: Path, name: str, facts: dict[str, str]) -> None:
    asset = ET.SubElement(resources, "asset", {"id": ref, "name": name, **facts})
    ET.SubElement(asset, "media-rep", kind="original-media", src=Path(os.path.abspath(path)).as_uri())


def _at(timeline: Timeline, frame: int) -> Fraction:
    """A picture's time on the reel's own clock."""
    return (timeline.clock.start_frame + frame) / timeline.clock.fps
