"""The sound of a track: takes are placed at the events, or a texture follows a drive; mono float32 at 44.1 kHz."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import fftconvolve, lfilter

from foleycli.soundset.bank import SoundBank, Take
from foleycli.soundset.kinds import SoundKind
from foleycli.soundset.library_sound import N_SAMPLES, normalise, repeat_hits
from foleycli.soundset.synth import band_noise
from foleycli.synthetic.config import GRID_HZ, RATE_HZ, Track


@dataclass(frozen=True)
class Source:
    """What one thing sounds like: recordings of it, and how fast they are played."""

    takes: tuple[Take, ...]
    pitch: float = 1.0


@dataclass(frozen=True)
class Mix:
    """A track's sound in two layers, float32 [N] each, and the kind and the takes that it was made of."""

    clean: np.ndarray
    bed: np.ndarray
    sound_kind: SoundKind | None  # None: silence
    source: Source | None = None

    @property
    def samples(self) -> np.ndarray:
        return self.clean + self.bed


def sound_of(track: Track, bank: SoundBank, rng: np.random.Generator) -> np.ndarray:
    """Float32 [N] for a track; another `rng` draws other takes of the same kind for the same picture."""
    return mix_of(track, bank, rng).samples


def mix_of(track: Track, bank: SoundBank, rng: np.random.Generator) -> Mix:
    """Like `sound_of`, with the quiet ambience kept apart."""
    n = round(track.duration_s * RATE_HZ)
    bed = _bed(track, bank, rng, n)
    if track.mode == "silence":
        return Mix(np.zeros(n, np.float32), bed, None)
    sound_kind = bank.choose(track.sound_kinds, track.split)
    source = _source(track, bank.takes(sound_kind.name, track.split), rng)
    clean = _hits(track, source, rng, n) if track.mode == "hits" else _loop(track, source, rng, n)
    if track.reverb_s > 0:
        clean = _reverb(clean, track.reverb_s, rng)
    peak = float(np.abs(clean).max(initial=0.0))
    gain = 10 ** (track.peak_db / 20) / peak if peak > 1e-5 else 0.0
    return Mix((clean * gain).astype(np.float32), bed, sound_kind, source)


def library_sound_of(source: Source, is_even: bool, rng: np.random.Generator) -> np.ndarray:
    """The source by itself, float32 [N_SAMPLES], as the library has it: hits struck in turn, or a stretch of it."""
    if is_even:
        return normalise(_endless(source.takes[0].samples(), N_SAMPLES, rng))
    return normalise(repeat_hits([_resampled(take, source.pitch) for take in source.takes]))


def _source(track: Track, takes: list[Take], rng: np.random.Generator) -> Source:
    if track.mode == "hits":
        return Source(tuple(_alike(takes, rng)), rng.uniform(0.9, 1.1))
    return Source((takes[rng.integers(len(takes))],))


def _hits(track: Track, source: Source, rng: np.random.Generator, n: int) -> np.ndarray:
    out = np.zeros(n + 4 * RATE_HZ, np.float32)
    for event in track.events:
        take = source.takes[rng.integers(len(source.takes))]
        shot = _resampled(take, source.pitch * rng.uniform(0.97, 1.03))
        shot = _low_pass(shot, event.strength) * 10 ** (_strength_db(event.strength) / 20)
        start = round(event.time_s * RATE_HZ) - take.onset
        skip = max(0, -start)
        out[start + skip : start + len(shot)] += shot[skip:].astype(np.float32)
    return out[:n]


def _resampled(take: Take, speed: float) -> np.ndarray:
    """A take so many times faster, float64 [N]; its attack stays at the sample `onset`."""
    samples = take.samples()
    steps = np.arange(-take.onset, (len(samples) - take.onset) / speed - 1)
    return np.interp(take.onset + steps * speed, np.arange(len(samples)), samples)


