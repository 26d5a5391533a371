"""Which steps of a training window stay clean, so that a network learns to continue known audio."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class KnownSpans:
    """How often which steps are known; [paper] marks what SALSA-V states (arXiv 2510.02916).

    What p_span, p_prefix and p_both_ends leave of 1 has no known steps, like first windows.
    """

    max_span: int = 88  # a clean span has 1..88 latents, uniformly: up to 2 s [paper]
    p_span: float = 0.6  # one span, anywhere
    p_prefix: float = 0.15  # a prefix as long as the context that windows carry over
    prefix_steps: int = 22  # 0.5 s [paper: overlap of its windows]
    p_both_ends: float = 0.05  # a prefix and a suffix: inpainting, closing a loop
    p_context: float = 0.5  # of the rows with a reference: a later window, with its context after the reference


def draw_known(
    n_rows: int, n_steps: int, generator: torch.Generator, config: KnownSpans, n_reference: Tensor | None = None
) -> Tensor:
    """Which latents stay clean, bool [B, L]: none, a span anywhere, the context prefix, or both ends.

    Rows that begin with a reference, `n_reference` steps (int64 [B]), have that known and maybe the context after it.
    """
    device = generator.device
    longest = max(1, min(config.max_span, (n_steps - 1) // 2))  # two spans must leave something unknown
    kind = torch.rand(n_rows, 1, generator=generator, device=device)
    length = torch.randint(1, longest + 1, (n_rows, 2), generator=generator, device=device)
    place = torch.rand(n_rows, 1, generator=generator, device=device)
    step = torch.arange(n_steps, device=device)  # [L]
    first, last = length[:, :1], length[:, 1:]
    start = (place * (n_steps - first + 1)).floor()
    span = (step >= start) & (step < start + first)
    prefix = (step < min(config.prefix_steps, n_steps - 1)).expand(n_rows, -1)
    both_ends = (step < first) | (step >= n_steps - last)
    is_prefix = (kind >= config.p_span) & (kind < config.p_span + config.p_prefix)
    is_both = (kind >= config.p_span + config.p_prefix) & (kind < config.p_span + config.p_prefix + config.p_both_ends)
    drawn = ((kind < config.p_span) & span) | (is_prefix & prefix) | (is_both & both_ends)
    if n_reference is None:
        return drawn
    held = n_reference.to(device)[:, None]  # [B, 1]
    has_context = torch.rand(n_rows, 1, generator=generator, device=device) < config.p_context
    end = (held + has_context * config.prefix_steps).clamp(max=n_steps - 1)
    return torch.where(held > 0, step < end, drawn)
