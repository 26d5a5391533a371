"""Recordings cut into takes: single hits with their attack and tail, calls, stretches of something that goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from foleycli.dsp.onsets import detect_onsets

Kind = Literal["hits", "voice", "texture"]
KINDS: tuple[Kind, ...] = ("hits", "voice", "texture")

LEAD_S = 0.003  # kept before an attack
LONGEST_S: dict[Kind, float] = {"hits": 3.0, "voice": 6.0, "texture": 30.0}
SHORTEST_S: dict[Kind, float] = {"hits": 0.03, "voice": 0.08, "texture": 0.7}
FADE_IN_S, FADE_OUT_S = 0.001, 0.03
# Of a recording's highest peak: what is softer is a rattle or a breath, not a take.
SOFTEST: dict[Kind, float] = {"hits": 0.2, "voice": 0.15, "texture": 0.0}
NEXT_HIT_S = 0.2  # attacks nearer to one another belong to one take
TAIL_DB = -55.0  # under a take's peak: from here on it has died away
PAUSE_S, PAUSE_DB = 0.15, -35.0  # so long under so much of the peak is the end of a call
# Of recordings whose kind nobody says: a texture is, for seconds, nearly always within EVEN_DB of its loud moments.
EVEN_S, EVEN_DB, EVEN_SHARE, SHORTEST_TEXTURE_S = 0.1, -18.0, 0.8, 2.0
LONGEST_HIT_S = 1.2
ATTACK_S, RISE_DB = 0.06, 9.0  # a hit's attack lasts so long; a rise by so much after it is another one
STEP_S = 0.005  # of the level that takes are cut by


@dataclass(frozen=True)
class Take:
    """One recorded sound, ready to be placed: mono float32 [N] with soft ends; `onset` is the sample of its attack."""

    samples: np.ndarray
    onset: int


def cut_takes(samples: np.ndarray, rate_hz: int, kind: Kind) -> list[Take]:
    """The takes of a recording, mono float32 [N], in its order; none of what is silent."""
    return [make_take(samples[first:end], rate_hz, kind) for first, end in take_bounds(samples, rate_hz, kind)]


def make_take(samples: np.ndarray, rate_hz: int, kind: Kind) -> Take:
    """A stretch [N] that is a take already, with its attack found and soft ends."""
    out = np.array(samples, np.float32)
    n_in, n_out = (min(len(out) // 2, round(s * rate_hz)) for s in (FADE_IN_S, FADE_OUT_S))
    if n_in and n_out:
        out[:n_in] *= np.linspace(0, 1, n_in, dtype=np.float32)
        out[-n_out:] *= np.linspace(1, 0, n_out, dtype=np.float32) ** 2
    return Take(out, attack(out) if kind != "texture" else 0)


def attack(samples: np.ndarray) -> int:
    """Sample at which the first burst of [N] begins to be audible: 14 dB under what it rises to."""
    magnitude = np.abs(samples)
    peak = float(magnitude.max(initial=0.0))
    if peak == 0:
        return 0
    return int(np.argmax(magnitude > 0.2 * peak))


def is_single(take: Take, rate_hz: int) -> bool:
    """Whether a hit has one attack: none later that rises by RISE_DB to within RISE_DB of the first."""
    level = _level(take.samples[take.onset :], rate_hz)
    rise = 10 ** (RISE_DB / 20)
    peak, dip = level[: round(ATTACK_S / STEP_S)].max(initial=0.0), np.inf
    for value in level[round(ATTACK_S / STEP_S) :]:
        dip = min(dip, value)
        if value > rise * dip and value * rise > peak:
            return False
    return True


def take_bounds(samples: np.ndarray, rate_hz: int, kind: Kind) -> list[tuple[int, int]]:
    """First and end sample of every take in a recording [N]."""
    level = _level(samples, rate_hz)
    if not level.max(initial=0.0) > 1e-4:
        return []
    if kind == "hits":
        bounds = list(_hit_bounds(samples, rate_hz))
    else:
        bounds = list(_loud_stretches(level, rate_hz, PAUSE_S if kind == "voice" else 10.0))
    longest, shortest = (round(limits[kind] * rate_hz) for limits in (LONGEST_S, SHORTEST_S))
    cut = [(first, min(end, first + longest, len(samples))) for first, end in bounds]
    step, softest = round(STEP_S * rate_hz), SOFTEST[kind] * level.max()
    peaks = [level[first // step : -(-end // step)].max(initial=0.0) for first, end in cut]
    return [
        (first, end)
        for (first, end), peak in zip(cut, peaks, strict=True)
        if end - first >= shortest and peak >= softest
    ]


def _hit_bounds(samples: np.ndarray, rate_hz: int) -> Iterator[tuple[int, int]]:
    """From each attack to the next one, or until it has died away."""
    step = round(STEP_S * rate_hz)
    level = _level(samples, rate_hz)
    found = [round(time_s * rate_hz) for time_s in detect_onsets(np.pad(samples, (rate_hz // 20, 0)), rate_hz)]
    onsets = [max(0, onset - rate_hz // 20) for onset in found] or [int(np.abs(samples).argmax())]
    kept: list[int] = []
    for onset in onsets:
        peak = level[onset // step : (onset + rate_hz // 10) // step + 1].max(initial=0.0)
        if peak >= SOFTEST["hits"] * level.max() and (not kept or onset - kept[-1] >= NEXT_HIT_S * rate_hz):
            kept.append(onset)
    before = rate_hz // 50
    heard_at = [
        max(0, onset - before) + attack(samples[max(0, onset - before) : onset + rate_hz // 10]) for onset in kept
    ]
    starts = [max(0, first - round(LEAD_S * rate_hz)) for first in heard_at]
    for first, following in pairwise([*starts, len(samples)]):
        steps = level[first // step : following // step]
        if len(steps):
            heard = np.flatnonzero(steps > steps.max() * 10 ** (TAIL_DB / 20))
            yield first, min(following, first + (int(heard[-1]) + 2) * step)


def _loud_stretches(level: np.ndarray, rate_hz: int, pause_s: float) -> Iterator[tuple[int, int]]:
    """Stretches above PAUSE_DB of the peak, those with shorter pauses between them as one."""
    step = round(STEP_S * rate_hz)
    loud = np.flatnonzero(level > level.max() * 10 ** (PAUSE_DB / 20))
    starts = [loud[0], *(after for before, after in pairwise(loud) if (after - before) * STEP_S >= pause_s)]
    ends = [*(before for before, after in pairwise(loud) if (after - before) * STEP_S >= pause_s), loud[-1]]
    for first, last in zip(starts, ends, strict=True):
        yield max(0, int(first) - 1) * step, (int(last) + 3) * step


def _level(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """Peak of [N] in every step [M]."""
    step = round(STEP_S * rate_hz)
    padded = np.pad(np.abs(samples), (0, -len(samples) % step))
    return padded.reshape(-1, step).max(axis=1)


def guess_kind(samples: np.ndarray, rate_hz: int) -> Kind:
    """What a recording [N] of no known kind is: even for seconds, a row of short hits, or else calls."""
    level = _level(samples, rate_hz)
    if not level.max(initial=0.0) > 1e-4:
        return "hits"
    n = max(1, round(EVEN_S / STEP_S))
    steps = np.sqrt(np.pad(level, (0, -len(level) % n)).reshape(-1, n).max(axis=1))
    is_even = np.mean(steps > 10 ** (EVEN_DB / 40) * np.percentile(steps, 95)) > EVEN_SHARE
    if is_even and len(samples) >= SHORTEST_TEXTURE_S * rate_hz:
        return "texture"
    lengths_s = [(end - first) / rate_hz for first, end in take_bounds(samples, rate_hz, "hits")]
    return "hits" if lengths_s and float(np.median(lengths_s)) < LONGEST_HIT_S else "voice"
