"""Apple's DFN5B CLIP (ViT-H/14; Fang et al., arXiv 2309.17425): the "semantic" stream of pictures, states of words.

Module names are those of the published open_clip file.  A picture becomes one vector; a text stays a sequence of
77 states, as MMAudio (Cheng et al., arXiv 2412.15322) reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.features.base import CLIP_MEAN, CLIP_STD, Extractor, FrameFormat
from foleycli.features.clip_tokens import N_TOKENS, VOCABULARY, tokenize
from foleycli.features.row_buffer import RowBuffer
from foleycli.nn.linear import Linear
from foleycli.records import Stream
from foleycli.timebase import FEATURE_FPS
from foleycli.weights.checkpoint import load_strict, under
from foleycli.weights.config import network_config, read_config
from foleycli.weights.mapped import give_back

RATE_HZ = Fraction(8)
UNUSED = ("text_projection", "logit_scale")  # in the file, for comparing texts with pictures


@dataclass(frozen=True)
class ClipConfig:
    """The published towers; smaller ones are for tests."""

    dim: int = 1024  # of a picture's vector
    vision_width: int = 1280
    vision_blocks: int = 32
    vision_heads: int = 16
    patch_px: int = 14
    grid: int = 27  # patches across: of 378 px
    picture_px: int = 384  # what MMAudio gives it: the last 6 px fall off the grid
    text_width: int = 1024
    text_blocks: int = 24
    text_heads: int = 16


class ClipVision(nn.Module):
    """Pictures [B, 3, H, W], normalised, to vectors [B, D] of length 1."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        width = config.vision_width
        self.conv1 = nn.Conv2d(3, width, config.patch_px, stride=config.patch_px, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = nn.Parameter(torch.zeros(1 + config.grid**2, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(width, config.vision_blocks, config.vision_heads, is_causal=False)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.zeros(width, config.dim))

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.conv1(pixels).flatten(2).transpose(1, 2)  # [B, patches, D]
        first = self.class_embedding.expand(len(patches), 1, -1)
        x = self.ln_pre(torch.cat([first, patches], dim=1) + self.positional_embedding)
        x = self.ln_post(self.transformer(x)[:, 0]) @ self.proj  # [B, D]
        return F.normalize(x, dim=-1)


class ClipText(nn.Module):
    """Token ids [B, 77] to states [B, 77, D], each of length 1; padding is attended to like words, as in training."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        width = config.text_width
        self.token_embedding = nn.Embedding(VOCABULARY, width)
        self.positional_embedding = nn.Parameter(torch.zeros(N_TOKENS, width))
        self.transformer = Transformer(width, config.text_blocks, config.text_heads, is_causal=True)
        self.ln_final = nn.LayerNorm(width)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.token_embedding(ids) + self.positional_embedding  # [B, 77, D]
        return F.normalize(self.ln_final(self.transformer(x)), dim=-1)


class Transformer(nn.Module):
    """Pre-norm blocks in a row."""

    def __init__(self, width: int, n_blocks: int, n_heads: int, is_causal: bool) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, n_heads, is_causal) for _ in range(n_blocks))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.resblocks:
            x = block(x)
        return x


class Block(nn.Module):
    """Attention, then an MLP with OpenAI's quick GELU; each normed first and added."""

    def __init__(self, width: int, n_heads: int, is_causal: bool) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, n_heads, is_causal)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": Linear(width, 4 * width), "c_proj": Linear(4 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        hidden = self.mlp["c_fc"](self.ln_2(x))
        return x + self.mlp["c_proj"](hidden * torch.sigmoid(1.702 * hidden))


class Attention(nn.Module):
    """Multi-head self-attention; rows of the joint weight run query, key, value."""

    def __init__(self, width: int, n_heads: int, is_causal: bool) -> None:
        super().__init__()
        self.n_heads, self.is_causal = n_heads, is_causal
        self.in_proj_weight = nn.Parameter(torch.zeros(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        query, key, value = qkv.unflatten(-1, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)  # [B, H, T, head_dim]
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=self.is_causal)
        return self.out_proj(attended.transpose(1, 2).flatten(2))


class DfnVision(Extractor):
    """Extractor of the semantic stream, 8 steps per second; the whole picture, squashed to a square."""

    name = "semantic"
    rate_hz = RATE_HZ
    frame_step = FEATURE_FPS / RATE_HZ

    def __init__(self, tower: ClipVision, config: ClipConfig, batch: int = 4) -> None:
        """`batch` is how many pictures go through at once."""
        self.tower, self.batch = tower, batch
        self.dim = config.dim
        self.frame_format = FrameFormat(config.picture_px, fit="squash", scaling="bicubic")

    def start(self) -> DfnSession:
        return DfnSession(self)

    @torch.inference_mode()
    def encode(self, frames: np.ndarray) -> Tensor:
        """Frames uint8 [n, H, W, 3] to vectors float32 [n, D] on the CPU."""
        weight = self.tower.proj
        pixels = torch.tensor(frames, device=weight.device).permute(0, 3, 1, 2).float() / 255  # [n, 3, H, W]
        mean, std = (pixels.new_tensor(value).view(1, 3, 1, 1) for value in (CLIP_MEAN, CLIP_STD))
        return self.tower(((pixels - mean) / std).to(weight.dtype)).float().cpu()


class DfnSession:
    """One video on its way through `DfnVision`."""

    def __init__(self, extractor: DfnVision) -> None:
        self.extractor = extractor
        self.vectors = RowBuffer(extractor.dim)

    def push(self, frames: np.ndarray) -> None:
        for first in range(0, len(frames), self.extractor.batch):
            self.vectors.append(self.extractor.encode(frames[first : first + self.extractor.batch]))

    def finish(self) -> Stream:
        give_back(self.extractor.tower.parameters())
        return Stream(self.vectors.all(), RATE_HZ)  # [T, D]


class DfnText:
    """Text encoder whose output is a sequence; unlike others, an empty string has states of its own, not zeros."""

    name = "dfn5b-clip"

    def __init__(self, tower: ClipText) -> None:
        self.tower = tower
        self.dim = tower.ln_final.weight.shape[0]

    @torch.inference_mode()
    def encode(self, words: Sequence[str]) -> np.ndarray:
        """States of n texts, float32 [n, 77, D]."""
        device = self.tower.positional_embedding.device
        states = self.tower(tokenize(words).to(device)).float().cpu().numpy()
        give_back(self.tower.parameters())
        return states


def load_vision(folder: Path, device: torch.device, dtype: torch.dtype = torch.float32) -> DfnVision:
    """The picture tower from a published file.  Errors: FoleyError for a file that is missing or another's."""
    config, path = _config_and_file(folder)
    tower = load_strict(
        lambda: ClipVision(config), path, select=lambda found: under(found, "visual."), device=device, dtype=dtype
    )
    return DfnVision(tower.eval().requires_grad_(False), config, batch=64 if device.type == "cuda" else 4)


def load_text(folder: Path, device: torch.device, dtype: torch.dtype = torch.float32) -> DfnText:
    """The text tower from a published file.  Errors: FoleyError for a file that is missing or another's."""
    config, path = _config_and_file(folder)
    tower = load_strict(lambda: ClipText(config), path, select=_text_weights, device=device, dtype=dtype)
    return DfnText(tower.eval().requires_grad_(False))


def _text_weights(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in found.items() if not key.startswith("visual.") and key not in UNUSED}


def _config_and_file(folder: Path) -> tuple[ClipConfig, Path]:
    config = read_config(folder)
    shape = network_config(ClipConfig, config.network, f"{folder}/config.json: network")
    return shape, folder / config.weights
