"""Foley-Flow's second stage, what the flow is trained on: latents with features in, loss out.

The paper (arXiv 2603.08126) gives no loss that can be computed; this is rectified flow (arXiv 2209.03003):
x_t = (1 - t) x_0 + t x_1, v = x_1 - x_0, with spans that stay clean in the input and are left out of the loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from foleycli.families.foleyflow.network import FoleyFlow
from foleycli.families.inputs import Inputs, drop_conditions
from foleycli.sampling.known import KnownSpans, draw_known


@dataclass(frozen=True)
class ObjectiveConfig(KnownSpans):
    """Our choice: the paper states no such values."""

    t_mean: float = 0.0  # of the logit-normal flow time; below 0: nearer to noise
    p_drop_all: float = 0.1  # all conditions at once, for guidance
    p_drop_each: float = 0.1  # each modality by itself


def training_loss(
    network: FoleyFlow,
    latents: Tensor,
    inputs: Inputs,
    generator: torch.Generator,
    config: ObjectiveConfig = ObjectiveConfig(),
    n_reference: Tensor | None = None,
) -> Tensor:
    """Mean squared error [] of the velocity over every number at a noised step.

    latents      float32 [B, L, D], unit variance
    generator    on any device; all random draws come from it
    n_reference  int64 [B]: a row's first steps are a reference sound; 0: it has none
    """
    latents = latents.float()
    n_rows, n_steps, _ = latents.shape
    device = latents.device
    inputs = drop_conditions(inputs, generator, config.p_drop_all, config.p_drop_each)
    is_known = draw_known(n_rows, n_steps, generator, config, n_reference).to(device)
    noise = torch.randn(latents.shape, generator=generator, device=generator.device).to(device)
    t = (torch.randn(n_rows, generator=generator, device=generator.device) + config.t_mean).sigmoid().to(device)
    x = torch.where(is_known[..., None], latents, torch.lerp(noise, latents, t[:, None, None]))
    velocity = network(x, t, network.encode_conditions(inputs, n_steps), is_known)
    errors = (velocity - (latents - noise)).square().mean(dim=-1)  # [B, L]
    return (errors * ~is_known).sum() / (~is_known).sum()
