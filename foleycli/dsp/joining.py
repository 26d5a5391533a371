"""Sounds that are given: which part of a reference is characteristic, and how a take joins what follows it.

Numpy only; mono float32 [N] unless said otherwise.
"""

from __future__ import annotations

import numpy as np

from foleycli.dsp.onsets import detect_onsets

HOP_S = 0.05
FADE_S = 0.02  # over which the difference between take and decoded take dies out


def characteristic_start_s(samples: np.ndarray, rate_hz: int, length_s: float) -> float:
    """Where the part of `length_s` begins that says most about a sound: loud, with onsets, not cut off.

    Each place is scored by its energy (in dB, so that one peak does not decide) and by the onsets in it;
    the best part starts just before its first onset.
    """
    total_s = len(samples) / rate_hz
    if total_s <= length_s:
        return 0.0
    hop = round(HOP_S * rate_hz)
    power = (samples[: len(samples) // hop * hop].reshape(-1, hop).astype(np.float64) ** 2).mean(axis=1)
    level_db = np.maximum(10 * np.log10(power + 1e-12), 10 * np.log10(power.max() + 1e-12) - 60)
    n = max(1, round(length_s / HOP_S))
    loud_db = np.convolve(level_db, np.ones(n) / n, mode="valid")  # [places]
    onsets = detect_onsets(samples, rate_hz)
    places_s = np.arange(len(loud_db)) * HOP_S
    n_onsets = np.array([((onsets >= s) & (onsets < s + 0.8 * length_s)).sum() for s in places_s])
    best = int(np.argmax(loud_db + 3.0 * np.minimum(n_onsets, 4)))
    inside = onsets[(onsets >= places_s[best]) & (onsets < places_s[best] + 0.5 * length_s)]
    start_s = max(0.0, float(inside[0]) - 0.05) if len(inside) else places_s[best]
    return min(start_s, total_s - length_s)


def joined_after(made: np.ndarray, rest: np.ndarray, rate_hz: int) -> np.ndarray:
    """What follows a take, [C, N], so that it meets the take without a click.

    `rest` is the take minus what the codec made of it, [C, M], up to the seam.  It is carried on past the
    seam as in a mirror and faded out: the step from the take's last sample to the next one is the step that
    the made sound itself has there, and the take is not touched.
    """
    n = min(round(FADE_S * rate_hz), made.shape[1], rest.shape[1])
    if n == 0:
        return made
    fade = 0.5 * (1 + np.cos(np.pi * np.arange(1, n + 1) / (n + 1)))
    joined = made.copy()
    joined[:, :n] += (fade * rest[:, ::-1][:, :n]).astype(np.float32)
    return joined


def joined_before(made: np.ndarray, rest: np.ndarray, rate_hz: int) -> np.ndarray:
    """What leads up to a take, [C, N]: `joined_after`, mirrored in time."""
    return joined_after(made[:, ::-1], rest[:, ::-1], rate_hz)[:, ::-1]


def matching_gain(take: np.ndarray, decoded: np.ndarray) -> float:
    """What the made sound is multiplied with to be as loud as the take, from the part that both have."""
    ratio = (np.sqrt(np.mean(np.square(take))) + 1e-6) / (np.sqrt(np.mean(np.square(decoded))) + 1e-6)
    return float(np.clip(ratio, 0.5, 2.0))
