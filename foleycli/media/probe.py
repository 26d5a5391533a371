"""What a media file holds: a path in, a `Video` (or the facts of a sound) out.  By PyAV, without ffprobe.

Only packets are read, and one picture is decoded for its rotation.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from foleycli.errors import FoleyError
from foleycli.records import Video

SCAN_PACKETS = 20_000  # read at most so many (11 minutes at 30 fps) before trusting the file's header
TAIL_S = 20.0  # of a longer file, this much of the end is read for the last picture's time
VARIABLE_MS = 4.0  # frame durations that differ by more than a container's rounding (1 ms) can explain


@dataclass(frozen=True)
class _Timing:
    """Pictures as the packets tell them, in seconds on the file's clock."""

    times_s: np.ndarray  # sorted presentation times
    last_duration_s: float
    is_whole: bool  # the whole file was read


def probe(path: Path) -> Video:
    """Read a video's facts; a FoleyError names what is wrong with a file that is none.

    Times and duration are those of the picture, whatever the sound's length.
    """
    with _opened(path) as container:
        stream = picture_stream(container)
        if stream is None:
            raise FoleyError(f"{path} has no video stream", "Give a file with a moving picture.")
        timing = _scan(container, stream)
        if timing.times_s.size == 0:
            raise FoleyError(f"{path} has a video stream without a single frame", "Export the video again.")
        end_s = _end_s(container, stream, timing)
    rotation_deg, width_px, height_px, pixel_format = _first_picture(path)
    with _opened(path) as container:
        stream = picture_stream(container)
        assert stream is not None
        return _video(path, container, stream, timing, end_s, rotation_deg, (width_px, height_px), pixel_format)


def probe_audio(path: Path) -> tuple[float, int, int]:
    """Duration in seconds, rate in Hz and channels of the first sound in a file, which may be a video."""
    with _opened(path) as container:
        if not container.streams.audio:
            raise FoleyError(f"{path} has no sound in it", "Give a sound file, or a video with sound.")
        stream = container.streams.audio[0]
        rate_hz, channels = stream.codec_context.sample_rate, stream.codec_context.channels
        if not rate_hz or not channels:
            raise FoleyError(f"the sound of {path} cannot be read", "Convert it to WAV and try again.")
        if stream.duration is not None and stream.time_base is not None:
            duration_s = float(stream.duration * stream.time_base)
        else:
            duration_s = _scanned_duration_s(container)
    if duration_s <= 0:
        raise FoleyError(f"the sound of {path} is empty", "Give a file with some sound in it.")
    return duration_s, rate_hz, channels


def picture_stream(container: InputContainer) -> VideoStream | None:
    """The first video stream that moves: cover art in sound files is no video."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    return None


def picture_start_s(path: Path) -> float | None:
    """The time stamp of the first picture; None for a file of sound alone."""
    with _opened(path) as container:
        stream = picture_stream(container)
        if stream is None:
            return None
        return min(_packet_times(container, stream, 32)[0], default=0.0)


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    if not path.exists():
        raise FoleyError(f"{path} does not exist", "Check the name and the folder.")
    if path.is_dir():
        raise FoleyError(f"{path} is a folder", "Give a file.")
    try:
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except OSError as error:
        raise FoleyError(f"{path} cannot be read ({error.strerror})", "Check its permissions.") from error
    if is_empty:
        raise FoleyError(f"{path} is empty", "Export or copy it again.")
    try:
        # "file:" keeps a name with a colon from being taken for a protocol.
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            yield container
    except av.error.FFmpegError as error:
        reason = error.strerror or str(error)
        raise FoleyError(
            f"{path} is not a media file, or a broken one ({reason})", "Check whether it plays elsewhere."
        ) from error


def _scan(container: InputContainer, stream: VideoStream) -> _Timing:
    """Read picture packets; the whole file when it is short or says no duration."""
    limit = SCAN_PACKETS if container.duration else None
    times_s, last_s, is_whole = _packet_times(container, stream, limit)
    if not times_s and stream.average_rate:
        # A raw stream carries no time stamps; its pictures follow one another at the nominal rate.
        count = stream.frames or 0
        times_s = [float(k / stream.average_rate) for k in range(count)]
        last_s = float(1 / stream.average_rate)
    return _Timing(np.sort(np.array(times_s, dtype=np.float64)), last_s, is_whole)


def _packet_times(container: InputContainer, stream: VideoStream, limit: int | None) -> tuple[list[float], float, bool]:
    """Presentation times of shown pictures, the last picture's own duration, and whether the end was seen."""
    times_s: list[float] = []
    latest_s, last_duration_s = -float("inf"), 0.0
    tick = stream.time_base or Fraction(1, 1000)
    for packet in container.demux(stream):
        if packet.pts is None or not packet.size or packet.is_discard:
            continue  # is_discard: before an edit list's start, decoded but never shown
        time_s = float(packet.pts * tick)
        times_s.append(time_s)
        if time_s > latest_s:
            latest_s, last_duration_s = time_s, float((packet.duration or 0) * tick)
        if limit is not None and len(times_s) >= limit:
            return times_s, last_duration_s, False
    return times_s, last_duration_s, True


