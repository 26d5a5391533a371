"""The generated sound as a file to hand over: rate, channels, mix, level and format.

A float WAV of any length enters; a .wav, .flac, .mp3, .m4a or .ogg leaves.  Everything streams, in blocks of a few
seconds; ffmpeg mixes and encodes where that is asked for.  The true peak never passes -1 dBTP, or what the loudness
specification allows: where it would, the whole sound is turned down by one plain gain, because a limiter would pump
under every hit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from foleycli.dsp.loudness import LoudnessMeter
from foleycli.errors import FoleyError
from foleycli.media import ffmpeg
from foleycli.media.audio import on_picture_clock, to_channels, write_lossless
from foleycli.media.loudness import (
    BROKEN_HINT,
    LOUDEST_DBTP,
    METERS_DIFFER_DB,
    PRINTED_DB,
    Loudness,
    measure,
    measure_file,
    meter_file,
)
from foleycli.media.probe import SoundTrack, probe_audio, sound_tracks
from foleycli.media.source import open_input
from foleycli.records import Audio, Report, silent
from foleycli.settings.loudness import LoudnessTarget

LOSSY_KBPS = {1: 160, 2: 256}
# Same settings, same bytes: no writer's version, date or random serial number in the file.
EXACT = {"fflags": "+bitexact", "flags:a": "+bitexact"}
MOST_RAISED_DB = 24.0  # to reach a loudness: what is softer by more is noise, or meant to be hardly heard
BLOCK_S = 10  # of sound that is in memory at once
KEPT_BYTES = 32_000_000  # 80 s in stereo: a sound that is not longer is read and resampled once
MOST_WAV_BYTES = 4_000_000_000  # a longer WAV is an RF64, which ffmpeg writes
METER_TOP_DBTP = 3.0  # the meter counts up to +10 LUFS; weighting and two channels make 6 dB more than the peak
ENCODER_TRIES = 5  # a lossy encoder moves peaks: encode, measure, turn down, again


@dataclass(frozen=True)
class FinishedSound:
    """What the written file measures, and what was done to its level."""

    peak_dbtp: float | None  # None: silence
    lufs: float | None  # None: silence
    gain_db: float  # what the generated sound was multiplied with, all reasons together
    lowered_db: float  # the part of it that keeps the peak under its ceiling; 0 or negative
    notes: tuple[str, ...] = ()  # for the user: tracks that were mixed, streams that were left out
    applied_db: float = 0.0  # `gain_db` before it was rounded: stems at this gain sum to the file


@dataclass(frozen=True)
class _Mix:
    """The sounds and how they are put together, before the gain on the whole."""

    generated: Path
    generated_channels: int
    gain_db: float
    original: Path | None
    original_tracks: tuple[SoundTrack, ...]
    original_gain_db: float
    original_start_s: float
    rate_hz: int
    channels: int
    n_samples: int

    @property
    def duration_s(self) -> float:
        return self.n_samples / self.rate_hz

    @property
    def needs_ffmpeg(self) -> bool:
        """Whether there is more to mix than one or two channels of generated sound."""
        return self.original is not None or self.generated_channels > 2

    @property
    def lossless_bytes(self) -> int:
        return self.n_samples * self.channels * 3


def finish_sound(
    sound_wav: Path,
    out: Path,
    *,
    rate_hz: int,
    channels: int,
    n_samples: int,
    gain_db: float = 0.0,
    target: LoudnessTarget = LoudnessTarget(None),
    original: Path | None = None,
    original_tracks: Sequence[int] | None = None,
    original_gain_db: float = 0.0,
    original_start_s: float = 0.0,
    whole_gain_db: float | None = None,
    report: Report = silent,
) -> FinishedSound:
    """Write `sound_wav` to `out` at `rate_hz`, with 1 or 2 channels, each of exactly `n_samples`.

    Of mono sound two channels carry the same, each at unity gain.  `original` is a video (or sound) whose
    own sound, from its first picture + original_start_s, is mixed under: the sum of `original_tracks` (counted from
    0; None: all).  `target` sets the integrated loudness of the whole; it raises by 24 dB at most, and the target's
    ceiling wins over it.  `whole_gain_db` is a gain of the whole in its place, under the same ceiling.
    WAV and FLAC have 24 bit and the exact length; the others have their encoder's frame grid, trimmed by players.

    Errors: FoleyError for a track that is not there, and for sound with values that are not finite.
    """
    tracks, notes = choose_tracks(original, original_tracks) if original is not None else ((), ())
    mix = _Mix(
        generated=sound_wav,
        generated_channels=probe_audio(sound_wav)[2],
        gain_db=gain_db,
        original=original,
        original_tracks=tracks,
        original_gain_db=original_gain_db,
        original_start_s=original_start_s,
        rate_hz=rate_hz,
        channels=channels,
        n_samples=n_samples,
    )
    kept: list[np.ndarray] = []
    before = _measured(mix, report) if mix.needs_ffmpeg else _metered(mix, report, kept)
    wanted_db = wanted_gain_db(before, target) if whole_gain_db is None else whole_gain_db
    whole_db = min(wanted_db, room_db(before, target))
    _write(mix, whole_db, out, report, kept)
    after = Loudness(before.lufs + whole_db, before.peak_dbtp + whole_db)
    if out.suffix.lower() not in (".wav", ".flac"):
        whole_db, after = _write_until_below(mix, whole_db, out, target.ceiling_dbtp)
    return FinishedSound(
        peak_dbtp=round(after.peak_dbtp, 2) if math.isfinite(after.peak_dbtp) else None,
        lufs=None if before.is_silent else round(after.lufs, 2),
        gain_db=round(gain_db + whole_db, 2),
        lowered_db=round(min(0.0, whole_db - wanted_db), 2),
        notes=notes,
        applied_db=gain_db + float(f"{whole_db:.4f}"),
    )


def wanted_gain_db(measured: Loudness, target: LoudnessTarget) -> float:
    """The gain that brings a sound to the loudness of a target, whatever its peak: 0 without one, and for silence."""
    if target.lufs is None or measured.is_silent:
        return 0.0
    return min(target.lufs - measured.lufs, MOST_RAISED_DB)


def level_db(measured: Loudness, target: LoudnessTarget) -> float:
    """The gain that brings a sound to the loudness of a target, as far as its peak allows."""
    return min(wanted_gain_db(measured, target), room_db(measured, target))


def room_db(measured: Loudness, target: LoudnessTarget) -> float:
    """The gain that brings a sound's peak to the ceiling of a target; inf for silence."""
    return target.ceiling_dbtp - METERS_DIFFER_DB - measured.peak_dbtp


