"""What a media file holds: a path in, a `Video` (or the facts of a sound) out.  By PyAV, without ffprobe.

Only packets are read, and one picture is decoded for its rotation.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from foleycli.errors import FoleyError
from foleycli.media.source import check_file, open_container, picture_stream, readable
from foleycli.records import Video

SCAN_PACKETS = 20_000  # read at most so many (11 minutes at 30 fps) before trusting the file's header
TAIL_S = 20.0  # of a longer file, this much of the end is read for the last picture's time
VARIABLE_MS = 4.0  # frame durations that differ by more than a container's rounding (1 ms) can explain
LONG_GAP_S, SENSELESS_GAP_S = 60.0, 3600.0  # without a new picture: noted for the user, and refused
LEAST_BITS_PER_S = 2000  # a file with fewer is read whole: its header may state a wrong length
SOUNDFILE_ENDINGS = (".wav", ".flac", ".ogg", ".aif", ".aiff", ".w64", ".rf64", ".caf", ".au")
MOST_SAMPLES = 1 << 40
FLAC_MASKS = {3: 0x7, 4: 0x33, 5: 0x37, 6: 0x3F, 7: 0x70F, 8: 0x63F}  # RFC 9639, section 9.1.3
LEAST_RATE_HZ, MOST_RATE_HZ = 1000, 1_536_000  # outside, a header is wrong or the file holds no sound


@dataclass(frozen=True)
class _Timing:
    """Pictures from the packets' time stamps, in seconds on the file's clock."""

    times_s: np.ndarray  # sorted presentation times
    last_duration_s: float
    is_whole: bool  # the whole file was read


def probe(path: Path) -> Video:
    """Read a video's facts; a FoleyError names what is wrong with a file that is none.

    Times and duration are those of the picture, whatever the sound's length.
    """
    with open_container(path) as container:
        stream = picture_stream(container)
        if stream is None:
            raise FoleyError(f"{path} has no video stream", "Give a file with a moving picture")
        timing = _scan(container, stream)
        if timing.times_s.size == 0:
            raise FoleyError(f"{path} has a video stream without a single frame", "Export the video again")
        end_s = _end_s(container, stream, timing)
    notes = _long_gaps(path, timing.times_s, end_s)
    first = _first_picture(path)
    with open_container(path) as container:
        stream = picture_stream(container)
        assert stream is not None
        return _video(path, container, stream, timing=timing, end_s=end_s, first=first, notes=notes)


def probe_audio(path: Path) -> tuple[float, int, int]:
    """Duration in seconds, rate in Hz and channels of the first sound in a file, which may be a video."""
    known = _soundfile_facts(path)
    duration_s, rate_hz, channels = known if known else _stream_facts(path)
    if not rate_hz or not channels:
        raise FoleyError(f"the sound of {path} cannot be read", "Convert it to WAV and try again")
    if not LEAST_RATE_HZ <= rate_hz <= MOST_RATE_HZ:
        raise FoleyError(f"the sound of {path} has {rate_hz} samples a second", "Give a sound of 1 to 1536 kHz")
    if duration_s <= 0:
        raise FoleyError(f"the sound of {path} is empty", "Give a file with some sound in it")
    return duration_s, rate_hz, channels


def opens_with_soundfile(path: Path) -> bool:
    """Whether libsndfile reads the file: it is tried first, for its lengths are exact."""
    return _soundfile_facts(path) is not None


def is_float_file(path: Path) -> bool:
    """Whether a sound file holds floating-point samples: such may be finer than 24 bit, and above full scale."""
    return opens_with_soundfile(path) and soundfile.info(readable(path)).subtype in ("FLOAT", "DOUBLE")


def channel_mask(path: Path) -> int:
    """Which loudspeaker each channel of a WAV or FLAC is for, as WAVEFORMATEXTENSIBLE's dwChannelMask; 0: unknown."""
    with readable(path).open("rb") as file:
        if file.read(4) == b"fLaC" and opens_with_soundfile(path):
            return FLAC_MASKS.get(soundfile.info(readable(path)).channels, 0)
        file.seek(0)
        head = file.read(12)
        if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:] != b"WAVE":
            return 0
        while len(chunk := file.read(8)) == 8:
            size = int.from_bytes(chunk[4:], "little")
            if chunk[:4] == b"fmt ":
                form = file.read(min(size, 40))
                is_extensible = form[:2] == b"\xfe\xff" and len(form) == 40
                return int.from_bytes(form[20:24], "little") if is_extensible else 0
            file.seek(size + size % 2, 1)
    return 0


