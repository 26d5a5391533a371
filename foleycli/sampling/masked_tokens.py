"""Codes a few frames at a time, the surest first; a frame that was chosen stays.  Knows no network.

MaskGIT's decoding with frozen tokens and VampNet's noise on the confidence (papers.md 2.4); a frame is
masked or chosen with all its codebook levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from foleycli.records import Report, silent
from foleycli.sampling.autoregressive import draw_top_k

# The codes of a frame's coarser levels, int64 [B, L, k] -> logits of level k [B, L, V]
Levels = Callable[[Tensor], Tensor]
# (codes int64 [B, L, K], which frames are masked bool [B, L]) -> the logits of all frames, level by level
Predict = Callable[[Tensor, Tensor], Levels]


def n_masked(n_open: Tensor, done: float) -> Tensor:
    """How many of `n_open` frames are still masked when `done` (0..1) of the iterations are: a quarter of a cosine."""
    return (n_open * math.cos(0.5 * math.pi * done) + 1e-9).floor().long()


def sample(
    predict: Predict,
    known: Tensor,
    is_known: Tensor,
    rngs: Sequence[torch.Generator],
    n_iterations: int,
    temperature: float = 1.0,
    mask_temperature: float = 10.5,
    report: Report = silent,
) -> Tensor:
    """Codes int64 [B, L, K]; known ones come back as they are, and all others hear them.

    known             int64 [B, L, K], read only where is_known
    is_known          bool [B, L], anywhere in the window
    rngs              B CPU generators
    temperature       of the codes; 0 takes the likeliest
    mask_temperature  of the noise on the order: high takes frames at random, 0 takes the surest first
    """
    codes = known.masked_fill(~is_known[..., None], 0)
    is_masked = ~is_known
    n_open = is_masked.sum(dim=1, keepdim=True)  # [B, 1]
    for index in range(n_iterations):
        done = (index + 1) / n_iterations
        # Drawn for every frame, so that what is known changes nothing else.
        uniforms = torch.stack([torch.rand(known.shape[1], known.shape[2] + 1, generator=rng) for rng in rngs])
        uniforms = uniforms.to(known.device)  # [B, L, K + 1]
        drawn, sureness = draw_frames(predict(codes, is_masked), uniforms[..., :-1], temperature)
        codes = torch.where(is_masked[..., None], drawn, codes)
        sureness = sureness + mask_temperature * (1 - done) * gumbel(uniforms[..., -1])
        is_masked = is_masked & ~surest(sureness, is_masked, n_masked(n_open, done))
        report("sampler", index + 1, n_iterations)
    return codes


def draw_frames(levels: Levels, uniforms: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Codes [B, L, K], drawn from the coarsest level on, and the mean log-probability of each frame's [B, L]."""
    codes = torch.zeros(uniforms.shape, dtype=torch.long, device=uniforms.device)
    scores = torch.zeros(uniforms.shape[:2], device=uniforms.device)
    for level in range(uniforms.shape[2]):
        logits = levels(codes[..., :level]).float()  # [B, L, V]
        codes[..., level] = draw_top_k(logits, uniforms[..., level], temperature, top_k=0)
        scores += logits.log_softmax(dim=-1).gather(-1, codes[..., level, None])[..., 0]
    return codes, scores / uniforms.shape[2]


def surest(sureness: Tensor, is_masked: Tensor, n_left: Tensor) -> Tensor:
    """Which masked frames [B, L] are chosen now, so that `n_left` [B, 1] stay masked: those of the highest sureness."""
    rank = sureness.masked_fill(~is_masked, -math.inf).argsort(dim=1, descending=True).argsort(dim=1)
    return is_masked & (rank < is_masked.sum(dim=1, keepdim=True) - n_left)


def gumbel(uniform: Tensor) -> Tensor:
    """Gumbel noise of uniform numbers in 0..1, float32 of the same shape."""
    return -torch.log(-torch.log(uniform.clamp(1e-7, 1 - 1e-7)))
