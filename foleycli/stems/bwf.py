"""Broadcast WAV: sound files that say what they are and at which sample of the day they begin.

A file is a WAV with two more chunks, `bext` (EBU Tech 3285, version 2) and `iXML` (version 2.10), and becomes RF64
(EBU Tech 3306) when it passes 4 GB.  It is written in one go, in memory of one block:

    "RIFF" size "WAVE"  JUNK or ds64  bext  iXML  fmt  [fact]  data

JUNK keeps the place of ds64, which is filled in at the end where the sizes need 64 bits.  libsndfile writes no iXML,
and ffmpeg drops the texts of bext and places sounds wrongly, so the chunks are written here.
"""

from __future__ import annotations

import os
import struct
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Literal
from xml.etree import ElementTree

import numpy as np

from foleycli.errors import FoleyError
from foleycli.media.loudness import Loudness

RIFF_MOST_BYTES = 0xFFFFFFFF  # that sizes of 32 bits can state
DS64_BYTES = 28  # two sizes, the number of samples, and an empty table
TEXT_BYTES = 256, 32, 32, 10, 8  # description, originator, its reference, date, time
BEXT_BYTES = 602  # without the coding history
LOUDNESS_AT = 412  # in the chunk's data: five numbers of 16 bits
UNUSED = 0x7FFF  # of a loudness number: not measured
WAVE_PCM, WAVE_FLOAT, WAVE_EXTENSIBLE = 1, 3, 0xFFFE
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")  # of the sub-formats of WAVE_FORMAT_EXTENSIBLE
LARGEST_CHUNK_BYTES = 1 << 24  # of text that is read

SampleFormat = Literal["pcm24", "float32"]
SAMPLE_BYTES: dict[SampleFormat, int] = {"pcm24": 3, "float32": 4}


@dataclass(frozen=True)
class Bext:
    """The `bext` chunk.  Texts are written as ASCII, accents taken off; iXML holds the full ones."""

    description: str = ""  # 256 characters are written of it
    originator: str = ""  # 32
    originator_reference: str = ""  # 32
    date: str = ""  # 2026-11-28, of the first sample
    time: str = ""  # 14:03:00
    time_reference: int = 0  # samples from midnight to the first sample
    umid: bytes = b""  # SMPTE ST 330, up to 64 bytes
    loudness: Loudness | None = None  # None: not measured
    coding_history: str = ""  # EBU R 98, lines that end with CR LF

    def encode(self) -> bytes:
        """The chunk's data; version 2, whose loudness numbers may say that they are not used."""
        texts = (self.description, self.originator, self.originator_reference, self.date, self.time)
        head = b"".join(ascii_bytes(text)[:n].ljust(n, b"\0") for text, n in zip(texts, TEXT_BYTES, strict=True))
        fixed = struct.pack("<QH64s", self.time_reference, 2, self.umid[:64]) + _loudness_numbers(self.loudness)
        history = ascii_bytes(self.coding_history)
        end = b"\0" * (2 - len(history) % 2) if history else b""
        return (head + fixed).ljust(BEXT_BYTES, b"\0") + history + end

    @classmethod
    def decode(cls, data: bytes) -> Bext:
        """From a chunk's data of version 0 to 2; errors: ValueError where it is cut short."""
        if len(data) < BEXT_BYTES:
            raise ValueError(f"a bext chunk has {BEXT_BYTES} bytes, this one {len(data)}")
        texts, first = [], 0
        for n_bytes in TEXT_BYTES:
            texts.append(data[first : first + n_bytes].split(b"\0")[0].decode("utf-8", "replace").strip())
            first += n_bytes
        description, originator, originator_reference, date, time = texts
        time_reference, version, umid = struct.unpack_from("<QH64s", data, first)
        return cls(
            description=description,
            originator=originator,
            originator_reference=originator_reference,
            date=date,
            time=time,
            time_reference=time_reference,
            umid=umid.rstrip(b"\0") if version >= 1 else b"",
            loudness=_loudness(struct.unpack_from("<5h", data, LOUDNESS_AT)) if version >= 2 else None,
            coding_history=data[BEXT_BYTES:].split(b"\0")[0].decode("utf-8", "replace"),
        )