def _soundfile_facts(path: Path) -> tuple[float, int, int] | None:
    """What libsndfile reads; None for files that are not for it, or whose writer could not state a length."""
    check_file(path)
    if path.suffix.lower() not in SOUNDFILE_ENDINGS:
        return None
    try:
        info = soundfile.info(readable(path))
    except (soundfile.SoundFileError, FoleyError):
        return None  # a kind that libsndfile cannot read (ADPCM, Speex): PyAV may
    if not 0 < info.frames < MOST_SAMPLES:  # a FLAC from a pipe
        return None
    return info.frames / info.samplerate, info.samplerate, info.channels


def _stream_facts(path: Path) -> tuple[float, int, int]:
    with open_container(path) as container:
        if not container.streams.audio:
            raise FoleyError(f"{path} has no sound in it", "Give a sound file, or a video with sound")
        stream = container.streams.audio[0]
        context = stream.codec_context
        if context is None or not context.sample_rate:
            raise FoleyError(f"the sound of {path} cannot be read", "Convert it to WAV and try again")
        if stream.duration is not None and stream.time_base is not None:
            duration_s = float(stream.duration * stream.time_base)
        else:
            duration_s = _scanned_duration_s(container)
        return duration_s, context.sample_rate, context.channels


@dataclass(frozen=True)
class SoundTrack:
    """One sound stream of a file; `index` counts the sound streams only, from 0."""

    index: int
    channels: int
    is_readable: bool


def sound_tracks(path: Path) -> list[SoundTrack]:
    """All sound streams of a file."""
    with open_container(path) as container:
        contexts = [stream.codec_context for stream in container.streams.audio]
        return [
            SoundTrack(k, context.channels if context else 0, bool(context and context.sample_rate))
            for k, context in enumerate(contexts)
        ]


def picture_start_s(path: Path) -> float | None:
    """The time stamp of the first picture; None for a file of sound alone."""
    if opens_with_soundfile(path):
        return None
    with open_container(path) as container:
        stream = picture_stream(container)
        if stream is None:
            return None
        return min(_packet_times(container, stream, 32)[0], default=0.0)


def _scan(container: InputContainer, stream: VideoStream) -> _Timing:
    """Read picture packets; the whole file when it is short, states no duration or an unlikely one."""
    duration_s = (container.duration or 0) / 1e6
    is_likely = duration_s > 0 and container.size * 8 / duration_s >= LEAST_BITS_PER_S
    times_s, last_s, is_whole = _packet_times(container, stream, SCAN_PACKETS if is_likely else None)
    return _Timing(np.sort(np.array(times_s, dtype=np.float64)), last_s, is_whole)


def _packet_times(container: InputContainer, stream: VideoStream, limit: int | None) -> tuple[list[float], float, bool]:
    """Presentation times of shown pictures, the last picture's own duration, and whether the end was reached."""
    times_s: list[float] = []
    latest_s, last_duration_s = -float("inf"), 0.0
    tick = stream.time_base or Fraction(1, 1000)
    up, down = tick.numerator, tick.denominator  # products of fractions take long, and there are many packets
    for packet in container.demux(stream):
        if packet.pts is None or not packet.size or packet.is_discard:
            continue  # is_discard: before an edit list's start, decoded but never shown
        time_s = packet.pts * up / down
        times_s.append(time_s)
        if time_s > latest_s:
            latest_s, last_duration_s = time_s, (packet.duration or 0) * up / down
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


def _long_gaps(path: Path, times_s: np.ndarray, end_s: float) -> tuple[str, ...]:
    """The note about a time without a new picture; errors: FoleyError where it is senselessly long."""
    gaps_s = np.diff(np.append(times_s, end_s))
    longest = int(np.argmax(gaps_s))
    gap_s, at_s = float(gaps_s[longest]), float(times_s[longest] - times_s[0])
    if gap_s > SENSELESS_GAP_S:
        raise FoleyError(
            f"{path} has no picture for {gap_s / 3600:,.1f} hours after {at_s:.2f} s: its time stamps are broken",
            "Export it again, or copy it with new time stamps",
        )
    return (f"no new picture comes for {gap_s:.0f} s after {at_s:.2f} s",) if gap_s > LONG_GAP_S else ()


