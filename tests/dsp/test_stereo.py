"""Stereo that folds down to the mono sound it was made of: places, room, widths, and the image of a take."""

from __future__ import annotations

import numpy as np
import pytest

from foleycli.dsp.gain_riding import STEPS_PER_S
from foleycli.dsp.stereo import Decorrelator, StereoImage, pan_curve, stereo_blocks, to_stereo

RATE_HZ = 44100
LEFT_RIGHT = np.array([[-0.8, 1.0]] * 50 + [[0.8, 1.0]] * 50, np.float32)  # motion changes sides after 2 s


def noise(duration_s: float, level: float = 0.1, seed: int = 0) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(round(duration_s * RATE_HZ))).astype(np.float32)


def hits(times_s: list[float], duration_s: float = 4.0, decay_s: float = 0.1) -> np.ndarray:
    """Bursts of noise that die away."""
    t = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    envelope = sum(np.where(t >= time_s, np.exp(-(t - time_s) / decay_s), 0) for time_s in times_s)
    return (noise(duration_s) * envelope).astype(np.float32)


def power_db(samples: np.ndarray) -> float:
    return 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-20)


def level_difference_db(stereo: np.ndarray, start_s: float, length_s: float) -> float:
    """How much louder the right channel is."""
    piece = stereo[:, round(start_s * RATE_HZ) : round((start_s + length_s) * RATE_HZ)]
    return power_db(piece[1]) - power_db(piece[0])


@pytest.mark.parametrize("width", [0.5, 1.0])
@pytest.mark.parametrize("tone_hz", [None, 60.0, 440.0, 5003.0])
def test_the_sum_is_the_mono_sound_and_a_fold_down_loses_less_than_a_decibel(width: float, tone_hz: float | None):
    t = np.arange(4 * RATE_HZ) / RATE_HZ
    mono = noise(4.0) if tone_hz is None else (0.3 * np.sin(2 * np.pi * tone_hz * t)).astype(np.float32)
    stereo = to_stereo(mono, RATE_HZ, LEFT_RIGHT, width)
    assert np.abs(stereo.mean(axis=0) - mono).max() < 1e-6
    assert 0.02 < power_db(stereo) - power_db(mono) < 1.0


def test_width_0_is_the_same_sound_in_both_channels():
    mono = hits([0.5, 2.5])
    assert np.array_equal(to_stereo(mono, RATE_HZ, LEFT_RIGHT, 0.0), np.stack([mono, mono]))


def test_an_event_is_where_it_is_seen_and_stays_there_while_it_dies_away():
    mono = hits([0.5, 1.9, 2.6], decay_s=0.3)
    stereo = to_stereo(mono, RATE_HZ, LEFT_RIGHT, 1.0)
    assert -6.5 < level_difference_db(stereo, 0.5, 0.3) < -4.0
    assert -6.5 < level_difference_db(stereo, 2.1, 0.3) < -4.0  # begun on the left, while all moves on the right
    assert 4.0 < level_difference_db(stereo, 2.6, 0.3) < 6.5


def test_what_goes_on_sounding_follows_the_motion_slowly():
    pan = pan_curve(np.full(200, -20.0), np.repeat(LEFT_RIGHT, 2, axis=0))
    assert pan[90] < -0.7 and pan[190] > 0.7
    assert np.abs(np.diff(pan)).max() < 0.15


def test_where_nothing_moves_it_sounds_in_the_middle():
    still = np.array([[-0.8, 0.0]] * 100, np.float32)
    mono = hits([0.5, 2.5])
    for position in (still, None, still[:0]):
        assert np.array_equal(pan_curve(np.full(100, -20.0), position), np.zeros(100))
        assert abs(level_difference_db(to_stereo(mono, RATE_HZ, position, 1.0), 0.5, 3.0)) < 0.5


def test_the_room_makes_the_channels_less_alike_but_not_the_bass():
    centre = to_stereo(noise(4.0), RATE_HZ, None, 1.0)
    assert np.corrcoef(centre)[0, 1] < 0.95
    hum = np.sin(2 * np.pi * 40 * np.arange(4 * RATE_HZ) / RATE_HZ).astype(np.float32)
    assert np.corrcoef(to_stereo(hum, RATE_HZ, None, 1.0))[0, 1] > 0.999


@pytest.mark.parametrize("n_block", [1, 100, 4097])
def test_blocks_of_any_length_give_the_same_samples(n_block: int):
    mono, pan = noise(0.3 if n_block == 1 else 2.0), np.linspace(-1, 1, 2 * int(STEPS_PER_S))
    whole = np.concatenate(list(stereo_blocks([mono], RATE_HZ, pan, 0.5)), axis=1)
    blocks = [mono[k : k + n_block] for k in range(0, len(mono), n_block)]
    assert np.allclose(np.concatenate(list(stereo_blocks(blocks, RATE_HZ, pan, 0.5)), axis=1), whole, atol=1e-7)


def test_an_empty_sound_stays_empty():
    assert to_stereo(np.zeros(0, np.float32), RATE_HZ, LEFT_RIGHT, 0.5).shape == (2, 0)


@pytest.mark.parametrize("low_cut", [False, True])
def test_the_decorrelator_keeps_the_level_of_every_frequency(low_cut: bool):
    response = Decorrelator(RATE_HZ, low_cut).push(np.pad([1.0], (0, 2 * RATE_HZ)))
    level = np.abs(np.fft.rfft(response))
    hz = np.fft.rfftfreq(len(response), 1 / RATE_HZ)
    assert level.max() < 1.0001
    assert level[hz > 500].min() > 0.94
    assert (level[hz < 60].max() < 0.12) if low_cut else (level.min() > 0.999)
    mono = noise(4.0)
    assert abs(np.corrcoef(mono, Decorrelator(RATE_HZ, low_cut).push(mono))[0, 1]) < 0.02


@pytest.mark.parametrize(("side", "balance"), [(0.1, 1.0), (0.3, 0.5), (1.0, 1.0), (0.3, -1.0)])
def test_a_sound_spread_as_a_take_has_its_width(side: float, balance: float):
    mid, difference = noise(4.0, seed=1), side * noise(4.0, seed=2)
    take = np.stack([mid + difference, balance * (mid - difference)])
    image = StereoImage.of(take)
    made = image.signs * image.spread(noise(4.0, seed=3), Decorrelator(RATE_HZ, low_cut=False))
    assert np.corrcoef(made)[0, 1] == pytest.approx(np.corrcoef(take)[0, 1], abs=0.03)
    assert abs(power_db(made[0]) - power_db(made[1])) < 0.3
    assert power_db(image.to_mono(take)) > power_db(take[0]) - 4


def test_channels_that_are_alike_or_silent_stay_so():
    sound = noise(1.0)
    alike = StereoImage.of(np.stack([sound, sound]))
    assert alike.side == 0 and alike.is_heard.all() and (alike.signs == 1).all()
    left_alone = StereoImage.of(np.stack([sound, 1e-4 * noise(1.0, seed=1)]))
    assert left_alone.side == 0 and left_alone.is_heard[:, 0].tolist() == [True, False]
    surround = np.zeros((6, len(sound)), np.float32)
    surround[2] = sound
    assert np.allclose(StereoImage.of(surround).to_mono(surround), sound)
