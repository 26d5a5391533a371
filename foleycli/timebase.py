"""Seconds, video frames, feature steps, latent steps and audio samples: exact conversions.

Rates are `Fraction` (23.976 fps is 24000/1001), so that an hour does not drift.
"""

from __future__ import annotations

import math
from fractions import Fraction

FEATURE_FPS = Fraction(25)  # the grid that all picture features are computed on


def exact_div(numerator: int, denominator: int) -> int:
    """Integer division that refuses a rest: a wrong rate fails at import, not at minute three."""
    quotient, rest = divmod(numerator, denominator)
    if rest:
        raise ValueError(f"{numerator} is not a multiple of {denominator}")
    return quotient


def seconds_to_samples(duration_s: float, rate_hz: int) -> int:
    """The nearest whole number of samples."""
    return round(duration_s * rate_hz)


def steps_to_cover(duration_s: float | Fraction, rate_hz: Fraction) -> int:
    """The fewest whole steps at `rate_hz` that last at least `duration_s`."""
    return max(1, math.ceil(Fraction(duration_s).limit_denominator(1_000_000) * rate_hz - Fraction(1, 1000)))


def step_at(time_s: float, rate_hz: Fraction) -> int:
    """The step that is sounding (or showing) at `time_s`."""
    return math.floor(Fraction(time_s).limit_denominator(1_000_000) * rate_hz)
