"""How moments go on: in their period where they keep time, with their own gaps where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from foleycli.dsp.rhythm import continued_moments, find_period_s


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def jittered(moments_s: np.ndarray, by_s: float = 0.012) -> np.ndarray:
    return moments_s + rng(3).uniform(-by_s, by_s, len(moments_s))


def test_an_even_beat_goes_on():
    beat_s = jittered(0.2 + 0.5 * np.arange(6))  # of 3 s
    assert find_period_s(beat_s, 3.0) == pytest.approx(0.5, abs=0.03)
    coming_s = continued_moments(beat_s, 3.0, 6.0, rng())
    np.testing.assert_allclose(coming_s, 3.2 + 0.5 * np.arange(6), atol=0.15)
    assert np.array_equal(coming_s, continued_moments(beat_s, 3.0, 6.0, rng(1)))  # nothing is drawn


def test_a_pattern_goes_on_as_a_whole():
    pattern_s = np.array([0.0, 0.25, 0.75])  # long, short, short
    moments_s = (np.arange(3)[:, None] * 1.0 + pattern_s).ravel()
    assert find_period_s(moments_s, 3.0) == pytest.approx(1.0)
    coming_s = continued_moments(moments_s, 3.0, 5.0, rng())
    np.testing.assert_allclose(coming_s, [3.0, 3.25, 3.75, 4.0, 4.25, 4.75], atol=1e-6)


def test_without_a_period_the_gaps_come_again_in_any_order():
    moments_s = np.array([0.1, 0.31, 1.18, 1.5, 2.71])
    assert find_period_s(moments_s, 3.0) is None
    coming_s = continued_moments(moments_s, 3.0, 20.0, rng())
    assert coming_s[0] >= 3.0 and coming_s[-1] < 20.0
    gaps = set(np.diff(moments_s).round(6))
    assert set(np.diff(coming_s).round(6)) == gaps
    assert not np.array_equal(coming_s, continued_moments(moments_s, 3.0, 20.0, rng(1)))


@pytest.mark.parametrize("moments_s", [[], [0.4]])
def test_one_moment_is_no_rhythm(moments_s):
    assert continued_moments(np.array(moments_s), 1.0, 5.0, rng()).size == 0
