"""Motionformer (arXiv 2106.05392) with divided space-time attention: segments of frames in, a few vectors each out.

The visual tower of Segment-AVCLIP (V-AURA) and of Synchformer (arXiv 2401.16423, MMAudio): a ViT-B/16 whose tokens
attend first along time, then across the frame, and one more transformer layer that pools each frame's patches.
Module names are those of the published files; `load_tower` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli import onednn
from foleycli.nn.linear import Linear
from foleycli.timebase import exact_div
from foleycli.weights.checkpoint import load_strict, under

EPS = 1e-6
# In the files, but never used: left over from the image network that training began with.
UNUSED = ("patch_embed.proj.weight", "patch_embed.proj.bias")


@dataclass(frozen=True)
class MotionformerConfig:
    """The published tower; smaller ones are for tests."""

    width: int = 768
    n_heads: int = 12
    n_blocks: int = 12
    hidden: int = 3072
    size_px: int = 224
    patch_px: int = 16
    n_frames: int = 16  # of a segment
    tube_frames: int = 2  # frames that one token spans

    @property
    def n_steps(self) -> int:
        """Vectors per segment."""
        return exact_div(self.n_frames, self.tube_frames)

    @property
    def n_patches(self) -> int:
        return exact_div(self.size_px, self.patch_px) ** 2


class Motionformer(nn.Module):
    """Segments [B, 3, frames, H, W], RGB in -1..1, to [B, steps, D] (16 frames: 8 steps of 768)."""

    def __init__(self, config: MotionformerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MotionformerConfig()
        width = config.width
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.n_patches, width))
        self.temp_embed = nn.Parameter(torch.zeros(1, config.n_steps, width))
        self.patch_embed_3d = TubeEmbedding(config)
        self.blocks = nn.ModuleList(DividedBlock(config) for _ in range(config.n_blocks))
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.spatial_attn_agg = PatchPooling(config)

    def forward(self, segments: Tensor) -> Tensor:
        n_steps = self.config.n_steps
        x = self.patch_embed_3d(segments)  # [B, steps, patches, D]
        x = x + self.pos_embed[:, None, 1:] + self.temp_embed[:, :, None]
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1)
        x = torch.cat([first, x.flatten(1, 2)], dim=1)  # [B, 1 + steps * patches, D]
        for block in self.blocks:
            x = block(x, n_steps)
        frames = self.norm(x[:, 1:]).unflatten(1, (n_steps, -1)).flatten(0, 1)  # [B * steps, patches, D]
        return self.spatial_attn_agg.pool(frames).unflatten(0, (-1, n_steps))  # [B, steps, D]


class TubeEmbedding(nn.Module):
    """Each patch of 16 px over two frames to a token."""

    def __init__(self, config: MotionformerConfig) -> None:
        super().__init__()
        size = (config.tube_frames, config.patch_px, config.patch_px)
        self.proj = nn.Conv3d(3, config.width, size, stride=size)

    def forward(self, segments: Tensor) -> Tensor:
        """[B, 3, frames, H, W] to [B, steps, patches, D]."""
        return self.proj(segments).flatten(3).permute(0, 2, 3, 1)


class DividedBlock(nn.Module):
    """Attention along time, attention across the frame, MLP; pre-norm."""

    def __init__(self, config: MotionformerConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=EPS)
        self.attn = DividedAttention(config.width, config.n_heads)
        self.timeattn = DividedAttention(config.width, config.n_heads)
        self.norm2 = nn.LayerNorm(config.width, eps=EPS)
        self.mlp = Mlp(config.width, config.hidden)
        self.norm3 = nn.LayerNorm(config.width, eps=EPS)

    def forward(self, x: Tensor, n_steps: int) -> Tensor:
        x = x + self.timeattn(self.norm3(x), n_steps, along_time=True)
        x = x + self.attn(self.norm1(x), n_steps, along_time=False)
        return x + self.mlp(self.norm2(x))


class DividedAttention(nn.Module):
    """Tokens attend to their own place at all times, or to their own time in all places.

    The class token attends to every token, and every group of tokens attends to it too.
    """

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv = Linear(width, 3 * width)
        self.proj = Linear(width, width)

    def forward(self, x: Tensor, n_steps: int, along_time: bool) -> Tensor:
        """[B, 1 + steps * patches, D] to the same shape."""
        qkv = self.qkv(x).unflatten(-1, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)  # [B, H, 1 + steps * patches, head_dim] each
        first = F.scaled_dot_product_attention(query[:, :, :1], key, value)
        groups = _by_group(query[:, :, 1:], n_steps, along_time)  # [B, H, groups, members, head_dim]
        n_groups, n_members = groups.shape[2:4]
        rest = F.scaled_dot_product_attention(
            groups.flatten(1, 2),
            _with_class_token(key, n_steps, along_time),
            _with_class_token(value, n_steps, along_time),
        ).unflatten(1, (-1, n_groups))
        if along_time:
            rest = rest.transpose(2, 3)  # [B, H, steps, patches, head_dim]
        joined = torch.cat([first, rest.reshape(*first.shape[:2], n_groups * n_members, -1)], dim=2)
        return self.proj(joined.transpose(1, 2).flatten(2))


def _by_group(x: Tensor, n_steps: int, along_time: bool) -> Tensor:
    """[B, H, steps * patches, d] to [B, H, groups, members, d]: a group is one patch, or one time."""
    x = x.unflatten(2, (n_steps, -1))  # [B, H, steps, patches, d]
    return x.transpose(2, 3) if along_time else x


def _with_class_token(x: Tensor, n_steps: int, along_time: bool) -> Tensor:
    """Keys or values by group, each after the class token's: [B, H * groups, 1 + members, d]."""
    groups = _by_group(x[:, :, 1:], n_steps, along_time)
    first = x[:, :, None, :1].expand(-1, -1, groups.shape[2], -1, -1)
    return torch.cat([first, groups], dim=3).flatten(1, 2)


