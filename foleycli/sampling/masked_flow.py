"""Euler steps from noise to data along a velocity field, with known steps kept.  Knows no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from foleycli.records import Report, silent

# (x [B, L, D], flow time, size of the step) -> dx/dt [B, L, D]
Velocity = Callable[[Tensor, float, float], Tensor]

# How known steps look to the network on the way: clean from the start (SALSA-V, section 1.5 of
# papers.md), or noised to the current time as all others are (networks trained without a mask).
KnownPath = Literal["clean", "noised"]


def sample(
    velocity: Velocity,
    noise: Tensor,
    known: Tensor,
    is_known: Tensor,
    times: Sequence[float],
    known_path: KnownPath = "clean",
    hold: Tensor | None = None,
    report: Report = silent,
) -> Tensor:
    """Carry `noise` (time 0) to data (time 1); known steps come back bit for bit.

    noise     float32 [B, L, D]
    known     float32 [B, L, D], read only where is_known
    is_known  bool [B, L], anywhere in the window
    times     from sampling.times
    hold      float32 [B, L] in 0..1: how firmly known steps are held at time 0, fully at time 1 (None: fully
              all the way).  Soft edges let the first, coarse course of the sound run through a seam.
    """
    keep = is_known[..., None]  # [B, L, 1]
    n_steps = len(times) - 1
    x = noise  # [B, L, D]
    for index, (t, t_next) in enumerate(pairwise(times)):
        here = known if known_path == "clean" else torch.lerp(noise, known, t)
        if hold is not None:
            here = torch.lerp(x, here, hold[..., None].lerp(torch.ones_like(keep, dtype=x.dtype), t))
        x = torch.where(keep, here, x)
        x = x + (t_next - t) * velocity(x, t, t_next - t)
        report("sampler", index + 1, n_steps)
    return torch.where(keep, known, x)
