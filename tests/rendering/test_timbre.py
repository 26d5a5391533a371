"""Which part of a reference says most about it."""

from __future__ import annotations

import numpy as np
import pytest

from foleycli.rendering.timbre import characteristic_start_s

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
