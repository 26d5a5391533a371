"""Gain riding: a slow gain that moves the level of generated sound towards a target, as a hand on the fader would.

A generator places hits well and levels them badly: a window that begins without context is softer than the next, and
what is far off can be as loud as what is near.  The synchronisation encoder predicts the loudness of every moment from
the picture; the gain brings the sound nearer to it, too slowly to change an attack.  Only differences over time count:
the whole stays as loud as it was, to about a decibel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

STEPS_PER_S = 25  # of levels and gains
SMOOTH_STEPS = 3  # 0.12 s: as long as a hit, shorter than the pauses between
MIN_GAIN_DB, MAX_GAIN_DB = -15.0, 6.0  # against what is loud; a higher gain would bring up the noise between hits
FLOOR_DB = -60.0  # lower levels count as this


def ride_gain(samples: np.ndarray, rate_hz: int, target_db: np.ndarray, amount: float) -> np.ndarray:
    """Mono float32 [N] with its level moved towards `target_db` [T], STEPS_PER_S a second, of any reference.

    amount  of the difference between level and target that is made up: 0 none, 1 all
    """
    gains_db = riding_gains_db(rms_levels_db([samples], rate_hz), target_db, amount)
    return np.concatenate(list(apply_gains([samples], rate_hz, gains_db)))


def rms_levels_db(chunks: Iterable[np.ndarray], rate_hz: int) -> np.ndarray:
    """RMS levels [T] in dB of mono sound in chunks [n], one for each step that it touches; at least FLOOR_DB."""
    sums, first = np.zeros((2, 0)), 0  # power, and number of samples
    for samples in chunks:
        if not len(samples):
            continue
        steps = np.arange(first * STEPS_PER_S // rate_hz, (first + len(samples) - 1) * STEPS_PER_S // rate_hz + 1)
        starts = np.maximum(-(-steps * rate_hz // STEPS_PER_S) - first, 0)  # of the steps, in this chunk
        first += len(samples)
        sums = np.pad(sums, ((0, 0), (0, steps[-1] + 1 - sums.shape[1])))
        sums[0, steps[0] :] += np.add.reduceat(np.square(samples, dtype=np.float64), starts)
        sums[1, steps[0] :] += np.diff(starts, append=len(samples))
    return np.maximum(10 * np.log10(sums[0] / sums[1] + 1e-12), FLOOR_DB)


def riding_gains_db(levels_db: np.ndarray, target_db: np.ndarray, amount: float) -> np.ndarray:
    """Gains [T] in dB that bring levels [T] nearer to a target, whose last step is held to the end."""
    if not len(levels_db) or not len(target_db):
        return np.zeros(len(levels_db))
    target_db = target_db[np.minimum(np.arange(len(levels_db)), len(target_db) - 1)]
    missing_db = _smooth(target_db) - _smooth(levels_db)
    power = 10 ** (levels_db / 10)  # what is loud decides how loud the whole is
    gains_db = np.clip(amount * (missing_db - np.average(missing_db, weights=power)), MIN_GAIN_DB, MAX_GAIN_DB)
    return gains_db - 10 * np.log10(np.average(10 ** (gains_db / 10), weights=power))


def apply_gains(chunks: Iterable[np.ndarray], rate_hz: int, gains_db: np.ndarray) -> Iterator[np.ndarray]:
    """The chunks [n] of a mono sound with gains [T], each that of its step's middle, linear in dB between them."""
    middles_s, first = (np.arange(len(gains_db)) + 0.5) / STEPS_PER_S, 0
    for samples in chunks:
        times_s = np.arange(first, first + len(samples)) / rate_hz
        first += len(samples)
        gain = np.exp(np.interp(times_s, middles_s, gains_db * (np.log(10) / 20))) if len(gains_db) else 1.0
        yield (samples * gain).astype(np.float32)


def _smooth(levels_db: np.ndarray) -> np.ndarray:
    """Running mean of [T] over SMOOTH_STEPS, the ends held."""
    padded = np.pad(levels_db.astype(np.float64), SMOOTH_STEPS // 2, mode="edge")
    return np.convolve(padded, np.full(SMOOTH_STEPS, 1 / SMOOTH_STEPS), mode="valid")
