"""A video's picture, bit for bit, with a new sound: one ffmpeg run that copies every stream but the sound.

The result starts at its first picture (time 0), and so does the sound, whatever start offset, edit list
or reordered pictures the source has.  Sound codecs: AAC in .mp4 and .mov, FLAC 24 bit in .mkv, Opus in .webm.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.stream import Disposition

from foleycli.errors import FoleyError
from foleycli.media import ffmpeg
from foleycli.media.finish import EXACT
from foleycli.media.loudness import CEILING_DBTP, PRINTED_DB, measure_file
from foleycli.media.part import TICK_S
from foleycli.media.probe import picture_stream
from foleycli.records import Report, Video, silent

MP4_VIDEO = frozenset(["h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg", "vvc"])
MOV_VIDEO = frozenset(
    ["h264", "hevc", "prores", "dnxhd", "mjpeg", "mpeg4", "mpeg2video", "mpeg1video", "png", "qtrle"]
    + ["dvvideo", "rawvideo", "cfhd", "h263", "rpza", "svq1", "svq3", "v210"]
    + ["hap", "dxv", "cinepak", "jpeg2000", "r210", "magicyuv", "utvideo", "huffyuv", "tiff", "smc"]
)
WEBM_VIDEO = frozenset(["vp8", "vp9", "av1"])
TEXT_SUBTITLES = frozenset(["subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"])
TRIES = 5  # a lossy encoder moves peaks: encode, measure, turn down, again


@dataclass(frozen=True)
class Muxed:
    """What was written: `lowered_db` is the extra gain that kept the encoded sound under -1 dBTP."""

    peak_dbtp: float | None  # None: silence
    lowered_db: float
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Plan:
    """Which streams of the source go along, and how."""

    maps: tuple[str, ...]  # stream specifiers
    options: dict[str, Any]
    warnings: tuple[str, ...]


def _ignore(_: str) -> None:
    """Ignores warnings: the default."""


def check_mux(video: Video, out: Path) -> None:
    """Refuse a picture that the container of `out` cannot hold; before any work is done."""
    ending = out.suffix.lower()
    held = {".mp4": MP4_VIDEO, ".mov": MOV_VIDEO, ".webm": WEBM_VIDEO}.get(ending)
    codec = video.video_codec
    if held is not None and codec not in held:
        raise FoleyError(
            f"{ending} cannot hold the {codec} picture of {video.path.name} without encoding it again",
            "Write to .mkv, which holds any picture, or to the input's own format",
        )
    if ending == ".webm" and not ffmpeg.has_library("libopus"):
        raise FoleyError("this ffmpeg cannot write Opus, the sound of .webm", "Write to .mkv, or use another ffmpeg")


def mux(
    video: Video,
    sound_wav: Path,
    out: Path,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    report: Report = silent,
    warn: Callable[[str], None] = _ignore,
) -> Muxed:
    """Write `out`: the picture of `video` (or its part) with `sound_wav` as its only sound.

    The picture's packets, rotation, colour tags and mutual timing are copied; subtitles, chapters,
    metadata, further pictures and fonts go along where the container holds them (text subtitles are
    converted), and what it cannot hold is dropped with a warning.  A part (start_s,
    duration_s) must be one that `copyable_part` gave.  The sound is as long as `sound_wav`.
    """
    check_mux(video, out)
    plan = _plan(video, out)
    for warning in plan.warnings:
        warn(warning)
    lowered_db = 0.0
    for attempt in range(TRIES):
        _write(
            video,
            sound_wav,
            out,
            plan,
            start_s=start_s,
            duration_s=duration_s,
            gain_db=lowered_db,
            report=report if attempt == 0 else silent,  # progress never goes back
        )
        peak_dbtp = measure_file(out).peak_dbtp
        excess_db = peak_dbtp + PRINTED_DB - CEILING_DBTP
        if excess_db <= 0 or out.suffix.lower() == ".mkv":  # FLAC peaks where the WAV did
            break
        lowered_db -= excess_db + 2 * PRINTED_DB
    return Muxed(peak_dbtp if math.isfinite(peak_dbtp) else None, round(lowered_db, 2), plan.warnings)


def _write(
    video: Video,
    sound_wav: Path,
    out: Path,
    plan: _Plan,
    *,
    start_s: float,
    duration_s: float | None,
    gain_db: float,
    report: Report,
) -> None:
    zero_s = video.start_s + start_s
    # Half a millisecond late: rounding must not seek to the key frame before the one that is meant.
    seek = {"ss": f"{_seek_s(video, zero_s) + TICK_S:.6f}"} if start_s > 0 else {}
    length = _length_options(duration_s) if duration_s is not None else {}
    # -copyts and our own offset instead of ffmpeg's: it would put the earliest stream at 0, not the picture.
    source = ffmpeg.open_input(video.path, itsoffset=f"{-zero_s:.6f}", **seek)
    sound = ffmpeg.open_input(sound_wav).audio
    if gain_db:
        sound = sound.filter("volume", f"{gain_db:.4f}dB")
    picture, *others = [source[chosen] for chosen in plan.maps]
    output = ffmpeg.output_of([picture, sound, *others], out, **plan.options, **length)
    total_s = video.duration_s if duration_s is None else duration_s
    ffmpeg.run(ffmpeg.command(output, "-copyts"), f"writing {out.name}", report, "mux", total_s)


def _length_options(duration_s: float) -> dict[str, Any]:
    """End every stream at duration_s.

    -t ends a copied picture by decoding time and leaves reordered pictures of after the end in; the noise
    filter (with no noise) drops those.  -t belongs to the output: its meaning for an input under -copyts
    has changed between versions of ffmpeg.
    """
    end_s = f"{duration_s - TICK_S:.6f}"
    return {"t": f"{duration_s + TICK_S:.6f}", "bsf:v:0": f"noise=drop='gte(pts*tb,{end_s})'"}


def _seek_s(video: Video, time_s: float) -> float:
    """A time stamp as ffmpeg's -ss counts it: from the container's start."""
    with av.open(ffmpeg.file_url(video.path)) as container:
        return time_s - (container.start_time or 0) / 1e6


def _plan(video: Video, out: Path) -> _Plan:
    """Choose the streams that go along: the picture first, then the others in the source's order."""
    ending = out.suffix.lower()
    is_mp4_like = ending in (".mp4", ".mov")
    copied = {"c": "copy", "map_chapters": 0, "map_metadata": 0}
    options: dict[str, Any] = {**copied, **EXACT, **_sound_options(ending)}
    maps, warnings = ["V:0"], []
    with av.open(ffmpeg.file_url(video.path)) as container:
        picture = picture_stream(container)
        for stream in container.streams:
            if stream == picture or stream.type == "audio" or _is_written_anyway(stream):
                continue
            subtitle = _subtitle_codec(ending, stream) if stream.type == "subtitle" else None
            if subtitle is None and not _is_held(ending, stream):
                warnings.append(f"{ending} cannot hold stream {stream.index} ({stream.type}): it is left out")
                continue
            if subtitle is not None:
                options[f"c:s:{sum(key.startswith('c:s:') for key in options)}"] = subtitle
            maps.append(str(stream.index))
        if not is_mp4_like and _has_hidden_start(container):
            warnings.append(f"{ending} has no edit lists: pictures that the source hides at its start show")
        if is_mp4_like:
            options["movflags"] = "+faststart"
            if video.video_codec == "hevc" and "mp4" not in container.format.name:
                options["tag:v:0"] = "hvc1"  # Apple's players take no other
    return _Plan(tuple(maps), options, tuple(warnings))


