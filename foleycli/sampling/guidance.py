"""Classifier-free guidance: how strongly the conditions steer.  Plain functions over velocities."""

from __future__ import annotations

import torch
from torch import Tensor

FEW_STEPS = 2


def scale_at(guidance: float, n_steps: int) -> float:
    """The guidance to use with so many sampler steps.

    One or two long steps overshoot under guidance that suits many short ones, and get half of its excess
    over 1 (4.0 becomes 2.5; papers.md 1.6 proposes 2 to 3 up to four steps, but the shipped model's onsets
    at four steps were worse for it: F1 0.65 against 0.74).
    """
    return 1.0 + 0.5 * (guidance - 1.0) if n_steps <= FEW_STEPS and guidance > 1.0 else guidance


def twice(x: Tensor) -> Tensor:
    """The rows again for the null pass, so that both passes run as one batch: [B, ...] to [2B, ...]."""
    return torch.cat([x, x])


def guide(velocity: Tensor, scale: float) -> Tensor:
    """Conditioned and null velocities of one batch [2B, L, D] to the guided one [B, L, D].

    v = v_null + scale * (v_conditioned - v_null); what the null pass is told (nothing, or what must not
    be heard) is what the result moves away from.
    """
    conditioned, null = velocity.chunk(2)
    return torch.lerp(null, conditioned, scale)


def guide_words(velocity: Tensor, scale: float, words: float) -> Tensor:
    """Told, null and wordless velocities of one batch [3B, L, D] to the guided one [B, L, D].

    v = v_null + scale * (v_wordless - v_null) + words * (v_told - v_wordless): how strongly the picture's
    timing steers and how strongly words do are two questions (Brooks et al., arXiv 2211.09800, eq. 3).
    With equal scales this is `guide`.
    """
    told, null, wordless = velocity.chunk(3)
    return null + scale * (wordless - null) + words * (told - wordless)
