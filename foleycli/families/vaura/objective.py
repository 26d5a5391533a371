"""What V-AURA is trained on (arXiv 2409.13689): the next column of codes from all before it, every level at once.

One parallel pass with the true codes as input (teacher forcing) reads what sampling reads column by column: the same
sequence, the same visual part, no later column.  A row's reference, and the context of a window, are simply the
beginning of the sequence.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from foleycli.families.vaura.config import VAuraConfig
from foleycli.families.vaura.network import VAura
from foleycli.sampling.autoregressive import delay


@dataclass(frozen=True)
class ObjectiveConfig:
    """Weights and probabilities of the training loss."""

    p_drop_visual: float = 0.1  # of windows that read the unconditional tokens instead, for guidance [paper]


@dataclass(frozen=True)
class VAuraBatch:
    """B training windows of equal length."""

    codes: Tensor  # int64 [B, L, K]
    visual: Tensor  # float32 [B, V, visual dim]
    n_reference: Tensor | None = None  # int64 [B]: a row's first steps are a reference, read and not learned; None: 0


def training_loss(
    network: VAura, batch: VAuraBatch, generator: torch.Generator, config: ObjectiveConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean cross entropy in nats over all codes and levels, and that of the coarsest and the finest level."""
    columns, targets = sequences(batch, network.config)
    has_visual = torch.rand(len(columns), generator=generator) >= config.p_drop_visual
    visual = visual_part(network, batch.visual, has_visual.to(columns.device), columns.shape[1])
    states, special = network.states(columns, visual).flatten(0, 1), network.config.special  # [B*S, D]
    # Level by level, since all logits at once are the largest tensor by far.
    sums = torch.stack([
        F.cross_entropy(head(states).float(), target, ignore_index=special, reduction="sum")
        for head, target in zip(network.lm_heads, targets.flatten(0, 1).unbind(1), strict=True)
    ])  # fmt: skip
    counts = (targets != special).sum(dim=(0, 1))
    each = (sums / counts.clamp_min(1)).detach()
    return sums.sum() / counts.sum().clamp_min(1), {"coarsest": each[0], "finest": each[-1]}


def sequences(batch: VAuraBatch, config: VAuraConfig) -> tuple[Tensor, Tensor]:
    """What the network reads and what it must predict, int64 [B, L + K - 1, K] each.

    Targets that do not count are special: places of the delay pattern without a code, and references.
    """
    columns = delay(batch.codes, config.special)
    targets = columns
    if batch.n_reference is not None:
        steps = torch.arange(batch.codes.shape[1], device=columns.device)
        is_reference = steps < batch.n_reference[:, None]  # [B, L]
        targets = delay(batch.codes.masked_fill(is_reference[..., None], config.special), config.special)
    return columns[:, :-1], targets[:, 1:]


def visual_part(network: VAura, visual: Tensor, has_visual: Tensor, n_columns: int) -> Tensor:
    """The visual part of all columns, [B, C, visual width]; where `has_visual`, bool [B], is False: unconditional."""
    unconditional = network.cls_embeddings.uncond_embedding.to(visual.dtype)  # [V, visual dim]
    return network.visual_columns(torch.where(has_visual[:, None, None], visual, unconditional), n_columns)
