"""Codes one column at a time: the delay pattern, drawing from logits, and the loop.  Independent of the network.

Codes [B, L, K] are arranged in a sequence [B, C, K] of C = L + K columns, each codebook one column later than the one
before it (MusicGen's delay pattern, arXiv 2306.05284): codebook k of step t is in column 1 + k + t, so that a column's
finer codes are drawn when the coarser ones of their step are known.

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


def delay(codes: Tensor, special: int) -> Tensor:
    """Codes [B, L, K] to their sequence [B, L + K, K]; places without a code hold `special`."""
    n_batch, n_steps, n_codebooks = codes.shape
    sequence = codes.new_full((n_batch, n_steps + n_codebooks, n_codebooks), special)
    for level in range(n_codebooks):
        sequence[:, 1 + level : 1 + level + n_steps, level] = codes[..., level]
    return sequence


def undelay(sequence: Tensor) -> Tensor:
    """The inverse of `delay`: a sequence [B, L + K, K] to its codes [B, L, K]."""
    n_columns, n_codebooks = sequence.shape[1:]
    levels = torch.arange(n_codebooks, device=sequence.device)
    steps = torch.arange(n_columns - n_codebooks, device=sequence.device)
    return sequence[:, 1 + steps[:, None] + levels, levels]


def draw_top_k(logits: Tensor, uniform: Tensor, temperature: float, top_k: int) -> Tensor:
    """Codes [B, K] from the `top_k` most likely, and those as likely as the last of them; temperature 0: the first.

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
    *,
    special: int,
    report: Report = silent,
) -> Tensor:
    """Codes int64 [B, L, K]; known ones come back as they are and condition all that follow them.

    known     int64 [B, L, K], read only where is_known
    is_known  bool [B, L], anywhere; a known beginning costs one call of `predict`
    uniforms  [B, L, K] in 0..1, one for every code that may be drawn
    """
    sequence = delay(torch.where(is_known[..., None], known, special), special)  # [B, C, K]
    is_unknown = ~is_known[..., None].expand_as(known)
    is_drawn = delay(is_unknown.long(), special=0).bool()  # [B, C, K]
    delayed_uniforms = delay(uniforms, special=0)
    todo = is_drawn.any(dim=0).any(dim=-1).nonzero()[:, 0].tolist()  # columns
    for done, column in enumerate(todo):
        report("sampler", done, len(todo))
        drawn = draw(predict(sequence[:, :column]), delayed_uniforms[:, column])  # [B, K]
        sequence[:, column] = torch.where(is_drawn[:, column], drawn, sequence[:, column])
    report("sampler", len(todo), len(todo))
    return undelay(sequence)
