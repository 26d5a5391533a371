"""Files in a Debian package, and sounds in the archives of games inside it; nothing is unpacked to its own name.

A package is an `ar` file (deb(5)) whose member data.tar.* holds the files. Inside may lie ZIP archives (.zip, .pk3),
Doom's WADs and Qt's resource files (.rcc).
"""

from __future__ import annotations

import io
import lzma
import shutil
import struct
import tarfile
import wave
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from foleycli.errors import FoleyError

_BROKEN = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, struct.error, EOFError, ValueError)
_AR_MAGIC = b"!<arch>\n"
_AR_HEADER_BYTES = 60  # name 16, time 12, owner 6, group 6, mode 8, size 10, end 2
_DMX_PAD = 16  # samples before and after a Doom sound that are not played
_RCC_ZLIB, _RCC_FOLDER, _RCC_ZSTD = 1, 2, 4


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Whatever a damaged archive raises, as a FoleyError."""
    try:
        yield
    except _BROKEN as error:
        raise FoleyError(f"{path.name} cannot be unpacked: {error!r}", "Fetch it again") from error


def files_of_deb(deb: Path, wanted: Collection[str], folder: Path) -> Iterator[tuple[str, Path]]:
    """The wanted plain files: path in the package, and a copy in `folder` that the next one replaces."""
    # Read as a stream: data.tar of a game is larger than its package, and is needed once.
    with _readable(deb), deb.open("rb") as file, tarfile.open(fileobj=_data_of(file), mode="r|*") as data:
        for member in data:
            path = member.name.removeprefix("./")
            if member.isreg() and path in wanted:
                copy = folder / f"file{Path(path).suffix}"
                content = data.extractfile(member)
                assert content is not None  # a regular file has a content
                with copy.open("wb") as target:
                    shutil.copyfileobj(content, target)
                yield path, copy
                copy.unlink()


class _Part(io.RawIOBase):
    """The next `n_bytes` of a file, as a file that ends there."""

    def __init__(self, file: IO[bytes], n_bytes: int) -> None:
        self._file, self._n_left = file, n_bytes

    def read(self, n_bytes: int = -1) -> bytes:
        wanted = self._n_left if n_bytes < 0 else min(n_bytes, self._n_left)
        piece = self._file.read(wanted)
        self._n_left -= len(piece)
        return piece


def _data_of(file: IO[bytes]) -> _Part:
    """The member data.tar.* of a package."""
    if file.read(len(_AR_MAGIC)) != _AR_MAGIC:
        raise ValueError("no ar file")
    while header := file.read(_AR_HEADER_BYTES):
        name, n_bytes = header[:16].decode("ascii"), int(header[48:58])
        if name.startswith("data.tar"):
            return _Part(file, n_bytes)
        file.seek(n_bytes + n_bytes % 2, io.SEEK_CUR)  # members begin at even places
    raise ValueError("no data.tar in it")


def files_inside(archive: Path, wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Those of the wanted files that the archive holds, by their path in it."""
    with _readable(archive), archive.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        if magic == b"PK\3\4":
            yield from _in_zip(file, wanted)
        elif magic in (b"IWAD", b"PWAD"):
            yield from _in_wad(file.read(), wanted)
        elif magic == b"qres":
            yield from _in_rcc(file.read(), wanted)
        else:
            raise ValueError(f"an archive that begins with {magic!r} is not known")


def _in_zip(file: IO[bytes], wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(file) as held:
        for name in set(held.namelist()).intersection(wanted):
            yield name, held.read(name)


def _in_wad(wad: bytes, wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Doom's sounds, lump DSNAME as DSNAME.wav (https://doomwiki.org/wiki/Sound: header of 8 bytes, 8 bit, mono)."""
    n_lumps, directory = struct.unpack_from("<II", wad, 4)
    for k in range(n_lumps):
        start, n_bytes, lump = struct.unpack_from("<II8s", wad, directory + 16 * k)
        name = lump.rstrip(b"\0").decode("ascii") + ".wav"
        if name in wanted:
            _, rate_hz, n_samples = struct.unpack_from("<HHI", wad, start)
            first, last = start + 8 + _DMX_PAD, start + min(8 + n_samples, n_bytes) - _DMX_PAD
            yield name, _as_wav(wad[first:last], rate_hz)


def _as_wav(samples: bytes, rate_hz: int) -> bytes:
    wav = io.BytesIO()
    with wave.open(wav, "wb") as writer:
        writer.setparams((1, 1, rate_hz, 0, "NONE", ""))
        writer.writeframes(samples)
    return wav.getvalue()


def _in_rcc(rcc: bytes, wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Files of Qt's binary resources: the tree is an array of nodes, a folder has its first child's index and count."""
    version, tree, data, names = struct.unpack_from(">4I", rcc, 4)
    node_bytes = 14 if version == 1 else 22  # with the time of the last change
    folders = [("", 0)]
    while folders:
        above, node = folders.pop()
        _, _, n_children, first_child = struct.unpack_from(">IHII", rcc, tree + node * node_bytes)
        for child in range(first_child, first_child + n_children):
            name_at, flags, _, start = struct.unpack_from(">IHII", rcc, tree + child * node_bytes)
            n_letters = struct.unpack_from(">H", rcc, names + name_at)[0]
            letters = names + name_at + 6  # a length of 2 bytes and a hash of 4 before them
            path = above + rcc[letters : letters + 2 * n_letters].decode("utf-16-be")
            if flags & _RCC_FOLDER:
                folders.append((f"{path}/", child))
            elif path in wanted:
                yield path, _content_of_rcc(rcc, data + start, flags)


def _content_of_rcc(rcc: bytes, start: int, flags: int) -> bytes:
    n_bytes = struct.unpack_from(">I", rcc, start)[0]
    content = rcc[start + 4 : start + 4 + n_bytes]
    if flags & _RCC_ZSTD:
        raise ValueError("Zstandard inside a Qt resource file is not known")
    return zlib.decompress(content[4:]) if flags & _RCC_ZLIB else content  # 4 bytes: the size of what comes out
