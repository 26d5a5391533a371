"""Peaks of a curve over time, such as event probabilities or spectral flux."""

from __future__ import annotations

import numpy as np


def local_maxima(values: np.ndarray, reach: int) -> list[int]:
    """Indices of positive values that no neighbour within `reach` exceeds; of equal neighbours the first."""

    def is_peak(k: int) -> bool:
        is_highest = values[k] >= values[max(0, k - reach) : k + reach + 1].max()
        return values[k] > 0 and is_highest and (k == 0 or values[k] > values[k - 1])

    return [k for k in range(len(values)) if is_peak(k)]


def pick_peaks(curve: np.ndarray, rate_hz: float, threshold: float, min_gap_s: float = 0.12) -> np.ndarray:
    """Times in s of the peaks of a curve [T] above `threshold`, refined between steps by a parabola."""
    times: list[float] = []
    for k in local_maxima(curve, 1):
        if curve[k] < threshold:
            continue
        before, here, after = curve[max(k - 1, 0)], curve[k], curve[min(k + 1, len(curve) - 1)]
        bend = before - 2 * here + after
        shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
        time = (k + float(np.clip(shift, -0.5, 0.5))) / rate_hz
        if not times or time - times[-1] >= min_gap_s:
            times.append(max(0.0, time))
    return np.asarray(times)
