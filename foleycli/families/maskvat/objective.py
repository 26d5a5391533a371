"""What MaskVAT is trained on (arXiv 2407.10387): codes with features in, loss out.

Some frames are masked, all levels of a frame together, and their codes predicted.  Where there is an encoder, its
tokens also predict features of the sound, by a regression loss and a contrastive loss.
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
    """Weights and probabilities: our choice, the paper states none of them."""

    p_span: float = 0.3  # fewer than by default: rows with few masked frames teach the same
    label_smoothing: float = 0.0
    finer_weight: float = 1.0  # of a level's loss against that of the level before it
    regression: float = 1.0
    contrast: float = 0.1
    p_drop_all: float = 0.1  # all conditions at once, for guidance
    p_drop_each: float = 0.0  # each modality by itself


@dataclass(frozen=True)
class MaskVatBatch:
    """B training windows of equal length."""

    codes: Tensor  # int64 [B, L, K]
    inputs: Inputs
    audio_features: Tensor  # float32 [B, T / 2, heard_dim]: features of the sound, one for two frames
    n_reference: Tensor | None = None  # int64 [B]: a row's first steps are a reference sound; 0: it has none


def training_loss(
    network: MaskVat, batch: MaskVatBatch, generator: torch.Generator, config: ObjectiveConfig = ObjectiveConfig()
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
    if network.encoder is not None and conditions.memory is not None:
        is_synchronous = inputs.has_sync
        if batch.n_reference is not None:
            is_synchronous = is_synchronous & (batch.n_reference == 0)  # the picture does not time a reference
        regression, contrast = audio_losses(network.encoder, conditions.memory, batch.audio_features, is_synchronous)
        loss = loss + config.regression * regression + config.contrast * contrast
        figures |= {"regression": regression.detach(), "contrast": contrast.detach()}
    return loss, figures


def draw_masked(is_known: Tensor, generator: torch.Generator) -> Tensor:
    """Which frames are to be predicted, bool [B, L]: each unknown one with p = cos(u), u uniform in 0..pi / 2 by row.

    Known frames never are, and of the unknown ones of a row at least one is.
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
    by_level = torch.stack(entropies).detach()
    return loss, {"codes": by_level.mean(), "coarsest": by_level[0]}


def audio_losses(encoder: Encoder, memory: Memory, audio_features: Tensor, is_counted: Tensor) -> tuple[Tensor, Tensor]:
    """Two losses of the encoder against features of the sound [B, T / 2, D]: regression, and contrast between rows.

    Targets are normed over their channels, so that the weights mean the same for any audio encoder.
    `is_counted`, bool [B]: rows that count; both losses are 0 where none does.
    """
    target = F.layer_norm(audio_features.float(), audio_features.shape[-1:])[is_counted]
    visual = memory.visual[is_counted, : target.shape[1]]
    if len(target) == 0:
        zero = visual.sum() * 0.0
        return zero, zero
    regression = F.mse_loss(encoder.foretell(visual).float(), target)
    ours = F.normalize(encoder.own_summary(visual.mean(dim=1)).float(), dim=-1)
    theirs = F.normalize(encoder.heard_summary(target.mean(dim=1)).float(), dim=-1)
    similarity = ours @ theirs.T / CONTRAST_TEMPERATURE  # [B, B]
    own = torch.arange(len(similarity), device=similarity.device)
    return regression, 0.5 * (F.cross_entropy(similarity, own) + F.cross_entropy(similarity.T, own))
