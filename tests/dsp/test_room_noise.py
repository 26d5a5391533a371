"""Room noise that is measured and made: the same level, colour and width, and only as much as is missing."""

from __future__ import annotations

import numpy as np
import pytest

from foleycli.dsp.room_noise import NoiseStream, RoomNoise

RATE_HZ = 22050


def room(level: float, share: float, seconds: float = 6.0) -> np.ndarray:
    """Dull noise in two channels [2, N] that have `share` of their power in common."""
    drawn = np.random.default_rng(1).standard_normal((3, round(seconds * RATE_HZ) + 8))
    dull = np.array([np.convolve(row, np.ones(9) / 3, mode="valid") for row in drawn])
    sides = np.sqrt(share) * dull[0] + np.sqrt(1 - share) * dull[1:]
    return (level * sides).astype(np.float32)


def with_hits(noise: np.ndarray) -> np.ndarray:
    """The same with a loud burst every half second."""
    times_s = np.arange(noise.shape[1]) / RATE_HZ
    burst = np.random.default_rng(2).standard_normal(noise.shape[1]) * np.exp(-(times_s % 0.5) / 0.03)
    return noise + 0.3 * burst.astype(np.float32)


def spectrum_db(samples: np.ndarray) -> np.ndarray:
    """Levels of mono [N] in eight bands."""
    frames = samples[: len(samples) // 1024 * 1024].reshape(-1, 1024)
    power = (np.abs(np.fft.rfft(frames * np.hanning(1024))) ** 2).mean(axis=0)
    return 10 * np.log10([band.mean() for band in np.array_split(power[4:440], 8)])


@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_what_is_made_sounds_like_the_quiet_moments(share):
    noise = room(0.003, share)
    made = NoiseStream(RoomNoise.of(with_hits(noise), RATE_HZ), np.random.default_rng(0)).next(5 * RATE_HZ)
    assert made.shape == (2, 5 * RATE_HZ) and made.dtype == np.float32
    for channel in range(2):
        assert np.abs(spectrum_db(made[channel]) - spectrum_db(noise[channel])).max() < 2
    assert np.corrcoef(made)[0, 1] == pytest.approx(np.corrcoef(noise)[0, 1], abs=0.12)


def test_only_what_is_missing_is_added():
    noise = room(0.003, 0.5)
    whole, part = RoomNoise.of(noise, RATE_HZ), RoomNoise.of(noise * np.float32(np.sqrt(0.75)), RATE_HZ)
    assert whole.rms() == pytest.approx(noise.std(), rel=0.1)
    assert whole.beyond(part).rms() == pytest.approx(whole.rms() / 2, rel=0.05)
    assert part.beyond(whole).rms() < 1e-9


def test_how_it_is_cut_makes_no_difference_and_the_seed_does():
    noise = RoomNoise.of(room(0.003, 0.5, 1.0), RATE_HZ)
    whole = NoiseStream(noise, np.random.default_rng(4)).next(90_000)
    stream = NoiseStream(noise, np.random.default_rng(4))
    assert np.array_equal(np.concatenate([stream.next(n) for n in (1, 44_999, 45_000)], axis=1), whole)
    assert not np.array_equal(NoiseStream(noise, np.random.default_rng(5)).next(90_000), whole)


def test_a_silent_channel_and_a_gated_take_have_none():
    one_sided = room(0.003, 0.0) * np.array([[1], [0]], np.float32)
    made = NoiseStream(RoomNoise.of(one_sided, RATE_HZ), np.random.default_rng(0)).next(RATE_HZ)
    assert made[0].std() > 0.002 and np.abs(made[1]).max() < 1e-9
    gated = with_hits(np.zeros((1, 3 * RATE_HZ), np.float32))
    gated[:, (np.arange(gated.shape[1]) % (RATE_HZ // 2)) > RATE_HZ // 4] = 0
    assert RoomNoise.of(gated, RATE_HZ).rms() == 0
    assert RoomNoise.of(gated[:, :100], RATE_HZ).rms() >= 0  # shorter than a frame
