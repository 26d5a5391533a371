"""Sound files (and the sound of videos) to arrays, change of rate, and a writer that streams to disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import soundfile
import soxr

from foleycli.errors import FoleyError
from foleycli.media import ffmpeg
from foleycli.media.probe import MOST_SAMPLES, opens_with_soundfile, picture_start_s, probe_audio
from foleycli.media.source import open_input, readable
from foleycli.records import Audio
from foleycli.timebase import seconds_to_samples

WAVEX_MASK_AT = 40  # behind "RIFF", its size, "WAVE", "fmt ", its size and the first 20 bytes of the format
LOUDEST = 1000.0  # times full scale: 60 dB above it are no sound but broken numbers


def read_audio(
    path: Path,
    rate_hz: int | None = None,
    channels: int | None = None,
    start_s: float = 0.0,
    duration_s: float | None = None,
) -> Audio:
    """The first sound of a file as float32 [C, N].

    Time 0 is a sound file's first sample, and a video's first picture: sound that starts later is
    preceded by silence, sound from before is dropped.  None: the file's own rate or channels.  Down to
    one channel is the mean; one to two is the same in both.

    Errors: FoleyError for a part past the end, and for values that are not finite or far above full scale.
    """
    samples, own_rate_hz = _read_own(path, start_s, duration_s)  # [C, N]
    if samples.shape[1] == 0:
        raise FoleyError(f"{path} has no sound at {start_s:.2f} s", "Choose an earlier start")
    if not np.abs(samples).max() <= LOUDEST:  # also where a value is not a number
        raise FoleyError(
            f"the sound of {path} has values that are not finite, or over {LOUDEST:g} times full scale",
            "Convert it to 16 or 24 bit",
        )
    if channels is not None:
        samples = to_channels(samples, channels)
    if rate_hz is not None:
        samples, own_rate_hz = resample(samples, own_rate_hz, rate_hz), rate_hz
    return Audio(np.ascontiguousarray(samples, dtype=np.float32), own_rate_hz)


def _read_own(path: Path, start_s: float, duration_s: float | None) -> tuple[np.ndarray, int]:
    """Sound [C, N] at its own rate and channels: by libsndfile where it can, else by ffmpeg."""
    whole_s, rate_hz, channels = probe_audio(path)  # says what is wrong with a file that is none
    if opens_with_soundfile(path):
        try:
            return _read_by_soundfile(path, start_s, duration_s)
        except soundfile.SoundFileError:
            pass  # broken midway: ffmpeg may read more of it
    first = seconds_to_samples(start_s, rate_hz)
    end = None if duration_s is None else first + seconds_to_samples(duration_s, rate_hz)
    if path.suffix.lower() == ".caf":  # ffmpeg 8 and 9 cut the end of ALAC twice: take all, and the stated length of it
        end = min(end or MOST_SAMPLES, seconds_to_samples(whole_s, rate_hz))
    return _read_by_ffmpeg(path, channels, rate_hz=rate_hz, first=first, end=end), rate_hz


def _read_by_soundfile(path: Path, start_s: float, duration_s: float | None) -> tuple[np.ndarray, int]:
    with soundfile.SoundFile(readable(path)) as file:
        first = min(seconds_to_samples(start_s, file.samplerate), file.frames)
        file.seek(first)
        count = -1 if duration_s is None else seconds_to_samples(duration_s, file.samplerate)
        return file.read(count, dtype="float32", always_2d=True).T, file.samplerate  # [C, N]


def _read_by_ffmpeg(path: Path, channels: int, *, rate_hz: int, first: int, end: int | None) -> np.ndarray:
    """Samples [C, N] from `first` to `end` (None: the last), counted on the picture's clock."""
    whole = {"flags2": "+skip_manual"} if path.suffix.lower() == ".caf" else {}
    sound = on_picture_clock(open_input(path, **whole).audio, path)
    sound = sound.filter("atrim", start_sample=first, **({} if end is None else {"end_sample": end}))
    output = sound.output("pipe:1", format="f32le", ar=rate_hz, ac=channels)
    pieces = ffmpeg.read_stdout(ffmpeg.command(output, "-copyts"), 1 << 20, f"reading the sound of {path}")
    flat = np.frombuffer(
        bytearray(b"").join(pieces), np.float32
    )  # a bytearray: torch warns of memory that cannot be written
    return flat.reshape(-1, channels).T  # [C, N]


