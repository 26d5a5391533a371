"""Mono sound in two channels that sum to it: each event where it is seen, and a diffuse room around it.

    left = mono + side    right = mono - side    side = -pan * mono + room * decorrelated(mono)

Whatever the side is, half the sum of both channels is the mono sound again, so that nothing can cancel in a fold-down.
What a fold-down loses against the two channels is the side's power alone; |pan| + room is at most SIDE_AT_MOST, and
`decorrelated` amplifies no frequency, so that it is less than 1 dB for any sound.  Numpy only; no randomness.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from foleycli.dsp.gain_riding import STEPS_PER_S, rms_levels_db

SIDE_AT_MOST = 0.5  # of the mono sound's amplitude, at width 1: a fold-down loses 10 log10(1 + 0.5^2) = 0.97 dB
PAN_SHARE = 2 / 3  # of the side, at the picture's edge: 6 dB between the channels at width 1
ROOM_SHARE = 0.4  # of the side, at most: more would move tones, which it meets in any phase

# When the place changes.
ONSET_DB = 4.0  # rise within two steps that begins an event
HEARD_DB = 50.0  # below the loudest step, nothing begins
SUSTAINED_DB, SUSTAINED_STEPS = 4.0, 12  # below the loudest of so many steps (0.5 s) a sound dies away
HELD_STEPS = 6  # after an onset (0.24 s) the place is held in any case
GLIDE = 0.08  # of the way, at each step, to where it moves: 0.5 s
NEAR = 3, 1  # steps before an onset and after it whose motion says where the event is: what strikes moves before
FAR = 12, 12  # the same for a sound that goes on
STILL = 0.002  # weight of motion (see `features.position`) that says nothing: the place then tends to the middle

# The room: allpass filters in series (Schroeder, "Natural sounding artificial reverberation", 1962).
ALLPASS_DELAYS_S = (0.0051, 0.0083, 0.0137, 0.0211)
ALLPASS_GAIN = 0.55  # a fourth of a second to -60 dB
LOW_CUT_HZ = 200.0  # what is lower stays in the middle

SILENT_DB = 60.0  # below the loudest channel, a channel is silent
LEAST_SIDE = 1e-3  # -60 dB: less comes of rounding


def to_stereo(samples: np.ndarray, rate_hz: int, position: np.ndarray | None, width: float) -> np.ndarray:
    """Mono float32 [N] as stereo float32 [2, N]; see `pan_curve` and `stereo_blocks`.

    position   float32 [T, 2]: centre of motion, -1 left to 1 right, and its weight, STEPS_PER_S a second; None: middle
    width      0: the same sound in both channels, to 1
    """
    pan = pan_curve(rms_levels_db([samples], rate_hz), position)
    return np.concatenate(list(stereo_blocks([samples], rate_hz, pan, width)), axis=1)


def pan_curve(levels_db: np.ndarray, position: np.ndarray | None) -> np.ndarray:
    """Where a sound with levels [T] is to be heard at each step, -1 left to 1 right, float64 [T].

    An event is where the motion around its onset is, and stays there while it dies away; what goes on sounding follows
    the motion slowly.  The place is reached a step before an onset.
    """
    n = len(levels_db)
    if position is None or not n or not len(position):
        return np.zeros(n)
    centre, weight = np.pad(position[:n].astype(np.float64), ((0, max(0, n - len(position))), (0, 0))).T
    far = _weighted_mean(centre, weight, FAR, np.zeros(n))
    near = _weighted_mean(centre, weight, NEAR, far)
    starts = onset_steps(levels_db)
    is_start = np.zeros(n, bool)
    is_start[starts] = True
    place, last = near[starts[0]] if starts else far[0], -HELD_STEPS
    pan = np.empty(n)
    for k in range(n):
        recent_db = levels_db[max(0, k - SUSTAINED_STEPS) : k + 1].max()
        if is_start[k]:
            place, last = near[k], k
            pan[max(0, k - 1)] = place
        elif k - last >= HELD_STEPS and levels_db[k] >= recent_db - SUSTAINED_DB:
            place += GLIDE * (far[k] - place)
        pan[k] = place
    return pan


def onset_steps(levels_db: np.ndarray) -> list[int]:
    """The steps of levels [T] at which an event begins."""
    before = np.pad(levels_db, (2, 0), constant_values=levels_db.min(initial=0.0))
    rise_db = levels_db - np.minimum(before[:-2], before[1:-1])
    loud = levels_db > levels_db.max(initial=-np.inf) - HEARD_DB
    starts: list[int] = []
    for k in np.flatnonzero((rise_db >= ONSET_DB) & loud):
        if not starts or k - starts[-1] > 2:  # else the same attack goes on
            starts.append(int(k))
    return starts


def _weighted_mean(
    values: np.ndarray, weights: np.ndarray, around: tuple[int, int], otherwise: np.ndarray
) -> np.ndarray:
    """Means of [T] from so many steps before each to so many after; small weights make them tend to `otherwise`."""
    window = np.ones(sum(around) + 1)
    total, moved = (np.convolve(np.pad(row, around), window, mode="valid") for row in (weights, weights * values))
    return (moved + STILL * otherwise) / (total + STILL)


def stereo_blocks(chunks: Iterable[np.ndarray], rate_hz: int, pan: np.ndarray, width: float) -> Iterator[np.ndarray]:
    """The chunks [n] of a mono sound as float32 [2, n]; how it is cut into chunks makes no difference.

    pan     [T], STEPS_PER_S a second, -1 left to 1 right; linear between the middles of steps
    width   0: the same sound in both channels, to 1; the side's power grows in proportion
    """
    most, decorrelator, first = SIDE_AT_MOST * np.sqrt(width), Decorrelator(rate_hz), 0
    middles_s = (np.arange(len(pan)) + 0.5) / STEPS_PER_S
    for samples in chunks:
        times_s = np.arange(first, first + len(samples)) / rate_hz
        first += len(samples)
        place = np.interp(times_s, middles_s, pan) if len(pan) else np.zeros(len(samples))
        panned = PAN_SHARE * most * np.sin(np.pi / 2 * np.clip(place, -1, 1))
        room = np.minimum(most - np.abs(panned), ROOM_SHARE * most)
        side = room * decorrelator.push(samples) - panned * samples
        yield np.stack([samples + side, samples - side]).astype(np.float32)


@dataclass(frozen=True)
class StereoImage:
    """How the channels of a recording relate to one mono sound."""

    signs: np.ndarray  # float32 [C, 1]: 1, or -1 for a right channel that moves against the left
    is_heard: np.ndarray  # bool [C, 1]: false for a silent channel
    side: float  # amplitude of what two channels do not share, against what they share; 0: they are alike, 1: unrelated

    @staticmethod
    def of(samples: np.ndarray) -> StereoImage:
        """Measured on float32 [C, N]: by the correlation of two channels; others are taken as alike."""
        power = np.mean(np.square(samples, dtype=np.float64), axis=1)
        is_heard = (power > 10 ** (-SILENT_DB / 10) * power.max())[:, None]
        signs = np.ones((len(samples), 1), np.float32)
        if len(samples) != 2 or not is_heard.all():
            return StereoImage(signs, is_heard, 0.0)
        correlation = float(np.mean(samples[0].astype(np.float64) * samples[1]) / np.sqrt(power.prod()))
        signs[1] = -1 if correlation < 0 else 1
        side = np.sqrt((1 - min(abs(correlation), 1.0)) / (1 + abs(correlation)))
        return StereoImage(signs, is_heard, float(side) if side > LEAST_SIDE else 0.0)

    def to_mono(self, samples: np.ndarray) -> np.ndarray:
        """The mean of the channels [C, N] that are not silent, with their signs, float32 [N]."""
        weights = (self.signs * self.is_heard / max(1, self.is_heard.sum())).astype(np.float32)
        return (weights.T @ samples)[0]

    def spread(self, mono: np.ndarray, decorrelator: Decorrelator) -> np.ndarray:
        """The next samples [n] of a mono sound as [2, n], as alike as the channels are; [1, n]: alike."""
        if not self.side:
            return mono[None]
        side = self.side * decorrelator.push(mono)
        return (np.stack([mono + side, mono - side]) / np.sqrt(1 + self.side**2)).astype(np.float32)


class Decorrelator:
    """A filter as flat as the sound that goes through it but for what is lower than LOW_CUT_HZ, unlike it in phase.

    low_cut   whether low frequencies are left out; without, every frequency goes through with its own level
    """

    def __init__(self, rate_hz: int, low_cut: bool = True) -> None:
        self.low_cut = low_cut
        self.box = round(0.6 * rate_hz / LOW_CUT_HZ)  # samples; two such means in a row fall to half power there
        self.past = np.zeros(2 * self.box - 2)
        self.allpasses = [_AllPass(round(delay_s * rate_hz)) for delay_s in ALLPASS_DELAYS_S]

    def push(self, samples: np.ndarray) -> np.ndarray:
        """The next samples [n] of a sound, filtered, float64 [n]."""
        known = np.concatenate([self.past, samples])
        self.past = known[len(samples) :]
        out = known[self.box - 1 : self.box - 1 + len(samples)]  # 3 ms late: nothing of it is in phase with the sound
        if self.low_cut:
            out = out - _running_mean(_running_mean(known, self.box), self.box)
        for allpass in self.allpasses:
            out = allpass.push(out)
        return out


class _AllPass:
    """y[n] = x[n - d] - g x[n] + g y[n - d]: every frequency at its own level, spread over time."""

    def __init__(self, delay: int) -> None:
        self.delay = delay
        self.past = np.zeros(delay)

    def push(self, samples: np.ndarray) -> np.ndarray:
        known = np.concatenate([self.past, samples])
        for first in range(self.delay, len(known), self.delay):  # what stands `delay` before is done already
            now = known[first : first + self.delay]
            now += ALLPASS_GAIN * known[first - self.delay : first - self.delay + len(now)]
        self.past = known[len(samples) :].copy()
        return known[: len(samples)] - ALLPASS_GAIN * known[self.delay :]


def _running_mean(values: np.ndarray, n: int) -> np.ndarray:
    """Means of `n` values in a row, [N - n + 1]."""
    total = np.cumsum(np.pad(values, (1, 0)))
    return (total[n:] - total[:-n]) / n
