"""Levels follow a target: by differences alone, slowly against hits, within bounds, in files of any length."""

from __future__ import annotations

import numpy as np
import pytest

from foleycli.dsp.gain_riding import MAX_GAIN_DB, MIN_GAIN_DB, ride_gain, riding_gains_db, rms_levels_db

RATE_HZ = 44100


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))).astype(np.float32)


def level_db(samples: np.ndarray) -> float:
    return 10 * np.log10(np.mean(samples.astype(np.float64) ** 2))


def test_a_soft_beginning_is_brought_nearer_to_the_rest():
    made = noise(8)
    made[: 4 * RATE_HZ] *= 10 ** (-6 / 20)
    target_db = np.full(200, -20.0)
    for amount, left_db in ((1.0, 0.0), (0.5, 3.0), (0.0, 6.0)):
        ridden = ride_gain(made, RATE_HZ, target_db, amount)
        first, second = ridden[RATE_HZ : 3 * RATE_HZ], ridden[5 * RATE_HZ : 7 * RATE_HZ]
        assert level_db(second) - level_db(first) == pytest.approx(left_db, abs=0.7)


def test_the_mean_of_the_target_does_not_matter():
    made = noise(4)
    assert np.array_equal(
        ride_gain(made, RATE_HZ, np.full(100, -50.0), 0.5), ride_gain(made, RATE_HZ, np.full(100, -3.0), 0.5)
    )
    assert level_db(ride_gain(made, RATE_HZ, np.full(100, -50.0), 0.5)) == pytest.approx(level_db(made), abs=0.3)


@pytest.mark.parametrize("floor", [0.0, 1e-3])
@pytest.mark.parametrize("amount", [0.5, 1.0])
def test_sparse_hits_stay_as_loud_as_they_were(floor, amount):
    made = floor * noise(8)
    for first_s in (1, 3, 4.5, 7):
        first = round(first_s * RATE_HZ)
        made[first : first + 11025] += noise(1, round(first_s))[:11025]
    for target_db in (np.full(200, -20.0), np.linspace(-50, 0, 200)):
        assert level_db(ride_gain(made, RATE_HZ, target_db, amount)) == pytest.approx(level_db(made), abs=0.6)


def test_an_attack_keeps_its_shape():
    made = 1e-3 * noise(4)
    made[2 * RATE_HZ : 2 * RATE_HZ + 4000] = noise(1, 1)[:4000] * np.exp(-np.arange(4000) / 800)
    ridden = ride_gain(made, RATE_HZ, np.full(100, -20.0), 0.5)
    hit = slice(2 * RATE_HZ, 2 * RATE_HZ + round(0.05 * RATE_HZ))
    gains = ridden[hit] / made[hit]
    assert 20 * np.log10(gains.max() / gains.min()) < 3


def test_gains_stay_within_their_bounds():
    level, target_db = np.r_[np.full(50, -60.0), np.full(50, 0.0)], np.r_[np.full(50, 0.0), np.full(50, -60.0)]
    gains = riding_gains_db(level, target_db, 1.0)
    assert gains.max() - gains.min() <= MAX_GAIN_DB - MIN_GAIN_DB
    assert riding_gains_db(level, target_db[:0], 1.0).tolist() == [0.0] * 100  # there is no target


@pytest.mark.parametrize("rate_hz", [44100, 48000, 16000])
def test_levels_of_pieces_are_those_of_the_whole(rate_hz):
    sound = noise(3)[: 2 * rate_hz + 300]
    whole, pieces = rms_levels_db([sound], rate_hz), rms_levels_db(np.array_split(sound, 13), rate_hz)
    assert len(whole) == 51 and np.allclose(whole, pieces)
    assert whole[:50] == pytest.approx(np.full(50, -20.0), abs=1.0)
    assert rms_levels_db([], rate_hz).shape == (0,)
