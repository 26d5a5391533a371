"""The parts of MMAudio's network: gated MLPs over time, joint and single attention blocks, the last layer."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli import onednn
from foleycli.families.mmaudio.config import MMAudioConfig
from foleycli.nn import winograd
from foleycli.nn.linear import Linear
from foleycli.weights.mapped import give_back

ROTARY_BASE = 10_000.0
RMS_EPS = torch.finfo(torch.float32).eps  # in every dtype: older torch took the dtype's own, 0.008 in bfloat16


class ChannelLastConv(nn.Conv1d):
    """A convolution over time of [B, L, D]; odd kernel, same length."""

    _as_in_file: Tensor | None = None  # the mapped weight, while a copy in another order stands in for it

    def __init__(self, n_in: int, n_out: int, kernel: int, bias: bool = True) -> None:
        super().__init__(n_in, n_out, kernel, padding=kernel // 2, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if winograd.suits(x, self.weight):
            transformed = winograd.transform(winograd.pair(x))
            return winograd.join(winograd.convolve(transformed, self.taps(), self.bias), x.shape[1])
        if onednn.runs_on_onednn(x, self.weight):
            weight = self._with_memory_as(0, 2, 1)  # as oneDNN reads weights for inputs whose channels come last
            picture, weight = x.transpose(1, 2).unsqueeze(2), weight.transpose(1, 2).unsqueeze(2)  # of height 1
            return (
                F.conv2d(picture, weight, self.bias, padding=(0, self.kernel_size[0] // 2)).squeeze(2).transpose(1, 2)
            )
        return super().forward(x.transpose(1, 2)).transpose(1, 2)

    def taps(self) -> Tensor:
        """The weight as matrices [kernel, out, in]."""
        return self._with_memory_as(2, 0, 1)

    def _with_memory_as(self, *axes: int) -> Tensor:
        """The weight with its axes in this order, in which it lies in memory from now on."""
        weight = self.weight.data
        if not weight.permute(axes).is_contiguous():
            back = sorted(range(3), key=axes.__getitem__)
            with torch.inference_mode(mode=False):
                moved = weight.permute(axes).contiguous().permute(back)
                self.weight = nn.Parameter(moved, requires_grad=self.weight.requires_grad)
            if give_back([weight]):
                self._as_in_file = weight
        return self.weight.permute(axes)

    def let_go(self) -> None:
        """Give the memory of the weight back, where it is mapped."""
        if self._as_in_file is not None:
            with torch.inference_mode(mode=False):
                self.weight = nn.Parameter(self._as_in_file, requires_grad=False)
            self._as_in_file = None


def linear_over_time(n_in: int, n_out: int, kernel: int, bias: bool = True) -> Linear | ChannelLastConv:
    """A convolution with so wide a kernel, a plain linear layer for kernel 1."""
    return Linear(n_in, n_out, bias=bias) if kernel == 1 else ChannelLastConv(n_in, n_out, kernel, bias)


class GatedMlp(nn.Module):
    """SwiGLU over single steps (kernel 1) or over their neighbours too; no biases."""

    def __init__(self, width: int, hidden: int, kernel: int = 1) -> None:
        super().__init__()
        self.w1 = linear_over_time(width, hidden, kernel, bias=False)
        self.w2 = linear_over_time(hidden, width, kernel, bias=False)
        self.w3 = linear_over_time(width, hidden, kernel, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if winograd.suits(x, self.w1.weight):
            return self._by_winograd(x)
        return self.w2(F.silu(self.w1(x)) * self.w3(x))

    def _by_winograd(self, x: Tensor) -> Tensor:
        """`forward` for three taps; steps stay in pairs from one convolution to the next."""
        w1, w2, w3 = (layer.taps() for layer in (self.w1, self.w2, self.w3) if isinstance(layer, ChannelLastConv))
        transformed = winograd.transform(winograd.pair(x))
        gates, values = (winograd.convolve(transformed, taps) for taps in (w1, w3))
        even, odd = (F.silu(gate, inplace=True).mul_(value) for gate, value in zip(gates, values, strict=True))
        if x.shape[1] % 2:
            odd[:, -1] = 0  # behind the last step
        transformed = winograd.transform(winograd.Pairs(even, odd))
        return winograd.join(winograd.convolve(transformed, w2), x.shape[1])


def rotary_table(n_steps: int, head_dim: int, scale: float, device: torch.device) -> Tensor:
    """Cosines and sines [2, L, head_dim / 2] of positions times `scale`, in float32."""
    exponents = torch.arange(0, head_dim, 2, device=device, dtype=torch.float32) / head_dim
    frequencies = scale / ROTARY_BASE**exponents
    angles = torch.outer(torch.arange(n_steps, device=device, dtype=torch.float32), frequencies)
    return torch.stack([angles.cos(), angles.sin()])  # [2, L, head_dim / 2]


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Rotate pairs of neighbouring channels of x [B, heads, L, head_dim] by their positions, in float32."""
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)  # [B, heads, L, head_dim / 2]
    cos, sin = table
    rotated = torch.stack([cos * even - sin * odd, sin * even + cos * odd], dim=-1)
    return rotated.flatten(-2).to(x.dtype)


