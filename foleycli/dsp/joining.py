"""How a take joins what is generated before and after it, without a click.  Numpy only; float32 [C, N]."""

from __future__ import annotations

import numpy as np

FADE_S = 0.02  # over which the difference between take and decoded take is faded out


def joined_after(generated: np.ndarray, residual: np.ndarray, rate_hz: int) -> np.ndarray:
    """Generated sound [C, N] that follows a take, changed so that it meets the take without a click.

    residual  the take minus the sound that was decoded in its place, [C, M], up to the seam

    The residual is mirrored at the seam, faded out and added: the step from the take's last sample to the next one
    becomes the step that the decoded sound has there, and the take stays as it is.
    """
    n = min(round(FADE_S * rate_hz), generated.shape[1], residual.shape[1])
    if n == 0:
        return generated
    fade = 0.5 * (1 + np.cos(np.pi * np.arange(1, n + 1) / (n + 1)))
    joined = generated.copy()
    joined[:, :n] += (fade * residual[:, ::-1][:, :n]).astype(np.float32)
    return joined


def joined_before(generated: np.ndarray, residual: np.ndarray, rate_hz: int) -> np.ndarray:
    """Generated sound [C, N] that leads up to a take: `joined_after`, mirrored in time."""
    return joined_after(generated[:, ::-1], residual[:, ::-1], rate_hz)[:, ::-1]


def channel_gains(take: np.ndarray, mono: np.ndarray, decoded: np.ndarray) -> np.ndarray:
    """Gains float32 [C] that carry decoded sound [C or 1, N] on at the level of each channel of a take [C, N].

    The model heard `mono` [N]: each channel's share of that is exact, and 0 for a silent one.
    """
    rms = np.sqrt(np.mean(np.square(take, dtype=np.float64), axis=1))
    mono_rms = np.sqrt(np.mean(np.square(mono, dtype=np.float64)))
    shares = np.minimum(rms / max(mono_rms, 1e-9), len(take))  # more: channels that cancel each other
    return (shares * matching_gain(mono, decoded)).astype(np.float32)


def matching_gain(take: np.ndarray, decoded: np.ndarray) -> float:
    """The gain, 0.5 to 2, that brings sound decoded in a take's place to the take's RMS level."""
    ratio = (np.sqrt(np.mean(np.square(take))) + 1e-6) / (np.sqrt(np.mean(np.square(decoded))) + 1e-6)
    return float(np.clip(ratio, 0.5, 2.0))
