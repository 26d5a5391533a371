"""From mel spectrograms to sound: levels, pitches and attacks come back, and silence stays silent."""

from __future__ import annotations

import math

import pytest
import torch

from foleycli.dsp.griffin_lim import MOMENTUM, context_frames, fixed_noise, griffin_lim, invert_mel
from foleycli.dsp.mel import mel_spectrogram

RATE_HZ, N_FFT, HOP, N_MELS = 44100, 1024, 256, 100
N = 40 * 1024


def again(samples: torch.Tensor, rounds: int = 16, start_sample: int = 0) -> torch.Tensor:
    """A sound [N] through its mel spectrogram."""
    mels = mel_spectrogram(samples[None], RATE_HZ, N_FFT, HOP, N_MELS)[..., :-1]
    return griffin_lim(invert_mel(mels, RATE_HZ, N_FFT), N_FFT, HOP, start_sample, rounds)[0]


def level_db(samples: torch.Tensor) -> float:
    return 10 * math.log10(samples.square().mean())


def test_noise_keeps_its_level():
    torch.manual_seed(0)
    noise = 0.1 * torch.randn(N)
    assert level_db(again(noise)) == pytest.approx(level_db(noise), abs=1.0)


@pytest.mark.parametrize("pitch_hz", [220.0, 1000.0, 3000.0])
def test_a_tone_keeps_its_pitch(pitch_hz):
    tone = 0.3 * torch.sin(2 * math.pi * pitch_hz * torch.arange(N) / RATE_HZ)
    spectrum = torch.fft.rfft(again(tone)[4096:-4096]).abs()
    found_hz = spectrum.argmax().item() * RATE_HZ / (N - 8192)
    assert found_hz == pytest.approx(pitch_hz, rel=0.04)


def test_an_attack_comes_when_it_came():
    torch.manual_seed(0)
    first = 20 * 1024 + 300
    hit = torch.zeros(N)
    hit[first:] = 0.5 * torch.randn(N - first) * torch.exp(-torch.arange(N - first) / 3000)
    made = again(hit)
    half = made.abs().max() / 4
    assert abs(int((made.abs() > half).int().argmax()) - first) < 0.008 * RATE_HZ
    assert made[: first - N_FFT].abs().max() < 1e-3


def test_silence_is_silent():
    assert again(torch.zeros(N)).abs().max() < 1e-4


def test_more_rounds_fit_the_spectrum_better():
    torch.manual_seed(0)
    t = torch.arange(N) / RATE_HZ
    sound = sum(0.1 * torch.sin(2 * math.pi * f * t) for f in (310.0, 620.0, 930.0)) + 0.01 * torch.randn(N)
    wanted = mel_spectrogram(sound[None], RATE_HZ, N_FFT, HOP, N_MELS)

    def distance(rounds: int) -> float:
        made = mel_spectrogram(again(sound, rounds)[None], RATE_HZ, N_FFT, HOP, N_MELS)
        return (made.clamp_min(1e-4).log10() - wanted.clamp_min(1e-4).log10()).abs().mean().item()

    assert distance(16) < 0.8 * distance(0)


def test_sound_beyond_the_context_does_not_matter():
    torch.manual_seed(0)
    spectra = torch.rand(1, N_FFT // 2 + 1, 120)
    other = spectra.clone()
    other[..., 90:] = torch.rand(1, N_FFT // 2 + 1, 30)
    rounds = 4
    a, b = (griffin_lim(x, N_FFT, HOP, 0, rounds)[0] for x in (spectra, other))
    same = (90 - context_frames(N_FFT, HOP, rounds)) * HOP
    assert torch.allclose(a[:same], b[:same], atol=1e-3 * a.abs().max())
    assert not torch.allclose(a[90 * HOP :], b[90 * HOP :], atol=1e-3 * a.abs().max())


@pytest.mark.parametrize("rounds", [0, 3])
def test_transforms_are_torch_s_stft_and_istft(rounds):
    torch.manual_seed(0)
    spectra, window = torch.rand(2, N_FFT // 2 + 1, 50), torch.hann_window(N_FFT)
    padded = torch.cat([spectra, spectra[..., -1:]], dim=2)
    noise = fixed_noise(torch.device("cpu"))
    noise = torch.cat([noise[-(N_FFT // 2) :], noise[: 50 * HOP + N_FFT // 2]])  # around the frames' middles
    phases = torch.stft(noise, N_FFT, HOP, window=window, center=False, return_complex=True).sgn()
    previous = torch.zeros_like(phases)
    for _ in range(rounds):
        sound = torch.istft(padded * phases, N_FFT, HOP, window=window, length=50 * HOP)
        consistent = torch.stft(sound, N_FFT, HOP, window=window, return_complex=True, pad_mode="constant")
        phases, previous = (consistent - MOMENTUM / (1 + MOMENTUM) * previous).sgn(), consistent
    expected = torch.istft(padded * phases, N_FFT, HOP, window=window, length=50 * HOP)
    torch.testing.assert_close(griffin_lim(spectra, N_FFT, HOP, 0, rounds), expected, rtol=0, atol=1e-3)
