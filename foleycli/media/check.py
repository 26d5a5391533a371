"""Whether a written video is what was promised: asked of the file itself, before it gets its name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.stream import Disposition

from foleycli.errors import FoleyError
from foleycli.media.probe import picture_orientation
from foleycli.media.source import open_container, picture_stream

CODEC_FRAME_S = 0.03  # of sound: what an encoder may add at an end (1024 samples at 44.1 kHz, or 20 ms of Opus)


@dataclass(frozen=True)
class Promise:
    """What a result must hold."""

    n_pictures: int
    last_s: float  # when the last picture begins, from the first one
    sound_start_s: float  # from the first picture
    sound_s: float
    fps: Fraction
    n_streams: dict[str, int]  # beside picture and sound: "subtitle", "attachment", "data", "video"
    rotation_deg: int
    is_mirrored: bool


def check_result(path: Path, promise: Promise) -> None:
    """Errors: FoleyError that says what is wrong with a file that must not get its name."""
    with open_container(path) as container:
        counts: Counter[str] = Counter(stream.type for stream in container.streams)
        n_covers = sum(bool(stream.disposition & Disposition.attached_pic) for stream in container.streams)
        times_s, sound = _times(container)
    if path.suffix.lower() == ".mkv":  # attached covers are listed as pictures
        counts["video"], counts["attachment"] = counts["video"] - n_covers, counts["attachment"] + n_covers
    counts["video"] -= 1
    faults = [*_time_faults(times_s, sound, promise), *_stream_faults(counts, promise)]
    if len(times_s) and picture_orientation(path) != (promise.rotation_deg, promise.is_mirrored):
        faults.append("its picture would be shown turned or mirrored otherwise")
    if faults:
        raise FoleyError(
            f"the {path.suffix} would not be right and is not written: {'; '.join(faults)}",
            "Write to another format, use --exact for a part, or try another ffmpeg (FOLEY_FFMPEG)",
        )


def _time_faults(times_s: np.ndarray, sound: tuple[float, float] | None, promise: Promise) -> list[str]:
    near_s = max(float(1 / promise.fps), 0.001)  # one picture
    if len(times_s) != promise.n_pictures or not len(times_s):
        return [f"it has {len(times_s)} pictures, not {promise.n_pictures}"]
    if sound is None:
        return ["it has no sound"]
    faults = []
    last_s, begin_s, length_s = times_s[-1] - times_s[0], sound[0] - times_s[0], sound[1] - sound[0]
    if abs(last_s - promise.last_s) > near_s:
        faults.append(f"its last picture is at {last_s:.3f} s, not {promise.last_s:.3f} s")
    if abs(begin_s - promise.sound_start_s) > near_s + CODEC_FRAME_S:
        faults.append(f"its sound begins at {begin_s:.3f} s, not {promise.sound_start_s:.3f} s")
    if abs(length_s - promise.sound_s) > near_s + CODEC_FRAME_S:
        faults.append(f"its sound lasts {length_s:.3f} s, not {promise.sound_s:.3f} s")
    return faults


def _stream_faults(counts: Counter[str], promise: Promise) -> list[str]:
    return [
        f"{n - counts[kind]} of {n} further streams ({kind}) are missing"
        for kind, n in promise.n_streams.items()
        if counts[kind] < n
    ]


def _times(container: InputContainer) -> tuple[np.ndarray, tuple[float, float] | None]:
    """When shown pictures begin, sorted; when the sound begins and ends: all in seconds, by the packets."""
    picture, sounds = picture_stream(container), container.streams.audio
    streams = [stream for stream in (picture, *sounds[:1]) if stream is not None]
    ticks = {stream.index: stream.time_base or Fraction(1, 1000) for stream in streams}
    per_tick = {index: (tick.numerator, tick.denominator) for index, tick in ticks.items()}
    times_s: list[float] = []
    begin_s, end_s = float("inf"), -float("inf")
    for packet in container.demux(streams):
        if packet.pts is None or not packet.size:
            continue
        up, down = per_tick[packet.stream_index]
        time_s = packet.pts * up / down
        if picture is not None and packet.stream_index == picture.index:
            if not packet.is_discard:
                times_s.append(time_s)
        else:
            begin_s, end_s = min(begin_s, time_s), max(end_s, time_s + (packet.duration or 0) * up / down)
    return np.sort(np.array(times_s)), (begin_s, end_s) if end_s >= begin_s else None
