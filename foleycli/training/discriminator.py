"""The codec's opponent: small networks that look at spectrograms of several resolutions.

After DAC's complex multi-scale STFT discriminator (arXiv 2306.06546, section 3.3), with hinge losses.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SpectrogramJudge(nn.Module):
    """One resolution: complex spectrum in, a map of verdicts and the layers on the way out."""

    def __init__(self, n_fft: int, width: int) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        sizes = [(2, (1, 1)), (width, (1, 2)), (width, (1, 2)), (width, (1, 2))]
        weight_norm = nn.utils.parametrizations.weight_norm
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(n_in, width, (3, 9), stride, (1, 4))) for n_in, stride in sizes
        )
        self.verdict = weight_norm(nn.Conv2d(width, 1, (3, 3), padding=(1, 1)))

    def forward(self, samples: Tensor) -> list[Tensor]:
        spectrum = torch.stft(samples, self.n_fft, self.n_fft // 4, window=self.window, return_complex=True)
        x = torch.view_as_real(spectrum).permute(0, 3, 2, 1)  # [B, 2, frames, bins]
        seen = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.1)
            seen.append(x)
        return [*seen, self.verdict(x)]


class Discriminator(nn.Module):
    """Three resolutions at once."""

    def __init__(self, windows: tuple[int, ...] = (2048, 1024, 512), width: int = 16) -> None:
        super().__init__()
        self.judges = nn.ModuleList(SpectrogramJudge(n_fft, width) for n_fft in windows)

    def forward(self, samples: Tensor) -> list[list[Tensor]]:
        return [judge(samples) for judge in self.judges]


def discriminator_loss(discriminator: Discriminator, made: Tensor, real: Tensor) -> Tensor:
    """Hinge loss of telling real from made."""
    pairs = zip(discriminator(made), discriminator(real), strict=True)
    return torch.stack([F.relu(1 + m[-1]).mean() + F.relu(1 - r[-1]).mean() for m, r in pairs]).mean()


def generator_loss(discriminator: Discriminator, made: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """How badly the made sound fools it, and how far its inner layers are from the real sound's."""
    with torch.no_grad():
        wanted = discriminator(real)
    discriminator.requires_grad_(False)
    found = discriminator(made)
    discriminator.requires_grad_(True)
    fooling = torch.stack([-m[-1].mean() for m in found]).mean()
    distances = [
        F.l1_loss(a, b) / b.abs().mean().clamp_min(1e-3)
        for m, r in zip(found, wanted, strict=True)
        for a, b in zip(m[:-1], r[:-1], strict=True)
    ]
    return fooling, torch.stack(distances).mean()