def _end_s(container: InputContainer, stream: VideoStream, timing: _Timing) -> float:
    """When the last picture ends."""
    times_s, last_s = timing.times_s, timing.last_duration_s
    if not timing.is_whole:
        tail_s = (container.start_time or 0) / 1e6 + (container.duration or 0) / 1e6 - TAIL_S
        container.seek(int(max(0.0, tail_s) * 1e6), backward=True)
        tail, last_s, _ = _packet_times(container, stream, None)
        times_s = np.sort(np.array(tail)) if tail else times_s
    if last_s <= 0:
        last_s = _usual_gap_s(times_s, stream)
    return float(times_s[-1]) + last_s


def _usual_gap_s(times_s: np.ndarray, stream: VideoStream) -> float:
    if times_s.size > 1:
        return float(np.median(np.diff(times_s)))
    rate = stream.average_rate or stream.guessed_rate
    return float(1 / rate) if rate else 0.04


def _first_picture(path: Path) -> tuple[int, int, int, str]:
    """Clockwise rotation, shown width and height, pixel format: of the first picture that decodes."""
    with _opened(path) as container:
        stream = picture_stream(container)
        assert stream is not None
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue  # a broken start: a later picture will tell as well
            for frame in frames:
                rotation_deg = round(-frame.rotation / 90) * 90 % 360  # PyAV counts counterclockwise
                is_turned = rotation_deg in (90, 270)
                width_px, height_px = (frame.height, frame.width) if is_turned else (frame.width, frame.height)
                return rotation_deg, width_px, height_px, frame.format.name
    raise FoleyError(f"not one picture of {path} can be decoded", "Export it again, as H.264 for example.")


def _video(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    timing: _Timing,
    end_s: float,
    rotation_deg: int,
    size_px: tuple[int, int],
    pixel_format: str,
) -> Video:
    start_s = float(timing.times_s[0])
    duration_s = end_s - start_s
    fps, is_variable = _rate(stream, timing.times_s, duration_s if timing.is_whole else None)
    sound = container.streams.audio[0].codec_context if container.streams.audio else None
    return Video(
        path=path,
        duration_s=duration_s,
        start_s=start_s,
        fps=fps,
        n_frames=int(timing.times_s.size) if timing.is_whole else max(1, round(duration_s * fps)),
        is_variable_rate=is_variable,
        width_px=size_px[0],
        height_px=size_px[1],
        rotation_deg=rotation_deg,
        video_codec=stream.codec_context.codec.canonical_name,  # "av1", not the decoder's "libdav1d"
        pixel_format=pixel_format,
        has_audio=sound is not None,
        audio_rate_hz=sound.sample_rate if sound else 0,
        audio_channels=sound.channels if sound else 0,
    )


def _rate(stream: VideoStream, times_s: np.ndarray, duration_s: float | None) -> tuple[Fraction, bool]:
    """The average rate, and whether pictures come unevenly.

    A constant rate is given as the container's exact fraction (24000/1001), not as a quotient of
    rounded time stamps.
    """
    gaps_s = np.diff(times_s)
    is_variable = bool(gaps_s.size and np.ptp(gaps_s) * 1000 > VARIABLE_MS)
    nominal = stream.average_rate or stream.guessed_rate
    if duration_s is not None and is_variable:
        return Fraction(times_s.size / duration_s).limit_denominator(10_000), True
    if nominal is not None and (not gaps_s.size or abs(float(nominal) * float(gaps_s.mean()) - 1) < 0.02):
        return Fraction(nominal), is_variable
    if gaps_s.size and gaps_s.mean() > 0:
        return Fraction(1 / float(gaps_s.mean())).limit_denominator(1001), is_variable
    return Fraction(25), is_variable


def _scanned_duration_s(container: InputContainer) -> float:
    """The sound's length from its packets, for containers that do not say."""
    stream = container.streams.audio[0]
    tick = stream.time_base or Fraction(1, 1000)
    times = [(p.pts, p.pts + (p.duration or 0)) for p in container.demux(stream) if p.pts is not None]
    if not times:
        return 0.0
    return float((max(end for _, end in times) - min(start for start, _ in times)) * tick)
