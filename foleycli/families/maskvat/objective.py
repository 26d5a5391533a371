"""What MaskVAT is trained on: codes with features in, loss out.

Some frames are masked, all levels of a frame together, and their codes asked for (papers.md 2.2).  Where there
is an encoder, it also learns what will be heard: a regression and a contrast against features of the sound (2.4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from foleycli.families.inputs import Inputs, drop_conditions
from foleycli.families.maskvat.network import Encoder, MaskVat, Memory
from foleycli.sampling.known import KnownSpans, draw_known

CONTRAST_TEMPERATURE = 0.07


@dataclass(frozen=True)
class ObjectiveConfig(KnownSpans):
    """Weights and probabilities; the paper publishes none of them, papers.md 2.4 proposes the marked ones."""

    p_span: float = 0.3  # fewer than by default: masks that leave little out are known context too
    label_smoothing: float = 0.0
    finer_weight: float = 1.0  # of a level's loss against that of the level before it
    regression: float = 1.0  # [2.4]
    contrast: float = 0.1  # [2.4]
    p_drop_all: float = 0.1  # all conditions at once, for guidance [2.4]
    p_drop_each: float = 0.0  # each modality by itself


@dataclass(frozen=True)
class Batch:
    """B training windows of equal length."""

    codes: Tensor  # int64 [B, L, K]
    inputs: Inputs
    heard: Tensor  # float32 [B, T / 2, heard_dim]: features of the sound, one for two pictures
    n_reference: Tensor | None = None  # int64 [B]: a row's first steps are a reference sound; 0: it has none


def training_loss(
    network: MaskVat, batch: Batch, generator: torch.Generator, config: ObjectiveConfig = ObjectiveConfig()
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of one batch, and its parts detached, to be read when logged.

    generator  on any device; all random draws come from it

    "codes" is the cross entropy of masked codes in nats, the mean over levels, and "coarsest" that of level 0,
    both without the smoothing and the weights that the loss may have.
    """
    codes = batch.codes
    n_rows, n_steps, _ = codes.shape
    inputs = drop_conditions(batch.inputs, generator, config.p_drop_all, config.p_drop_each)
    is_known = draw_known(n_rows, n_steps, generator, config, batch.n_reference).to(codes.device)
    is_masked = draw_masked(is_known, generator)
    conditions = network.encode_conditions(inputs, n_steps)
    states = network(codes, is_masked, conditions)
    loss, figures = code_loss(network, states[is_masked], codes[is_masked], config)
    if network.encoder is not None:
        is_heard = inputs.has_sync
        if batch.n_reference is not None:
            is_heard = is_heard & (batch.n_reference == 0)  # a reference does not sound when the picture says
        regression, contrast = heard_losses(network.encoder, conditions.memory, batch.heard, is_heard)
        loss = loss + config.regression * regression + config.contrast * contrast
        figures |= {"regression": regression.detach(), "contrast": contrast.detach()}
    return loss, figures


def draw_masked(is_known: Tensor, generator: torch.Generator) -> Tensor:
    """Which frames are to be foretold, bool [B, L]: each open one with p = cos(u), u uniform in 0..pi / 2 for its row.

    Known steps never are, and of the open ones of a row at least one is.
    """
    shape, device = is_known.shape, generator.device
    share = torch.cos(0.5 * math.pi * torch.rand(shape[0], 1, generator=generator, device=device))
    draws = torch.rand(shape, generator=generator, device=device)
    share, draws = share.to(is_known.device), draws.to(is_known.device).masked_fill(is_known, 2.0)
    return draws <= torch.maximum(share, draws.amin(dim=1, keepdim=True))


def code_loss(
    network: MaskVat, states: Tensor, codes: Tensor, config: ObjectiveConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """Cross entropy of codes [N, K] given the states [N, D] of their frames.

    Level by level: the logits of all levels at once would fall out of a CPU's cache.
    """
    losses, entropies = [], []
    for level in range(codes.shape[1]):
        scores = network.logits(states, codes[:, :level]).float().log_softmax(dim=-1)  # [N, V]
        entropies.append(F.nll_loss(scores, codes[:, level]))
        smooth = config.label_smoothing
        losses.append((1 - smooth) * entropies[-1] - (smooth * scores.mean() if smooth else 0.0))
    weights = config.finer_weight ** torch.arange(len(losses), device=codes.device)
    loss = (torch.stack(losses) * weights).sum() / weights.sum()
    told = torch.stack(entropies).detach()
    return loss, {"codes": told.mean(), "coarsest": told[0]}


def heard_losses(encoder: Encoder, memory: Memory, heard: Tensor, is_heard: Tensor) -> tuple[Tensor, Tensor]:
    """How badly the encoder foretells features of the sound [B, T / 2, D], and whose sound each row's is.

    Targets are normed over their channels, so that the weights mean the same for any audio encoder.
    `is_heard`, bool [B]: rows that count; both losses are 0 where none does.
    """
    target = F.layer_norm(heard.float(), heard.shape[-1:])[is_heard]
    visual = memory.visual[is_heard, : target.shape[1]]
    if len(target) == 0:
        return (nothing := visual.sum() * 0.0), nothing
    regression = F.mse_loss(encoder.foretell(visual).float(), target)
    ours = F.normalize(encoder.own_summary(visual.mean(dim=1)).float(), dim=-1)
    theirs = F.normalize(encoder.heard_summary(target.mean(dim=1)).float(), dim=-1)
    alike = ours @ theirs.T / CONTRAST_TEMPERATURE  # [B, B]
    own = torch.arange(len(alike), device=alike.device)
    return regression, 0.5 * (F.cross_entropy(alike, own) + F.cross_entropy(alike.T, own))