def coding_line(rate_hz: int, bits: int, channels: int, tool: str) -> str:
    """A line of the coding history: how a tool wrote the sound (EBU R 98)."""
    mode = {1: "mono", 2: "stereo"}.get(channels, "multi")
    return f"A=PCM,F={rate_hz},W={bits},M={mode},T={tool}\r\n"


def ascii_bytes(text: str) -> bytes:
    """A text without accents, and "?" for what ASCII has no like of."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(c for c in plain if not unicodedata.combining(c)).encode("ascii", "replace")


def _loudness_numbers(loudness: Loudness | None) -> bytes:
    """Hundredths of integrated loudness, range, true peak, momentary and short-term maximum (EBU Tech 3285, 2.4)."""
    values: list[float | None] = [None] * 5
    if loudness is not None and not loudness.is_silent:
        values = [loudness.lufs, loudness.range_lu, loudness.peak_dbtp]
        values += [loudness.max_momentary_lufs, loudness.max_short_term_lufs]
    hundredths = [UNUSED if value is None else round(100 * value) for value in values]
    return struct.pack("<5h", *(n if abs(n) < UNUSED else UNUSED for n in hundredths))


def _loudness(hundredths: tuple[int, ...]) -> Loudness | None:
    lufs, range_lu, peak, momentary, short_term = (None if n == UNUSED else n / 100 for n in hundredths)
    if lufs is None or peak is None:
        return None
    return Loudness(lufs, peak, range_lu, momentary, short_term)


@dataclass(frozen=True)
class Ixml:
    """What the `iXML` chunk says: where a sound belongs, and how the reel counts."""

    project: str = ""
    scene: str = ""
    take: str = ""
    tape: str = ""
    note: str = ""
    is_circled: bool = False  # the take that is meant to be used
    tracks: tuple[str, ...] = ()  # a name for each channel
    timecode_rate: str = ""  # 24000/1001; "": not known
    is_drop_frame: bool = False

    def encode(self, *, rate_hz: int, bits: int, time_reference: int, uid: str = "") -> bytes:
        """The chunk's data, XML in UTF-8."""
        root = ElementTree.Element("BWFXML")
        texts = {"IXML_VERSION": "2.10", "PROJECT": self.project, "SCENE": self.scene, "TAKE": self.take}
        texts |= {"TAPE": self.tape, "CIRCLED": "TRUE" if self.is_circled else "FALSE", "FILE_UID": uid}
        texts["NOTE"] = self.note
        _add(root, {name: text for name, text in texts.items() if text})
        speed = {name: self.timecode_rate for name in ("MASTER_SPEED", "CURRENT_SPEED", "TIMECODE_RATE")}
        speed["TIMECODE_FLAG"] = ("DF" if self.is_drop_frame else "NDF") if self.timecode_rate else ""
        rate = str(rate_hz)
        speed |= {"FILE_SAMPLE_RATE": rate, "AUDIO_BIT_DEPTH": str(bits), "DIGITIZER_SAMPLE_RATE": rate}
        _add(ElementTree.SubElement(root, "SPEED"), {**speed, **_timestamp(time_reference, rate_hz)})
        tracks = ElementTree.SubElement(root, "TRACK_LIST")
        _add(tracks, {"TRACK_COUNT": str(len(self.tracks))})
        functions = ("LEFT", "RIGHT") if len(self.tracks) == 2 else ("",) * len(self.tracks)
        for number, (name, function) in enumerate(zip(self.tracks, functions, strict=True), start=1):
            index = {"CHANNEL_INDEX": str(number), "INTERLEAVE_INDEX": str(number)}
            _add(ElementTree.SubElement(tracks, "TRACK"), {**index, "NAME": name, "FUNCTION": function})
        return _xml_bytes(root)


def _timestamp(time_reference: int, rate_hz: int) -> dict[str, str]:
    return {
        "TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI": str(time_reference >> 32),
        "TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO": str(time_reference & 0xFFFFFFFF),
        "TIMESTAMP_SAMPLE_RATE": str(rate_hz),
    }


def _add(parent: ElementTree.Element, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        if text:
            ElementTree.SubElement(parent, name).text = "".join(c for c in text if c.isprintable() or c in "\n\t")


def _xml_bytes(root: ElementTree.Element) -> bytes:
    ElementTree.indent(root, " ")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="utf-8") + b"\n"


