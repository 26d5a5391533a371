"""Audible clicks: moments that stand out of what is before and after them, where the real sound has nothing alike.

A click lasts less than a millisecond, so that it is loud in the samples' second difference, where smooth
sound is quiet.  Hits are loud there too, but the sound goes on after them; and what is a click in the
real sound (a key, a crackle of fire) may be one in the made sound.
"""

from __future__ import annotations

import numpy as np

WINDOW_S = 0.0005  # over which a click's energy is summed
AROUND_S = 0.010  # before and after, that it must stand out of
GUARD_S = 0.001  # of these nearest to it are not looked at: a click rings
APART_S = 0.005  # what is nearer to the one before is the same click
NEAR_S = 0.020  # where the real sound may have a spike of its own
STANDS_OUT_DB = 12.0  # noise stays below: its loudest half millisecond is 6 dB above the middle one
MORE_THAN_REAL_DB = 6.0  # than the real sound's spike
FLOOR = 1e-4  # full scale is 1: a click over silence counts from about -65 dB


def clicks(made: np.ndarray, real: np.ndarray, rate_hz: int) -> np.ndarray:
    """Seconds at which `made` [N] clicks and `real` [N] does not, first to last."""
    heights_db, real_db = spikes_db(made, rate_hz), spikes_db(real, rate_hz)
    hop_s = _hop(rate_hz) / rate_hz
    allowed_db = np.maximum(STANDS_OUT_DB, _widest(real_db, round(NEAR_S / hop_s)) + MORE_THAN_REAL_DB)
    (found,) = np.nonzero(heights_db > allowed_db)
    is_first = np.diff(found, prepend=-np.inf) * hop_s > APART_S
    return (found[is_first] + 1) * hop_s  # a window's middle is a hop from its beginning


def spikes_db(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """How far every window of [N] samples stands out of both its sides, dB: one number per quarter millisecond."""
    hop = _hop(rate_hz)
    bent = np.diff(samples.astype(np.float64), n=2, prepend=[0.0, 0.0])
    n = len(bent) // hop
    halves = (bent[: n * hop] ** 2).reshape(n, hop).mean(axis=1)  # [n]
    energy = (halves[:-1] + halves[1:]) / 2 + FLOOR**2  # windows overlap by half
    reach, guard = round(AROUND_S * rate_hz / hop), round((GUARD_S + WINDOW_S) * rate_hz / hop)
    padded = np.pad(energy, reach, constant_values=FLOOR**2)
    sides = np.median(np.lib.stride_tricks.sliding_window_view(padded, reach - guard), axis=1)
    before, after = sides[: len(energy)], sides[reach + guard + 1 :][: len(energy)]
    return 10 * np.log10(energy / np.maximum(before, after))


def _hop(rate_hz: int) -> int:
    return max(1, round(WINDOW_S / 2 * rate_hz))


def _widest(values: np.ndarray, reach: int) -> np.ndarray:
    """The largest of [n] values within `reach` places."""
    padded = np.pad(values, reach, constant_values=-np.inf)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(axis=1)