def encode_sound(sound_wav: Path, out: Path, ceiling_dbtp: float, report: Report = silent) -> Loudness:
    """Write a finished 24 bit WAV in the format of `out`, sample for sample in WAV and FLAC; what it measures.

    A lossy encoder moves peaks: where they would pass the ceiling, the whole is turned down until they do not.
    """
    duration_s, rate_hz, channels = probe_audio(sound_wav)
    mix = _Mix(
        generated=sound_wav,
        generated_channels=channels,
        gain_db=0.0,
        original=None,
        original_tracks=(),
        original_gain_db=0.0,
        original_start_s=0.0,
        rate_hz=rate_hz,
        channels=channels,
        n_samples=round(duration_s * rate_hz),
    )
    _write(mix, 0.0, out, report)
    if out.suffix.lower() in (".wav", ".flac"):
        return measure_file(out)
    return _write_until_below(mix, 0.0, out, ceiling_dbtp)[1]


def choose_tracks(original: Path, wanted: Sequence[int] | None) -> tuple[tuple[SoundTrack, ...], tuple[str, ...]]:
    """The tracks to mix and notes about them: cameras keep one microphone a track."""
    there = sound_tracks(original)
    if wanted is not None and (missing := [k for k in wanted if not 0 <= k < len(there)]):
        raise FoleyError(
            f"{original} has no sound track {missing[0] + 1}, only {len(there)}", "Choose others with --tracks"
        )
    asked = [there[k] for k in dict.fromkeys(wanted)] if wanted is not None else there
    tracks = tuple(track for track in asked if track.is_readable)
    if not tracks:
        raise FoleyError(f"no sound track of {original} can be decoded", "Leave out --mix")
    notes = [
        f"sound track {track.index + 1} cannot be decoded: it is not mixed" for track in asked if track not in tracks
    ]
    if len(tracks) > 1:
        notes.append(f"the video's own {len(tracks)} sound tracks are mixed (--tracks chooses among them)")
    return tracks, tuple(notes)


