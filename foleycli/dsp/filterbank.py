"""Splits sound into equal sub-bands and joins them again: a cosine-modulated (pseudo-QMF) filter bank.

Working on eight bands at an eighth of the rate makes a waveform codec's widest layers eight times shorter.
Source: Nguyen, "Near-perfect-reconstruction pseudo-QMF banks" (IEEE Trans. Signal Processing, 1994); Kaiser prototype
as in multi-band vocoders (Yang et al., arXiv 2005.05106).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PseudoQMF(nn.Module):
    """Analysis and synthesis with `n_bands` bands; the reconstruction error is below -60 dB."""

    filters: Tensor  # [bands, 1, taps + 1]

    def __init__(self, n_bands: int, taps_per_band: int = 12, beta: float = 9.0) -> None:
        super().__init__()
        self.n_bands = n_bands
        self.n_taps = n_bands * taps_per_band  # even; the filters have n_taps + 1 samples
        prototype = _prototype(self.n_taps, n_bands, beta)
        n = torch.arange(self.n_taps + 1, dtype=torch.float64) - self.n_taps / 2
        band = torch.arange(n_bands, dtype=torch.float64)[:, None]
        phase = (-1.0) ** band * math.pi / 4
        angle = (2 * band + 1) * math.pi / (2 * n_bands) * n
        # conv1d correlates and conv_transpose1d convolves, so that one set of filters serves both ways.
        filters = 2 * prototype * torch.cos(angle + phase)
        self.register_buffer("filters", filters.float()[:, None], persistent=False)

    def split(self, samples: Tensor) -> Tensor:
        """[B, 1, N] to [B, bands, N / bands]; N is a multiple of the number of bands."""
        bands = F.conv1d(samples, self.filters, stride=self.n_bands, padding=self.n_taps // 2)
        return bands[..., : samples.shape[-1] // self.n_bands]

    def join(self, bands: Tensor) -> Tensor:
        """[B, bands, M] to [B, 1, M * bands]."""
        n_samples = bands.shape[-1] * self.n_bands
        joined = F.conv_transpose1d(bands * self.n_bands, self.filters, stride=self.n_bands, padding=self.n_taps // 2)
        return F.pad(joined, (0, n_samples - joined.shape[-1]))  # the last filter ends n_bands - 1 early


def _prototype(n_taps: int, n_bands: int, beta: float) -> Tensor:
    """Kaiser low-pass [n_taps + 1] whose cut-off makes the bank's response flat; found by search."""
    n = torch.arange(n_taps + 1, dtype=torch.float64) - n_taps / 2
    window = torch.kaiser_window(n_taps + 1, periodic=False, beta=beta, dtype=torch.float64)

    def low_pass(cut_off: float) -> Tensor:
        return cut_off * torch.sinc(cut_off * n) * window

    def ripple(cut_off: float) -> float:
        # The prototype's autocorrelation must vanish at multiples of 2 * n_bands (Creusere & Mitra, 1995).
        spectrum = torch.fft.rfft(low_pass(cut_off), 4 * (n_taps + 1)).abs() ** 2
        correlation = torch.fft.irfft(spectrum)
        return float(correlation[2 * n_bands : n_taps : 2 * n_bands].abs().max())

    low, high = 0.4 / n_bands, 0.8 / n_bands
    for _ in range(6):  # ever finer grids: the function has several small dips
        grid = torch.linspace(low, high, 33, dtype=torch.float64).tolist()
        best = min(grid, key=ripple)
        width = (high - low) / 16
        low, high = best - width, best + width
    return low_pass(best)