def _has_hidden_start(container: Any) -> bool:
    """Whether an edit list begins after the first packet; the sound stays in sync, from a later start."""
    packets = container.demux(picture_stream(container))
    return bool(next(iter(packets)).is_discard)


def _sound_options(ending: str) -> dict[str, Any]:
    if ending in (".mp4", ".mov"):
        return {"c:a": "aac", "b:a": "256k"}
    if ending == ".webm":
        return {"c:a": "libopus", "b:a": "192k"}
    return {"c:a": "flac", "sample_fmt": "s32", "bits_per_raw_sample": 24}


def _is_written_anyway(stream: Any) -> bool:
    """Chapter titles and time codes of QuickTime: ffmpeg writes them anew from the chapters and tags."""
    name = stream.codec_context.name if stream.codec_context is not None else ""
    return stream.type == "data" and name in ("", "bin_data", "tmcd", "none")


def _subtitle_codec(ending: str, stream: Any) -> str | None:
    """How the container takes this subtitle; None: not at all."""
    name = stream.codec_context.name
    if name not in TEXT_SUBTITLES:
        return "copy" if ending == ".mkv" and name != "eia_608" else None
    if ending in (".mp4", ".mov"):
        return "copy" if name == "mov_text" else "mov_text"
    if ending == ".webm":
        return "copy" if name == "webvtt" else "webvtt"
    return "srt" if name in ("mov_text", "text") else "copy"


def _is_held(ending: str, stream: Any) -> bool:
    """Whether a stream that is neither the picture nor sound nor a subtitle is copied."""
    if stream.type == "attachment":
        return ending == ".mkv"
    if stream.type != "video":
        return False
    if stream.disposition & Disposition.attached_pic:
        return ending in (".mp4", ".mov")
    held = {".mp4": MP4_VIDEO, ".mov": MOV_VIDEO, ".webm": WEBM_VIDEO}.get(ending)
    return held is None or stream.codec_context.codec.canonical_name in held
