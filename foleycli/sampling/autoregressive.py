"""Codes one column at a time: the delay pattern, drawing from logits, and the loop.  Knows no network.

Codes [B, L, K] stand in a sequence [B, C, K] of C = L + K columns, each codebook one column later than
the one before it (MusicGen's delay pattern; papers.md section 3): codebook k of step t is in column
1 + k + t, so that a column's finer codes are drawn when the coarser ones of their step are known.

    column       0  1  2  3  4           . is the special code
    codebook 0   .  0  1  2  .
    codebook 1   .  .  0  1  2
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from foleycli.records import Report, silent

# The columns so far [B, S, K] -> logits of the next one [B, K, V]
Predict = Callable[[Tensor], Tensor]
# Logits [B, K, V] and uniform numbers in 0..1 [B, K] -> codes [B, K]
Draw = Callable[[Tensor, Tensor], Tensor]


def delay(codes: Tensor, special: int, n_steps: int | None = None) -> Tensor:
    """Codes [B, L, K] to their sequence [B, n_steps + K, K]; steps that are not there are special."""
    n_batch, n_given, n_codebooks = codes.shape
    sequence = codes.new_full((n_batch, (n_steps or n_given) + n_codebooks, n_codebooks), special)
    for level in range(n_codebooks):
        sequence[:, 1 + level : 1 + level + n_given, level] = codes[..., level]
    return sequence


def delay_mask(n_steps: int, n_codebooks: int) -> Tensor:
    """Which places of a sequence hold a code and not the special one: bool [C, K]."""
    return delay(torch.zeros(1, n_steps, n_codebooks, dtype=torch.long), special=1)[0] == 0


def undelay(sequence: Tensor, n_steps: int, fill: int = -1) -> Tensor:
    """The codes [B, n_steps, K] of a sequence [B, C, K]; what lies beyond its last column is `fill`."""
    return _shifted(sequence, n_steps, 1, fill)


def logits_in_time(logits: Tensor, n_steps: int, fill: float = float("nan")) -> Tensor:
    """Logits by column [B, C, K, V] to logits by step [B, n_steps, K, V]: column s predicts column s + 1."""
    return _shifted(logits, n_steps, 0, fill)


def _shifted(x: Tensor, n_steps: int, offset: int, fill: float) -> Tensor:
    """Codebook k of step t from column t + k + offset."""
    n_columns, n_codebooks = x.shape[1:3]
    levels = torch.arange(n_codebooks, device=x.device)
    columns = torch.arange(n_steps, device=x.device)[:, None] + levels + offset  # [L, K]
    found = x[:, columns.clamp(max=n_columns - 1), levels]  # [B, L, K, ...]
    found[:, columns >= n_columns] = fill
    return found


def draw_top_k(logits: Tensor, uniform: Tensor, temperature: float, top_k: int) -> Tensor:
    """Codes [B, K] from the `top_k` most likely (ties with the last of them too); temperature 0: the likeliest.

    The uniform number picks the place on the cumulative distribution, so that a draw depends on nothing else.
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    chances = (logits.float() / temperature).softmax(dim=-1)  # [B, K, V]
    if 0 < top_k < chances.shape[-1]:
        least = chances.topk(top_k, dim=-1).values[..., -1:]
        chances = torch.where(chances >= least, chances, 0.0)
    sums = chances.double().cumsum(dim=-1)
    # Below the full sum, so that the place found always has a chance above zero.
    place = uniform[..., None].to(sums) * sums[..., -1:] * (1 - 1e-9)
    return torch.searchsorted(sums, place, right=True)[..., 0]


def generate(
    predict: Predict,
    draw: Draw,
    known: Tensor,
    is_known: Tensor,
    uniforms: Tensor,
    special: int,
    report: Report = silent,
) -> Tensor:
    """Codes int64 [B, L, K]; known ones come back as they are and are heard by all that follows them.

    known     int64 [B, L, K], read only where is_known
    is_known  bool [B, L], anywhere; a known beginning costs one call of `predict`
    uniforms  [B, L, K] in 0..1, one for every code that may be drawn
    """
    n_steps, n_codebooks = known.shape[1:]
    sequence = delay(torch.where(is_known[..., None], known, special), special)  # [B, C, K]
    is_open = ~is_known[..., None].expand_as(known)
    is_drawn = delay(is_open.long(), special=0).bool()  # [B, C, K]
    numbers = delay(uniforms, special=0)
    todo = is_drawn.any(dim=0).any(dim=-1).nonzero()[:, 0].tolist()  # columns
    for done, column in enumerate(todo):
        report("sampler", done, len(todo))
        drawn = draw(predict(sequence[:, :column]), numbers[:, column])  # [B, K]
        sequence[:, column] = torch.where(is_drawn[:, column], drawn, sequence[:, column])
    report("sampler", len(todo), len(todo))
    return undelay(sequence, n_steps)
