"""Recordings placed along a video: hits and calls at the predicted events, textures at the predicted loudness.

Pure functions on arrays.  What is placed where is planned as it is needed and mixed block by block, so that memory
does not grow with the length.  All that is random comes from one seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import soxr

from foleycli.recordings.takes import Kind, Take

STEPS_PER_S = 25  # of the loudness
BLOCK_S = 4.0  # that is mixed at once
# Levels in dB.  Of the predicted loudness only differences count; how loud the whole is, is for whoever mixes it.
LEVEL_DB = -24.0  # RMS of textures
HIT_PEAK_DB = 16.0  # peaks of hits and calls above it
RANGE_DB: dict[Kind, float] = {
    "hits": 6.0,
    "voice": 5.0,
    "texture": 10.0,
}  # that a level is moved at most
SLOPE: dict[Kind, float] = {"hits": 0.4, "voice": 0.8, "texture": 1.0}  # of the predicted difference
STRENGTH_DB = 3.0  # for half the confidence of the most confident event
# Textures are evened first: what they do by themselves over EVEN_S has nothing to do with the picture.
EVEN_S, EVEN_SHARE = 0.3, 0.8  # seconds, and the share of the difference in dB that is taken out
EVEN_RANGE_DB = 20.0  # at most
ROOM_SHARE = 0.6  # of the loudness over seconds that room tone follows
SCATTER_DB, SCATTER_PITCH = 0.5, 0.0125  # standard deviations between strokes of one take
DECAY_S = 0.7  # strokes die away so fast at least: by a factor of e
DULL_DB = 9.0  # a stroke so much softer than the loudest loses half its treble
TREBLE_HZ = 2500  # about where treble begins
CROSS_S = 0.6  # textures are crossfaded over
LAYER_DB = (0.0, -4.0, -7.0)  # of the first sound named, the second, the third
FADE_S = 0.03  # at the beginning and the end of the whole
VOICE_GAP_S = 0.12  # between two calls
VOICE_WAIT_S = 3.0  # that a call waits for an event; without one, it comes by itself
CADENCE_S = 0.7  # of hits where the picture has no event
KNEE = 0.8  # peaks above are bent towards 1


@dataclass(frozen=True)
class ChosenSound:
    """A sound to place: its name, its kind, and its takes at the rate of the result."""

    name: str
    kind: Kind
    takes: Sequence[Take]


@dataclass(frozen=True)
class Events:
    """Predicted times of events, float [E] in seconds, with a confidence, float [E] from 0 to 1."""

    times_s: np.ndarray
    strengths: np.ndarray

    def __getitem__(self, index: np.ndarray) -> Events:
        return Events(self.times_s[index], self.strengths[index])


@dataclass(frozen=True)
class Stroke:
    """One take in its place."""

    start: int  # sample at which the take begins, before its attack; may lie before the beginning
    take: int
    gain: float
    pitch: float  # 1: as recorded
    brightness: float  # 0 dull, 1 as recorded


@dataclass(frozen=True)
class Heard:
    """What of all that is placed is heard: hits and calls by the sample of their attack, textures or none."""

    is_heard: Callable[[int], bool]
    textures: bool


EVERYTHING = Heard(lambda attack: True, textures=True)


def place_blocks(
    chosen: Sequence[ChosenSound],
    events: Events,
    loudness_db: np.ndarray,
    n_samples: int,
    rate_hz: int,
    *,
    dynamics_db: np.ndarray | None = None,
    seed: int = 0,
    heard: Heard = EVERYTHING,
) -> Iterator[np.ndarray]:
    """Sounds at the events and as loud as predicted: mono float32 blocks of BLOCK_S, the last one shorter.

    chosen       what is placed, the most important first: hits share the events, calls begin with them, textures go on
    loudness_db  float [T], STEPS_PER_S a second, of any reference: the loudness predicted from the picture; for hits
    dynamics_db  and over seconds, for what goes on: calls and textures; None: the same
    heard        what of it sounds; all else is placed too, so that it does not move anything
    Same arguments and same seed, same bytes.
    """
    slow_db = loudness_db if dynamics_db is None else dynamics_db
    moved_db = {"hits": _differences_db(loudness_db), "voice": _differences_db(slow_db)}
    moved_db["texture"] = moved_db["voice"]
    shares = _shared_events(events, [one.kind for one in chosen], np.random.default_rng(seed))
    layers = [
        _Layer(
            one,
            index,
            events=share,
            moved_db=moved_db[one.kind],
            n_samples=n_samples,
            rate_hz=rate_hz,
            seed=seed,
            heard=heard,
        )
        for index, (one, share) in enumerate(zip(chosen, shares, strict=True))
    ]
    size = block_samples(rate_hz)
    for first in range(0, n_samples, size):
        n = min(size, n_samples - first)
        out = np.zeros(n, np.float32)
        for layer in layers:
            out += layer.block(first, n)
        yield out * _edge_gain(first, n, n_samples, rate_hz)


def room_tone_blocks(
    room_tone: ChosenSound, n_samples: int, rate_hz: int, *, dynamics_db: np.ndarray | None = None, seed: int = 0
) -> Iterator[np.ndarray]:
    """A texture under everything at an RMS of 1, as blocks of `place_blocks`.

    dynamics_db   as there; the room follows ROOM_SHARE of it: what moves is heard a little before it strikes
    """
    nothing = Events(np.zeros(0), np.zeros(0))
    loudness_db = np.zeros(1) if dynamics_db is None else ROOM_SHARE * dynamics_db
    for block in place_blocks([room_tone], nothing, loudness_db, n_samples, rate_hz, seed=seed):
        yield block * np.float32(10 ** (-LEVEL_DB / 20))


def block_samples(rate_hz: int) -> int:
    """Samples of a block."""
    return round(BLOCK_S * rate_hz)


def soft_limit(samples: np.ndarray) -> np.ndarray:
    """Float32 [N] with peaks above KNEE bent towards 1, all else untouched."""
    over = np.maximum(np.abs(samples) - KNEE, 0) / (1 - KNEE)
    return np.where(over > 0, np.sign(samples) * (KNEE + (1 - KNEE) * np.tanh(over)), samples).astype(np.float32)


def _differences_db(loudness_db: np.ndarray) -> np.ndarray:
    """A loudness [T] against its median; never empty."""
    return loudness_db - np.median(loudness_db) if len(loudness_db) else np.zeros(1)


def _shared_events(events: Events, kinds: Sequence[Kind], rng: np.random.Generator) -> list[Events]:
    """The events of each sound: of several kinds of hits, every event goes to one of them, the first most often."""
    hit_sounds = [index for index, kind in enumerate(kinds) if kind == "hits"]
    if len(hit_sounds) < 2:
        return [events] * len(kinds)
    odds = 0.5 ** np.arange(len(hit_sounds))
    owner = rng.choice(hit_sounds, size=len(events.times_s), p=odds / odds.sum())
    return [events[owner == index] if index in hit_sounds else events for index in range(len(kinds))]


class _Layer:
    """One sound on its way: strokes to come, and those that still ring."""

    def __init__(
        self,
        chosen: ChosenSound,
        index: int,
        *,
        events: Events,
        moved_db: np.ndarray,
        n_samples: int,
        rate_hz: int,
        seed: int,
        heard: Heard,
    ) -> None:
        self.chosen, self.rate_hz = chosen, rate_hz
        rng = np.random.default_rng([seed, index])
        level_db = LEVEL_DB + LAYER_DB[min(index, len(LAYER_DB) - 1)]
        if chosen.kind == "texture":
            self.strokes = plan_texture(chosen, n_samples, rate_hz, rng) if heard.textures else iter(())
            range_db = RANGE_DB["texture"]
            self.gains_db = np.clip(SLOPE["texture"] * moved_db, -range_db, range_db) + level_db  # [T]
        else:
            plan = plan_hits if chosen.kind == "hits" else plan_voice
            placed = plan(chosen, events, moved_db, n_samples, rate_hz, rng)
            onsets = [take.onset for take in chosen.takes]
            self.strokes = (one for one in placed if heard.is_heard(one.start + round(onsets[one.take] / one.pitch)))
            self.gains_db = np.full(1, level_db + HIT_PEAK_DB)
        self.coming = next(self.strokes, None)
        self.ringing: list[tuple[int, np.ndarray]] = []

    def block(self, first: int, n: int) -> np.ndarray:
        """Samples [first, first + n) of this sound; to be called in order."""
        while self.coming is not None and self.coming.start < first + n:
            self.ringing.append((self.coming.start, sound_of_stroke(self.chosen, self.coming, self.rate_hz)))
            self.coming = next(self.strokes, None)
        out = np.zeros(n, np.float32)
        for start, samples in self.ringing:
            a, b = max(start, first), min(start + len(samples), first + n)
            if b > a:
                out[a - first : b - first] += samples[a - start : b - start]
        self.ringing = [(start, samples) for start, samples in self.ringing if start + len(samples) > first + n]
        times_s = (first + np.arange(n)) / self.rate_hz
        middles_s = (np.arange(len(self.gains_db)) + 0.5) / STEPS_PER_S
        return out * (10 ** (np.interp(times_s, middles_s, self.gains_db) / 20)).astype(np.float32)


def plan_hits(
    chosen: ChosenSound, events: Events, moved_db: np.ndarray, n_samples: int, rate_hz: int, rng: np.random.Generator
) -> Iterator[Stroke]:
    """A stroke at every event, as strong as predicted; without events, at an even pace."""
    if not len(events.times_s):
        times_s = np.arange(CADENCE_S / 2, n_samples / rate_hz, CADENCE_S)
        times_s = np.maximum(0, times_s + rng.uniform(-0.1, 0.1, len(times_s)) * CADENCE_S)
        events = Events(times_s, np.ones(len(times_s)))
    turns = _Turns(len(chosen.takes), rng)
    for time_s, level_db in zip(events.times_s, _stroke_levels_db(events, moved_db, "hits"), strict=True):
        yield _stroke(chosen, next(turns), time_s, level_db, rate_hz, rng)


def plan_voice(
    chosen: ChosenSound, events: Events, moved_db: np.ndarray, n_samples: int, rate_hz: int, rng: np.random.Generator
) -> Iterator[Stroke]:
    """Calls that begin with events, each of a length that fits, and by themselves where there is no event for long."""
    duration_s = n_samples / rate_hz
    lengths_s = np.array([len(take.samples) / rate_hz for take in chosen.takes])
    levels_db = _stroke_levels_db(events, moved_db, "voice")
    turns = _Turns(len(chosen.takes), rng)
    free_s, wait_s = 0.0, rng.uniform(0.1, 0.6)
    while free_s < duration_s:
        coming = np.flatnonzero(events.times_s >= free_s)
        time_s, level_db = free_s + wait_s, 0.0
        if len(coming) and events.times_s[coming[0]] - free_s <= max(wait_s, VOICE_WAIT_S):
            time_s, level_db = float(events.times_s[coming[0]]), float(levels_db[coming[0]])
            coming = coming[1:]
        if time_s >= duration_s:
            return
        room_s = float(events.times_s[coming[0]]) - time_s if len(coming) else np.inf
        fits = lengths_s <= max(room_s - VOICE_GAP_S, float(lengths_s.min()))
        take = turns.next_of(fits)
        yield _stroke(chosen, take, time_s, level_db, rate_hz, rng)
        free_s = time_s + float(lengths_s[take]) + VOICE_GAP_S
        wait_s = rng.uniform(0.3, 1.0) * min(VOICE_WAIT_S, 0.5 + float(lengths_s[take]))


def plan_texture(chosen: ChosenSound, n_samples: int, rate_hz: int, rng: np.random.Generator) -> Iterator[Stroke]:
    """One take after another, each crossfaded into the next; the first is on its way already."""
    turns = _Turns(len(chosen.takes), rng)
    position = -round(rng.uniform(CROSS_S, 1.5 * CROSS_S) * rate_hz)
    while position < n_samples:
        take = next(turns)
        yield Stroke(position, take, gain=1.0, pitch=1.0, brightness=1.0)
        samples = chosen.takes[take].samples
        position += max(1, len(samples) - _cross_samples(samples, rate_hz))


def sound_of_stroke(chosen: ChosenSound, stroke: Stroke, rate_hz: int) -> np.ndarray:
    """A take as it is placed, float32 [N]: a texture evened, at an RMS of 1, with soft ends; others at their gain."""
    samples = chosen.takes[stroke.take].samples
    if chosen.kind == "texture":
        samples = evened(samples, rate_hz)
        n = _cross_samples(samples, rate_hz)
        rise = np.sin(np.linspace(0, np.pi / 2, n, dtype=np.float32))  # equal power: what meets is not alike
        out = samples / max(1e-6, float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))))
        out[:n] *= rise
        out[len(out) - n :] *= rise[::-1]
        return out.astype(np.float32)
    peak = max(1e-6, float(np.abs(samples).max(initial=0.0)))
    if stroke.pitch != 1.0 and len(samples) > rate_hz // 500:
        samples = soxr.resample(samples, rate_hz * stroke.pitch, rate_hz, quality="MQ").astype(np.float32)
    if chosen.kind == "hits":
        ringing_s = np.maximum(np.arange(len(samples)) - chosen.takes[stroke.take].onset / stroke.pitch, 0) / rate_hz
        samples = samples * np.exp(-ringing_s / DECAY_S)
    if stroke.brightness < 1.0:
        samples = stroke.brightness * samples + (1 - stroke.brightness) * _without_treble(samples, rate_hz)
    return (samples * (stroke.gain / peak)).astype(np.float32)


def _stroke(
    chosen: ChosenSound, take: int, time_s: float, level_db: float, rate_hz: int, rng: np.random.Generator
) -> Stroke:
    pitch = float(np.exp(rng.normal(0.0, SCATTER_PITCH))) if chosen.kind == "hits" else 1.0
    gain = 10 ** ((level_db + rng.normal(0.0, SCATTER_DB)) / 20)
    start = round(time_s * rate_hz) - round(chosen.takes[take].onset / pitch)
    return Stroke(start, take, gain, pitch, float(np.clip(1 + level_db / (2 * DULL_DB), 0.3, 1.0)))


def _stroke_levels_db(events: Events, moved_db: np.ndarray, kind: Kind) -> np.ndarray:
    """Levels [E] against the loudest, 0 or less: by the loudness predicted for its time and by its confidence."""
    if not len(events.times_s):
        return np.zeros(0)
    steps = np.clip((events.times_s * STEPS_PER_S).astype(int), 0, len(moved_db) - 1)
    picture_db = np.array([moved_db[max(0, step - 1) : step + 4].max() for step in steps])
    halvings = np.log2(np.maximum(events.strengths, 0.05) / max(float(events.strengths.max()), 0.05))
    levels_db = SLOPE[kind] * (picture_db - picture_db.max()) + STRENGTH_DB * halvings
    return np.maximum(levels_db - levels_db.max(), -RANGE_DB[kind])


def evened(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """A texture [N] without most of what its level does by itself over EVEN_S and longer."""
    step = max(1, rate_hz // 100)
    n = len(samples) // step
    if n < 2:
        return samples
    power = np.square(samples[: n * step], dtype=np.float64).reshape(n, step).mean(axis=1)  # [n], 100 a second
    width = max(1, round(EVEN_S * rate_hz / step))
    padded = np.pad(power, (width // 2, width - 1 - width // 2), mode="edge")
    slow = np.convolve(padded, np.full(width, 1 / width), mode="valid")
    level_db = 10 * np.log10(slow + 1e-12)
    gain_db = EVEN_SHARE * np.clip(np.median(level_db) - level_db, -EVEN_RANGE_DB, EVEN_RANGE_DB)
    gain = 10 ** (np.interp(np.arange(len(samples)), (np.arange(n) + 0.5) * step, gain_db) / 20)
    return (samples * gain).astype(np.float32)


class _Turns:
    """Indices 0 to n-1 in random order, again and again, the same never twice in a row."""

    def __init__(self, n: int, rng: np.random.Generator) -> None:
        self.n, self.rng = n, rng
        self.left: list[int] = []
        self.last = -1

    def __next__(self) -> int:
        return self.next_of(np.ones(self.n, bool))

    def next_of(self, allowed: np.ndarray) -> int:
        """The next index among those allowed, bool [n]; some is."""
        fresh = [index for index in self.left if allowed[index] and index != self.last]
        if not fresh:
            self.left = [int(index) for index in self.rng.permutation(self.n)]
            fresh = [index for index in self.left if allowed[index] and index != self.last] or [
                index for index in self.left if allowed[index]
            ]
        self.last = fresh[0]
        self.left.remove(self.last)
        return self.last


def _cross_samples(samples: np.ndarray, rate_hz: int) -> int:
    return min(round(CROSS_S * rate_hz), len(samples) // 3)


def _without_treble(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """A running mean, twice."""
    n = max(1, round(rate_hz / (2 * TREBLE_HZ)))
    kernel = np.full(n, 1 / n, np.float32)
    return np.convolve(np.convolve(samples, kernel, mode="same"), kernel, mode="same").astype(np.float32)


def _edge_gain(first: int, n: int, n_samples: int, rate_hz: int) -> np.ndarray:
    """Gains of samples [first, first + n) by the fades of the whole."""
    position, fade = first + np.arange(n), max(1, round(FADE_S * rate_hz))
    return np.minimum(1, np.minimum((position + 1) / fade, (n_samples - position) / fade)).astype(np.float32)