def moved_ixml(data: bytes, time_reference: int, rate_hz: int) -> bytes:
    """An iXML chunk of another file for one that begins at another sample; all else in it stays.

    A text that is no XML is given back as it is.
    """
    try:
        root = ElementTree.fromstring(data.rstrip(b"\0 \r\n"))
    except (ElementTree.ParseError, ValueError):
        return data
    speed = root.find("SPEED")
    if speed is None:
        speed = ElementTree.SubElement(root, "SPEED")
    for name, text in _timestamp(time_reference, rate_hz).items():
        element = speed.find(name)
        (ElementTree.SubElement(speed, name) if element is None else element).text = text
    return _xml_bytes(root)


class BwfWriter:
    """Blocks of float32 [C, n] in -1..1 to a broadcast WAV of 24 bit or 32 bit float; memory does not grow.

    Used as a context manager; a block that ends in an exception removes the file.  `n_clipped` counts samples that
    24 bit could not hold.  `channel_mask` says which loudspeaker each of more than two channels is for.
    """

    def __init__(
        self,
        path: Path,
        *,
        rate_hz: int,
        channels: int,
        bext: Bext,
        ixml: bytes | Ixml = b"",
        sample_format: SampleFormat = "pcm24",
        channel_mask: int = 0,
    ) -> None:
        self.path, self.rate_hz, self.channels = path, rate_hz, channels
        self.sample_format: SampleFormat = sample_format
        self.n_samples = 0
        self.n_clipped = 0
        self._bext = bext
        self._ixml = ixml
        self._channel_mask = channel_mask
        self._file: IO[bytes] | None = None
        self._data_at = 0

    def __enter__(self) -> BwfWriter:
        bext, ixml, bits = self._bext, self._ixml, 8 * SAMPLE_BYTES[self.sample_format]
        if isinstance(ixml, Ixml):
            uid = bext.originator_reference
            ixml = ixml.encode(rate_hz=self.rate_hz, bits=bits, time_reference=bext.time_reference, uid=uid)
        ixml += b"\n" * (
            len(ixml) % 2
        )  # chunks of even length only: libsndfile loses its way behind an odd one in RF64
        chunks = [(b"JUNK", bytes(DS64_BYTES)), (b"bext", bext.encode()), (b"iXML", ixml), (b"fmt ", self._format())]
        if self.sample_format == "float32":
            chunks.append((b"fact", bytes(4)))
        self._file = self.path.open("wb")
        self._file.write(b"RIFF\0\0\0\0WAVE" + b"".join(_chunk(name, data) for name, data in chunks if data))
        self._file.write(b"data\0\0\0\0")
        self._data_at = self._file.tell()
        return self

    def write(self, samples: np.ndarray) -> None:
        """Append samples [C, n], or [n] of mono; errors: FoleyError where they are not all finite."""
        block = np.atleast_2d(samples)
        if self._file is None or block.shape[0] != self.channels:
            raise ValueError(f"samples have shape {samples.shape}, the writer takes {self.channels} channels")
        if not np.isfinite(block).all():
            raise FoleyError("the sound to write has values that are not finite", "Make it again")
        self.n_samples += block.shape[1]
        if self.sample_format == "float32":
            self._file.write(np.ascontiguousarray(block.T, dtype="<f4").tobytes())
            return
        # As whole numbers of 2^23, so that what was 24 bit stays bit for bit.
        whole = np.round(block.T.astype(np.float64) * 2.0**23)  # [n, C]
        self.n_clipped += int(np.count_nonzero((whole < -(2**23)) | (whole > 2**23 - 1)))
        values = np.ascontiguousarray(np.clip(whole, -(2**23), 2**23 - 1), dtype="<i4")
        self._file.write(values.view(np.uint8).reshape(*values.shape, 4)[..., :3].tobytes())

    def write_silence(self, n_samples: int) -> None:
        """Append silence, which takes no room on file systems that know of holes."""
        assert self._file is not None
        self._file.seek(n_samples * self.channels * SAMPLE_BYTES[self.sample_format], os.SEEK_CUR)
        self.n_samples += n_samples

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        try:
            if kind is None:
                self._finish(self._file)
        finally:
            self._file.close()
            self._file = None
            if kind is not None:
                self.path.unlink(missing_ok=True)

    def _format(self) -> bytes:
        n_bytes = SAMPLE_BYTES[self.sample_format]
        tag = WAVE_FLOAT if self.sample_format == "float32" else WAVE_PCM
        frame_bytes = self.channels * n_bytes
        numbers = (self.channels, self.rate_hz, self.rate_hz * frame_bytes, frame_bytes, 8 * n_bytes)
        if self.channels > 2:
            extension = struct.pack("<HHIH", 22, 8 * n_bytes, self._channel_mask, tag) + GUID_TAIL
            return struct.pack("<HHIIHH", WAVE_EXTENSIBLE, *numbers) + extension
        return struct.pack("<HHIIHH", tag, *numbers) + (b"" if tag == WAVE_PCM else b"\0\0")

    def _finish(self, file: IO[bytes]) -> None:
        """Fill in the sizes, in 32 bits where they fit, else in ds64."""
        n_bytes = self.n_samples * self.channels * SAMPLE_BYTES[self.sample_format]
        end = self._data_at + n_bytes
        file.truncate(end + n_bytes % 2)  # also where the last thing written was silence
        riff_bytes = end + n_bytes % 2 - 8
        if riff_bytes <= RIFF_MOST_BYTES:
            _put(file, 4, struct.pack("<I", riff_bytes))
            _put(file, self._data_at - 4, struct.pack("<I", n_bytes))
        else:
            _put(file, 0, b"RF64\xff\xff\xff\xff")
            sizes = struct.pack("<QQQI", riff_bytes, n_bytes, self.n_samples, 0)
            _put(file, 12, b"ds64" + struct.pack("<I", DS64_BYTES) + sizes)
            _put(file, self._data_at - 4, b"\xff\xff\xff\xff")
        if self.sample_format == "float32":
            _put(file, self._data_at - 12, struct.pack("<I", min(self.n_samples, 0xFFFFFFFF)))


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _put(file: IO[bytes], position: int, data: bytes) -> None:
    file.seek(position)
    file.write(data)


