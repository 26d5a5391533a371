"""Onset detection, and how well two lists of onsets agree.

Numpy only; times in seconds.  F1 counts a found onset as right when a true one, not matched yet, is within the
tolerance.  Because many onsets match by luck, every F1 comes with that of the same lists after circular shifts, which
is what chance alone would give.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from foleycli.dsp.peaks import local_maxima

HOP_S = 0.005
MIN_GAP_S = 0.06
BLOCK_FRAMES = 4096  # 20 s


def detect_onsets(samples: np.ndarray, rate_hz: int, sensitivity: float = 1.0) -> np.ndarray:
    """Onset times of mono float32 [N], by rising log energy in eight bands (spectral flux).

    A frame is an onset when its flux is a local maximum and exceeds the mean of the last and next 0.4 s by a margin;
    higher `sensitivity` finds more.  Sound more than 60 dB below the clip's peak never counts.
    """
    flux = _flux(samples, rate_hz)
    if flux.max(initial=0) <= 0:
        return np.zeros(0)
    local = _moving_mean(flux, round(0.8 / HOP_S))
    threshold = (1.5 * local + 0.35) / sensitivity
    peaks = [k for k in local_maxima(flux, round(MIN_GAP_S / 2 / HOP_S)) if flux[k] > threshold[k]]
    return np.asarray(_thin_out(peaks, flux)) * HOP_S


@dataclass(frozen=True)
class Agreement:
    """F1 of found onsets against true ones, the F1 that chance gives, and the counts."""

    f1: float
    shifted_f1: float  # mean over circular shifts: what chance gives
    n_found: int
    n_true: int

    @property
    def above_chance(self) -> float:
        """How much better F1 is than what chance gives."""
        return self.f1 - self.shifted_f1


def agreement(
    found: np.ndarray, true: np.ndarray, tolerance_s: float, duration_s: float, n_shifts: int = 50
) -> Agreement:
    """F1 at a tolerance, and its mean over circular shifts of at least four tolerances."""
    low = min(4 * tolerance_s, duration_s / 2)
    shifts = np.linspace(low, duration_s - low, n_shifts)
    shifted = [_f1(np.sort((found + shift) % duration_s), true, tolerance_s) for shift in shifts]
    return Agreement(_f1(found, true, tolerance_s), float(np.mean(shifted)), len(found), len(true))


def _f1(found: np.ndarray, true: np.ndarray, tolerance_s: float) -> float:
    if len(found) + len(true) == 0:
        return 1.0  # nothing sounds and nothing was found
    return 2 * n_matches(found, true, tolerance_s) / (len(found) + len(true))


def n_matches(found: np.ndarray, true: np.ndarray, tolerance_s: float) -> int:
    """Pairs within the tolerance, each onset used once.  Both lists ascend, so that the first match is the best."""
    i = j = n = 0
    while i < len(found) and j < len(true):
        if abs(found[i] - true[j]) <= tolerance_s + 1e-9:
            i, j, n = i + 1, j + 1, n + 1
        elif found[i] < true[j]:
            i += 1
        else:
            j += 1
    return n


def cut_at_onsets(samples: np.ndarray, rate_hz: int, lead_s: float, longest_s: float) -> list[np.ndarray]:
    """Mono [N] cut at its onsets: from `lead_s` before each to `lead_s` before the next; empty without onsets."""
    starts = [max(0, round((time_s - lead_s) * rate_hz)) for time_s in detect_onsets(samples, rate_hz)]
    longest = round(longest_s * rate_hz)
    return [samples[start : min(end, start + longest)] for start, end in pairwise([*starts, len(samples)])]


def loudness_envelope(samples: np.ndarray, rate_hz: int, hop_s: float = 0.02, floor_db: float = -60.0) -> np.ndarray:
    """RMS level in dB of mono [N] every `hop_s`, never below the loudest moment's plus `floor_db`."""
    hop = round(hop_s * rate_hz)
    n = len(samples) // hop
    power = (samples[: n * hop].reshape(n, hop).astype(np.float64) ** 2).mean(axis=1)
    level_db = 10 * np.log10(power + 1e-12)
    return np.maximum(level_db, level_db.max(initial=-120.0) + floor_db)


def envelope_correlation(one: np.ndarray, other: np.ndarray, rate_hz: int) -> float:
    """Pearson correlation of two loudness envelopes; 0 when one of them is flat."""
    a, b = loudness_envelope(one, rate_hz), loudness_envelope(other, rate_hz)
    n = min(len(a), len(b))
    a, b = a[:n] - a[:n].mean(), b[:n] - b[:n].mean()
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / norm) if norm > 1e-9 else 0.0


def _flux(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """Mean rise of the log energy of eight bands, every HOP_S; index k is the rise at time k * HOP_S."""
    hop, size = round(HOP_S * rate_hz), 1024
    padded = np.pad(samples.astype(np.float32), (size // 2, size // 2 + hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]  # [F, size], a view
    window = np.hanning(size).astype(np.float32)
    edges = np.round(np.geomspace(60, rate_hz / 2.2, 9) / rate_hz * size).astype(int)
    blocks = []
    for first in range(0, len(frames), BLOCK_FRAMES):  # spectra of an hour at once would be gigabytes
        spectrum = np.abs(np.fft.rfft(frames[first : first + BLOCK_FRAMES] * window, axis=1)) ** 2
        pairs = zip(edges, edges[1:], strict=False)
        blocks.append(np.stack([spectrum[:, a : max(a + 1, b)].sum(axis=1) for a, b in pairs], axis=1))
    bands = np.concatenate(blocks)  # [F, 8]
    level = np.log10(
        np.maximum(bands, bands.max(initial=1e-12) * 1e-6)
    )  # nothing more than 60 dB below the peak counts
    rise = np.zeros(len(level))
    rise[2:] = np.maximum(0, level[2:] - level[:-2]).mean(axis=1)  # over 10 ms: half the window's blur
    rise[: size // 2 // hop] = 0  # before the first whole window: a clip's beginning is not an onset
    return rise


def _moving_mean(values: np.ndarray, width: int) -> np.ndarray:
    total = np.cumsum(np.pad(values, (width // 2 + 1, width - width // 2)))
    return (total[width:] - total[:-width])[: len(values)] / width


def _thin_out(peaks: list[int], strength: np.ndarray) -> list[int]:
    """Of peaks closer together than MIN_GAP_S the stronger ones."""
    kept: list[int] = []
    for k in sorted(peaks, key=lambda k: -strength[k]):
        if all(abs(k - other) * HOP_S >= MIN_GAP_S for other in kept):
            kept.append(k)
    return sorted(kept)
