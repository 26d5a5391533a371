"""Seams without a click."""

from __future__ import annotations

import numpy as np
import pytest

from foleycli.dsp.joining import joined_after, joined_before, matching_gain

RATE_HZ = 44100


def noise(duration_s: float, level: float, seed: int = 0) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(round(duration_s * RATE_HZ))).astype(np.float32)


@pytest.mark.parametrize("n_generated", [5, 10_000])
def test_the_step_over_a_seam_is_the_made_sounds_own(n_generated: int) -> None:
    rng = np.random.default_rng(1)
    take, decoded = rng.standard_normal((2, 3000)), rng.standard_normal((2, 3000))
    generated = np.cumsum(0.01 * rng.standard_normal((2, n_generated)), axis=1)
    residual = take - decoded
    after = joined_after(generated, residual, RATE_HZ)
    step, own = after[:, 0] - take[:, -1], generated[:, 0] - decoded[:, -1]
    assert np.abs(step - own).max() < 0.2 * np.abs(residual[:, -1]).max()  # the fade has begun
    assert np.array_equal(after[:, 1000:], generated[:, 1000:])
    before = joined_before(generated, residual, RATE_HZ)
    assert np.array_equal(before[:, ::-1], joined_after(generated[:, ::-1], residual[:, ::-1], RATE_HZ))


def test_nothing_to_join_is_left_alone() -> None:
    assert joined_after(np.zeros((1, 0)), np.ones((1, 9)), RATE_HZ).shape == (1, 0)
    generated = np.ones((1, 9))
    assert np.array_equal(joined_after(generated, np.zeros((1, 0)), RATE_HZ), generated)


def test_gain_matches_levels_within_6_db() -> None:
    sound = noise(1, 0.1)
    assert matching_gain(sound, sound / 1.5) == pytest.approx(1.5, abs=0.01)
    assert (matching_gain(sound, sound / 9), matching_gain(sound, sound * 9)) == (2.0, 0.5)