def on_picture_clock(sound: Any, path: Path, start_s: float = 0.0) -> Any:
    """The ffmpeg stream so padded or trimmed that its first sample is at the first picture + start_s.

    In a file of sound alone it is at the first sample + start_s.  The run needs -copyts: the stream's
    time stamps must still be the file's own.
    """
    picture_s = picture_start_s(path)
    zero = "STARTPTS" if picture_s is None else f"{picture_s:.6f}/TB"
    shifted = sound.filter("asetpts", f"PTS-{zero}-{start_s:.6f}/TB")
    return shifted.filter("aresample", **{"async": 1, "first_pts": 0})


def to_channels(samples: np.ndarray, channels: int) -> np.ndarray:
    """[C, N] with the given number of channels: the mean as one, or one repeated."""
    if samples.shape[0] == channels:
        return samples
    if channels == 2 and samples.shape[0] > 2:
        samples = samples[:2]  # surround: left and right; their names are not kept in the array
        return samples
    return np.repeat(samples.mean(axis=0, keepdims=True), channels, axis=0)  # [channels, N]


def resample(samples: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """Sound [C, N] at another rate, by soxr; unchanged where the rates agree."""
    if from_hz == to_hz:
        return samples
    return soxr.resample(np.ascontiguousarray(samples.T), from_hz, to_hz).T.astype(np.float32)  # [C, N]


def write_lossless(
    blocks: Iterable[np.ndarray], like: Audio, out: Path, *, is_float: bool = False, channel_mask: int = 0
) -> None:
    """Blocks [C, n] to a WAV or FLAC at the rate and with the channels of `like`: 24 bit, or 32 bit float in WAV.

    channel_mask   of a WAV with more than two channels, which loudspeaker each is for; 0: not stated
    """
    channels, is_wav = like.samples.shape[0], out.suffix.lower() == ".wav"
    is_float, states_mask = is_float and is_wav, bool(channel_mask and is_wav and channels > 2)
    form, subtype = ("WAV" if is_wav else "FLAC"), ("FLOAT" if is_float else "PCM_24")
    with soundfile.SoundFile(
        out, "w", samplerate=like.rate_hz, channels=channels, format="WAVEX" if states_mask else form, subtype=subtype
    ) as file:
        for block in blocks:
            if is_float:
                file.write(block.T.astype(np.float32, copy=False))
            else:  # as whole numbers: libsndfile scales float by 2^23 - 1, which would move samples by one
                scaled = np.multiply(block.T, 2.0**23, order="C")
                np.clip(np.round(scaled, out=scaled), -(2**23), 2**23 - 1, out=scaled)
                whole = scaled.astype(np.int32)
                file.write(np.left_shift(whole, 8, out=whole))
    if is_wav:  # what libsndfile does not let be set
        with out.open("r+b") as raw:
            peak = raw.read(4096).find(b"PEAK")
            if is_float and peak > 0:  # its time of writing, behind a version: same sound, same bytes
                raw.seek(peak + 12)
                raw.write(bytes(4))
            if states_mask:  # it writes the mask that is usual for so many channels
                raw.seek(WAVEX_MASK_AT)
                raw.write(channel_mask.to_bytes(4, "little"))


class SoundWriter:
    """Float32 chunks, [N] of mono or [C, N] of more channels, to a 32 bit float WAV on disk, in memory of one chunk.

    Used as a context manager.  The file is RF64, which every reader of ours takes and which may pass 4 GB.
    """

    def __init__(self, path: Path, rate_hz: int, channels: int = 1) -> None:
        self.path = path
        self.rate_hz = rate_hz
        self.channels = channels
        self.n_samples = 0
        self._file: soundfile.SoundFile | None = None

    def __enter__(self) -> SoundWriter:
        self._file = soundfile.SoundFile(
            self.path, "w", samplerate=self.rate_hz, channels=self.channels, format="RF64", subtype="FLOAT"
        )
        return self

    def write(self, samples: np.ndarray) -> None:
        """Append samples [N] or [C, N]; errors: FoleyError where they are not all finite."""
        if self._file is None:
            raise ValueError("SoundWriter is written to outside its with block")
        if samples.ndim > 2 or len(np.atleast_2d(samples)) != self.channels:
            raise ValueError(f"samples have shape {samples.shape}, the writer takes {self.channels} channels")
        if not np.isfinite(samples).all():
            raise FoleyError(
                "the generated sound has values that are not finite",
                "Check the model's files (foley models verify), or try --dtype float32",
            )
        self._file.write(samples.T.astype(np.float32, copy=False))
        self.n_samples += samples.shape[-1]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        self._file.close()
        self._file = None
        if kind is not None:
            self.path.unlink(missing_ok=True)
