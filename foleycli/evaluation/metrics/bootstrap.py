"""How far a figure can be trusted: the same figure over clips drawn again, with replacement (Efron, 1979)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A figure with its confidence interval; None: it was not asked for, or there are too few clips."""

    value: float
    low: float | None = None
    high: float | None = None


def draws(n: int, n_draws: int, seed: int) -> np.ndarray:
    """Clips drawn with replacement, int [n_draws, n]."""
    return np.random.default_rng((seed, 21)).integers(n, size=(n_draws, n))


def mean_interval(values: np.ndarray, n_draws: int, seed: int) -> Interval | None:
    """The mean of [n], NaN where a clip has no figure; between percentiles of means of clips drawn again."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    mean = float(known.mean())
    if len(known) < 2 or not n_draws:
        return Interval(mean)
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(known[draws(len(known), n_draws, seed)].mean(axis=1), (tail, 100 - tail))
    return Interval(mean, float(low), float(high))


def set_interval(metric: Callable[[np.ndarray], float], n: int, n_draws: int, seed: int) -> Interval:
    """A figure of a set of n clips, given as the numbers of the clips that are in it.

    A distance between sets grows where clips are missing and others are there twice, so the interval is moved: it lies
    about the figure as the draws lie about their own mean.
    Errors: what `metric` raises for the whole set.
    """
    value = metric(np.arange(n))
    if n < 3 or not n_draws:
        return Interval(value)
    drawn = np.array([metric(rows) for rows in draws(n, n_draws, seed)])
    tail = 50 * (1 - CONFIDENCE)
    low, high = value + np.percentile(drawn - drawn.mean(), (tail, 100 - tail))
    return Interval(value, max(0.0, float(low)), float(high))
