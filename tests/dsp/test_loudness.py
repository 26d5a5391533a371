"""The loudness meter against BS.1770's own numbers; ffmpeg's meter is compared with it in tests/media."""

from __future__ import annotations

import math

import numpy as np
import pytest

from foleycli.dsp.loudness import SILENT_LUFS, LoudnessMeter, k_weighting


def measured(samples: np.ndarray, rate_hz: int, block: int = 1 << 18) -> LoudnessMeter:
    """A meter that has heard [C, N], block by block."""
    meter = LoudnessMeter(rate_hz, len(samples))
    for first in range(0, samples.shape[1], block):
        meter.push(samples[:, first : first + block])
    meter.push(samples[:, :0], is_last=True)
    return meter


def sine(hz: float, amplitude: float, rate_hz: int, seconds: float = 4.0) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz))[None].astype(np.float32)


@pytest.mark.parametrize("rate_hz", [44100, 48000, 96000])
def test_a_full_scale_tone_of_997_hz_in_one_channel_is_at_3_01_lufs_below_0(rate_hz):
    meter = measured(sine(997, 1.0, rate_hz), rate_hz)
    assert meter.lufs == pytest.approx(-3.01, abs=0.02)
    assert meter.peak_dbtp == pytest.approx(0.0, abs=0.1)


def test_the_filters_are_those_of_the_table_at_48_khz():
    z = np.exp(-2j * np.pi * np.arange(513) / 1024)
    shelf = 1.53512485958697 - 2.69169618940638 * z + 1.19839281085285 * z**2
    shelf /= 1 - 1.69065929318241 * z + 0.73248077421585 * z**2
    high_pass = (1 - 2 * z + z**2) / (1 - 1.99004745483398 * z + 0.99007225036621 * z**2)
    np.testing.assert_allclose(k_weighting(48000, 1024), shelf * high_pass, rtol=1e-6, atol=1e-9)


def test_blocks_make_no_difference():
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, 100_000)).astype(np.float32)
    whole, pieces = measured(noise, 44100), measured(noise, 44100, block=7001)
    assert pieces.lufs == pytest.approx(whole.lufs, abs=1e-6)
    assert pieces.peak_dbtp == pytest.approx(whole.peak_dbtp, abs=1e-3)


def test_pauses_do_not_count():
    tone = sine(1000, 0.1, 48000)
    paused = np.concatenate([tone, np.zeros_like(tone), tone], axis=1)
    assert measured(paused, 48000).lufs == pytest.approx(measured(tone, 48000).lufs, abs=0.3)


def test_peaks_between_samples_and_at_the_very_end_are_seen():
    quarter = np.sin(np.pi / 2 * np.arange(48000) + np.pi / 4)[None].astype(np.float32)  # samples at 0.707
    fade = np.minimum(1, np.arange(48000) / 4800)[None].astype(np.float32)
    assert measured(quarter * fade, 48000).peak_dbtp == pytest.approx(0.0, abs=0.2)
    last = np.zeros((1, 48000), np.float32)
    last[0, -1] = 0.5
    assert measured(last, 48000).peak_dbtp >= 20 * math.log10(0.5) - 1e-6


def test_silence_and_what_is_too_short_have_no_loudness():
    meter = measured(np.zeros((1, 48000), np.float32), 48000)
    assert (meter.lufs, meter.peak_dbtp) == (SILENT_LUFS, -math.inf)
    assert measured(sine(1000, 0.5, 48000, 0.3), 48000).lufs == SILENT_LUFS
