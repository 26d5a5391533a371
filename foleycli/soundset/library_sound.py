"""A library sound: one thing by itself for 1.6 s, from which a model takes its timbre.

The shipped library is made of such sounds, and training windows begin with them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foleycli.soundset.kinds import RATE_HZ

DURATION_S = 1.6
N_SAMPLES = round(DURATION_S * RATE_HZ)
FIRST_HIT_S, GAP_S, LONGEST_GAP_S = 0.04, 0.52, 0.9  # three hits, or two of what rings long
LAST_HIT_S = DURATION_S - 0.25
PEAK = 0.6  # as loud as the training's sounds
FADE_S = 0.02


def repeat_hits(takes: Sequence[np.ndarray]) -> np.ndarray:
    """Takes of one thing, float32 [N] each from its attack on, struck in turn: float32 [N_SAMPLES]."""
    out = np.zeros(N_SAMPLES, np.float32)
    start_s, k = FIRST_HIT_S, 0
    while start_s < LAST_HIT_S:
        take, first = takes[k % len(takes)], round(start_s * RATE_HZ)
        piece = take[: len(out) - first]
        out[first : first + len(piece)] += piece
        start_s += float(np.clip(len(take) / RATE_HZ, GAP_S, LONGEST_GAP_S))
        k += 1
    return out


def normalise(samples: np.ndarray) -> np.ndarray:
    """The sound [N] at `PEAK`, float32, with a fade where its end was cut off."""
    out = samples / max(float(np.abs(samples).max()), 1e-6) * PEAK
    n_fade = round(FADE_S * RATE_HZ)
    out[-n_fade:] *= np.linspace(1, 0, n_fade, dtype=np.float32)
    return out.astype(np.float32)
