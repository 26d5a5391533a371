"""Which pictures a part of a video has, and which packets a copy of them needs.

A part begins with a picture and ends where a picture begins, whatever file it goes to: a sound file, a stem and a
video of the same part have the same sound.  Copying must begin at a key frame, and pictures that are stored out of
order need later ones: .mp4 and .mov hide what is too much by an edit list, .mkv and .webm cannot.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from foleycli.errors import FoleyError
from foleycli.media.source import open_container, picture_stream
from foleycli.records import Video

REORDER = 16  # pictures that can stand later in the file than one shown after them: the codecs' limit
TICK_S = 0.0005  # nearer than this is the same time: half of the coarsest container's unit
EDIT_LIST_ENDINGS = (".mp4", ".mov")
COPY_ENDINGS = (".mp4", ".mov", ".mkv", ".webm")


@dataclass(frozen=True)
class Part:
    """Seconds from the video's first picture."""

    start_s: float
    duration_s: float
    notes: tuple[str, ...] = ()  # in what it differs from what was asked

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s


@dataclass(frozen=True)
class Packet:
    """A stored picture; its time counts from the video's first picture."""

    time_s: float
    is_key: bool
    n_bytes: int
    is_hidden: bool = False  # by the source's own edit list


@dataclass(frozen=True)
class Cut:
    """The packets of a part, in the file's order."""

    first: Packet  # the key frame at which copying begins
    n_packets: int  # from it to the last one that the part needs
    leading: tuple[int, ...]  # of these, pictures shown before the key frame: they need what is not copied
    n_shown: int
    hidden_s: float  # of pictures before the part's start that are copied with it
    n_hidden_after: int  # pictures after the part's end that are copied with it
    has_hidden: bool  # the source's own edit list hides some of its pictures
    has_hidden_end: bool  # some packets are shown after the last picture that is to be seen
    first_s: float  # when the first stored picture would be shown
    last_s: float  # when the last picture of the part begins
    next_key_s: float  # the key frame after the first one; inf: there is none

    def is_clean(self) -> bool:
        """Whether nothing has to be hidden."""
        return self.hidden_s <= TICK_S and not self.n_hidden_after


def choose_part(video: Video, start_s: float = 0.0, duration_s: float | None = None) -> Part:
    """The asked part in whole pictures: from the one that is shown at `start_s`, as long as asked to one picture."""
    asked_s = video.duration_s - start_s if duration_s is None else duration_s
    left_s = video.duration_s - start_s
    notes: tuple[str, ...] = ()
    if asked_s > left_s + max(TICK_S, float(1 / video.fps)):
        after = f" from {start_s:g} s on" if start_s else ""
        notes = (f"only {left_s:.2f} s are left{after}, not {asked_s:g}",)
    if start_s > 0:
        times_s = [packet.time_s for packet in _around(video, start_s)]
        start_s = max((time_s for time_s in times_s if time_s <= start_s + TICK_S), default=0.0)
    end_s = start_s + asked_s
    if duration_s is None or end_s >= video.duration_s - TICK_S:
        return Part(start_s, video.duration_s - start_s, notes)
    later_s = [packet.time_s for packet in _around(video, end_s) if packet.time_s >= end_s - TICK_S]
    return Part(start_s, min(later_s, default=video.duration_s) - start_s, notes)


def copyable_part(
    video: Video, out: Path, start_s: float = 0.0, duration_s: float | None = None, exact: bool = False
) -> Part:
    """`choose_part`, refused where `out` cannot show it by a copy of its pictures.

    exact   the pictures may be encoded again where a copy cannot begin or end

    Errors: FoleyError for a part of a .mkv or .webm that does not begin at a key frame, or ends between pictures that
    need one another; it offers what can be copied.
    """
    part = choose_part(video, start_s, duration_s)
    is_whole = part.start_s <= TICK_S and part.duration_s >= video.duration_s - TICK_S
    if exact or is_whole or out.suffix.lower() not in COPY_ENDINGS or out.suffix.lower() in EDIT_LIST_ENDINGS:
        return part
    cut = find_cut(video, part)
    if not cut.is_clean():
        raise _not_copyable(video, out, part, cut)
    return part


def _not_copyable(video: Video, out: Path, part: Part, cut: Cut) -> FoleyError:
    ending, others = out.suffix.lower(), "--exact to encode the part's pictures again, or .mp4 or .mov as the output"
    if cut.hidden_s > TICK_S:
        key_s = part.start_s - cut.hidden_s
        return FoleyError(
            f"{ending} cannot begin at {part.start_s:.3f} s of {video.path.name} by copying: the key frame before is "
            f"at {key_s:.3f} s",
            f"Use --start {_seconds(key_s)}, {others}",
        )
    end_s = _closed_end_s(video, part)
    return FoleyError(
        f"{ending} cannot end at {part.end_s:.3f} s of {video.path.name} by copying: pictures there need later ones",
        f"Use --duration {_seconds(end_s - part.start_s)}, {others}",
    )


