"""How a media file of the user's is opened, by PyAV and by ffmpeg alike: as a local file of a known format only.

Files that cannot be used as they are (raw pictures and joined transport streams for their time stamps, a few layouts of
many channels because PyAV dies of them) are copied once into a session folder in a form that can: `readable` gives the
copy, and everything reads that.
"""

from __future__ import annotations

import atexit
import itertools
import mmap
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from foleycli.errors import FoleyError
from foleycli.media import ffmpeg
from foleycli.media.output import is_utf8, temporary_beside

# libavformat's names.  Playlists (concat, hls, dash, sdp), image sequences and devices are left out: they open others.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,live_flv,asf,mxf,ogg,nut,rm,gxf,lxf,wtv,nsv,dv,ivf,obu,"
    "yuv4mpegpipe,apng,gif,h264,hevc,vvc,m4v,mpegvideo,mjpeg,vc1,dirac,cavsvideo,dnxhd,av1,bink,smk,roq,film_cpk,"
    "avs2,avs3,h261,h263,ea,amv,vc1test,swf,wav,w64,flac,mp3,aac,ac3,eac3,ac4,dts,dtshd,truehd,mlp,aiff,caf,au,"
    "amr,amrnb,amrwb,ape,wv,tta,tak,mpc,mpc8,voc,xwma,aea,dsf,iff,oma,qcp,shn,sox,act,gsm,spdif,ircam,sds"
)
RAW_FORMATS = frozenset(["h264", "hevc", "vvc", "m4v", "mpegvideo", "vc1", "cavsvideo", "avs2", "avs3", "h263"])
JOINABLE_FORMATS = frozenset(["mpegts", "mpeg"])  # whose clock may jump within a file
FALL_S, JUMP_S = 0.1, 10.0  # time stamps that fall back or jump so far are a new clock: as ffmpeg's players decide
STILL_IMAGES = {
    b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF",
    b"RIFF....WEBP": "WebP", b"....ftypheic": "HEIC", b"....ftypmif1": "HEIC", b"....ftypavif": "AVIF",
}  # fmt: skip
CHILD_S = 300.0  # for a file that another process tries first: busy machines are slow
FIRST_LAYOUT = 100  # mono, of Core Audio's layouts; lower numbers say that channels are described one by one
_numbers = itertools.count()


SEQUENCE_HINT = "Make a video of it first: ffmpeg -framerate 25 -i shot.%04d.png -c:v ffv1 shot.mkv"


def check_file(path: Path) -> None:
    """Errors: FoleyError for what is no readable, non-empty regular file; a pipe or device is never opened."""
    try:
        is_there, is_file = path.exists(), path.is_file()
    except OSError as error:  # a name that is too long
        raise FoleyError(f"{path} cannot be read ({error.strerror})", "Check the name and the folder") from error
    if not is_there and re.search(r"%0?\d*d", path.name):
        raise FoleyError(f"{path} names an image sequence, not a file", SEQUENCE_HINT)
    if not is_there:
        raise FoleyError(f"{path} does not exist", "Check the name and the folder")
    if path.is_dir():
        raise FoleyError(f"{path} is a folder", "Give a file")
    if not is_file:
        raise FoleyError(f"{path} is a pipe or a device", "Save it to a file first")
    try:
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except OSError as error:
        raise FoleyError(f"{path} cannot be read ({error.strerror})", "Check its permissions") from error
    if is_empty:
        raise FoleyError(f"{path} is empty", "Export or copy it again")


@contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """The file opened by PyAV; errors: FoleyError for what is no media file of a known format."""
    check_file(path)
    with _open_as_it_is(readable(path), path) as container:
        yield container


@contextmanager
def _open_as_it_is(path: Path, named: Path) -> Iterator[InputContainer]:
    _check_in_another_process(path, named)
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS, "fflags": "+genpts"}
    try:
        # "file:" keeps a name with a colon from being taken for a protocol.
        container = av.open(f"file:{path}", options=options, metadata_errors="replace")
    except av.error.FFmpegError as error:
        raise _unreadable(path, named, error.strerror or str(error)) from error
    try:
        with container:
            yield container
    except av.error.FFmpegError as error:
        raise FoleyError(
            f"{named} is broken ({error.strerror or error})", "Check whether it plays elsewhere, and export it again"
        ) from error


