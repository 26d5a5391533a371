"""Scalars (flow time, sampler step size) and feature vectors to vectors of the network's width: to [B, D]."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

N_FREQUENCIES = 128


def random_vectors(*shape: int, std: float = 1.0) -> nn.Parameter:
    """Learned vectors before training: normal with standard deviation `std`.

    Nothing is drawn on the meta device, where networks are built to be loaded: drawing there makes torch import sympy
    and parts of its compiler, which takes a second.  `nn.init.normal_` and `nn.Embedding` by itself do the same.
    """
    if torch.get_default_device().type == "meta":
        return nn.Parameter(torch.empty(shape))
    return nn.Parameter(torch.randn(shape).mul_(std))


def code_embedding(n_codes: int, dim: int) -> nn.Embedding:
    """`nn.Embedding` with the same random start, made without torch's compiler: see `random_vectors`."""
    return nn.Embedding(n_codes, dim, _weight=random_vectors(n_codes, dim).data)


def sinusoids(values: Tensor, max_period: float) -> Tensor:
    """Cosines and sines of `values` [B] at frequencies from 1 down to 1 / max_period: float32 [B, 256]."""
    exponents = torch.arange(N_FREQUENCIES, device=values.device, dtype=torch.float32) / N_FREQUENCIES
    angles = values.float()[:, None] * torch.exp(-math.log(max_period) * exponents)  # [B, 128]
    return torch.cat([angles.cos(), angles.sin()], dim=-1)  # [B, 256]


class ScalarEmbedding(nn.Module):
    """Sinusoids through a two-layer MLP."""

    def __init__(self, width: int, max_period: float) -> None:
        super().__init__()
        self.max_period = max_period
        self.inner = nn.Linear(2 * N_FREQUENCIES, width)
        self.out = nn.Linear(width, width)

    def forward(self, values: Tensor) -> Tensor:
        features = sinusoids(values, self.max_period).to(self.inner.weight.dtype)
        return self.out(nn.functional.silu(self.inner(features)))  # [B, D]


class TimeEmbedding(ScalarEmbedding):
    """Flow time t in 0..1 to [B, D]."""

    def __init__(self, width: int) -> None:
        super().__init__(width, max_period=10_000.0)

    def forward(self, t: Tensor) -> Tensor:
        return super().forward(1000.0 * t)


class StepEmbedding(ScalarEmbedding):
    """Sampler step size d in (0, 1] to [B, D], as log2(1/d) (shortcut models)."""

    def __init__(self, width: int) -> None:
        super().__init__(width, max_period=100.0)

    def forward(self, d: Tensor) -> Tensor:
        return super().forward(-torch.log2(d.float()))


def vector_in(in_dim: int, width: int) -> nn.Sequential:
    """A feature vector of any scale to the network's width."""
    return nn.Sequential(nn.LayerNorm(in_dim), nn.Linear(in_dim, width), nn.SiLU(), nn.Linear(width, width))
