"""The mel spectrogram puts sound where it is, in time and in frequency."""

import numpy as np
import pytest

from foleycli.dsp.mel_db import LOW_HZ, filterbank, hz_to_mel, mel_db

RATE_HZ = 48000


@pytest.mark.parametrize("tone_hz", [200.0, 1000.0, 8000.0, 20000.0])
def test_a_tone_is_loudest_in_its_band(tone_hz):
    tone = np.sin(2 * np.pi * tone_hz * np.arange(RATE_HZ) / RATE_HZ)
    levels = mel_db(tone, RATE_HZ, 128, 50)
    low, high = hz_to_mel(LOW_HZ), hz_to_mel(RATE_HZ / 2)
    band = (hz_to_mel(tone_hz) - low) / (high - low) * 129 - 1
    assert levels.shape == (128, 50)
    assert abs(int(levels[:, 25].argmax()) - band) <= 1


@pytest.mark.parametrize("length_s", [0.2, 3.0, 90.0])  # several frames per column; one; overlapping ones
def test_a_click_is_loudest_in_its_column(length_s):
    samples = np.zeros(round(length_s * RATE_HZ), np.float32)
    samples[round(0.6 * len(samples))] = 1.0
    levels = mel_db(samples, RATE_HZ, 40, 100)
    at = levels.sum(axis=0).argmax()
    assert abs((at + 0.5) / 100 * length_s - 0.6 * length_s) <= length_s / 100 + 1024 / RATE_HZ


def test_every_band_hears_something():
    for rate_hz in (44100, 48000):
        bank = filterbank(rate_hz, 170)
        assert (bank >= 0).all()
        assert bank.sum(axis=1) == pytest.approx(np.ones(170), abs=1e-5)


def test_very_short_and_silent_sounds_are_finite():
    assert np.isfinite(mel_db(np.zeros(10, np.float32), RATE_HZ, 20, 30)).all()