def _unreadable(path: Path, named: Path, reason: str) -> FoleyError:
    image = still_image(path)
    if image:
        return FoleyError(f"{named} is a still image ({image})", "Give a video (ffmpeg -loop 1 -t 5 makes one)")
    if reason == os.strerror(22):
        return FoleyError(f"{named} is of no format that foley opens", "Give the video or sound file itself")
    return FoleyError(f"{named} is not a media file, or a broken one ({reason})", "Check whether it plays elsewhere")


def still_image(path: Path) -> str:
    """The image format of a file by its first bytes, or ""."""
    with path.open("rb") as file:
        head = file.read(12)
    for magic, name in STILL_IMAGES.items():
        if all(m in (b, ord(".")) for m, b in zip(magic, head, strict=False)):
            return name
    return ""


def open_input(path: Path, **options: Any) -> Any:
    """The file as an ffmpeg-python input, under the same restrictions."""
    check_file(path)
    whitelists = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    return ffmpeg.open_input(readable(path), fflags="+genpts", **whitelists, **options)


def picture_stream(container: InputContainer) -> VideoStream | None:
    """The first video stream that moves: cover art in sound files is no video."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    return None


def readable(path: Path) -> Path:
    """The file to read in place of `path`: itself, or a copy in the session's folder with sound time stamps.

    A name that is no UTF-8 is read over a link, because PyAV takes none.
    """
    try:
        status = path.stat()
    except OSError:
        return path
    return _readable(path.absolute(), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _readable(path: Path, mtime_ns: int, size: int) -> Path:
    """`readable` of a file in this very state."""
    named = path
    if not is_utf8(path):
        path = _copy_name(path.suffix if path.suffix.isascii() else "")
        path.symlink_to(named)
    if _is_unmeasured_rf64(path):
        return _with_its_length(path)
    if path.is_file() and _crashes_pyav(path, mtime_ns, size) and size < shutil.disk_usage(session_folder()).free:
        path = _without_layouts(path)
    try:
        with _open_as_it_is(path, named) as container:
            name, stream = container.format.name, picture_stream(container)
            if stream is None or name not in RAW_FORMATS | JOINABLE_FORMATS:
                return path
            has_jump = name in JOINABLE_FORMATS and _has_clock_jump(container, stream)
    except FoleyError:  # libsndfile may open it; who opens it with PyAV gets the same error
        return path
    if name in RAW_FORMATS:
        return _with_times(path, named)
    return _on_one_clock(path, named) if has_jump else path


@lru_cache(maxsize=1)
def session_folder() -> Path:
    """A folder for this process in the system's place for temporary files, removed at exit (or by a later run)."""
    holding = temporary_beside(Path(tempfile.gettempdir()) / "x", "")
    folder = holding.__enter__().parent
    atexit.register(holding.__exit__, None, None, None)
    return folder


def _check_in_another_process(path: Path, named: Path) -> None:
    """Errors: FoleyError for a file at which PyAV's libraries crash: some layouts of many channels do that to 18.x."""
    status = path.stat()
    if _crashes_pyav(path.absolute(), status.st_mtime_ns, status.st_size):
        raise FoleyError(
            f"the channel layout of {named} cannot be read by this version of PyAV ({av.__version__})",
            "Write its sound as .wav or as stereo, or give TMPDIR a folder that has room for a copy",
        )


@lru_cache(maxsize=64)
def _crashes_pyav(path: Path, mtime_ns: int, size: int) -> bool:
    """Whether a process dies that opens and closes the file in this very state.

    Errors: FoleyError where that takes longer than CHILD_S, which says nothing about the file.
    """
    if not _has_rare_layout(path):
        return False
    code = "import sys, av\nwith av.open(sys.argv[1]) as c: [s.codec_context.channels for s in c.streams.audio]"
    try:
        done = subprocess.run([sys.executable, "-c", code, f"file:{path}"], capture_output=True, timeout=CHILD_S)
    except subprocess.TimeoutExpired as error:
        raise FoleyError(
            f"{path} could not be opened within {CHILD_S:g} s", "Try again when the machine has less to do"
        ) from error
    return done.returncode < 0 or done.returncode > 128


def _has_rare_layout(path: Path) -> bool:
    """Whether a QuickTime or CAF file may describe more than two channels: what can crash its reader."""
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b"caff":
            return True
        if head[4:8] not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return False
        start, end = 0, path.stat().st_size
        while start + 8 <= end:
            file.seek(start)
            size, kind = int.from_bytes(file.read(4), "big"), file.read(4)
            if size == 1:
                size = int.from_bytes(file.read(8), "big")
            if kind == b"moov":
                descriptions = file.read(min(size, 1 << 28) if size else 1 << 28).split(b"chan")[1:]
                return not all(_is_mono_or_stereo(description) for description in descriptions)
            if size < 8:  # 0: to the end of the file
                return False
            start += size
    return False