def stamp_loudness(path: Path, loudness: Loudness) -> None:
    """Fill in the loudness numbers of a finished file's bext."""
    with path.open("r+b") as file:
        for name, start, size in _chunks(file):
            if name == b"bext" and size >= BEXT_BYTES:
                _put(file, start + LOUDNESS_AT, _loudness_numbers(loudness))
                return
    raise FoleyError(f"{path} has no bext chunk", "Write it again")


@dataclass(frozen=True)
class BwfFacts:
    """What a WAV says of itself beside its sound."""

    bext: Bext | None = None
    ixml: bytes = b""  # XML as it stands; empty where there is none

    @property
    def ixml_root(self) -> ElementTree.Element | None:
        """The iXML chunk, read; None where there is none, or no XML."""
        try:
            return ElementTree.fromstring(self.ixml.rstrip(b"\0 \r\n")) if self.ixml else None
        except (ElementTree.ParseError, ValueError):
            return None


def read_bwf(path: Path) -> BwfFacts:
    """The bext and iXML chunks of a WAV, RF64 or BW64; both empty for another file, or chunks that are broken."""
    facts = BwfFacts()
    with path.open("rb") as file:
        for name, start, size in _chunks(file):
            if name not in (b"bext", b"iXML") or size > LARGEST_CHUNK_BYTES:
                continue
            file.seek(start)
            data = file.read(size)
            if name == b"iXML":
                facts = replace(facts, ixml=data)
            elif len(data) >= BEXT_BYTES:
                facts = replace(facts, bext=Bext.decode(data))
    return facts


def _chunks(file: IO[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """Name, place of the data and size of every chunk; the reader may move in the file meanwhile."""
    head = file.read(12)
    if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:] != b"WAVE":
        return
    end = file.seek(0, os.SEEK_END)
    position, data_bytes = 12, 0
    while position + 8 <= end:
        file.seek(position)
        name, size = struct.unpack("<4sI", file.read(8))
        if name == b"ds64" and size >= 16:
            data_bytes = struct.unpack("<QQ", file.read(16).ljust(16, b"\0"))[1]
        if name == b"data" and size == 0xFFFFFFFF:
            size = data_bytes or end - position - 8
        yield name, position + 8, size
        position += 8 + size + size % 2
