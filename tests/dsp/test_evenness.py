"""Slow drift of level and timbre: what is taken out, and what is left as it is."""

from __future__ import annotations

import numpy as np
import pytest

from foleycli.dsp.evenness import MOST_DB, even_out
from foleycli.dsp.spectrum import spectral_distance_db

RATE_HZ = 16000


def noise(duration_s: float, seed: int = 0) -> np.ndarray:
    n = round(duration_s * RATE_HZ)
    return 0.05 * np.random.default_rng(seed).standard_normal(n).astype(np.float32)


def dull(samples: np.ndarray) -> np.ndarray:
    return np.convolve(samples, np.full(6, 1 / 6), mode="same").astype(np.float32)


def evened(samples: np.ndarray, size: int, cuts_s: tuple[float, ...] = (), amount: float = 1.0) -> np.ndarray:
    def blocks():
        return (samples[first : first + size] for first in range(0, len(samples), size))

    return np.concatenate(list(even_out(blocks, len(samples), RATE_HZ, cuts_s, amount=amount)))


def level_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


def test_a_second_half_that_is_louder_and_duller_is_brought_nearer_to_the_first():
    first, second = noise(4), 5 * dull(noise(4, 1))
    out = evened(np.concatenate([first, second]), 30_000)
    a, b = np.array_split(out, 2)
    assert abs(level_db(a) - level_db(b)) < abs(level_db(first) - level_db(second)) - 1
    assert spectral_distance_db(a, b, RATE_HZ) < spectral_distance_db(first, second, RATE_HZ) - 1
    assert level_db(out) == pytest.approx(level_db(np.concatenate([first, second])), abs=0.3)


def test_after_a_cut_another_sound_may_begin():
    samples = np.concatenate([noise(4), 4 * dull(noise(4, 1))])
    out = evened(samples, 30_000, cuts_s=(4.0, 99.0))
    assert np.allclose(level_db(out[: 4 * RATE_HZ - 2048]), level_db(samples[: 4 * RATE_HZ - 2048]), atol=0.5)


def test_even_sound_and_silence_stay_as_they_are_to_the_sample():
    samples = noise(5)
    assert np.abs(evened(samples, 7001) - samples).max() < 0.1 * np.abs(samples).max()
    assert np.abs(evened(samples, 7001, amount=0.0) - samples).max() < 1e-6
    samples[: 2 * RATE_HZ] = 0
    assert not evened(samples, 7001)[: 2 * RATE_HZ - 4096].any()


@pytest.mark.parametrize("n", [0, 1, 1000, 2047, 50_000])
def test_blocks_of_any_size_give_the_same_sound(n: int):
    samples = noise(4)[:n] * np.linspace(0.3, 3, n, dtype=np.float32)
    whole = evened(samples, max(n, 1)) if n else np.concatenate([np.zeros(0), *even_out(lambda: iter(()), 0, RATE_HZ)])
    assert len(whole) == n
    assert np.allclose(evened(samples, 777), whole, atol=1e-6) if n else True


def test_no_gain_is_larger_than_the_most():
    samples = np.concatenate([0.02 * noise(4), noise(4)])
    ratio = evened(samples, 9999)[RATE_HZ : 3 * RATE_HZ] / samples[RATE_HZ : 3 * RATE_HZ]
    assert 20 * np.log10(np.median(np.abs(ratio))) < 2 * MOST_DB
