"""From a mel spectrogram back to sound without a network: magnitudes that fit it, then phases that fit them.

Magnitudes: multiplicative updates (Lee and Seung 2001) find a spectrum, never negative, whose mel bands are the
wanted ones.  Phases: fast Griffin-Lim (Perraudin, Balazs and Søndergaard 2013) from the phases of a fixed noise.
Both see a few frames only, so that sound made in overlapping pieces is the sound made at once.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from foleycli.dsp.mel import hann_window, mel_filters

NOISE_SEED = 44100
NOISE_PERIOD = 1 << 19  # samples (12 s) after which the fixed noise repeats
MOMENTUM = 0.99
UPDATES = 8  # of the magnitudes: more change nothing that is heard


def magnitudes_of(mel: Tensor, rate_hz: int, n_fft: int) -> Tensor:
    """A magnitude mel spectrogram as `nn.spectra.mel_spectrogram` reads it, [B, mels, F], to spectra [B, bins, F]."""
    filters = mel_filters(rate_hz, n_fft, mel.shape[1], mel.device)  # [mels, bins]
    reach = filters.sum(dim=0)[:, None] + 1e-6  # [bins, 1]
    spectra = (filters.T @ mel).clamp_min(1e-9) / reach
    for _ in range(UPDATES):
        spectra = spectra * (filters.T @ (mel / (filters @ spectra + 1e-9))) / reach
    return spectra * (n_fft / 4)


def sound_of(magnitudes: Tensor, n_fft: int, hop: int, start_sample: int, rounds: int) -> Tensor:
    """Spectra [B, bins, F] of centred frames, `hop` apart, to sound [B, F * hop].

    `start_sample` is the first sample's place on the whole track, to which the noise behind the phases is fixed.
    """
    window = hann_window(n_fft, magnitudes.device)
    n_samples = magnitudes.shape[2] * hop
    magnitudes = torch.cat([magnitudes, magnitudes[..., -1:]], dim=2)  # the frame after the last sample's
    phases = _noise_phases(magnitudes, n_fft, hop, start_sample)
    before = torch.zeros_like(phases)
    for _ in range(rounds):
        sound = _join(magnitudes * phases, n_fft, hop, window, n_samples)
        found = torch.stft(sound, n_fft, hop, window=window, return_complex=True, pad_mode="constant")
        phases = _directions(found - MOMENTUM / (1 + MOMENTUM) * before)
        before = found
    return _join(magnitudes * phases, n_fft, hop, window, n_samples)


def _join(spectra: Tensor, n_fft: int, hop: int, window: Tensor, n_samples: int) -> Tensor:
    return torch.istft(spectra, n_fft, hop, window=window, length=n_samples)


def _directions(spectra: Tensor) -> Tensor:
    return spectra / (spectra.abs() + 1e-9)


def _noise_phases(like: Tensor, n_fft: int, hop: int, start_sample: int) -> Tensor:
    """Phases [1, bins, F] of the track's noise in the same frames."""
    n = (like.shape[2] - 1) * hop + n_fft
    index = (torch.arange(n, device=like.device) + start_sample - n_fft // 2) % NOISE_PERIOD
    frames = fixed_noise(like.device)[index].unfold(0, n_fft, hop) * hann_window(n_fft, like.device)  # [F, n_fft]
    return _directions(torch.fft.rfft(frames).T[None])


@cache
@torch.inference_mode(False)
def fixed_noise(device: torch.device) -> Tensor:
    """White noise [NOISE_PERIOD], the same for every codec and run."""
    return torch.randn(NOISE_PERIOD, generator=torch.Generator().manual_seed(NOISE_SEED)).to(device)


def spread_frames(n_fft: int, hop: int, rounds: int) -> int:
    """How many frames away the sound of a frame can depend on others, after so many rounds."""
    return (math.ceil(n_fft / hop) - 1) * (rounds + 1)
