"""Which streams of a video go along into a result, and what is left out: told stream by stream.

The picture is copied and the sound replaced; everything else is kept where the container can hold it.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from av.container import InputContainer
from av.stream import Disposition, Stream

from foleycli.media import ffmpeg
from foleycli.media.edit_list import is_box_file, movie_header
from foleycli.media.source import FORMATS, open_container, picture_stream, readable
from foleycli.records import Video

MP4_VIDEO = frozenset(["h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg", "vvc"])
MOV_VIDEO = frozenset(
    ["h264", "hevc", "prores", "dnxhd", "mjpeg", "mpeg4", "mpeg2video", "mpeg1video", "png", "qtrle"]
    + ["dvvideo", "rawvideo", "cfhd", "h263", "rpza", "svq1", "svq3", "v210"]
    + ["hap", "dxv", "cinepak", "jpeg2000", "r210", "magicyuv", "utvideo", "huffyuv", "tiff", "smc"]
)
WEBM_VIDEO = frozenset(["vp8", "vp9", "av1"])
HELD_VIDEO = {".mp4": MP4_VIDEO, ".mov": MOV_VIDEO, ".webm": WEBM_VIDEO}  # .mkv holds all
TEXT_SUBTITLES = frozenset(["subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"])
HELD_SUBTITLES = {  # beside words: codecs, or the container's letters
    ".mkv": ("hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle", "hdmv_text_subtitle", "arib_caption"),
    ".mov": ("c608",),
    ".mp4": ("dvd_subtitle", "ttml"),
}
KEPT_DATA_TAGS = frozenset(["gpmd"])  # a GoPro's telemetry: the one kind of data that ffmpeg writes as it was
REWRITTEN_TAGS = frozenset(["tmcd", "text"])  # time code and chapter titles: written anew from the tags and chapters
COVER_SUFFIXES = {"mjpeg": (".jpg", "image/jpeg"), "png": (".png", "image/png"), "webp": (".webp", "image/webp")}
PHONE_TAGS = "com.apple.quicktime."  # make, model, place and date of a phone's film
STREAM_LINE = re.compile(
    r"^\s+Stream #0:(\d+)\S*: (Video|Audio|Subtitle|Data|Attachment|Unknown): ([^\s,]+)(?:[^,]*?\((\S{1,4}) / 0x)?",
    re.MULTILINE,
)
# What a container says of the picture as a whole, by the words with which ffmpeg lists it.
MARKS = {
    "Dolby Vision's description": r"DOVI configuration",
    "the 360-degree description": r"spherical",
    "the description of stereo pictures": r"stereo ?3d",
    "the mastering display's description": r"mastering display",
    "the content light level": r"content light level",
}
# The boxes in which .mp4 and .mov say these things (the last: a "uuid" box of Google's Spherical Video V1).
MARK_BOXES = (b"dvcC", b"dvvC", b"dvwC", b"sv3d", b"st3d", b"vexu", b"mdcv", b"SmDm", b"clli", b"CoLL", b"uuid")
# Tags that are the container's own business.
OWN_TAGS = frozenset(
    ["major_brand", "minor_version", "compatible_brands", "encoder", "software", "timecode", "duration"]
    + ["creation_time", "operational_pattern_ul", "company_name", "application_platform", "modification_date", "uid"]
    + ["product_name", "product_version", "product_version_num", "product_uid", "generation_uid", "toolkit_version"]
    + ["toolkit_version_num", "material_package_umid", "material_package_name", "file_package_umid"]
)


@dataclass(frozen=True)
class Facts:
    """What ffmpeg itself calls a stream."""

    kind: str
    codec: str
    tag: str  # the container's four letters; "" where it has none


@dataclass(frozen=True)
class Kept:
    """A stream that goes along: the source's index, and how it is written ("copy", or a subtitle's codec)."""

    index: int
    kind: Literal["video", "subtitle", "data", "attachment"]
    codec: str
    is_text: bool = False  # a subtitle of words


@dataclass(frozen=True)
class Cover:
    """A cover picture, to be attached to a .mkv."""

    data: bytes
    name: str
    mime_type: str


@dataclass(frozen=True)
class StreamPlan:
    """All of a source but its picture and its sound."""

    kept: tuple[Kept, ...]
    covers: tuple[Cover, ...]
    notes: tuple[str, ...]  # what is left out, a line each
    has_phone_tags: bool


def describe_streams(path: Path) -> dict[int, Facts]:
    """The streams of a file as the ffmpeg that copies them knows them, by index."""
    return {
        int(index): Facts(kind.lower(), codec.lower(), (tag or "").lower())
        for index, kind, codec, tag in STREAM_LINE.findall(listing(path))
    }


def listing(path: Path) -> str:
    """What ffmpeg prints about a file."""
    status = path.stat()
    return _listing(path.absolute(), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _listing(path: Path, mtime_ns: int, size: int) -> str:
    """`listing` of a file in this very state."""
    args = [str(ffmpeg.find_ffmpeg()), "-hide_banner", "-protocol_whitelist", "file", "-format_whitelist", FORMATS]
    args += ["-i", ffmpeg.file_url(readable(path))]
    done = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True)
    return done.stderr.decode("utf-8", "replace")


def plan_streams(video: Video, out: Path) -> StreamPlan:
    """What of `video` goes into `out` beside the picture and the new sound."""
    ending = out.suffix.lower()
    kept: list[Kept] = []
    covers: list[Cover] = []
    notes: list[str] = []
    with open_container(video.path) as container:
        picture = picture_stream(container)
        others = [stream for stream in container.streams if stream != picture and stream.type != "audio"]
        facts = describe_streams(video.path) if others else {}  # a run of ffmpeg
        for stream in others:
            fact = facts.get(stream.index, Facts(stream.type, "unknown", ""))
            if fact.tag in REWRITTEN_TAGS and stream.type == "data":
                continue
            if stream.type == "video" and stream.disposition & Disposition.attached_pic and ending == ".mkv":
                cover = _cover(container, stream, fact)
                covers += [cover] if cover else []
                notes += [] if cover else [_left_out(ending, stream.index, "cover art", fact)]
                continue
            choose = {"subtitle": _subtitle, "attachment": _attachment, "data": _data, "video": _video}.get(stream.type)
            chosen = choose(ending, stream, fact) if choose else None
            if chosen:
                kept.append(chosen)
            else:
                notes.append(_left_out(ending, stream.index, _name(stream), fact))
        has_phone_tags = any(key.lower().startswith(PHONE_TAGS) for key in container.metadata)
    return StreamPlan(tuple(kept), tuple(covers), tuple(notes), has_phone_tags)


def _left_out(ending: str, index: int, name: str, fact: Facts) -> str:
    is_known = fact.codec not in ("none", "unknown", "bin_data")
    what = f"{name}, {fact.codec if is_known else fact.tag}" if is_known or fact.tag else name
    return f"{ending} cannot hold stream {index} ({what}): it is left out"


def _name(stream: Stream) -> str:
    """What a stream is called in a note."""
    if stream.type == "attachment":
        return f"attachment {stream.metadata.get('filename', '')}".strip()
    if stream.type == "video":
        return "cover art" if stream.disposition & Disposition.attached_pic else "further picture"
    return stream.type


def _subtitle(ending: str, stream: Stream, fact: Facts) -> Kept | None:
    codec = fact.codec
    if codec in TEXT_SUBTITLES:
        target = {".mp4": "mov_text", ".mov": "mov_text", ".webm": "webvtt"}.get(ending, "srt")
        is_same = codec not in ("mov_text", "text") if ending == ".mkv" else codec == target
        return Kept(stream.index, "subtitle", "copy" if is_same else target, is_text=True)
    if fact.tag in HELD_SUBTITLES.get(ending, ()) or codec in HELD_SUBTITLES.get(ending, ()):
        return Kept(stream.index, "subtitle", "copy")
    return None


def _attachment(ending: str, stream: Stream, fact: Facts) -> Kept | None:
    return Kept(stream.index, "attachment", "copy") if ending == ".mkv" else None


def _data(ending: str, stream: Stream, fact: Facts) -> Kept | None:
    is_held = ending in (".mp4", ".mov") and fact.tag in KEPT_DATA_TAGS
    return Kept(stream.index, "data", "copy") if is_held else None


def _video(ending: str, stream: Stream, fact: Facts) -> Kept | None:
    if stream.disposition & Disposition.attached_pic:
        is_held = ending == ".mp4" and fact.codec in COVER_SUFFIXES
    else:
        is_held = stream.codec_context is not None and fact.codec in HELD_VIDEO.get(ending, {fact.codec})
    return Kept(stream.index, "video", "copy") if is_held else None


def _cover(container: InputContainer, stream: Stream, fact: Facts) -> Cover | None:
    """A cover as a file of its own: Matroska keeps covers as attachments."""
    if fact.codec not in COVER_SUFFIXES:
        return None
    suffix, mime_type = COVER_SUFFIXES[fact.codec]
    container.seek(0)
    data = next((bytes(packet) for packet in container.demux(stream) if packet.size), b"")
    name = stream.metadata.get("filename") or f"cover{suffix}"
    return Cover(data, name, mime_type) if data else None


def may_have_marks(video: Video) -> bool:
    """Whether ffmpeg may list any of MARKS: of H.264 in .mp4 and .mov they stand in boxes of the header."""
    if video.video_codec != "h264" or not is_box_file(video.path):
        return True
    header = movie_header(video.path)
    return not header or any(name in header for name in MARK_BOXES)


def lost_marks(source: Path, result: Path) -> list[str]:
    """Notes on what ffmpeg lists of the source's picture and not of the result's."""
    there = {name: words for name, words in MARKS.items() if re.search(words, listing(source), re.I)}
    return [
        f"{name} cannot be kept: it is left out"
        for name, words in there.items()
        if not re.search(words, listing(result), re.I)
    ]


def lost_tags(source: dict[str, str], result: dict[str, str]) -> list[str]:
    """A note on the source's tags that the result does not have, whatever their letters' case."""
    there = {key.lower() for key in result}
    lost = sorted(key for key in source if key.lower() not in there and key.lower() not in OWN_TAGS)
    shown = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
    return [f"tags that the container does not take are left out: {shown}"] if lost else []
