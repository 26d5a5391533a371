"""Which steps of a training window stay clean: what teaches a network to go on from known audio.  Knows no network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class KnownSpans:
    """How often which known steps are given; [paper] marks what SALSA-V states (papers.md 1.5)."""

    max_span: int = 88  # clean span is uniform in 1..88 latents, about 2 s [paper]
    p_span: float = 0.6  # one span, anywhere
    p_prefix: float = 0.15  # exactly the context that windows hand over
    prefix_steps: int = 22  # 0.5 s [paper's window overlap]
    p_both_ends: float = 0.05  # a prefix and a suffix: filling a hole, closing a loop

    # The rest of p_span + p_prefix + p_both_ends keeps nothing: first windows start from nothing.


def draw_known(n_rows: int, n_steps: int, generator: torch.Generator, config: KnownSpans) -> Tensor:
    """Which latents stay clean, bool [B, L]: nothing, a span anywhere, the context prefix, or both ends."""
    device = generator.device
    longest = max(1, min(config.max_span, (n_steps - 1) // 2))  # two spans must leave something to make
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
    is_both = (kind >= config.p_span + config.p_prefix) & (
        kind < config.p_span + config.p_prefix + config.p_both_ends
    )
    return ((kind < config.p_span) & span) | (is_prefix & prefix) | (is_both & both_ends)


def with_references(is_known: Tensor, n_reference: Tensor | None) -> Tensor:
    """Rows that begin with so many steps of another sound, int64 [B], know exactly those; 0: what is drawn stays."""
    if n_reference is None:
        return is_known
    reference = torch.arange(is_known.shape[1], device=is_known.device) < n_reference[:, None]  # [B, L]
    return torch.where(n_reference[:, None] > 0, reference, is_known)