def _alike(takes: list[Take], rng: np.random.Generator) -> list[Take]:
    """Mostly one take; sometimes a few recordings of the same thing."""
    first = takes[rng.integers(len(takes))]
    if rng.random() < 0.6:
        return [first]
    same = [take for take in takes if take.group == first.group]
    return [same[k] for k in rng.permutation(len(same))[:3]]


def _strength_db(strength: float) -> float:
    """Impulse to gain: a tenth of the strength is 14 dB quieter (contact force grows faster than loudness)."""
    return 14.0 * float(np.log10(max(strength, 0.05)))


def _low_pass(samples: np.ndarray, strength: float) -> np.ndarray:
    """Soft hits are dull: a one-pole low-pass whose corner follows the strength."""
    corner_hz = 1200.0 * 14.0 ** min(1.0, strength)
    if corner_hz > 14000:
        return samples
    pole = np.exp(-2 * np.pi * corner_hz / RATE_HZ)
    return lfilter([1 - pole], [1, -pole], samples)  # [N]


def _loop(track: Track, source: Source, rng: np.random.Generator, n: int) -> np.ndarray:
    out = _endless(source.takes[0].samples(), n, rng)
    if track.drive is None:
        return out
    drive = np.interp(np.arange(n) / RATE_HZ, np.arange(len(track.drive)) / GRID_HZ, track.drive)
    dull = lfilter([0.15], [1, -0.85], out)
    return ((dull + (out - dull) * drive) * drive).astype(np.float32)  # [N]; faster is louder and brighter


def _endless(samples: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Repeat a texture with cross-fades until it is `n` long, from a random place, evened to unit RMS."""
    n_fade = min(len(samples) // 4, RATE_HZ // 5)
    ramp = np.linspace(0, 1, n_fade, dtype=np.float32)
    body = samples[n_fade:].copy()
    body[-n_fade:] = body[-n_fade:] * np.sqrt(1 - ramp) + samples[:n_fade] * np.sqrt(ramp)
    start = rng.integers(len(body))
    out = np.resize(np.roll(body, -start), n)
    return (out / (np.sqrt(np.mean(out**2)) + 1e-6)).astype(np.float32)


def _reverb(clean: np.ndarray, reverb_s: float, rng: np.random.Generator) -> np.ndarray:
    n = int(reverb_s * RATE_HZ)
    t = np.arange(n) / RATE_HZ
    tail = band_noise(rng, n, 200, 5000) * np.exp(-6.9 * t / reverb_s) * np.minimum(1, t / 0.01)
    tail /= np.sqrt(np.sum(tail**2)) + 1e-9
    wet = fftconvolve(clean, tail.astype(np.float32))[: len(clean)]
    return (clean + rng.uniform(0.15, 0.6) * wet).astype(np.float32)


def _bed(track: Track, bank: SoundBank, rng: np.random.Generator, n: int) -> np.ndarray:
    if track.bed is None:
        return np.zeros(n, np.float32)
    takes = bank.takes(track.bed, track.split)
    if not takes:
        return np.zeros(n, np.float32)
    texture = _endless(takes[rng.integers(len(takes))].samples(), n, rng)
    return np.clip(texture, -4, 4) * np.float32(10 ** (track.bed_db / 20))


def loudness_db(clean: np.ndarray, n_frames: int, fps: int) -> np.ndarray:
    """RMS of each video frame's stretch of sound in dB, float32 [T], -80..0."""
    edges = np.round(np.arange(n_frames + 1) * RATE_HZ / fps).astype(int)
    padded = np.pad(clean.astype(np.float64) ** 2, (0, max(0, edges[-1] - len(clean))))
    total = np.concatenate([[0.0], np.cumsum(padded)])
    mean = (total[edges[1:]] - total[edges[:-1]]) / np.diff(edges)
    return np.clip(10 * np.log10(np.maximum(mean, 1e-8)), -80, 0).astype(np.float32)  # [T]