class Mlp(nn.Module):
    """Two layers with an exact GELU between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(width, hidden)
        self.fc2 = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.fc1.with_gelu(x, approximate="none"))


class PatchPooling(nn.TransformerEncoderLayer):
    """A frame's patches to one vector, by a class token of its own.

    A pre-norm layer of torch's, whose names the files have; the class token's output alone is computed.
    """

    def __init__(self, config: MotionformerConfig) -> None:
        super().__init__(
            d_model=config.width,
            nhead=config.n_heads,
            dim_feedforward=config.hidden,
            dropout=0.0,
            activation=F.gelu,
            layer_norm_eps=EPS,
            batch_first=True,
            norm_first=True,
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))

    def pool(self, patches: Tensor) -> Tensor:
        """[B, patches, D] to [B, D]."""
        attention, width = self.self_attn, patches.shape[-1]
        first = self.cls_token.expand(len(patches), -1, -1)  # [B, 1, D]
        normed = self.norm1(torch.cat([first, patches], dim=1))
        weight, bias = attention.in_proj_weight, attention.in_proj_bias  # rows: queries, keys, values
        query = F.linear(normed[:, :1], weight[:width], bias[:width])
        keys_values = onednn.linear(normed, weight[width:], bias[width:])
        heads = (x.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for x in (query, *keys_values.chunk(2, -1)))
        attended = F.scaled_dot_product_attention(*heads)  # [B, H, 1, head_dim]
        x = first + attention.out_proj(attended.transpose(1, 2).flatten(2))
        return (x + self.linear2(F.gelu(self.linear1(self.norm2(x)))))[:, 0]


def load_tower(
    path: Path,
    prefix: str,
    config: MotionformerConfig,
    *,
    tensors: Mapping[str, Tensor] | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Motionformer:
    """The tower from the weights of a file whose names begin with `prefix` ("vfeat_extractor."), in evaluation mode.

    tensors  what the file holds, where it was read already
    Errors: FoleyError when a weight is missing, unknown or of another shape; `UNUSED` ones may be there.
    """

    def select(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {key: value for key, value in under(found, prefix).items() if key not in UNUSED}

    tower = load_strict(lambda: Motionformer(config), path, tensors=tensors, select=select, device=device, dtype=dtype)
    return tower.eval().requires_grad_(False)
