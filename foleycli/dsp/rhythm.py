"""How a row of moments goes on: by its period where it has one, else with gaps as it has had them.  Numpy only."""

from __future__ import annotations

import numpy as np

SHORTEST_S = 0.15  # period
LONGEST_SHARE = 0.6  # of the length in which a period must show itself
TOLERANCE_S = 0.05
REPEATED_SHARE = 0.75  # of the moments that come again after a period: then it is one
CLEARLY_MORE = 0.1  # by which a longer period must do better than a shorter one


def find_period_s(moments_s: np.ndarray, length_s: float) -> float | None:
    """The shortest time after which ascending moments of [0, length_s) come again; None: they keep no time."""
    if len(moments_s) < 3:
        return None
    gaps_s = np.unique((moments_s[None] - moments_s[:, None])[np.triu_indices(len(moments_s), 1)].round(3))
    best_s, best_share = None, REPEATED_SHARE - CLEARLY_MORE
    for period_s in gaps_s[(gaps_s >= SHORTEST_S) & (gaps_s <= LONGEST_SHARE * length_s)]:
        expected_s = moments_s[moments_s < length_s - period_s + TOLERANCE_S] + period_s
        found_s = moments_s[moments_s >= moments_s[0] + period_s - TOLERANCE_S]
        if len(expected_s) < 2 or not len(found_s):
            continue
        n_met = int((np.abs(expected_s[:, None] - found_s).min(axis=1) <= TOLERANCE_S).sum())
        share = 2 * n_met / (len(expected_s) + len(found_s))
        if share >= REPEATED_SHARE and share > best_share + CLEARLY_MORE:
            best_s, best_share = float(period_s), share
    return best_s


def continued_moments(moments_s: np.ndarray, length_s: float, end_s: float, rng: np.random.Generator) -> np.ndarray:
    """Where moments of [0, length_s) go on until `end_s`, float64 [M] ascending; none where there are fewer than two.

    With a period its last turn is repeated.  Without, the gaps between the moments are drawn again in any order.
    """
    if len(moments_s) < 2:
        return np.zeros(0)
    period_s = find_period_s(moments_s, length_s)
    if period_s is not None:
        turn_s = moments_s[moments_s > moments_s[-1] - period_s + TOLERANCE_S]
        n_turns = int(np.ceil((end_s - turn_s[0]) / period_s))
        coming_s = (turn_s + period_s * np.arange(1, n_turns + 1)[:, None]).ravel()
    else:
        gaps_s, coming_s = np.diff(moments_s), moments_s[-1:]
        while coming_s[-1] < end_s:
            coming_s = np.concatenate([coming_s, coming_s[-1] + np.cumsum(rng.choice(gaps_s, size=len(moments_s)))])
    return np.sort(coming_s[(coming_s >= length_s) & (coming_s < end_s)])