class Attention(nn.Module):
    """Queries, keys (both RMS-normed, then rotated) and values, each [B, heads, L, head_dim]."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv = Linear(width, 3 * width)
        self.q_norm = nn.RMSNorm(width // n_heads, eps=RMS_EPS)
        self.k_norm = nn.RMSNorm(width // n_heads, eps=RMS_EPS)

    def forward(self, x: Tensor, table: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        # The rows of the weight run (head, channel, q|k|v): the three lie next to one another.
        qkv = self.qkv(x).unflatten(-1, (self.n_heads, -1, 3)).transpose(1, 2)  # [B, heads, L, head_dim, 3]
        query, key, value = qkv.unbind(-1)
        query, key = self.q_norm(query), self.k_norm(key)
        if table is not None:
            query, key = rotate(query, table), rotate(key, table)
        return query, key, value.contiguous()


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """[B, heads, L, head_dim] each to [B, L, D]."""
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Layer norm without weights of its own, then shift and scale."""
    normed = F.layer_norm(x, x.shape[-1:], eps=1e-5)
    return torch.addcmul(shift, normed, 1 + scale)


class Condition(NamedTuple):
    """What modulates a stream [B, L, H]: its distinct rows, which blocks turn into vectors, and who reads which."""

    rows: Tensor  # [R, H], or [B, 1, H] where a window has one for all of its steps
    row_of_step: Tensor | None = None  # int64 [B, L]

    def spread(self, vectors: Tensor) -> Tensor:
        """What was made of the rows, [R, D], for every step, [B, L, D]."""
        return vectors if self.row_of_step is None else F.embedding(self.row_of_step, vectors)


class FusedBlock(nn.Module):
    """Attention and MLP of one stream, both shifted, scaled and gated by a condition."""

    def __init__(self, config: MMAudioConfig, kernel: int, is_read_only: bool = False) -> None:
        """`is_read_only`: the stream gives keys and values, and is not updated."""
        super().__init__()
        width = config.width
        self.is_read_only = is_read_only
        self.attn = Attention(width, config.n_heads)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), Linear(width, (2 if is_read_only else 6) * width))
        if not is_read_only:
            self.linear1 = linear_over_time(width, width, kernel)
            self.ffn = GatedMlp(width, config.mlp_hidden, kernel)

    def before(
        self, x: Tensor, condition: Condition, table: Tensor | None
    ) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, ...]]:
        """Queries, keys, values; and the modulation vectors that `after` needs."""
        vectors = condition.spread(self.adaLN_modulation(condition.rows))
        shift, scale, *rest = vectors.chunk(2 if self.is_read_only else 6, dim=-1)
        return self.attn(modulate(x, shift, scale), table), tuple(rest)

    def after(self, x: Tensor, attended: Tensor, vectors: tuple[Tensor, ...]) -> Tensor:
        """The stream with what was attended to, and the MLP's output, added."""
        if self.is_read_only:
            return x
        gate, shift_mlp, scale_mlp, gate_mlp = vectors
        x = x + self.linear1(attended) * gate
        return x + self.ffn(modulate(x, shift_mlp, scale_mlp)) * gate_mlp

    def forward(self, x: Tensor, condition: Condition, table: Tensor) -> Tensor:
        qkv, vectors = self.before(x, condition, table)
        return self.after(x, attend(*qkv), vectors)


class JointBlock(nn.Module):
    """Latents, pictures and text, each with its own weights, in one attention."""

    def __init__(self, config: MMAudioConfig, is_last: bool) -> None:
        super().__init__()
        self.latent_block = FusedBlock(config, kernel=3)
        self.clip_block = FusedBlock(config, kernel=3, is_read_only=is_last)
        self.text_block = FusedBlock(config, kernel=1, is_read_only=is_last)

    def forward(
        self,
        latent: Tensor,
        clip: Tensor,
        text: Tensor,
        *,
        local: Condition,
        global_: Condition,
        latent_table: Tensor,
        clip_table: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Streams [B, *, H]; `local` modulates each step of the latents, `global_` the whole of the other two."""
        latent_qkv, latent_vectors = self.latent_block.before(latent, local, latent_table)
        clip_qkv, clip_vectors = self.clip_block.before(clip, global_, clip_table)
        text_qkv, text_vectors = self.text_block.before(text, global_, None)
        query, key, value = (torch.cat(parts, dim=2) for parts in zip(latent_qkv, clip_qkv, text_qkv, strict=True))
        lengths = [latent.shape[1], clip.shape[1], text.shape[1]]
        for_latent, for_clip, for_text = attend(query, key, value).split(lengths, dim=1)  # [B, *, H]
        return (
            self.latent_block.after(latent, for_latent, latent_vectors),
            self.clip_block.after(clip, for_clip, clip_vectors),
            self.text_block.after(text, for_text, text_vectors),
        )


class FinalLayer(nn.Module):
    """Hidden steps [B, L, H] to velocities [B, L, D]."""

    def __init__(self, config: MMAudioConfig) -> None:
        super().__init__()
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), Linear(config.width, 2 * config.width))
        self.conv = ChannelLastConv(config.width, config.latent_dim, 7)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Modulated by a condition [B, 1, H]."""
        shift, scale = self.adaLN_modulation(condition).chunk(2, dim=-1)
        return self.conv(modulate(x, shift, scale))
