"""What the pipeline asks of a family: the one contract that all of them meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol

import torch
from torch import Tensor

from foleycli.records import Features, Report, Settings, silent


@dataclass(frozen=True)
class FamilySpec:
    """The facts of a family's loaded weights that windows, features and codec must agree with."""

    name: str
    latent_rate_hz: Fraction  # latent steps per second
    latent_dim: int
    window_steps: int  # the longest window that the weights were trained on
    stream_dims: dict[str, int]  # feature streams that the network reads, by name, with their width
    text_dim: int
    # "codes": latents are codebook indices, whole numbers, one per codebook, and the codec is asked for those.
    latents: Literal["vectors", "codes"] = "vectors"
    window_grid_s: Fraction = Fraction(0)  # windows begin at multiples of this, where it is not 0
    whole_windows: bool = False  # trained on windows of one length: see `windows.plan.plan_windows`


class Family(Protocol):
    """Latents from features; tests/families holds every family to this."""

    spec: FamilySpec

    def sample(
        self,
        features: Sequence[Features],
        known: Tensor,
        is_known: Tensor,
        settings: Settings,
        rngs: Sequence[torch.Generator],
        report: Report = silent,
    ) -> Tensor:
        """Make B windows at once.

        features   B of them, each already cut to its window; streams start at the window's first step
        known      float32 [B, L, D], read only where is_known
        is_known   bool [B, L], anywhere in the window
        rngs       B CPU generators: noise is drawn on the CPU, one seed means the same noise everywhere
        returns    float32 [B, L, D]; known steps come back bit for bit
        """
        ...
