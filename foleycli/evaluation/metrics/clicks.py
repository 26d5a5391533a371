"""Audible clicks: moments that stand out of what is before and after them, where the real sound has nothing alike.

What is a click in the real sound (a key, a crackle of fire) may be one in the generated sound.
"""

from __future__ import annotations

import numpy as np
import torch

from foleycli.dsp.clicks import click_prominence_db

WINDOW_S = 0.0005  # over which a click's energy is summed
APART_S = 0.005  # what is nearer to the one before is the same click
NEAR_S = 0.020  # where the real sound may have a spike of its own
MIN_PROMINENCE_DB = 12.0  # noise stays below: its loudest half millisecond is 6 dB above the middle one
MORE_THAN_REAL_DB = 6.0  # than the real sound's spike


def clicks(generated: np.ndarray, real: np.ndarray, rate_hz: int) -> np.ndarray:
    """Seconds at which `generated` [N] clicks and `real` [N] does not, first to last."""
    prominence_db, real_db = spikes_db(generated, rate_hz), spikes_db(real, rate_hz)
    hop_s = _hop(rate_hz) / rate_hz
    allowed_db = np.maximum(MIN_PROMINENCE_DB, _widest(real_db, round(NEAR_S / hop_s)) + MORE_THAN_REAL_DB)
    (found,) = np.nonzero(prominence_db > allowed_db)
    is_first = np.diff(found, prepend=-np.inf) * hop_s > APART_S
    return (found[is_first] + 1) * hop_s  # a window's middle is a hop from its beginning


def spikes_db(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """How far every window of [N] samples stands out of both its sides, dB: one number per quarter millisecond."""
    rows = torch.from_numpy(samples.astype(np.float64))[None]
    return click_prominence_db(rows, rate_hz, _hop(rate_hz), window_hops=2)[0].numpy()


def _hop(rate_hz: int) -> int:
    return max(1, round(WINDOW_S / 2 * rate_hz))


def _widest(values: np.ndarray, reach: int) -> np.ndarray:
    """The largest of [n] values within `reach` places."""
    padded = np.pad(values, reach, constant_values=-np.inf)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(axis=1)
