"""Mel spectrograms: the codec's losses and the synchronisation encoder's view of sound."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor


def mel_spectrogram(samples: Tensor, rate_hz: int, n_fft: int, hop: int, n_mels: int, is_rms: bool = False) -> Tensor:
    """Magnitude mel spectrogram of float32 [B, N]: [B, n_mels, 1 + N // hop], frames centred.

    A band is the mean of its bins' magnitudes, or with `is_rms` the root of their mean power, which is more where
    a band holds a peak.  A full-scale sine reads about 1 at every window length, so that one floor suits all of them.
    """
    window = hann_window(n_fft, samples.device)
    spectrum = torch.stft(samples, n_fft, hop, window=window, return_complex=True, pad_mode="constant")
    magnitude = spectrum.abs() * (4 / n_fft)  # the window's mean is a half, a sine's energy is in two bins
    filters = mel_filters(rate_hz, n_fft, n_mels, samples.device)
    return (filters @ magnitude.square()).sqrt() if is_rms else filters @ magnitude  # [B, n_mels, frames]


def log_mel(samples: Tensor, rate_hz: int, n_fft: int, hop: int, n_mels: int, floor: float = 1e-5) -> Tensor:
    """log10 of the mel spectrogram, never below `floor`."""
    return mel_spectrogram(samples, rate_hz, n_fft, hop, n_mels).clamp_min(floor).log10()


# Kept tables are made outside inference mode, whoever asks first: a training in the same process needs them too.
@cache
@torch.inference_mode(False)
def hann_window(n_fft: int, device: torch.device) -> Tensor:
    return torch.hann_window(n_fft, device=device)


@cache
@torch.inference_mode(False)
def mel_filters(rate_hz: int, n_fft: int, n_mels: int, device: torch.device) -> Tensor:
    """Triangles on the Slaney mel scale, each a mean over its bins, [n_mels, 1 + n_fft / 2]."""
    edges = _mel_to_hz(torch.linspace(0, _hz_to_mel(rate_hz / 2), n_mels + 2))
    bins = torch.linspace(0, rate_hz / 2, 1 + n_fft // 2)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = torch.minimum(rising, falling).clamp_min(0)
    # A low band can be narrower than the bins are apart: it reads the bin nearest to its middle.
    nearest = (bins - edges[1:-1, None]).abs().argmin(dim=1)
    triangles[torch.arange(n_mels), nearest] = triangles[torch.arange(n_mels), nearest].clamp_min(0.05)
    return (triangles / triangles.sum(dim=1, keepdim=True)).to(device)


def _hz_to_mel(hz: float) -> float:
    """Linear to 1 kHz, logarithmic above (Slaney, Auditory Toolbox, 1998)."""
    return hz / (200 / 3) if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)


def _mel_to_hz(mel: Tensor) -> Tensor:
    return torch.where(mel < 15, mel * (200 / 3), 1000 * torch.exp((mel - 15) * math.log(6.4) / 27))
