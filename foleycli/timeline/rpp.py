"""A REAPER project: a track a class of sound, takes as takes, regions, the picture.

Items hold whole files, so that the project plays what the preview plays; where the cue begins in its file is the
item's snap offset, and the handles can be trimmed away.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from foleycli.timeline.timeline import Clip, Timeline, Track

TIMECODE = 5  # of the ruler: hours, minutes, seconds and frames (Ultraschall's documentation of TIMEMODE)
# What REAPER calls a frame rate, in its settings projfrbase and projfrdrop: a base, and 0 for it, 1 for drop-frame
# (29.97), 2 for the base by 1.001 (23.976 of 24, 29.97 of 30).  A project of 23.976 that REAPER saved: 24 2.
MOST_BASE = 75  # the highest that its list of rates offers
DROP_FRAME = "30 1"  # the only drop-frame that it knows


def rpp_text(timeline: Timeline, folder: Path) -> str:
    """The project; paths are relative to `folder`, where it will lie."""
    lines = [
        '<REAPER_PROJECT 0.1 "6.0" 0',
        f"  PROJOFFS {_seconds(timeline.clock.start_s)} 0 0",
        f"  TIMEMODE {TIMECODE} {TIMECODE} -1 {_rate(timeline.clock.fps, timeline.clock.is_drop)} 0 -1",
        f"  SAMPLERATE {timeline.rate_hz} 1 0",
        "  ITEMMIX 1",
    ]
    for region in timeline.regions:
        start, end = (_seconds(timeline.seconds(sample)) for sample in (region.start, region.end))
        guid = _guid(timeline, f"region {region.number}")
        lines += [
            f"  MARKER {region.number} {start} {_quoted(region.name)} 1 0 1 R {guid}",
            f'  MARKER {region.number} {end} "" 1',
        ]
    lines += _picture(timeline, folder)
    for track in timeline.tracks:
        lines += _track(timeline, track, folder)
    return "\n".join([*lines, ">", ""])


def _picture(timeline: Timeline, folder: Path) -> Iterator[str]:
    yield from (f"  <TRACK {_guid(timeline, 'picture')}", '    NAME "Picture"', "    <ITEM", "      POSITION 0")
    yield from (
        f"      LENGTH {_seconds(timeline.duration_s)}",
        "      LOOP 0",
        f"      NAME {_quoted(timeline.video.name)}",
    )
    yield from (
        "      SOFFS 0",
        "      <SOURCE VIDEO",
        f"        FILE {_file(timeline.video, folder)}",
        "      >",
        "    >",
        "  >",
    )


def _track(timeline: Timeline, track: Track, folder: Path) -> Iterator[str]:
    yield from (f"  <TRACK {_guid(timeline, track.name)}", f"    NAME {_quoted(track.name)}", "    NCHAN 2")
    for clip in track.clips:
        yield from _item(timeline, clip, folder)
    yield "  >"


def _item(timeline: Timeline, clip: Clip, folder: Path) -> Iterator[str]:
    """An item: the first take's place is the item's, the others are moved within their files to be in time."""
    media = clip.media
    yield from ("    <ITEM", f"      POSITION {_seconds(timeline.seconds(media.start))}")
    yield f"      SNAPOFFS {_seconds(timeline.seconds(clip.start - media.start))}"
    yield f"      LENGTH {_seconds(timeline.seconds(media.n_samples))}"
    yield from ("      LOOP 0", "      ALLTAKES 0", "      FADEIN 1 0 0 1 0 0 0", "      FADEOUT 1 0 0 1 0 0 0")
    yield f"      IGUID {_guid(timeline, media.path.name)}"
    for k, take in enumerate(clip.takes):
        if k:
            yield "      TAKE"
        yield from (f"      NAME {_quoted(clip.name_of(take))}", "      VOLPAN 1 0 1 -1")
        yield f"      SOFFS {_seconds(timeline.seconds(media.start - take.start))}"
        yield from ("      <SOURCE WAVE", f"        FILE {_file(take.path, folder)}", "      >")
    yield "    >"


def _seconds(time_s: Fraction) -> str:
    """Enough digits to find a sample of a day again."""
    return f"{float(time_s):.12f}".rstrip("0").rstrip(".") or "0"


def _rate(fps: Fraction, is_drop: bool) -> str:
    """The project's frame rate; of a reel that has more pictures a second, one whose ruler says the same second.

    At 59.94 and 119.88 drop-frame that is 29.97 drop-frame: each leaves out the same minutes' share of numbers.
    """
    if is_drop:
        return DROP_FRAME
    while round(fps) > MOST_BASE:
        fps /= 2
    base = max(1, round(fps))
    return f"{base} {2 if fps == Fraction(1000 * base, 1001) else 0}"


def _file(path: Path, folder: Path) -> str:
    try:
        return _quoted(Path(os.path.relpath(os.path.abspath(path), os.path.abspath(folder))).as_posix())
    except ValueError:  # on another drive of Windows
        return _quoted(os.path.abspath(path))


def _quoted(text: str) -> str:
    """Text in a quote that it does not contain itself, on one line; spaces stay, since names of files have them."""
    text = " ".join(text.splitlines())
    quote = next((mark for mark in "\"'`" if mark not in text), "`")
    return f"{quote}{text.replace('`', chr(39)) if quote == '`' else text}{quote}"


def _guid(timeline: Timeline, name: str) -> str:
    """The same for the same project: no random number is in it."""
    return "{" + str(uuid.uuid5(uuid.NAMESPACE_URL, f"foley/{timeline.name}/{name}")).upper() + "}"
