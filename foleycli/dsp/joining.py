"""How a take joins what is generated before and after it, without a click.  Numpy only; float32 [C, N]."""

from __future__ import annotations

import numpy as np

FADE_S = 0.02  # over which the difference between take and decoded take dies out


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
