"""Codes a few frames at a time, the most confident first; a frame that was chosen stays.  Independent of the network.

MaskGIT's decoding (arXiv 2202.04200) with VampNet's noise on the confidence (arXiv 2307.04686); a frame is masked or
chosen with all its codebook levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from foleycli.records import Report, silent
from foleycli.sampling.autoregressive import draw_top_k

# The codes of a frame's coarser levels, int64 [B, L, k] -> logits of level k [B, L, V]
LevelLogits = Callable[[Tensor], Tensor]
# (codes int64 [B, L, K], which frames are masked bool [B, L]) -> the logits of all frames, level by level
Predict = Callable[[Tensor, Tensor], LevelLogits]


def n_masked(n_open: Tensor, done: float) -> Tensor:
    """How many of `n_open` frames are still masked when `done` (0..1) of the iterations are: a quarter of a cosine."""
    return (n_open * math.cos(0.5 * math.pi * done) + 1e-9).floor().long()


def sample(
    predict: Predict,
    known: Tensor,
    is_known: Tensor,
    rngs: Sequence[torch.Generator],
    n_iterations: int,
    *,
    temperature: float = 1.0,
    mask_temperature: float = 10.5,
    report: Report = silent,
) -> Tensor:
    """Codes int64 [B, L, K]; known ones come back as they are and condition all others.

    known             int64 [B, L, K], read only where is_known
    is_known          bool [B, L], anywhere in the window
    rngs              B CPU generators
    temperature       of the codes; 0 takes the most likely
    mask_temperature  of the noise on the confidence: high takes frames at random, 0 the most confident first
    """
    codes = known.masked_fill(~is_known[..., None], 0)
    is_masked = ~is_known
    n_open = is_masked.sum(dim=1, keepdim=True)  # [B, 1]
    for index in range(n_iterations):
        done = (index + 1) / n_iterations
        # Drawn for every frame, so that what is known changes no other draw.
        uniforms = torch.stack([torch.rand(known.shape[1], known.shape[2] + 1, generator=rng) for rng in rngs])
        uniforms = uniforms.to(known.device)  # [B, L, K + 1]
        drawn, confidence = draw_frames(predict(codes, is_masked), uniforms[..., :-1], temperature)
        codes = torch.where(is_masked[..., None], drawn, codes)
        confidence = confidence + mask_temperature * (1 - done) * gumbel(uniforms[..., -1])
        is_masked = is_masked & ~most_confident(confidence, is_masked, n_masked(n_open, done))
        report("sampler", index + 1, n_iterations)
    return codes


def draw_frames(level_logits: LevelLogits, uniforms: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Codes [B, L, K], drawn from the coarsest level on, and each frame's confidence [B, L].

    The confidence is the mean log-probability of the frame's codes.
    """
    codes = torch.zeros(uniforms.shape, dtype=torch.long, device=uniforms.device)
    scores = torch.zeros(uniforms.shape[:2], device=uniforms.device)
    for level in range(uniforms.shape[2]):
        logits = level_logits(codes[..., :level]).float()  # [B, L, V]
        codes[..., level] = draw_top_k(logits, uniforms[..., level], temperature, top_k=0)
        scores += logits.log_softmax(dim=-1).gather(-1, codes[..., level, None])[..., 0]
    return codes, scores / uniforms.shape[2]


def most_confident(confidence: Tensor, is_masked: Tensor, n_left: Tensor) -> Tensor:
    """Which masked frames, bool [B, L], are chosen now, so that the `n_left` [B, 1] least confident stay masked."""
    rank = confidence.masked_fill(~is_masked, -math.inf).argsort(dim=1, descending=True).argsort(dim=1)
    return is_masked & (rank < is_masked.sum(dim=1, keepdim=True) - n_left)


def gumbel(uniform: Tensor) -> Tensor:
    """Gumbel noise of uniform numbers in 0..1, float32 of the same shape."""
    return -torch.log(-torch.log(uniform.clamp(1e-7, 1 - 1e-7)))
