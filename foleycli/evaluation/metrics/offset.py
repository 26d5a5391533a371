"""By how much is a sound out of time with its picture?  The classes of V-AURA's synchronisation metric.

A network trained on pictures and sounds scores 21 offsets, -2 to 2 s in steps of 0.2 s; the best one is the clip's
offset, and the metric is the mean of its absolute value over clips ("Sync", V-AURA, arXiv 2409.13689, section on
metrics; the paper asks Synchformer).  Guessing gives 1048 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

STEP_S = Fraction(1, 5)
OFFSETS_S = tuple(k * STEP_S for k in range(-10, 11))  # positive: the sound is late


def best_offset_s(scores: np.ndarray) -> Fraction:
    """The offset with the highest of the scores [21], one for each of OFFSETS_S; of equal ones the smallest."""
    best = np.flatnonzero(scores == scores.max())
    return min((OFFSETS_S[k] for k in best), key=abs)


def mean_offset_ms(offsets_s: Sequence[float]) -> float:
    """V-AURA's "Sync": the mean absolute offset over clips, in milliseconds; guessing gives 1048."""
    return 1000 * float(np.mean(np.abs(offsets_s)))
