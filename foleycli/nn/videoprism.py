"""VideoPrism (Zhao et al., arXiv 2402.13217): clips of frames in, a vector for each patch of each frame out.

A factorised video transformer: layers over the patches of each frame, then layers over the frames of each patch.
Module names are those of the published files in the form of Hugging Face transformers (`VideoPrismVisionModel`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.nn.embedding import random_vectors
from foleycli.nn.linear import Linear
from foleycli.timebase import exact_div

EPS = 1e-6
SCORE_CAP = 50.0  # attention scores stay within so much of 0


@dataclass(frozen=True)
class VideoPrismConfig:
    """The published base network (videoprism-base-f16r288); smaller ones are for tests."""

    width: int = 768
    n_heads: int = 12
    hidden: int = 3072
    n_spatial: int = 12
    n_temporal: int = 4
    size_px: int = 288
    patch_px: int = 18
    n_frames: int = 16  # of a clip

    @property
    def n_patches(self) -> int:
        return exact_div(self.size_px, self.patch_px) ** 2


class VideoPrism(nn.Module):
    """Clips [B, T, 3, H, W], RGB in 0..1, to [B, T, patches, D]."""

    def __init__(self, config: VideoPrismConfig) -> None:
        super().__init__()
        self.config = config
        self.spatial_embeddings = PatchEmbeddings(config)
        self.temporal_embeddings = FrameEmbeddings(config)
        self.spatial_layers = nn.ModuleList(Layer(config) for _ in range(config.n_spatial))
        self.temporal_layers = nn.ModuleList(Layer(config) for _ in range(config.n_temporal))
        self.layernorm1, self.layernorm2 = Norm(config.width), Norm(config.width)

    def forward(self, clips: Tensor) -> Tensor:
        n_batch, n_frames = clips.shape[:2]
        x = self.spatial_embeddings(clips.flatten(0, 1))  # [B*T, P, D]
        for layer in self.spatial_layers:
            x = layer(x)
        x = self.layernorm1(x).unflatten(0, (n_batch, n_frames)).transpose(1, 2)  # [B, P, T, D]
        x = self.temporal_embeddings(x.flatten(0, 1))  # [B*P, T, D]
        for layer in self.temporal_layers:
            x = layer(x)
        return self.layernorm2(x).unflatten(0, (n_batch, -1)).transpose(1, 2)  # [B, T, P, D]


class Projection(nn.Module):
    """A patch to a vector: a convolution over one frame."""

    def __init__(self, config: VideoPrismConfig) -> None:
        super().__init__()
        size = (1, config.patch_px, config.patch_px)
        self.projection = nn.Conv3d(3, config.width, size, stride=size)


class PatchEmbeddings(nn.Module):
    """Frames [N, 3, H, W] to vectors of their patches, with learned positions, [N, P, D]."""

    def __init__(self, config: VideoPrismConfig) -> None:
        super().__init__()
        self.patch_embeddings = Projection(config)
        self.position_embeddings = random_vectors(1, config.n_patches, config.width, std=0.02)

    def forward(self, frames: Tensor) -> Tensor:
        patches = self.patch_embeddings.projection(frames[:, :, None])[:, :, 0]  # [N, D, H / patch, W / patch]
        return patches.flatten(2).transpose(1, 2) + self.position_embeddings


class FrameEmbeddings(nn.Module):
    """Adds a learned vector for each frame of a clip."""

    def __init__(self, config: VideoPrismConfig) -> None:
        super().__init__()
        self.position_embeddings = random_vectors(1, config.n_frames, config.width, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, D] to the same shape."""
        return x + self.position_embeddings


class Norm(nn.LayerNorm):
    """Layer norm whose gain is kept as its difference from 1."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=EPS)
        nn.init.zeros_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight + 1.0, self.bias, self.eps)


class Layer(nn.Module):
    """Attention and MLP, pre-norm, [N, L, D] to the same shape."""

    def __init__(self, config: VideoPrismConfig) -> None:
        super().__init__()
        self.attention = CappedAttention(config)
        self.layernorm_before, self.layernorm_after = Norm(config.width), Norm(config.width)
        self.mlp = Mlp(config)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.layernorm_before(x))
        return x + self.mlp(self.layernorm_after(x))


class CappedAttention(nn.Module):
    """Self-attention whose scores go through cap * tanh(score / cap)."""

    def __init__(self, config: VideoPrismConfig) -> None:
        super().__init__()
        width = config.width
        self.n_heads = config.n_heads
        self.q_proj, self.k_proj = Linear(width, width), Linear(width, width)
        self.v_proj, self.o_proj = Linear(width, width), Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            project(x).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )  # [N, H, L, head_dim] each
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        weights = (SCORE_CAP * torch.tanh(scores / SCORE_CAP)).softmax(dim=-1, dtype=torch.float32)
        return self.o_proj((weights.to(value.dtype) @ value).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two layers with a GELU between."""

    def __init__(self, config: VideoPrismConfig) -> None:
        super().__init__()
        self.fc1, self.fc2 = Linear(config.width, config.hidden), Linear(config.hidden, config.width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))