def _is_mono_or_stereo(description: bytes) -> bool:
    """Whether what follows "chan" is a layout by number, whose lower half counts the channels, of one or two."""
    tag = int.from_bytes(description[4:8], "big")  # after version and flags
    return tag >> 16 >= FIRST_LAYOUT and tag & 0xFFFF in (1, 2)


def _without_layouts(path: Path) -> Path:
    """A copy of a QuickTime file whose tracks do not say which loudspeaker each channel is for: readers take the usual.

    A box "chan" (QuickTime File Format, "Audio channel layout") becomes one of unused space, so that nothing moves.
    """
    copy = _copy_name(path.suffix if path.suffix.isascii() else "")
    shutil.copyfile(path, copy)
    with copy.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        at = data.find(b"chan")
        while at >= 0:
            n_described = int.from_bytes(data[at + 16 : at + 20], "big")
            if int.from_bytes(data[at - 4 : at], "big") == 24 + 20 * n_described:
                data[at : at + 4] = b"free"
            at = data.find(b"chan", at + 4)
    return copy


def _with_times(path: Path, named: Path) -> Path:
    """A copy of raw pictures that has time stamps: at the rate that they state, shown in the order of decoding them."""
    order = _display_order(path, named)
    delay = max((k - place for k, place in enumerate(order)), default=0)
    copy = _copy_name(".nut")
    with _open_as_it_is(path, named) as container, av.open(str(copy), "w") as out:
        stream = picture_stream(container)
        assert stream is not None
        tick = 1 / Fraction(stream.codec_context.framerate or stream.average_rate or 25)
        target = out.add_stream_from_template(stream)
        target.time_base = tick
        packets = (packet for packet in container.demux(stream) if packet.size)
        for k, (packet, place) in enumerate(zip(packets, order, strict=True)):
            packet.stream, packet.time_base = target, tick
            packet.pts, packet.dts = place + delay, k
            out.mux(packet)
    return copy


def _display_order(path: Path, named: Path) -> list[int]:
    """Which place each packet's picture has when shown: from the decoder, which passes numbers along."""
    n_packets, shown = 0, []
    with _open_as_it_is(path, named) as container:
        stream = picture_stream(container)
        assert stream is not None
        for packet in container.demux(stream):
            if packet.size:
                packet.pts = packet.dts = n_packets
                n_packets += 1
            try:
                shown += [frame.pts for frame in packet.decode() if frame.pts is not None]
            except av.error.FFmpegError:
                continue  # a broken picture keeps its place in the file
    places = {k: place for place, k in enumerate(shown)}
    return [places.get(k, k) for k in range(n_packets)]


def _copy_name(suffix: str) -> Path:
    return session_folder() / f"copy{next(_numbers)}{suffix}"


def _has_clock_jump(container: InputContainer, stream: VideoStream) -> bool:
    """Whether decoding times fall back, or jump by more than players take for a gap."""
    tick_s, last_s = float(stream.time_base or 0), None
    for packet in container.demux(stream):
        if packet.dts is None:
            continue
        time_s = packet.dts * tick_s
        if last_s is not None and not -FALL_S <= time_s - last_s <= JUMP_S:
            return True
        last_s = time_s
    return False


def _on_one_clock(path: Path, named: Path) -> Path:
    """A copy whose time stamps go on where the clock of a joined file begins anew, as players do it."""
    copy = _copy_name(".ts")
    whitelists = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    source = ffmpeg.open_input(path, **whitelists)
    output = ffmpeg.output_of([source], copy, c="copy", map="0", f="mpegts", ignore_unknown=None)
    ffmpeg.run(ffmpeg.command(output), f"reading {named}")
    return copy


def _is_unmeasured_rf64(path: Path) -> bool:
    """Whether it is a WAV over 4 GB, or made for one, whose writer could not go back to say how long it is."""
    with path.open("rb") as file:
        head = file.read(36)
    return head[:4] == b"RF64" and head[12:16] == b"ds64" and int.from_bytes(head[28:36], "little") == 0


def _with_its_length(path: Path) -> Path:
    copy = _copy_name(".wav")
    shutil.copyfile(path, copy)
    size = path.stat().st_size
    with copy.open("r+b") as file:
        data = file.read(1 << 16).find(b"data")
        if data > 0:
            file.seek(20)
            file.write((size - 8).to_bytes(8, "little") + (size - data - 8).to_bytes(8, "little"))
    return copy
