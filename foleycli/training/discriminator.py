"""Adversarial training of codecs: discriminators of real and decoded sounds, and the codec's losses.

A waveform codec meets complex spectra of several resolutions, after DAC's multi-scale STFT discriminator
(arXiv 2306.06546, section 3.3); a spectrogram codec patches of its log-mels (PatchGAN: arXiv 1611.07004, section
3.2.2).  Hinge losses, and feature matching.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.training.parallel import share_gradients


class STFTDiscriminator(nn.Module):
    """One resolution: sound [B, N] to the layers' outputs and, last, a map of scores (high: real)."""

    window: Tensor

    def __init__(self, n_fft: int, width: int) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        sizes = [(2, (1, 1)), (width, (1, 2)), (width, (1, 2)), (width, (1, 2))]
        self.layers = nn.ModuleList(
            _weight_norm(nn.Conv2d(n_in, width, (3, 9), stride, (1, 4))) for n_in, stride in sizes
        )
        self.score = _weight_norm(nn.Conv2d(width, 1, (3, 3), padding=(1, 1)))

    def forward(self, samples: Tensor) -> list[Tensor]:
        spectrum = torch.stft(samples, self.n_fft, self.n_fft // 4, window=self.window, return_complex=True)
        return _feature_maps(torch.view_as_real(spectrum).permute(0, 3, 2, 1), self.layers, self.score)  # [B, 2, T, F]


class MelDiscriminator(nn.Module):
    """Patches of a log-mel spectrogram, 37 bands by 37 frames each; the position among the bands is an input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = [(2, width, 2), (width, 2 * width, 2), (2 * width, 2 * width, 1), (2 * width, 2 * width, 1)]
        self.layers = nn.ModuleList(
            _weight_norm(nn.Conv2d(n_in, n_out, 2 * stride + 1, stride, stride)) for n_in, n_out, stride in sizes
        )
        self.score = _weight_norm(nn.Conv2d(2 * width, 1, 3, padding=1))

    def forward(self, mels: Tensor) -> list[Tensor]:
        """Scaled log-mels [B, mels, frames] to the layers' outputs and, last, the scores [B, 1, m, f]."""
        band = torch.linspace(-1, 1, mels.shape[1], device=mels.device)[:, None].expand(mels.shape[1:])
        return _feature_maps(torch.stack([mels, band.expand_as(mels)], dim=1), self.layers, self.score)


def _feature_maps(x: Tensor, layers: Iterable[nn.Module], score: nn.Module) -> list[Tensor]:
    maps = []
    for layer in layers:
        x = F.leaky_relu(layer(x), 0.1)
        maps.append(x)
    return [*maps, score(x)]


def _weight_norm(layer: nn.Module) -> nn.Module:
    return nn.utils.parametrizations.weight_norm(layer)


class AdversarialTrainer:
    """Discriminators with an optimiser of their own, trained one step for each step of the codec.

    They compare what the codec decodes with what was recorded: sounds [B, N] or log-mels [B, mels, frames].
    """

    def __init__(self, discriminators: Sequence[nn.Module], lr: float) -> None:
        self.discriminators, self.lr = nn.ModuleList(discriminators), lr
        self._optimizer: torch.optim.Optimizer | None = None  # made in the first step, on the sounds' device
        self._loaded: dict[str, Any] = {}  # of a checkpoint, until then

    def step(self, decoded: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Train the discriminators on one batch, and measure the codec's losses against them.

        "discriminator": their loss; "adversarial": low where `decoded` scores as real; "feature": the distance of
        their layers' outputs.  The latter two carry gradients to `decoded`.
        """
        optimizer = self._optimizer or self._make_optimizer(real.device)
        loss = discriminator_loss(self.discriminators, decoded.detach(), real)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        share_gradients(self.discriminators)
        optimizer.step()
        adversarial, feature = codec_losses(self.discriminators, decoded, real)
        return {"discriminator": loss.detach(), "adversarial": adversarial, "feature": feature}

    def state(self) -> dict[str, Any]:
        if self._optimizer is None:
            return self._loaded
        return {"network": self.discriminators.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        self._loaded = state

    def _make_optimizer(self, device: torch.device) -> torch.optim.Optimizer:
        self.discriminators.to(device)
        self._optimizer = torch.optim.AdamW(self.discriminators.parameters(), lr=self.lr, betas=(0.8, 0.99))
        if self._loaded:
            self.discriminators.load_state_dict(self._loaded["network"])
            self._optimizer.load_state_dict(self._loaded["optimizer"])
        return self._optimizer


def discriminator_loss(discriminators: nn.ModuleList, decoded: Tensor, real: Tensor) -> Tensor:
    """Hinge loss of a discriminator of real and decoded."""
    scores = [(discriminator(decoded)[-1], discriminator(real)[-1]) for discriminator in discriminators]
    return torch.stack([F.relu(1 + d).mean() + F.relu(1 - r).mean() for d, r in scores]).mean()


def codec_losses(discriminators: nn.ModuleList, decoded: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Adversarial loss and feature matching: the relative L1 distance of the layers' outputs from those of the real."""
    with torch.no_grad():
        targets = [discriminator(real) for discriminator in discriminators]
    discriminators.requires_grad_(False)
    outputs = [discriminator(decoded) for discriminator in discriminators]
    discriminators.requires_grad_(True)
    adversarial = torch.stack([-maps[-1].mean() for maps in outputs]).mean()
    distances = [
        F.l1_loss(output, target) / target.abs().mean().clamp_min(1e-3)
        for maps, target_maps in zip(outputs, targets, strict=True)
        for output, target in zip(maps[:-1], target_maps[:-1], strict=True)
    ]
    return adversarial, torch.stack(distances).mean()
