"""Recordings laid along a video: hits and calls at the moments seen, what goes on as loud as the picture shows.

Pure functions on arrays.  What is laid where is planned first (a short list, however long the video), then made block
by block, so that memory does not grow with the length.  All that is random comes from one seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import soxr

from foleycli.recordings.takes import Kind, Take

STEPS_PER_S = 25  # of the loudness
BLOCK_S = 4.0  # that is made at once
# Levels, in dB.  Only differences of the loudness shown are used: how loud it is on the whole is LEVEL_DB.
LEVEL_DB = -24.0  # RMS of what goes on; peaks of hits lie HIT_PEAK_DB above
HIT_PEAK_DB = 16.0
RANGE_DB = {"hits": 9.0, "voice": 5.0, "texture": 7.0}  # a moment shown louder or softer is moved by so much at most
SLOPE = {"hits": 0.8, "voice": 0.4, "texture": 0.6}  # of the difference shown
SMOOTH_S = 0.8  # of the loudness that textures follow
SCATTER_DB, SCATTER_PITCH = 1.0, 0.025  # between two strokes of the same take
DULL_DB = 9.0  # a stroke so much softer than the loudest loses half its treble
CROSS_S = 0.6  # textures are crossfaded over
LAYER_DB = (0.0, -4.0, -7.0)  # of the first sound named, the second, the third
FADE_S = 0.03  # at the beginning and the end of the whole
VOICE_GAP_S = 0.25  # between two calls
VOICE_WAIT_S = 3.0  # without an event, a thing with a voice is heard again after about so long
CADENCE_S = 0.7  # of hits that are asked for where none is seen


@dataclass(frozen=True)
class Chosen:
    """A sound to lay: its takes, and how it sounds."""

    name: str
    kind: Kind
    takes: Sequence[Take]  # at the rate that is made


@dataclass(frozen=True)
class Events:
    """When something is seen to sound, and how surely (0 to 1)."""

    times_s: np.ndarray
    strengths: np.ndarray


@dataclass(frozen=True)
class Laid:
    """One take in its place: from `start`, in samples, with a gain, a pitch and a brightness (0 dull, 1 as it is)."""

    start: int
    layer: int
    take: int
    gain: float
    pitch: float
    brightness: float


def lay_recordings(
    chosen: Sequence[Chosen],
    events: Events,
    loudness_db: np.ndarray,
    n_samples: int,
    rate_hz: int,
    seed: int = 0,
    bed: Chosen | None = None,
    bed_db: float = -45.0,
) -> np.ndarray:
    """Mono float32 [N] of the sounds chosen, at the events and as loud as shown; see `lay_blocks`."""
    blocks = lay_blocks(chosen, events, loudness_db, n_samples, rate_hz, seed=seed, bed=bed, bed_db=bed_db)
    return np.concatenate([np.zeros(0, np.float32), *blocks])


def lay_blocks(
    chosen: Sequence[Chosen],
    events: Events,
    loudness_db: np.ndarray,
    n_samples: int,
    rate_hz: int,
    *,
    seed: int = 0,
    bed: Chosen | None = None,
    bed_db: float = -45.0,
) -> Iterator[np.ndarray]:
    """Mono float32 blocks of `lay_recordings`, of BLOCK_S each but the last.

    chosen       what is laid, the most important first; hits and calls take turns at the events, textures go on
    loudness_db  [T], STEPS_PER_S a second, any reference: how loud the picture is thought to be
    bed          a texture under everything, `bed_db` RMS (dB of full scale): the room tone of the place
    """
    moved_db = loudness_db - _reference_db(loudness_db)
    layers = [_Layer(one, index, events, moved_db, n_samples, rate_hz, seed) for index, one in enumerate(chosen)]
    if bed is not None:
        layers.append(_Layer(bed, len(chosen), events, np.zeros(1), n_samples, rate_hz, seed, level_db=bed_db))
    for first in range(0, n_samples, round(BLOCK_S * rate_hz)):
        n = min(round(BLOCK_S * rate_hz), n_samples - first)
        out = np.zeros(n, np.float32)
        for layer in layers:
            out += layer.block(first, n)
        yield _soft_limit(out * _edge(first, n, n_samples, rate_hz))


class _Layer:
    """One sound on its way: placements to come, and those that still ring."""

    def __init__(
        self,
        chosen: Chosen,
        index: int,
        events: Events,
        moved_db: np.ndarray,
        n_samples: int,
        rate_hz: int,
        seed: int,
        level_db: float | None = None,
    ) -> None:
        self.chosen, self.rate_hz = chosen, rate_hz
        self.rng = np.random.default_rng([seed, index])
        base_db = LEVEL_DB + LAYER_DB[min(index, len(LAYER_DB) - 1)] if level_db is None else level_db
        duration_s = n_samples / rate_hz
        if chosen.kind == "texture":
            self.plan = plan_texture(chosen, index, n_samples, rate_hz, self.rng)
            self.gain_db = _followed(moved_db, "texture") + base_db
        else:
            plan_of = plan_hits if chosen.kind == "hits" else plan_voice
            self.plan = plan_of(chosen, index, events, moved_db, duration_s, rate_hz, self.rng)
            self.gain_db = np.full(1, base_db + HIT_PEAK_DB)
        self.coming = next(self.plan, None)
        self.ringing: list[tuple[int, np.ndarray]] = []

    def block(self, first: int, n: int) -> np.ndarray:
        """Samples [first, first + n) of this layer; asked for in order."""
        while self.coming is not None and self.coming.start < first + n:
            self.ringing.append((self.coming.start, made_take(self.chosen, self.coming, self.rate_hz)))
            self.coming = next(self.plan, None)
        out = np.zeros(n, np.float32)
        for start, samples in self.ringing:
            a, b = max(start, first), min(start + len(samples), first + n)
            if b > a:
                out[a - first : b - first] += samples[a - start : b - start]
        self.ringing = [(start, samples) for start, samples in self.ringing if start + len(samples) > first + n]
        times = (first + np.arange(n)) / self.rate_hz
        middles = (np.arange(len(self.gain_db)) + 0.5) / STEPS_PER_S
        return out * (10 ** (np.interp(times, middles, self.gain_db) / 20)).astype(np.float32)


def plan_hits(
    chosen: Chosen, index: int, events: Events, moved_db: np.ndarray, duration_s: float, rate_hz: int,
    rng: np.random.Generator,
) -> Iterator[Laid]:  # fmt: skip
    """A stroke at every event, as strong as it is seen and shown; where nothing is seen, at an even pace."""
    times, strengths = events.times_s, events.strengths
    if not len(times):
        times = np.arange(CADENCE_S / 2, duration_s, CADENCE_S)
        times = times + rng.uniform(-0.06, 0.06, len(times))
        strengths = np.full(len(times), 0.5)
    levels_db = _stroke_db(times, strengths, moved_db, "hits")
    order = _Turns(len(chosen.takes), rng)
    for time_s, level_db in zip(times, levels_db, strict=True):
        yield _stroke(chosen, index, next(order), time_s, level_db, rate_hz, rng)


def plan_voice(
    chosen: Chosen, index: int, events: Events, moved_db: np.ndarray, duration_s: float, rate_hz: int,
    rng: np.random.Generator,
) -> Iterator[Laid]:  # fmt: skip
    """Calls that begin with events, one after another, and again by themselves where nothing is seen for long."""
    order = _Turns(len(chosen.takes), rng)
    levels_db = _stroke_db(events.times_s, events.strengths, moved_db, "voice")
    pending = list(zip(events.times_s, levels_db, strict=True))
    free_s, wait_s = 0.0, rng.uniform(0.1, 0.6)
    while free_s < duration_s:
        coming = [(time_s, level_db) for time_s, level_db in pending if time_s >= free_s]
        by_itself_s = free_s + wait_s
        time_s, level_db = coming[0] if coming and coming[0][0] <= by_itself_s else (by_itself_s, 0.0)
        if time_s >= duration_s:
            return
        take = next(order)
        yield _stroke(chosen, index, take, time_s, level_db, rate_hz, rng)
        length_s = len(chosen.takes[take].samples) / rate_hz
        free_s = time_s + length_s + VOICE_GAP_S
        wait_s = rng.uniform(0.3, 1.0) * (VOICE_WAIT_S if len(events.times_s) else min(VOICE_WAIT_S, 0.5 + length_s))


def plan_texture(chosen: Chosen, index: int, n_samples: int, rate_hz: int, rng: np.random.Generator) -> Iterator[Laid]:
    """One stretch after another, each crossfaded into the next, from where chance has it begin."""
    order = _Turns(len(chosen.takes), rng)
    position = -round(rng.uniform(0, 0.5) * rate_hz)
    while position < n_samples:
        take = next(order)
        cross = _cross(chosen.takes[take], rate_hz)
        yield Laid(position, index, take, 1.0, 1.0, 1.0)
        position += len(chosen.takes[take].samples) - cross


def made_take(chosen: Chosen, laid: Laid, rate_hz: int) -> np.ndarray:
    """A take as it is laid: float32 [N]."""
    take = chosen.takes[laid.take]
    samples = take.samples
    if chosen.kind == "texture":
        n = _cross(take, rate_hz)
        out = samples / max(1e-6, _rms(samples))
        ramp = np.sin(np.linspace(0, np.pi / 2, n, dtype=np.float32))  # equal power: both sides are unlike
        out[:n] *= ramp
        out[len(out) - n :] *= ramp[::-1]
        return out
    if laid.pitch != 1.0 and len(samples) > 64:
        samples = soxr.resample(samples, rate_hz * laid.pitch, rate_hz, quality="MQ").astype(np.float32)
    if laid.brightness < 1.0:
        samples = laid.brightness * samples + (1 - laid.brightness) * _dulled(samples, rate_hz)
    return samples / max(1e-6, float(np.abs(take.samples).max())) * np.float32(laid.gain)


def _stroke(
    chosen: Chosen, index: int, take: int, time_s: float, level_db: float, rate_hz: int, rng: np.random.Generator
) -> Laid:
    pitch = float(np.exp(rng.normal(0.0, SCATTER_PITCH / 2))) if chosen.kind == "hits" else 1.0
    gain_db = level_db + rng.normal(0.0, SCATTER_DB / 2)
    start = round(time_s * rate_hz) - round(chosen.takes[take].onset / pitch)
    return Laid(start, index, take, 10 ** (gain_db / 20), pitch, float(np.clip(1 + level_db / (2 * DULL_DB), 0.3, 1)))


def _stroke_db(times_s: np.ndarray, strengths: np.ndarray, moved_db: np.ndarray, kind: Kind) -> np.ndarray:
    """Level of every stroke against the loudest, 0 or less: by the loudness shown around it and by its strength."""
    if not len(times_s):
        return np.zeros(0)
    steps = np.clip((times_s * STEPS_PER_S).astype(int), 0, len(moved_db) - 1)
    shown = np.array([moved_db[max(0, step - 1) : step + 4].max() for step in steps])
    seen_db = 6 * np.log2(np.clip(strengths, 0.05, 1) / max(float(np.max(strengths)), 0.05))
    levels_db = SLOPE[kind] * (shown - shown.max()) + 0.5 * seen_db
    return np.maximum(levels_db, -RANGE_DB[kind])


def _followed(moved_db: np.ndarray, kind: Kind) -> np.ndarray:
    """Gains [T] that follow the loudness shown, slowly."""
    width = max(1, round(SMOOTH_S * STEPS_PER_S))
    padded = np.pad(moved_db, (width // 2, width - 1 - width // 2), mode="edge")
    smooth = np.convolve(padded, np.full(width, 1 / width), mode="valid")
    return np.clip(SLOPE[kind] * smooth, -RANGE_DB[kind], RANGE_DB[kind])


def _reference_db(loudness_db: np.ndarray) -> float:
    """The loudness that counts as neither loud nor soft."""
    return float(np.median(loudness_db)) if len(loudness_db) else 0.0


class _Turns:
    """Indices 0 to n-1 in random order, again and again, the same never twice in a row."""

    def __init__(self, n: int, rng: np.random.Generator) -> None:
        self.n, self.rng = n, rng
        self.left: list[int] = []
        self.last = -1

    def __next__(self) -> int:
        if not self.left:
            self.left = list(self.rng.permutation(self.n))
            if self.n > 1 and self.left[0] == self.last:
                self.left = self.left[1:] + self.left[:1]
        self.last = self.left.pop(0)
        return int(self.last)


def _cross(take: Take, rate_hz: int) -> int:
    return min(round(CROSS_S * rate_hz), len(take.samples) // 3)


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0


def _dulled(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """Without what is above about 2 kHz: a running mean, twice."""
    n = max(1, round(rate_hz / 5000))
    kernel = np.full(n, 1 / n, np.float32)
    return np.convolve(np.convolve(samples, kernel, mode="same"), kernel, mode="same").astype(np.float32)


def _edge(first: int, n: int, n_samples: int, rate_hz: int) -> np.ndarray:
    """Gain of the block's samples by the fades of the whole."""
    position = first + np.arange(n)
    fade = max(1, round(FADE_S * rate_hz))
    return np.minimum(1, np.minimum((position + 1) / fade, (n_samples - position) / fade)).astype(np.float32)


def _soft_limit(samples: np.ndarray, knee: float = 0.8) -> np.ndarray:
    """Peaks above the knee bent towards 1, all else untouched."""
    over = np.abs(samples) > knee
    bent = np.sign(samples) * (knee + (1 - knee) * np.tanh((np.abs(samples) - knee) / (1 - knee)))
    return np.where(over, bent, samples).astype(np.float32)
