"""Which part of a copied picture can be cut out: the wanted start and length in, the possible ones out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av

from foleycli.media.ffmpeg import file_url
from foleycli.media.probe import picture_stream
from foleycli.records import Video

REORDER = 16  # pictures that can come later in the file than one shown after them: the codecs' limit
TICK_S = 0.0005  # nearer than this is the same time: half of the coarsest container's unit


@dataclass(frozen=True)
class Part:
    """Seconds from the video's first picture."""

    start_s: float
    duration_s: float


@dataclass(frozen=True)
class _Packet:
    time_s: float
    is_key: bool


def copyable_part(video: Video, out: Path, start_s: float = 0.0, duration_s: float | None = None) -> Part:
    """The smallest part that covers what is wanted and that a stream copy into `out` can show.

    It begins with a picture, the latest not after `start_s`; in .mkv and .webm with a key frame, because
    they have no edit list that hides the pictures before.  It ends where no picture is missing before its
    end, which with reordered pictures is up to a few frames late.  A sound file has exactly the wanted part.
    """
    end_s = video.duration_s if duration_s is None else min(start_s + duration_s, video.duration_s)
    ending = out.suffix.lower()
    if ending not in (".mp4", ".mov", ".mkv", ".webm"):
        return Part(start_s, end_s - start_s)
    if start_s > 0:
        start_s = _start_s(video, start_s, wants_key=ending in (".mkv", ".webm"))
    if end_s < video.duration_s:
        end_s = _end_s(video, end_s)
    return Part(start_s, end_s - start_s)


def _start_s(video: Video, start_s: float, wants_key: bool) -> float:
    best_s, n_after = 0.0, 0
    for packet in _packets_around(video, start_s):
        if wants_key and not packet.is_key:
            continue
        if packet.time_s <= start_s + TICK_S:
            best_s = max(best_s, packet.time_s)
        else:
            n_after += 1
        if n_after > (0 if wants_key else REORDER):
            break
    return best_s


def _end_s(video: Video, end_s: float) -> float:
    """The first time, not before `end_s`, that no later packet of the file is shown before."""
    packets: list[_Packet] = []
    n_after = 0
    for packet in _packets_around(video, end_s):
        packets.append(packet)
        n_after += packet.time_s > end_s
        if n_after > 2 * REORDER:
            break
    latest = max(packets, key=lambda packet: packet.time_s, default=None)
    if latest is None or latest.time_s < end_s:
        return video.duration_s
    return _first_closed_s(packets, end_s) or video.duration_s


def _first_closed_s(packets: list[_Packet], end_s: float) -> float | None:
    """Walk in decoding order to a place with everything earlier before it and everything later after it."""
    shown_s = -1.0
    for k, packet in enumerate(packets[:-1]):
        shown_s = max(shown_s, packet.time_s)
        next_s = min(later.time_s for later in packets[k + 1 :])
        if next_s > shown_s and next_s >= end_s - TICK_S:
            return next_s
    return None


def _packets_around(video: Video, time_s: float) -> Iterator[_Packet]:
    """Shown packets in decoding order from a key frame before `time_s`; times from the first picture."""
    with av.open(file_url(video.path)) as container:
        stream = picture_stream(container)
        assert stream is not None and stream.time_base is not None
        tick_s = float(stream.time_base)
        # A second early: some formats seek by decoding time.
        container.seek(int((video.start_s + max(0.0, time_s - 1)) / tick_s), stream=stream, backward=True)
        for packet in container.demux(stream):
            if packet.pts is not None and packet.size and not packet.is_discard:
                shown_s = packet.pts * tick_s - video.start_s
                yield _Packet(shown_s, packet.is_keyframe)