def _write_until_below(mix: _Mix, whole_db: float, out: Path, ceiling_dbtp: float) -> tuple[float, Loudness]:
    """Measure what a lossy encoder wrote, and write it again softer while it peaks above the ceiling."""
    for _ in range(ENCODER_TRIES):
        after = meter_file(out)
        excess_db = after.peak_dbtp + PRINTED_DB - ceiling_dbtp
        if excess_db <= 0:
            return whole_db, after
        whole_db -= excess_db + 0.1
        _write(mix, whole_db, out, silent)  # progress never goes back
    return whole_db, meter_file(out)


def _write(mix: _Mix, whole_db: float, out: Path, report: Report, kept: Sequence[np.ndarray] = ()) -> None:
    """Write the mix with a gain; `kept`: its blocks, where they are in memory already."""
    if out.suffix.lower() in (".wav", ".flac") and not mix.needs_ffmpeg and mix.lossless_bytes < MOST_WAV_BYTES:
        gain = np.float32(10 ** (whole_db / 20))
        like = Audio(np.zeros((mix.channels, 0), np.float32), mix.rate_hz)
        write_lossless((block * gain for block in kept or _blocks(mix, "write", report)), like, out)
        report("write", mix.duration_s, mix.duration_s)
        return
    sound = _mixed(mix).filter("volume", f"{whole_db:.4f}dB")
    output = sound.output(
        ffmpeg.file_url(out),
        ar=mix.rate_hz,
        ac=mix.channels,
        map_metadata=-1,
        **_encoder(out, mix.channels),
    )
    ffmpeg.run(ffmpeg.command(output, "-copyts"), f"writing {out.name}", report, "write", mix.duration_s)


def _metered(mix: _Mix, report: Report, kept: list[np.ndarray]) -> Loudness:
    """Loudness and peak of generated sound alone; repeated where it is too short for one gating block (0.4 s).

    kept   takes up the sound's blocks where they are small enough to stay in memory
    """
    meter = LoudnessMeter(mix.rate_hz, mix.channels)
    for turn in range(1 if mix.duration_s >= 0.5 else math.ceil(0.5 / mix.duration_s) + 1):
        for block in _blocks(mix, "loudness", report):
            meter.push(block)
            if turn == 0 and 4 * mix.n_samples * mix.channels <= KEPT_BYTES:
                kept.append(block)
    meter.push(np.zeros((mix.channels, 0), np.float32), is_last=True)
    if meter.peak_dbtp > LOUDEST_DBTP:
        raise FoleyError(f"the generated sound has a peak {meter.peak_dbtp:.0f} dB above full scale", BROKEN_HINT)
    return Loudness(meter.lufs, meter.peak_dbtp)


def _blocks(mix: _Mix, stage: str, report: Report) -> Iterator[np.ndarray]:
    """The generated sound float32 [C, n] at its rate, channels, gain and exact length, as `_mixed` gives it."""
    gain, n_done = np.float32(10 ** (mix.gain_db / 20)), 0
    for block in _resampled(mix.generated, mix.rate_hz):
        if not np.isfinite(block).all():
            raise FoleyError("the generated sound has values that are not finite", BROKEN_HINT)
        kept = block[:, : mix.n_samples - n_done] * gain
        n_done += kept.shape[1]
        yield to_channels(kept, mix.channels)
        report(stage, n_done / mix.rate_hz, mix.duration_s)
    while n_done < mix.n_samples:
        n = min(mix.n_samples - n_done, BLOCK_S * mix.rate_hz)
        n_done += n
        yield np.zeros((mix.channels, n), np.float32)
    report(stage, mix.duration_s, mix.duration_s)


def _resampled(wav: Path, rate_hz: int) -> Iterator[np.ndarray]:
    """A WAV float32 [C, n] at another rate, block by block."""
    with soundfile.SoundFile(wav) as file:
        blocks = file.blocks(BLOCK_S * file.samplerate, dtype="float32", always_2d=True)
        if file.samplerate == rate_hz:
            yield from (block.T for block in blocks)
            return
        resampler = soxr.ResampleStream(file.samplerate, rate_hz, file.channels, dtype="float32", quality="VHQ")
        for block in blocks:
            yield resampler.resample_chunk(block).T
        yield resampler.resample_chunk(np.zeros((0, file.channels), np.float32), last=True).T


