"""Mel filter banks against librosa's, mel spectrograms, and the spectrogram that pictures show."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch

from foleycli.dsp.mel import LOW_HZ, display_filters, hz_to_mel, log_mel, mel_filterbank, mel_filters, mel_picture_db

RATE_HZ = 48000
CPU = torch.device("cpu")


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize(("norm", "librosas"), [("area", "slaney"), ("peak", None)])
@pytest.mark.parametrize(
    ("rate_hz", "n_fft", "n_mels", "low_hz", "high_hz"),
    [(16000, 1024, 80, 0.0, 8000.0), (44100, 2048, 128, 0.0, None), (32000, 1024, 64, 50.0, 14000.0)],
)
def test_banks_are_librosas(rate_hz, n_fft, n_mels, low_hz, high_hz, norm, librosas, scale):
    expected = librosa.filters.mel(
        sr=rate_hz, n_fft=n_fft, n_mels=n_mels, fmin=low_hz, fmax=high_hz, htk=scale == "htk", norm=librosas,
        dtype=np.float64,
    )  # fmt: skip
    found = mel_filterbank(rate_hz, n_fft, n_mels, low_hz, high_hz, scale=scale, norm=norm)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-12)


def test_our_networks_bank_is_librosas_as_a_mean_over_bins():
    expected = librosa.filters.mel(sr=44100, n_fft=2048, n_mels=64, norm=None)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(mel_filters(44100, 2048, 64, CPU).numpy(), expected, atol=2e-6)


def test_sides_can_be_straight_over_mels():
    edges = np.linspace(2595 * np.log10(1 + 20 / 700), 2595 * np.log10(1 + 8000 / 700), 130)
    bins = 2595 * np.log10(1 + np.arange(257) * 16000 / 512 / 700)
    expected = [np.interp(bins, edges[k : k + 3], [0, 1, 0]) for k in range(128)]
    found = mel_filterbank(16000, 512, 128, low_hz=20.0, scale="htk", linear_in="mel")
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)


def test_every_band_of_our_networks_and_of_pictures_reads_something():
    for bank in (mel_filters(44100, 1024, 200, CPU).numpy(), display_filters(44100, 170), display_filters(48000, 170)):
        assert (bank >= 0).all()
        assert bank.sum(axis=1) == pytest.approx(np.ones(len(bank)), abs=1e-5)
    assert (mel_filterbank(44100, 1024, 200).sum(dim=1) == 0).any()  # it takes `narrow` to fill them


def test_tables_first_made_in_inference_mode_serve_a_training() -> None:
    with torch.inference_mode():
        log_mel(torch.zeros(1, 2000), 12345, 512, 128, 20)  # a rate that nothing else asks for
    samples = torch.rand(1, 2000, requires_grad=True)
    log_mel(samples, 12345, 512, 128, 20).sum().backward()
    assert samples.grad.abs().sum() > 0


@pytest.mark.parametrize("tone_hz", [200.0, 1000.0, 8000.0, 20000.0])
def test_a_tone_is_loudest_in_its_band(tone_hz):
    tone = np.sin(2 * np.pi * tone_hz * np.arange(RATE_HZ) / RATE_HZ)
    levels = mel_picture_db(tone, RATE_HZ, 128, 50)
    low, high, at = (float(hz_to_mel(hz, "htk")) for hz in (LOW_HZ, RATE_HZ / 2, tone_hz))
    band = (at - low) / (high - low) * 129 - 1
    assert levels.shape == (128, 50)
    assert abs(int(levels[:, 25].argmax()) - band) <= 1


@pytest.mark.parametrize("length_s", [0.2, 3.0, 90.0])  # several frames per column; one; overlapping ones
def test_a_click_is_loudest_in_its_column(length_s):
    samples = np.zeros(round(length_s * RATE_HZ), np.float32)
    samples[round(0.6 * len(samples))] = 1.0
    levels = mel_picture_db(samples, RATE_HZ, 40, 100)
    at = levels.sum(axis=0).argmax()
    assert abs((at + 0.5) / 100 * length_s - 0.6 * length_s) <= length_s / 100 + 1024 / RATE_HZ


def test_very_short_and_silent_sounds_are_finite():
    assert np.isfinite(mel_picture_db(np.zeros(10, np.float32), RATE_HZ, 20, 30)).all()
