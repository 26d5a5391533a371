"""MMAudio's variational autoencoder: mel spectrograms to latents and back, half as many steps per second.

A magnitude-preserving network (after EDM2: Karras et al., arXiv 2312.02696): weights are used at unit length,
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
SUM_WEIGHT = 0.3  # of what a block adds to its input
MAX_ACTIVATION = 256.0


@dataclass(frozen=True)
class VaeConfig:
    """What differs between the two published networks."""

    n_mels: int
    latent_dim: int
    width: int
    factors: tuple[int, ...] = (1, 2, 4)  # of the width, level by level


VAE_16K = VaeConfig(n_mels=80, latent_dim=20, width=384)
VAE_44K = VaeConfig(n_mels=128, latent_dim=40, width=512)


class Vae(nn.Module):
    """Mel frames [B, mels, 2 L] to latents [B, D, L] and back."""

    data_mean: Tensor  # [1, mels, 1]
    data_std: Tensor  # [1, mels, 1]

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("data_mean", torch.zeros(1, config.n_mels, 1))
        self.register_buffer("data_std", torch.ones(1, config.n_mels, 1))
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def encode(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the latents, both [B, D, L]; an odd last frame is dropped."""
        mean, log_variance = self.encoder((mel - self.data_mean) / self.data_std).chunk(2, dim=1)
        return mean, torch.exp(0.5 * log_variance.clamp(-30.0, 20.0))

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, D, L] to mel frames [B, mels, 2 L]."""
        return self.decoder(latents) * self.data_std + self.data_mean


class Encoder(nn.Module):
    """Frames to twice the latents' channels: mean and logarithm of the variance."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        widths = [config.width * factor for factor in config.factors]
        self.learnable_gain = nn.Parameter(torch.zeros(()))
        self.conv_in = conv(config.n_mels, widths[0], 3)
        self.down = nn.ModuleList(
            EncoderLevel(n_in, n_out, halves=index == 0)
            for index, (n_in, n_out) in enumerate(zip([widths[0], *widths], widths, strict=False))
        )
        self.mid = Middle(widths[-1])
        self.conv_out = conv(widths[-1], 2 * config.latent_dim, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        return self.conv_out(mp_silu(self.mid(x))) * (self.learnable_gain + 1)


class Decoder(nn.Module):
    """Latents to frames."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        widths = [config.width * factor for factor in config.factors]
        self.learnable_gain = nn.Parameter(torch.zeros(()))
        self.conv_in = conv(config.latent_dim, widths[-1], 3)
        self.mid = Middle(widths[-1])
        self.up = nn.ModuleList(
            DecoderLevel(n_in, n_out, doubles=index == 1)
            for index, (n_in, n_out) in enumerate(zip([*widths[1:], widths[-1]], widths, strict=True))
        )
        self.conv_out = conv(widths[0], config.n_mels, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mid(self.conv_in(x))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(mp_silu(x)) * (self.learnable_gain + 1)


class EncoderLevel(nn.Module):
    """Two residual blocks in a row, the first of which may change the width; then, perhaps, half as many steps."""

    def __init__(self, n_in: int, n_out: int, halves: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(ResBlock(n_in, n_out), ResBlock(n_out, n_out))
        self.downsample = Downsample(n_out) if halves else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.downsample(self.block(x))


class DecoderLevel(nn.Module):
    """Three residual blocks in a row, the first of which may change the width; then, perhaps, twice as many steps."""

    def __init__(self, n_in: int, n_out: int, doubles: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(ResBlock(n_in, n_out), ResBlock(n_out, n_out), ResBlock(n_out, n_out))
        self.upsample = Upsample(n_out) if doubles else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.upsample(self.block(x))


class ResBlock(nn.Module):
    """Two convolutions beside a shortcut; both read the normalised input."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv1 = conv(n_in, n_out, 3)
        self.conv2 = conv(n_out, n_out, 3)
        self.nin_shortcut = conv(n_in, n_out, 1) if n_in != n_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = normalise(x)
        added = self.conv2(mp_silu(self.conv1(mp_silu(x))))
        return mp_sum(self.nin_shortcut(x), added)


class Attention(nn.Module):
    """One head over all steps."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = conv(width, 3 * width, 1)
        self.proj_out = conv(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        # Channels of the product run (channel, q|k|v): the three lie next to one another.
        qkv = self.qkv(x).unflatten(1, (-1, 3)).permute(2, 0, 3, 1)  # [3, B, T, D]
        query, key, value = normalise(qkv, dim=-1).unbind(0)
        attended = F.scaled_dot_product_attention(query, key, value)
        return mp_sum(x, self.proj_out(attended.transpose(1, 2)))


class Middle(nn.Module):
    """Block, attention, block at the widest level."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block_1 = ResBlock(width, width)
        self.attn_1 = Attention(width)
        self.block_2 = ResBlock(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Downsample(nn.Module):
    """Half as many steps."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = conv(width, width, 1)
        self.conv2 = conv(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(F.avg_pool1d(self.conv1(x), 2))


class Upsample(nn.Module):
    """Twice as many steps."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = conv(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.repeat_interleave(2, dim=-1))


def conv(n_in: int, n_out: int, kernel: int) -> nn.Conv1d:
    """A convolution without bias that keeps the number of steps."""
    return nn.Conv1d(n_in, n_out, kernel, padding=kernel // 2, bias=False)


def mp_silu(x: Tensor) -> Tensor:
    """SiLU whose output has unit variance when its input has (arXiv 2312.02696, equation 81)."""
    return F.silu(x) / 0.596


def normalise(x: Tensor, dim: int = 1) -> Tensor:
    """Every step at unit variance over its channels (EDM2's pixel norm)."""
    rms = torch.linalg.vector_norm(x, dim=dim, keepdim=True) / math.sqrt(x.shape[dim])
    return x / (rms + EPS)


def mp_sum(x: Tensor, added: Tensor) -> Tensor:
    """Seven parts of x and three of what is added, at unit variance when both have it (equation 88)."""
    mixed = torch.lerp(x, added, SUM_WEIGHT) / math.hypot(1 - SUM_WEIGHT, SUM_WEIGHT)
    return mixed.clamp(-MAX_ACTIVATION, MAX_ACTIVATION)


def normalise_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Raw weights to those that are used, float32: every output channel of a convolution at length 1."""
    return {
        name: _normalise_channels(value.float()) if name.endswith(".weight") else value.float()
        for name, value in state.items()
    }


def _normalise_channels(weight: Tensor) -> Tensor:
    root = math.sqrt(weight[0].numel())
    length = torch.linalg.vector_norm(weight, dim=(1, 2), keepdim=True)
    return weight / (EPS + length / root) / root