def _mixed(mix: _Mix) -> Any:
    """The ffmpeg graph: the generated sound at its rate, channels and exact length, the original under it."""
    generated = ffmpeg.open_input(mix.generated).audio
    generated = generated.filter("aresample", mix.rate_hz, **_resampler())
    generated = generated.filter("volume", f"{mix.gain_db}dB")
    generated = _to_channels(generated, mix.generated_channels, mix.channels)
    generated = generated.filter("apad").filter("atrim", end_sample=mix.n_samples)
    if mix.original is None:
        return generated
    source = open_input(mix.original)
    own = []
    for track in mix.original_tracks:
        sound = on_picture_clock(source[f"a:{track.index}"], mix.original, mix.original_start_s)
        sound = sound.filter("aresample", mix.rate_hz, **_resampler()).filter("aformat", sample_fmts="fltp")
        sound = _to_channels(sound, track.channels, mix.channels)
        own.append(sound.filter("volume", f"{mix.original_gain_db}dB"))
    return ffmpeg.join([generated, *own], "amix", inputs=1 + len(own), duration="first", normalize=0)


def _to_channels(sound: Any, own: int, channels: int) -> Any:
    # Spelled out, because ffmpeg's own down-mix of two channels to one is 3 dB louder or not, by format.
    if own > 2:
        sound, own = sound.filter("aformat", channel_layouts="stereo"), 2
    if own == channels:
        return sound
    return sound.filter("pan", args="mono|c0=0.5*c0+0.5*c1" if channels == 1 else "stereo|c0=c0|c1=c0")


def _measured(mix: _Mix, report: Report) -> Loudness:
    """Loudness and peak of the mix; where the meter's scale may end, it is measured turned down."""
    what = f"the sound of {mix.original} with the generated sound" if mix.original else "the generated sound"
    found = measure(_for_meter(mix), "-copyts", what=what, report=report, total_s=mix.duration_s)
    if not found.peak_dbtp > METER_TOP_DBTP:
        return found
    over_db = found.peak_dbtp
    softer = measure(_for_meter(mix).filter("volume", f"{-over_db:.4f}dB"), "-copyts")
    return Loudness(softer.lufs + over_db, softer.peak_dbtp + over_db)


def _for_meter(mix: _Mix) -> Any:
    """The mix, repeated where it is too short for one gating block (0.4 s) of the meter."""
    sound = _mixed(mix)
    if mix.duration_s >= 0.5:
        return sound
    return sound.filter("aloop", loop=math.ceil(0.5 / mix.duration_s), size=mix.n_samples)


def _resampler() -> dict[str, Any]:
    if ffmpeg.has_library("libsoxr"):
        return {"resampler": "soxr", "precision": 28}
    return {"filter_size": 64, "phase_shift": 10, "cutoff": 0.97}  # swr's own, at a like quality


def _encoder(out: Path, channels: int) -> dict[str, Any]:
    """ffmpeg's output options for the ending."""
    kbps = f"{LOSSY_KBPS[channels]}k"
    ending = out.suffix.lower()
    if ending == ".ogg":
        return _ogg_encoder(kbps)
    if ending == ".mp3":  # not bitexact: its LAME tag would lose the delay that players cut off
        return {"format": "mp3", "c:a": "libmp3lame", "b:a": kbps}
    known: dict[str, dict[str, Any]] = {
        ".wav": {"format": "wav", "c:a": "pcm_s24le", "rf64": "auto"},
        ".flac": {"format": "flac", "c:a": "flac", "sample_fmt": "s32", "bits_per_raw_sample": 24},
        ".m4a": {"format": "ipod", "c:a": "aac", "b:a": kbps, "movflags": "+faststart"},
    }
    return {**known[ending], **EXACT}


def _ogg_encoder(kbps: str) -> dict[str, Any]:
    if ffmpeg.has_library("libvorbis"):
        return {"format": "ogg", "c:a": "libvorbis", "q:a": 7, **EXACT}
    if ffmpeg.has_library("libopus"):
        return {"format": "ogg", "c:a": "libopus", "b:a": kbps, "ar": 48000, **EXACT}
    raise FoleyError("this ffmpeg can write neither Vorbis nor Opus", "Write .flac or .wav")
