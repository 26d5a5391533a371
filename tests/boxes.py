"""Boxes of .mp4 and .mov files, read and put in by hand: a reader of our own, and files that no encoder here makes."""

from __future__ import annotations

import struct
from pathlib import Path


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, body: bytes) -> bytes:
    return box(kind, bytes(4) + body)


# The description of a 360-degree picture (Spherical Video V2), and Dolby Vision's of profile 8.1.
SPHERICAL = full_box(b"st3d", b"\1") + box(
    b"sv3d", full_box(b"svhd", b"foley\0"), box(b"proj", full_box(b"prhd", bytes(12)), full_box(b"equi", bytes(16)))
)
DOLBY_VISION = box(b"dvvC", struct.pack(">BBHB", 1, 0, 8 << 9 | 1 << 3 | 1 << 2 | 1, 1 << 4) + bytes(19))


def find(data: bytes, *names: bytes, start: int = 0, end: int | None = None) -> tuple[int, int]:
    """Where the first box of these names, from the outside in, begins and ends."""
    end = len(data) if end is None else end
    while start < end:
        size, kind = struct.unpack_from(">I4s", data, start)
        if kind == names[0]:
            if len(names) == 1:
                return start, start + size
            skip = {b"stsd": 16}.get(kind, 8)
            try:
                return find(data, *names[1:], start=start + skip, end=start + size)
            except KeyError:
                pass
        start += size
    raise KeyError(names)


def insert(path: Path, out: Path, new: bytes, entry: bytes) -> Path:
    """A copy with a box at the end of the first track's sample entry; `moov` must stand after the pictures."""
    data = path.read_bytes()
    names = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", entry)
    places = [find(data, *names[: k + 1])[0] for k in range(len(names))]
    end = find(data, *names)[1]
    made = bytearray(data[:end] + new + data[end:])
    for place in places:
        struct.pack_into(">I", made, place, struct.unpack_from(">I", data, place)[0] + len(new))
    out.write_bytes(made)
    return out


def timecode_track(path: Path) -> tuple[int, bool, int]:
    """Of a tmcd track: its first frame's number, whether it is drop-frame, and frames a second."""
    data = path.read_bytes()
    start, end = find(data, b"moov")
    at = start + 8
    while at < end:
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"trak":
            try:
                entry, _ = find(data, b"mdia", b"minf", b"stbl", b"stsd", b"tmcd", start=at + 8, end=at + size)
            except KeyError:
                pass
            else:
                chunk, _ = find(data, b"mdia", b"minf", b"stbl", b"stco", start=at + 8, end=at + size)
                offset = struct.unpack_from(">I", data, chunk + 16)[0]
                flags = struct.unpack_from(">I", data, entry + 20)[0]
                return struct.unpack_from(">I", data, offset)[0], bool(flags & 1), data[entry + 32]
        at += size
    raise KeyError("tmcd")


def retag_words(path: Path, out: Path, entry: bytes, handler: bytes) -> Path:
    """A copy whose subtitle track calls itself something else: a camera's telemetry, a phone's data, captions."""
    data = bytearray(path.read_bytes())
    start, end = find(data, b"moov")
    at = start + 8
    while at < end:
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"trak":
            hdlr, _ = find(data, b"mdia", b"hdlr", start=at + 8, end=at + size)
            if data[hdlr + 16 : hdlr + 20] in (b"text", b"sbtl"):
                data[hdlr + 16 : hdlr + 20] = handler
                stsd, _ = find(data, b"mdia", b"minf", b"stbl", b"stsd", start=at + 8, end=at + size)
                data[stsd + 20 : stsd + 24] = entry
                out.write_bytes(data)
                return out
        at += size
    raise KeyError("a subtitle track")
