"""V-AURA's network (arXiv 2409.13689): delayed codes and visual tokens in, logits of the next column out.

A Llama-type decoder.  Each column's input is its visual token beside the sum of its codes' embeddings, concatenated
along the channels.  Module names are those of the published file, under "sampler.".
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.families.network_family import ConfiguredNetwork
from foleycli.families.vaura.config import VAuraConfig
from foleycli.nn.embedding import code_embedding, random_vectors
from foleycli.nn.linear import Linear

ROTARY_BASE = 10_000.0
EPS = 1e-5


@dataclass
class Cache:
    """Keys and values of the columns that were read already: one pair [B, H, room, head_dim] a layer."""

    room: int  # the most columns
    n_columns: int = 0
    layers: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    tables: Tensor | None = None  # the embeddings of all codes


class VAura(ConfiguredNetwork[VAuraConfig]):
    """Columns [B, S, K] with their visual part [B, S, visual width] to logits [B, S, K, codebook size]."""

    def __init__(self, config: VAuraConfig) -> None:
        super().__init__(config)
        self.empty_video_emb = random_vectors(1, 1, config.visual_width, std=config.visual_width**-0.5)
        self.cls_embeddings = VisualEmbedding(config)
        self.tok_embeddings = nn.ModuleList(CodeEmbedding(config) for _ in range(config.n_codebooks))
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.n_layers))
        self.norm = nn.RMSNorm(config.width, eps=EPS)
        heads = [Linear(config.width, config.codebook_size, bias=False) for _ in range(config.n_codebooks)]
        for head in heads:
            nn.init.zeros_(head.weight)
        self.lm_heads = nn.ModuleList(heads)
        self.dropout = nn.Dropout(config.dropout)

    @torch.no_grad()
    def adopt_codebooks(self, codebooks: Tensor) -> None:
        """Start from a codec's own vectors [K, codebook size, codebook dim]: codes that sound alike start alike."""
        for embedding, codebook in zip(self.tok_embeddings, codebooks, strict=True):
            assert isinstance(embedding, CodeEmbedding)
            embedding.emb.weight[: len(codebook)] = codebook / codebook.std()

    def visual_columns(self, tokens: Tensor | None, n_columns: int, late_s: float = 0.0) -> Tensor:
        """Visual tokens [B, V, visual dim] to the visual part of every column [B, C, visual width].

        tokens  None: the unconditional pass, learned tokens through the same projection
        late_s  how much later than the window the tokens begin, where they mark moments
        Columns beyond the last token get the learned empty vector.
        """
        if tokens is None:
            tokens = self.cls_embeddings.uncond_embedding[None]
        projected = self.cls_embeddings.projection(tokens.to(self.empty_video_emb.dtype))  # [B, V, visual width]
        empty = self.empty_video_emb.expand(len(projected), -1, -1)
        vectors = torch.cat([projected, empty], dim=1)
        if self.config.visual_moments:
            before, after, weight = visual_moments(self.config, n_columns, tokens.shape[1], late_s)
            return torch.lerp(vectors[:, before], vectors[:, after], weight.to(vectors)[:, None])
        return vectors[:, visual_index(self.config, n_columns).clamp(max=tokens.shape[1])]

    def embed(self, columns: Tensor, cache: Cache | None = None) -> Tensor:
        """Codes and special codes [B, S, K] to the sum of their embeddings [B, S, audio width]."""
        tables = cache.tables if cache else None
        if tables is None:
            embeddings = (embedding for embedding in self.tok_embeddings if isinstance(embedding, CodeEmbedding))
            tables = torch.cat([embedding.table() for embedding in embeddings])
        if cache:
            cache.tables = tables
        first = torch.arange(self.config.n_codebooks, device=columns.device) * (self.config.codebook_size + 1)
        return F.embedding(columns + first, tables).sum(dim=2)

    def forward(self, columns: Tensor, visual: Tensor, cache: Cache | None = None, last_only: bool = False) -> Tensor:
        """With a cache, `columns` and `visual` follow the columns that it holds, and are added to it."""
        x = self.states(columns, visual, cache)
        x = x[:, -1:] if last_only else x
        return torch.stack([head(x) for head in self.lm_heads], dim=2)

    def states(self, columns: Tensor, visual: Tensor, cache: Cache | None = None) -> Tensor:
        """The hidden states [B, S, D] that the heads read; see `forward`."""
        x = self.dropout(torch.cat([visual, self.embed(columns, cache)], dim=-1))  # [B, S, D]
        start = cache.n_columns if cache else 0
        angles = rotary_angles(start, x.shape[1], self.config.width // self.config.n_heads, x.device)
        for index, layer in enumerate(self.layers):
            x = layer(x, angles, cache, index)
        if cache:
            cache.n_columns += columns.shape[1]
        return self.norm(x)


def visual_index(config: VAuraConfig, n_columns: int) -> Tensor:
    """Which visual token each column reads, int64 [C].

    Column s predicts codebook 0 of step s, so that its true time is the step's: a visual token is placed one column
    before the codes that it conditions.
    """
    columns = torch.arange(n_columns)
    if config.visual_repeat:
        return columns // config.visual_repeat
    per_column = config.visual_rate_hz / config.latent_rate_hz
    return columns * per_column.numerator // per_column.denominator


def visual_moments(
    config: VAuraConfig, n_columns: int, n_visual: int, late_s: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """The two tokens that each column is between, and the weight of the second; `n_visual` is the empty vector.

    Column s predicts codebook 0 of step s and reads the visual tokens at that step's middle.
    """
    middles_s = (torch.arange(n_columns) + 0.5) / float(config.latent_rate_hz)
    place = ((middles_s - late_s) * float(config.visual_rate_hz)).clamp(min=0)
    before = place.floor().long().clamp(max=n_visual)
    after = torch.where(before < n_visual, (before + 1).clamp(max=n_visual - 1), n_visual)
    return before, after, place.frac()


def rotary_angles(start: int, n_columns: int, head_dim: int, device: torch.device) -> Tensor:
    """Rotations of positions from `start` on as complex numbers, [S, head_dim / 2], float32 parts."""
    half = torch.arange(0, head_dim, 2, device=device, dtype=torch.float32) / head_dim
    positions = torch.arange(start, start + n_columns, device=device, dtype=torch.float32)
    angles = torch.outer(positions, ROTARY_BASE**-half)
    return torch.polar(torch.ones_like(angles), angles)


def rotate_pairs(x: Tensor, angles: Tensor) -> Tensor:
    """Rotate pairs of neighbouring channels of x [B, H, S, head_dim]."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * angles).flatten(-2).to(x.dtype)


class VisualEmbedding(nn.Module):
    """The projection of visual tokens, and those of the unconditional pass."""

    def __init__(self, config: VAuraConfig) -> None:
        super().__init__()
        # The published file has a buffer of this shape and name, which was never trained.
        self.uncond_embedding = random_vectors(config.n_visual, config.visual_dim, std=config.visual_dim**-0.5)
        self.projection = Projection(config.visual_dim, config.visual_width)


class Projection(nn.Module):
    """Two layers without biases, a tanh-GELU between."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.fc1 = Linear(width_in, width, bias=False)
        self.fc2 = Linear(width, width, bias=False)
        for layer in (self.fc1, self.fc2):  # as large as the codes beside it, or short trainings ignore the picture
            layer.weight = random_vectors(*layer.weight.shape, std=layer.in_features**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class CodeEmbedding(nn.Module):
    """A codebook's vectors, one more for the special code, and their projection to the audio width."""

    def __init__(self, config: VAuraConfig) -> None:
        super().__init__()
        self.emb = code_embedding(config.codebook_size + 1, config.codebook_dim)
        self.out_proj = NormedProjection(config.codebook_dim, config.audio_width)
        nn.init.constant_(self.out_proj.weight_g, config.n_codebooks**-0.5)  # so many are summed

    def table(self) -> Tensor:
        """[codebook size + 1, audio width]"""
        return self.out_proj(self.emb.weight)


class NormedProjection(nn.Module):
    """DAC's weight-normed convolution of width 1: each row is g * v / |v|."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.weight_v = random_vectors(width, width_in, 1, std=width_in**-0.5)
        self.weight_g = nn.Parameter(torch.ones(width, 1, 1))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        direction = F.normalize(self.weight_v.float(), dim=1, eps=0.0)
        weight = (self.weight_g * direction).to(x.dtype)
        return F.linear(x, weight[..., 0], self.bias)


class Layer(nn.Module):
    """Causal attention and a gated MLP, pre-norm."""

    def __init__(self, config: VAuraConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.feed_forward = SwiGlu(config.width, config.mlp_hidden)
        self.attention_norm = nn.RMSNorm(config.width, eps=EPS)
        self.ffn_norm = nn.RMSNorm(config.width, eps=EPS)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, angles: Tensor, cache: Cache | None, index: int) -> Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x), angles, cache, index))
        return x + self.dropout(self.feed_forward(self.ffn_norm(x)))


class Attention(nn.Module):
    """Every column attends to itself and to those before it, cached ones included."""

    def __init__(self, config: VAuraConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.wqkv = Linear(config.width, 3 * config.width, bias=False)
        self.wo = Linear(config.width, config.width, bias=False)

    def forward(self, x: Tensor, angles: Tensor, cache: Cache | None, index: int) -> Tensor:
        qkv = self.wqkv(x).unflatten(-1, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)  # [3, B, H, S, head_dim]
        turned = rotate_pairs(qkv[:2].flatten(0, 1), angles).unflatten(0, (2, -1))
        query, key, value = turned[0], turned[1], qkv[2]
        n_new, mask = x.shape[1], None
        if cache:
            key, value = _append_to(cache, index, key, value)
            if cache.n_columns and n_new > 1:
                mask = torch.ones(n_new, key.shape[2], dtype=torch.bool, device=x.device).tril(cache.n_columns)
        return self.wo(attend(query, key, value, mask).transpose(1, 2).flatten(2))


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Each query attends to the keys up to its own place, or where the mask [S, all] is True: [B, H, S, head_dim]."""
    n_new = query.shape[2]
    if query.device.type == "cpu" and query.dtype == torch.bfloat16 and n_new > 1:
        # torch's fused CPU kernel does not use bfloat16 instructions: see nn.transformer.attend.
        allowed = mask if mask is not None else torch.ones(n_new, n_new, dtype=torch.bool).tril()
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)  # [B, H, S, all]
        return scores.masked_fill(~allowed, -torch.inf).softmax(dim=-1).to(value.dtype) @ value
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=n_new > 1 and mask is None)


def _append_to(cache: Cache, index: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Append a layer's new keys and values to the cached ones; returns all of them so far."""
    if index == len(cache.layers):
        shape = (*key.shape[:2], cache.room, key.shape[3])
        cache.layers.append((key.new_empty(shape), key.new_empty(shape)))
    keys, values = cache.layers[index]
    end = cache.n_columns + key.shape[2]
    keys[:, :, cache.n_columns : end], values[:, :, cache.n_columns : end] = key, value
    return keys[:, :, :end], values[:, :, :end]


class SwiGlu(nn.Module):
    """w2(silu(w1 x) * w3 x)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w1 = Linear(width, hidden, bias=False)
        self.w3 = Linear(width, hidden, bias=False)
        self.w2 = Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))
