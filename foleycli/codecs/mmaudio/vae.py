"""MMAudio's variational autoencoder: mel spectrograms to latents and back, half as many steps per second.

A magnitude-preserving network (after Karras et al., arXiv 2312.02696): weights are used at unit length,
activations are kept at unit variance, sums are weighted.  Module names are those of the published files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-4
SUM_SHARE = 0.3  # of what a block adds
LARGEST = 256.0  # activations are held within it


@dataclass(frozen=True)
class VaeConfig:
    """The two published networks differ in these."""

    n_mels: int
    latent_dim: int
    width: int
    factors: tuple[int, ...] = (1, 2, 4)  # of the width, level by level


VAE_16K = VaeConfig(n_mels=80, latent_dim=20, width=384)
VAE_44K = VaeConfig(n_mels=128, latent_dim=40, width=512)


class Vae(nn.Module):
    """Mel frames [B, mels, 2 L] to latents [B, D, L] and back."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("data_mean", torch.zeros(1, config.n_mels, 1))
        self.register_buffer("data_std", torch.ones(1, config.n_mels, 1))
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def encode(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the latents, both [B, D, L]; an odd last frame is dropped."""
        mean, log_variance = self.encoder((mel - self.data_mean) / self.data_std).chunk(2, dim=1)
        return mean, torch.exp(0.5 * log_variance.clamp(-30.0, 20.0))

    def decode(self, latents: Tensor) -> Tensor:
        return self.decoder(latents) * self.data_std + self.data_mean


class Encoder(nn.Module):
    """Frames to twice the latents' channels: mean and logarithm of the variance."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        widths = [config.width * factor for factor in config.factors]
        self.learnable_gain = nn.Parameter(torch.zeros(()))
        self.conv_in = conv(config.n_mels, widths[0], 3)
        self.down = nn.ModuleList(
            Level(n_in, n_out, n_blocks=2) for n_in, n_out in zip([widths[0], *widths], widths, strict=False)
        )
        self.down[0].downsample = Halve(widths[0])
        self.mid = Middle(widths[-1])
        self.conv_out = conv(widths[-1], 2 * config.latent_dim, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
            if hasattr(level, "downsample"):
                x = level.downsample(x)
        return self.conv_out(silu(self.mid(x))) * (self.learnable_gain + 1)


class Decoder(nn.Module):
    """Latents to frames."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        widths = [config.width * factor for factor in config.factors]
        self.learnable_gain = nn.Parameter(torch.zeros(()))
        self.conv_in = conv(config.latent_dim, widths[-1], 3)
        self.mid = Middle(widths[-1])
        self.up = nn.ModuleList(
            Level(n_in, n_out, n_blocks=3) for n_in, n_out in zip([*widths[1:], widths[-1]], widths, strict=True)
        )
        self.up[1].upsample = Double(widths[1])
        self.conv_out = conv(widths[0], config.n_mels, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mid(self.conv_in(x))
        for level in reversed(self.up):
            x = level(x)
            if hasattr(level, "upsample"):
                x = level.upsample(x)
        return self.conv_out(silu(x)) * (self.learnable_gain + 1)


class Level(nn.Module):
    """Residual blocks in a row; the first may change the width."""

    def __init__(self, n_in: int, n_out: int, n_blocks: int) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResBlock(n_in if index == 0 else n_out, n_out) for index in range(n_blocks))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block:
            x = block(x)
        return x


class ResBlock(nn.Module):
    """Two convolutions beside a shortcut; both see the normalised input."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv1 = conv(n_in, n_out, 3)
        self.conv2 = conv(n_out, n_out, 3)
        if n_in != n_out:
            self.nin_shortcut = conv(n_in, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = unit(x)
        made = self.conv2(silu(self.conv1(silu(x))))
        if hasattr(self, "nin_shortcut"):
            x = self.nin_shortcut(x)
        return weighted_sum(x, made)


class Attention(nn.Module):
    """One head over all steps."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = conv(width, 3 * width, 1)
        self.proj_out = conv(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        # Channels of the product run (channel, q|k|v): the three lie next to one another.
        qkv = self.qkv(x).unflatten(1, (-1, 3)).permute(2, 0, 3, 1)  # [3, B, T, D]
        query, key, value = unit(qkv, dim=-1).unbind(0)
        attended = F.scaled_dot_product_attention(query, key, value)
        return weighted_sum(x, self.proj_out(attended.transpose(1, 2)))


class Middle(nn.Module):
    """Block, attention, block at the widest level."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block_1 = ResBlock(width, width)
        self.attn_1 = Attention(width)
        self.block_2 = ResBlock(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Halve(nn.Module):
    """Half as many steps."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = conv(width, width, 1)
        self.conv2 = conv(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(F.avg_pool1d(self.conv1(x), 2))


class Double(nn.Module):
    """Twice as many steps."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = conv(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.repeat_interleave(2, dim=-1))


def conv(n_in: int, n_out: int, kernel: int) -> nn.Conv1d:
    return nn.Conv1d(n_in, n_out, kernel, padding=kernel // 2, bias=False)


def silu(x: Tensor) -> Tensor:
    """Its output has unit variance when its input has."""
    return F.silu(x) / 0.596


def unit(x: Tensor, dim: int = 1) -> Tensor:
    """Every step at unit variance over its channels."""
    rms = torch.linalg.vector_norm(x, dim=dim, keepdim=True) / math.sqrt(x.shape[dim])
    return x / (rms + EPS)


def weighted_sum(x: Tensor, added: Tensor) -> Tensor:
    """Seven parts to three, at unit variance when both have it."""
    mixed = torch.lerp(x, added, SUM_SHARE) / math.hypot(1 - SUM_SHARE, SUM_SHARE)
    return mixed.clamp(-LARGEST, LARGEST)


def at_unit_length(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Raw convolution weights to those that are used: each output channel's row at length 1."""
    return {name: _unit_rows(value) if name.endswith(".weight") else value.float() for name, value in state.items()}


def _unit_rows(weight: Tensor) -> Tensor:
    weight = weight.float()
    root = math.sqrt(weight[0].numel())
    length = torch.linalg.vector_norm(weight, dim=(1, 2), keepdim=True)
    return weight / (EPS + length / root) / root
