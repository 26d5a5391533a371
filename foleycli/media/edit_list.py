"""Boxes of .mp4 and .mov files: the edit list, which says how much of a track is shown (ISO 14496-12, 8.6.6)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

CONTAINERS = (b"moov", b"trak", b"edts", b"mdia")


def shorten_picture(path: Path, duration_s: float) -> None:
    """Have the first picture track end after `duration_s`: what it stores beyond stays hidden.

    The lengths of the track and of the film follow.  The file must have been written by ffmpeg, with an edit list.
    """
    with path.open("r+b") as file:
        boxes = list(_boxes(file, 0, path.stat().st_size, ()))
        tracks = [place for name, place in boxes if name == (b"moov", b"trak")]
        picture = next(place for place in tracks if _handler(file, boxes, place) == b"vide")
        (movie,) = (place for name, place in boxes if name == (b"moov", b"mvhd"))
        scale = _field(file, movie, 20 if _version(file, movie) else 12, 4)
        length = int(duration_s * scale + 1e-6)
        for name, place in boxes:
            if name[-1] == b"elst" and _is_within(place, picture):
                _set_last_edit(file, place, length)
        for name, place in boxes:
            if name[-1] == b"tkhd" and _is_within(place, picture):
                _set_duration(file, place, 28 if _version(file, place) else 20, length)
        lengths = [
            _field(file, place, 28 if _version(file, place) else 20, 8 if _version(file, place) else 4)
            for name, place in boxes
            if name[-1] == b"tkhd"
        ]
        _set_duration(file, movie, 24 if _version(file, movie) else 16, max(lengths))


def is_box_file(path: Path) -> bool:
    """Whether a file is an .mp4 or .mov by its first box."""
    with path.open("rb") as file:
        return file.read(8)[4:] == b"ftyp"


def movie_header(path: Path) -> bytes:
    """The content of the box that describes all tracks; b"" where there is none."""
    with path.open("rb") as file:
        for name, (begin, end) in _boxes(file, 0, path.stat().st_size, ()):
            if name == (b"moov",):
                file.seek(begin)
                return file.read(end - begin)
    return b""


def _boxes(
    file: IO[bytes], start: int, end: int, within: tuple[bytes, ...]
) -> Iterator[tuple[tuple[bytes, ...], tuple[int, int]]]:
    """All boxes of interest: their names from the outside in, and where their content begins and ends."""
    while start + 8 <= end:
        file.seek(start)
        size, name = struct.unpack(">I4s", file.read(8))
        content = start + 8
        if size == 1:
            size, content = struct.unpack(">Q", file.read(8))[0], start + 16
        stop = start + size if size else end
        names = (*within, name)
        if within or name == b"moov":
            yield names, (content, stop)
            if name in CONTAINERS:
                yield from _boxes(file, content, stop, names)
        start = max(stop, start + 8)


def _is_within(place: tuple[int, int], outer: tuple[int, int]) -> bool:
    return outer[0] <= place[0] and place[1] <= outer[1]


def _handler(file: IO[bytes], boxes: list[tuple[tuple[bytes, ...], tuple[int, int]]], track: tuple[int, int]) -> bytes:
    """What kind a track is: b"vide", b"soun", ..."""
    for name, place in boxes:
        if name[-2:] == (b"mdia", b"hdlr") and _is_within(place, track):
            file.seek(place[0] + 8)
            return file.read(4)
    return b""


def _version(file: IO[bytes], place: tuple[int, int]) -> int:
    return _field(file, place, 0, 1)


def _field(file: IO[bytes], place: tuple[int, int], offset: int, n_bytes: int) -> int:
    file.seek(place[0] + offset)
    return int.from_bytes(file.read(n_bytes), "big")


def _set_duration(file: IO[bytes], place: tuple[int, int], offset: int, length: int) -> None:
    n_bytes = 8 if _version(file, place) else 4
    file.seek(place[0] + offset)
    file.write(length.to_bytes(n_bytes, "big"))


def _set_last_edit(file: IO[bytes], place: tuple[int, int], length: int) -> None:
    """Shorten the last entry so that all of them last `length`; the others (an empty one before) stay."""
    n_bytes = 8 if _version(file, place) else 4
    count, step = _field(file, place, 4, 4), 2 * n_bytes + 4
    before = sum(_field(file, place, 8 + k * step, n_bytes) for k in range(count - 1))
    file.seek(place[0] + 8 + (count - 1) * step)
    file.write(max(0, length - before).to_bytes(n_bytes, "big"))
