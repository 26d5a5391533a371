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
    p_context: float = 0.5  # of the rows with a reference: the context of a later window stands behind it

    # The rest of p_span + p_prefix + p_both_ends keeps nothing: first windows start from nothing.


def draw_known(
    n_rows: int, n_steps: int, generator: torch.Generator, config: KnownSpans, n_reference: Tensor | None = None
) -> Tensor:
    """Which latents stay clean, bool [B, L]: nothing, a span anywhere, the context prefix, or both ends.

    Rows that begin with `n_reference` (int64 [B]) steps of another sound know those, and maybe the context after them.
    """
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
    is_both = (kind >= config.p_span + config.p_prefix) & (kind < config.p_span + config.p_prefix + config.p_both_ends)
    drawn = ((kind < config.p_span) & span) | (is_prefix & prefix) | (is_both & both_ends)
    if n_reference is None:
        return drawn
    held = n_reference.to(device)[:, None]  # [B, 1]
    has_context = torch.rand(n_rows, 1, generator=generator, device=device) < config.p_context
    end = (held + has_context * config.prefix_steps).clamp(max=n_steps - 1)
    return torch.where(held > 0, step < end, drawn)
