"""The characteristic part of a reference, and seams without a click."""

from __future__ import annotations

import numpy as np
import pytest

from foleycli.dsp.joining import characteristic_start_s, joined_after, joined_before, matching_gain

RATE_HZ = 44100


def noise(duration_s: float, level: float, seed: int = 0) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(round(duration_s * RATE_HZ))).astype(np.float32)


def test_a_short_sound_is_taken_whole() -> None:
    assert characteristic_start_s(noise(1.5, 0.1), RATE_HZ, 2.0) == 0.0


def test_the_loud_part_is_found() -> None:
    sound = np.concatenate([noise(4, 0.0005), noise(2.5, 0.2), noise(4, 0.0005)])
    assert 3.5 <= characteristic_start_s(sound, RATE_HZ, 2.0) <= 4.6


def test_the_part_begins_just_before_a_strike() -> None:
    sound = noise(8, 0.0005)
    for k in range(4):
        first = round((5.0 + 0.4 * k) * RATE_HZ)
        sound[first : first + 4410] += noise(0.1, 0.3, k) * np.exp(-np.arange(4410) / 800).astype(np.float32)
    start_s = characteristic_start_s(sound, RATE_HZ, 2.0)
    assert 4.6 <= start_s <= 5.0


def test_the_part_lies_in_the_sound() -> None:
    sound = np.concatenate([noise(3, 0.0005), noise(0.5, 0.3)])
    start_s = characteristic_start_s(sound, RATE_HZ, 2.0)
    assert start_s == pytest.approx(1.5, abs=0.06)


@pytest.mark.parametrize("n_made", [5, 10_000])
def test_the_step_over_a_seam_is_the_made_sounds_own(n_made: int) -> None:
    rng = np.random.default_rng(1)
    take, decoded = rng.standard_normal((2, 3000)), rng.standard_normal((2, 3000))
    made = np.cumsum(0.01 * rng.standard_normal((2, n_made)), axis=1)
    rest = take - decoded
    after = joined_after(made, rest, RATE_HZ)
    step, own = after[:, 0] - take[:, -1], made[:, 0] - decoded[:, -1]
    assert np.abs(step - own).max() < 0.2 * np.abs(rest[:, -1]).max()  # the fade has begun
    assert np.array_equal(after[:, 1000:], made[:, 1000:])
    before = joined_before(made, rest, RATE_HZ)
    assert np.array_equal(before[:, ::-1], joined_after(made[:, ::-1], rest[:, ::-1], RATE_HZ))


def test_nothing_to_join_is_left_alone() -> None:
    assert joined_after(np.zeros((1, 0)), np.ones((1, 9)), RATE_HZ).shape == (1, 0)
    made = np.ones((1, 9))
    assert np.array_equal(joined_after(made, np.zeros((1, 0)), RATE_HZ), made)


def test_gain_matches_levels_within_6_db() -> None:
    sound = noise(1, 0.1)
    assert matching_gain(sound, sound / 1.5) == pytest.approx(1.5, abs=0.01)
    assert (matching_gain(sound, sound / 9), matching_gain(sound, sound * 9)) == (2.0, 0.5)
