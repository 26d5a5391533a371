"""Euler steps from noise to data along a velocity field, with known steps kept.  Independent of the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from foleycli.records import Report, silent

# (x [B, L, D], flow time, size of the step) -> dx/dt [B, L, D]
Velocity = Callable[[Tensor, float, float], Tensor]

# How the network reads known steps on the way: clean from the start (masked flow matching, as in SALSA-V), or noised
# to the current time as all others are (networks trained without a mask).
KnownPath = Literal["clean", "noised"]


def sample(
    velocity: Velocity,
    noise: Tensor,
    known: Tensor,
    is_known: Tensor,
    times: Sequence[float],
    *,
    known_path: KnownPath = "clean",
    context_strength: Tensor | None = None,
    report: Report = silent,
) -> Tensor:
    """Carry `noise` (time 0) to data (time 1); known steps come back bit for bit.

    noise             float32 [B, L, D]
    known             float32 [B, L, D], read only where is_known
    is_known          bool [B, L], anywhere in the window
    times             from sampling.times
    context_strength  float32 [B, L] in 0..1: weight of known steps against the sampler's own at time 0, rising to 1 at
                      time 1 (None: 1 throughout).  Less than 1 next to a seam lets the coarse shape of the sound, which
                      the first steps decide, run through it.
    """
    keep = is_known[..., None]  # [B, L, 1]
    n_steps = len(times) - 1
    x = noise  # [B, L, D]
    for index, (t, t_next) in enumerate(pairwise(times)):
        here = known if known_path == "clean" else torch.lerp(noise, known, t)
        if context_strength is not None:
            here = torch.lerp(x, here, context_strength[..., None].lerp(torch.ones_like(keep, dtype=x.dtype), t))
        x = torch.where(keep, here, x)
        x = x + (t_next - t) * velocity(x, t, t_next - t)
        report("sampler", index + 1, n_steps)
    return torch.where(keep, known, x)