def _seconds(time_s: float) -> str:
    """Rounded up to a thousandth, so that it is not before the picture that is meant."""
    return f"{math.ceil(time_s * 1000 - 1e-6) / 1000:g}"


def find_cut(video: Video, part: Part | None = None) -> Cut:
    """The packets that a copy of a part needs; None: of the whole video, from its first key frame on."""
    start_s, end_s = (part.start_s, part.end_s) if part else (-math.inf, math.inf)
    packets = list(_packets_until(video, start_s, end_s)) if part else list(_packets(video, None))
    keys = [k for k, packet in enumerate(packets) if packet.is_key and packet.time_s <= max(start_s, 0) + TICK_S]
    if part and not keys:  # sought too far: some formats have no index
        packets = list(_packets(video, None))
        keys = [k for k, packet in enumerate(packets) if packet.is_key and packet.time_s <= start_s + TICK_S]
    first = (keys[-1] if part else keys[0]) if keys else 0
    wanted = [k for k in range(first, len(packets)) if packets[k].time_s < end_s - TICK_S]
    if not wanted:
        raise FoleyError(f"{video.path} has no picture at {max(start_s, 0):.2f} s", "Choose another part")
    copied = packets[first : wanted[-1] + 1]
    key_s = copied[0].time_s
    leading = tuple(k for k, packet in enumerate(copied) if packet.time_s < key_s - TICK_S) if part else ()
    shown = [packet for packet in copied if start_s - TICK_S <= packet.time_s < end_s - TICK_S and not packet.is_hidden]
    last_s = max((packet.time_s for packet in shown), default=0.0)
    return Cut(
        first=copied[0],
        n_packets=len(copied),
        leading=leading,
        n_shown=len(shown),
        hidden_s=max(0.0, start_s - key_s) if part else 0.0,
        n_hidden_after=sum(packet.time_s >= end_s - TICK_S for packet in copied),
        has_hidden=any(packet.is_hidden for packet in copied),
        has_hidden_end=any(packet.time_s > last_s for packet in copied),
        first_s=min(packet.time_s for packet in copied),
        last_s=last_s,
        next_key_s=next((packet.time_s for packet in packets[first + 1 :] if packet.is_key), math.inf),
    )


def packets_before(video: Video, cut: Cut) -> int:
    """How many packets a reader gives between the file's first key frame and the cut's."""
    n, has_key = 0, False
    for packet in _packets(video, None):
        if abs(packet.time_s - cut.first.time_s) <= TICK_S and packet.n_bytes == cut.first.n_bytes:
            return n
        has_key |= packet.is_key
        n += has_key
    raise FoleyError(f"{video.path} cannot be read twice alike", "Copy it to another disk and try again")


def _closed_end_s(video: Video, part: Part) -> float:
    """The first time, not before the part's end, that no later packet of the file is shown before."""
    packets = list(_around(video, part.end_s))
    shown_s = -math.inf
    for k, packet in enumerate(packets[:-1]):
        shown_s = max(shown_s, packet.time_s)
        next_s = min(later.time_s for later in packets[k + 1 :])
        if next_s > shown_s and next_s >= part.end_s - TICK_S:
            return next_s
    return video.duration_s


def _around(video: Video, time_s: float) -> Iterator[Packet]:
    """Packets from a key frame before `time_s` to well after it: no picture up to it is missing."""
    yield from _packets_until(video, time_s, time_s)


def _packets_until(video: Video, start_s: float, end_s: float) -> Iterator[Packet]:
    n_after = 0
    for packet in _packets(video, start_s):
        yield packet
        n_after += packet.time_s > end_s
        if n_after > 2 * REORDER:
            return


def _packets(video: Video, from_s: float | None) -> Iterator[Packet]:
    """Pictures in the file's order, from a key frame before `from_s` on; None: all of them."""
    with open_container(video.path) as container:
        stream = picture_stream(container)
        assert stream is not None and stream.time_base is not None
        tick_s = float(stream.time_base)
        if from_s is not None and from_s > 1:
            # A second early: some formats seek by decoding time.
            container.seek(int((video.start_s + from_s - 1) / tick_s), stream=stream, backward=True)
        for packet in container.demux(stream):
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is not None and packet.size:
                time_s = stamp * tick_s - video.start_s
                yield Packet(time_s, packet.is_keyframe, packet.size, packet.is_discard)