def picture_orientation(path: Path) -> tuple[int, bool]:
    """How a player turns a video's picture: degrees clockwise, then whether left and right are swapped."""
    first = _first_picture(path)
    return first.rotation_deg, first.is_mirrored


@dataclass(frozen=True)
class _Picture:
    """The first picture that decodes, as a player shows it."""

    rotation_deg: int
    is_mirrored: bool
    width_px: int
    height_px: int
    pixel_format: str


def _first_picture(path: Path) -> _Picture:
    with open_container(path) as container:
        stream = picture_stream(container)
        assert stream is not None
        if stream.codec_context is not None:
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except av.error.FFmpegError:
                    continue  # a broken start: a later picture shows it as well
                for frame in frames:
                    rotation_deg, is_mirrored = _orientation(frame)
                    size = (frame.width, frame.height)
                    width_px, height_px = size[::-1] if rotation_deg in (90, 270) else size
                    return _Picture(rotation_deg, is_mirrored, width_px, height_px, frame.format.name)
    raise FoleyError(f"not one picture of {path} can be decoded", "Export it again, as H.264 for example")


def _orientation(frame: VideoFrame) -> tuple[int, bool]:
    """How a player turns a picture: degrees clockwise, then whether left and right are swapped.

    The display matrix (ISO 14496-12, 6.2.2) takes a point (x, y) of the picture to (a x + c y, b x + d y).  One that
    shows nothing (all zero, as some browsers write) turns nothing.
    """
    # PyAV's stub leaves out that its keys may be types.
    matrix = frame.side_data.get(SideDataType.DISPLAYMATRIX)  # type: ignore[call-overload]
    if matrix is None:
        return 0, False
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(matrix), np.int32)[:5])
    if a * d - b * c == 0:
        return 0, False
    is_mirrored = a * d - b * c < 0
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return (0 if d > 0 else 180), is_mirrored
    return (90 if b > 0 else 270), is_mirrored


def _video(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    *,
    timing: _Timing,
    end_s: float,
    first: _Picture,
    notes: tuple[str, ...],
) -> Video:
    start_s = float(timing.times_s[0])
    duration_s = end_s - start_s
    fps = _rate(stream, timing.times_s, duration_s if timing.is_whole else None)
    contexts = [track.codec_context for track in container.streams.audio]
    sound = next((context for context in contexts if context is not None and context.sample_rate), None)
    return Video(
        path=path,
        duration_s=duration_s,
        start_s=start_s,
        fps=fps,
        n_frames=int(timing.times_s.size) if timing.is_whole else max(1, round(duration_s * fps)),
        width_px=first.width_px,
        height_px=first.height_px,
        rotation_deg=first.rotation_deg,
        video_codec=stream.codec_context.codec.canonical_name,  # "av1", not the decoder's "libdav1d"
        pixel_format=first.pixel_format,
        has_audio=sound is not None,
        audio_rate_hz=sound.sample_rate if sound else 0,
        audio_channels=sound.channels if sound else 0,
        audio_codec=sound.name if sound else "",
        is_mirrored=first.is_mirrored,
        notes=notes,
    )


def _rate(stream: VideoStream, times_s: np.ndarray, duration_s: float | None) -> Fraction:
    """The average rate.

    A constant one is given as the container's exact fraction (24000/1001), not as a quotient of rounded time stamps.
    """
    gaps_s = np.diff(times_s)
    is_variable = bool(gaps_s.size and np.ptp(gaps_s) * 1000 > VARIABLE_MS)
    nominal = stream.average_rate or stream.guessed_rate
    if duration_s is not None and is_variable:
        return Fraction(times_s.size / duration_s).limit_denominator(10_000)
    if nominal is not None and (not gaps_s.size or abs(float(nominal) * float(gaps_s.mean()) - 1) < 0.02):
        return Fraction(nominal)
    if gaps_s.size and gaps_s.mean() > 0:
        return Fraction(1 / float(gaps_s.mean())).limit_denominator(1001)
    return Fraction(25)


def _scanned_duration_s(container: InputContainer) -> float:
    """The sound's length from its packets, for containers that do not say."""
    stream = container.streams.audio[0]
    tick = stream.time_base or Fraction(1, 1000)
    times = [(p.pts, p.pts + (p.duration or 0)) for p in container.demux(stream) if p.pts is not None]
    if not times:
        return 0.0
    return float((max(end for _, end in times) - min(start for start, _ in times)) * tick)
