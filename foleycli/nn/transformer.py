"""Transformer parts: attention with RMS-normed queries and keys, rotary positions, MLPs, adaptive norm.

Tokens [B, L, D] in and out.  The parts are written for few, large kernels, because the shipped models run on a CPU:
one projection for queries, keys and values, queries and keys rotated together, and modulation as one fused
multiply-add.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.nn.linear import Linear

ROTARY_BASE = 10_000.0
LEAST_TOTAL = 1e-30  # of the powers of e that weigh a query's values: bfloat16 and float32 begin at 1e-38


def rotary_table(
    n_steps: int, head_dim: int, position_scale: float = 1.0, device: torch.device | str | None = None
) -> Tensor:
    """Rotary angles of `n_steps` positions: float32 [2, L, 1, head_dim], cosines then signed sines.

    `position_scale` stretches the positions: a sequence of another rate gets scale = audio rate / its own
    rate, so that tokens of the same moment have the same position.
    """
    return rotary_at(torch.arange(n_steps, device=device, dtype=torch.float32) * position_scale, head_dim)


def rotary_at(positions: Tensor, head_dim: int) -> Tensor:
    """Rotary angles of any positions, float32 [L] or each row's own [B, L]: [2, L, 1, head_dim], [2, B, L, 1, …]."""
    half = head_dim // 2
    frequencies = ROTARY_BASE ** (-torch.arange(half, device=positions.device, dtype=torch.float32) / half)
    angles = positions[..., None] * frequencies  # [L, head_dim / 2]
    cos, sin = angles.cos(), angles.sin()
    table = torch.stack([torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)])  # [2, L, head_dim]
    return table.unsqueeze(-2)  # [2, L, 1, head_dim]


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Rotate `x` [B, L, H, head_dim] by its positions; channel i is paired with channel i + head_dim / 2."""
    swapped = x.roll(x.shape[-1] // 2, dims=-1)
    return torch.addcmul(x * table[0], swapped, table[1])


def normed_and_rotated(x: Tensor, gain: Tensor, table: Tensor) -> Tensor:
    """RMS norm over the last dimension, times `gain`, rotated; in float32, the result in the type of `x`.

    x      [B, L, ..., head_dim]
    gain   what is multiplied to the normed `x`: [..., head_dim]
    table  of `rotary_table`, with as many dimensions after L as `x` has
    """
    if _only_answers_on_cpu(x):
        return normed_and_rotated_by(x, *gained_tables(gain, table))
    values = x.float()  # angles need float32; the products with the values do not
    return rotate(F.rms_norm(values, x.shape[-1:], eps=1e-6) * gain, table).to(x.dtype)


def gained_tables(gain: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines times the gain of the channel that each is multiplied to."""
    gain = gain.float()
    return table[0] * gain, table[1] * gain.roll(gain.shape[-1] // 2, -1)


def normed_and_rotated_by(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`normed_and_rotated` in fewer passes over `x`: the gain is in the tables, and the norm is divided by at last."""
    half, head_dim = x.shape[-1] // 2, x.shape[-1]
    values = x.float()
    rotated = values * cos
    rotated[..., :half].addcmul_(values[..., half:], sin[..., :half])
    rotated[..., half:].addcmul_(values[..., :half], sin[..., half:])
    length = torch.linalg.vector_norm(values, dim=-1, keepdim=True)
    return rotated.mul_(length.square_().div_(head_dim).add_(1e-6).rsqrt_()).to(x.dtype)


def _only_answers_on_cpu(x: Tensor) -> bool:
    """Whether a result may be written over what it was made of, and processor time is what counts."""
    return x.device.type == "cpu" and not torch.is_grad_enabled() and not torch.compiler.is_compiling()


class QueryKeyValue(nn.Module):
    """Tokens to queries, keys (both RMS-normed and rotated) and values, each [B, H, L, head_dim]."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.head_dim = width // n_heads
        self.project = Linear(width, 3 * width)
        self.query_gain = nn.Parameter(torch.ones(self.head_dim))
        self.key_gain = nn.Parameter(torch.ones(self.head_dim))
        self._gained: tuple[Tensor, tuple[Tensor, Tensor]] | None = None  # a rotary table, and what it makes

    def forward(self, x: Tensor, table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        n_heads = self.n_heads
        qkv = self.project(x).unflatten(-1, (3, n_heads, self.head_dim))  # [B, L, 3, H, head_dim]
        if _only_answers_on_cpu(x):
            query_key = normed_and_rotated_by(qkv[:, :, :2], *self._gained_tables(table))  # [B, L, 2, H, head_dim]
        else:
            query_key = normed_and_rotated(qkv[:, :, :2], self._gain(), table.unsqueeze(-3))
        query, key = query_key.transpose(1, 3).unbind(2)  # [B, H, L, head_dim] each
        return query, key, qkv[:, :, 2].transpose(1, 2)

    def _gain(self) -> Tensor:
        return torch.stack([self.query_gain, self.key_gain])[:, None]  # [2, 1, head_dim]

    def _gained_tables(self, table: Tensor) -> tuple[Tensor, Tensor]:
        """`gained_tables` of a rotary table, which is the same at all steps of a window: made once for them."""
        if self._gained is None or self._gained[0] is not table:
            self._gained = table, gained_tables(self._gain(), table.unsqueeze(-3))
        return self._gained[1]


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Every query attends to every key; the heads are concatenated again: [B, H, L, head_dim] to [B, L, D]."""
    if query.device.type == "cpu" and query.dtype == torch.bfloat16:
        # torch's fused CPU kernel does not use bfloat16 instructions: for windows of a few hundred steps, plain
        # matrix products take half its time, forward and backward (26 against 54 ms at [16, 4, 225, 64]).
        attended = _attend_unshifted(query, key, value) if _only_answers_on_cpu(query) else None
        if attended is not None:
            return attended
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)  # [B, H, L, S]
        joined = scores.softmax(dim=-1).to(value.dtype) @ value
    else:
        joined = F.scaled_dot_product_attention(query, key, value)
    return joined.transpose(1, 2).flatten(2)


def _attend_unshifted(query: Tensor, key: Tensor, value: Tensor) -> Tensor | None:
    """`attend` without a shift of the scores before the powers of e; None where these leave the range of the type.

    Softmax takes as long as both products.  Normed queries and keys have scores whose powers of e are far from the ends
    of the type, so that the highest need not be subtracted; a column of ones sums them up.
    """
    n, n_heads, n_queries, head_dim = query.shape
    rows, keys = query.reshape(-1, n_queries, head_dim), key.reshape(n * n_heads, -1, head_dim)
    scores = torch.baddbmm(rows.new_empty(1), rows, keys.transpose(1, 2), beta=0, alpha=head_dim**-0.5)
    values = torch.cat([value, value.new_ones(1).expand(*value.shape[:-1], 1)], dim=-1).flatten(0, 1)
    summed = torch.bmm(scores.exp_(), values)  # [B * H, L, head_dim + 1]
    summed = summed.view(n, n_heads, n_queries, -1).transpose(1, 2)  # [B, L, H, head_dim + 1]
    total = summed[..., -1:]
    if not (total > LEAST_TOTAL).logical_and_(total < 1 / LEAST_TOTAL).all():
        return None
    joined = query.new_empty(n, n_queries, n_heads, head_dim)  # in the order in which the heads are concatenated
    return torch.div(summed[..., :-1], total, out=joined).flatten(2)


class SelfAttention(nn.Module):
    """Attention of one sequence to itself, [B, L, D] to [B, L, D]."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.qkv = QueryKeyValue(width, n_heads)
        self.out = Linear(width, width)

    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        return self.out(attend(*self.qkv(x, table)))


class CrossAttention(nn.Module):
    """Attention of one sequence [B, L, D] to another [B, S, D], each with its own positions on one time line."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.head_dim = width // n_heads
        self.query = Linear(width, width)
        self.key_value = Linear(width, 2 * width)
        self.query_gain = nn.Parameter(torch.ones(self.head_dim))
        self.key_gain = nn.Parameter(torch.ones(self.head_dim))
        self.out = Linear(width, width)
        with torch.no_grad():
            # A part that all queries and keys share: by rotation alone a new layer attends to its own time.
            self.query.bias.fill_(1.0)
            self.key_value.bias[:width] = 1.0

    def forward(self, x: Tensor, table: Tensor, other: Tensor, other_table: Tensor) -> Tensor:
        """Rotary tables as `rotary_table` and `rotary_at` give them."""
        heads = (self.n_heads, self.head_dim)
        key, value = self.key_value(other).unflatten(-1, (2, *heads)).unbind(2)  # [B, S, H, head_dim] each
        query = normed_and_rotated(self.query(x).unflatten(-1, heads), self.query_gain, table).transpose(1, 2)
        key = normed_and_rotated(key, self.key_gain, other_table).transpose(1, 2)
        return self.out(attend(query, key, value.transpose(1, 2)))


class GeluMlp(nn.Module):
    """Two layers with a GELU between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.inner = Linear(width, hidden)
        self.out = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.inner.with_gelu(x))


class SwiGluMlp(nn.Module):
    """A gated MLP; `inner` makes gate and value in one product."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.inner = Linear(width, 2 * hidden)
        self.out = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.inner(x).chunk(2, dim=-1)
        return self.out(F.silu(gate) * value)


MLPS: dict[str, type[nn.Module]] = {"gelu": GeluMlp, "swiglu": SwiGluMlp}


class Modulation(nn.Module):
    """Shift, scale and gate vectors from a condition (adaLN-zero, arXiv 2212.09748): groups of three, or one of two.

    A condition [B, L, D] gives every token its own vectors, [B, 1, D] one set a row.  It is activated already, since
    all blocks share it.  `rank` factorises the projection, which is the most expensive part of a small network when
    each token has its own vectors; 0: one full layer.  Shifts and gates start at 0 and scales at 1, so that a new block
    returns its input.
    """

    def __init__(self, width: int, n_vectors: int, rank: int = 0) -> None:
        super().__init__()
        self.n_vectors = n_vectors
        self.reduce = Linear(width, rank, bias=False) if rank else nn.Identity()
        self.project = Linear(rank or width, n_vectors * width)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        with torch.no_grad():
            # Vector 1 of each group is the scale; kept as 1 + s in the bias to save an addition per token.
            self.project.bias.view(n_vectors, width)[1::3] = 1.0

    def forward(self, condition: Tensor) -> tuple[Tensor, ...]:
        return self.project(self.reduce(condition)).chunk(self.n_vectors, dim=-1)


def norm(x: Tensor) -> Tensor:
    """Layer norm without weights: the modulation takes their place."""
    return F.layer_norm(x, x.shape[-1:], eps=1e-6)


def modulate(normed: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """normed * scale + shift, in one kernel."""
    return torch.addcmul(shift, normed.to(shift.dtype), scale)


def add_gated(x: Tensor, gate: Tensor, update: Tensor) -> Tensor:
    """x + gate * update; under autocast the product stays in the short type and x in float32."""
    if x.dtype == gate.dtype == update.dtype:
        return torch.addcmul(x, gate, update)
    return x + gate * update


class TransformerBlock(nn.Module):
    """Attention and MLP over one sequence, both modulated by a condition (DiT, arXiv 2212.09748)."""

    def __init__(self, width: int, n_heads: int, mlp: str, hidden: int, rank: int = 0) -> None:
        super().__init__()
        self.modulation = Modulation(width, 6, rank)
        self.attention = SelfAttention(width, n_heads)
        self.mlp = MLPS[mlp](width, hidden)

    def forward(self, x: Tensor, condition: Tensor, table: Tensor) -> Tensor:
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.modulation(condition)
        x = add_gated(x, gate, self.attention(modulate(norm(x), shift, scale), table))
        return add_gated(x, mlp_gate, self.mlp(modulate(norm(x), mlp_shift, mlp_scale)))


class PlainBlock(nn.Module):
    """Attention and MLP over one sequence without a condition (pre-norm); with `is_cross`, also to another sequence."""

    def __init__(self, width: int, n_heads: int, hidden: int, is_cross: bool = False) -> None:
        super().__init__()
        self.attention = SelfAttention(width, n_heads)
        self.cross = CrossAttention(width, n_heads) if is_cross else None
        self.mlp = GeluMlp(width, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3 if is_cross else 2))

    def forward(
        self, x: Tensor, table: Tensor, other: Tensor | None = None, other_table: Tensor | None = None
    ) -> Tensor:
        x = x + self.attention(self.norms[0](x), table)
        if self.cross is not None:
            x = x + self.cross(self.norms[2](x), table, other, other_table)
        return x + self.mlp(self.norms[1](x))


class FinalLayer(nn.Module):
    """Tokens to the output's width, modulated by a condition; starts at zero."""

    def __init__(self, width: int, out_dim: int, rank: int = 0) -> None:
        super().__init__()
        self.modulation = Modulation(width, 2, rank)
        self.out = Linear(width, out_dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return self.out(modulate(norm(x), *self.modulation(condition)))
