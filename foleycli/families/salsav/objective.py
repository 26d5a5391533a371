"""What SALSA-V is trained on (arXiv 2510.02916): latents with features in, loss out.

Masked flow matching: a span of latents stays clean in the input and is left out of the loss.  Shortcut
self-consistency (Frans et al., arXiv 2410.12557): on a share of the batch, one step of size d must equal two
steps of d/2 by the teacher.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from foleycli.families.inputs import Inputs, drop_conditions
from foleycli.families.salsav.network import SalsaV
from foleycli.sampling.known import KnownSpans, draw_known


@dataclass(frozen=True)
class ObjectiveConfig(KnownSpans):
    """Shares and probabilities; [paper] marks what SALSA-V states, the rest is our choice."""

    shortcut_share: float = 0.25  # of the batch [paper]
    shortcut_from: int = 1000  # training step; before it the teacher is too poor to be consistent with
    t_mean: float = 0.0  # of the logit-normal flow time [paper: 0]; below 0: nearer to noise, where text decides
    p_drop_all: float = 0.1  # all conditions at once, for guidance [paper: 0.1, of all or of each it does not say]
    p_drop_each: float = 0.1  # each modality by itself


@dataclass(frozen=True)
class SalsaVBatch:
    """B training windows of equal length."""

    latents: Tensor  # float32 [B, L, D], unit variance
    inputs: Inputs
    n_reference: Tensor | None = None  # int64 [B]: a row's first steps are a reference sound; 0: it has none


def training_loss(
    network: SalsaV,
    teacher: SalsaV | None,
    batch: SalsaVBatch,
    generator: torch.Generator,
    config: ObjectiveConfig = ObjectiveConfig(),
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of one batch, and its parts ("loss", "flow", "shortcut") detached, to be read when logged.

    teacher    the moving average of `network`; None leaves the shortcut rows out
    generator  on any device; all random draws come from it

    One squared error over both kinds of rows without a weight, as in shortcut models, averaged over every number
    at a noised position: rows with a long clean span weigh less.
    """
    latents = batch.latents.float()
    n_rows, n_steps, _ = latents.shape
    n_shortcut = 0 if teacher is None else round(config.shortcut_share * n_rows)
    n_flow = n_rows - n_shortcut
    device = latents.device
    inputs = drop_conditions(batch.inputs, generator, config.p_drop_all, config.p_drop_each)
    is_known = draw_known(n_rows, n_steps, generator, config, batch.n_reference).to(device)
    noise = torch.randn(latents.shape, generator=generator, device=generator.device).to(device)
    t, d = draw_times(n_flow, n_shortcut, generator, base_steps=network.config.base_steps, t_mean=config.t_mean)
    t, d = t.to(device), d.to(device)
    x = torch.where(is_known[..., None], latents, torch.lerp(noise, latents, t[:, None, None]))
    target = latents - noise  # [B, L, D]
    if teacher is not None and n_shortcut:
        last = slice(n_flow, n_rows)
        consistent = shortcut_target(
            teacher, x[last], t=t[last], d=d[last], inputs=inputs.rows(last), is_known=is_known[last]
        )
        target = torch.cat([target[:n_flow], consistent])
    velocity = network(x, t, d, network.encode_conditions(inputs, n_steps), is_known)
    return _masked_error(velocity, target, is_known, n_flow)


def _masked_error(velocity: Tensor, target: Tensor, is_known: Tensor, n_flow: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean squared error at noised positions, of all rows and of each kind."""
    counts = ~is_known  # [B, L]
    errors = (velocity.float() - target).square().mean(dim=-1) * counts  # [B, L]
    loss = errors.sum() / counts.sum()
    detached = errors.detach()
    metrics = {"loss": loss.detach(), "flow": detached[:n_flow].sum() / counts[:n_flow].sum()}
    if n_flow < len(errors):
        metrics["shortcut"] = detached[n_flow:].sum() / counts[n_flow:].sum()
    return loss, metrics


@torch.no_grad()
def shortcut_target(teacher: SalsaV, x: Tensor, t: Tensor, d: Tensor, inputs: Inputs, is_known: Tensor) -> Tensor:
    """The mean velocity of two half steps [B, L, D]; known steps stay clean in both, without guidance."""
    conditions = teacher.encode_conditions(inputs, x.shape[1])
    half = 0.5 * d
    first = teacher(x, t, half, conditions, is_known)
    moved = torch.where(is_known[..., None], x, x + half[:, None, None] * first)
    second = teacher(moved, t + half, half, conditions, is_known)
    return 0.5 * (first + second)


def draw_times(
    n_flow: int, n_shortcut: int, generator: torch.Generator, base_steps: int, t_mean: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Flow time and step size of each row, float32 [B] each; the flow rows come first.

    Flow rows: t logit-normal (t_mean, 1), d the smallest.  Shortcut rows: d = 2^-k with k uniform from 0 to the
    last whose half is not below the smallest, t uniform on the multiples of d below 1.
    """
    device = generator.device
    t_flow = (torch.randn(n_flow, generator=generator, device=device) + t_mean).sigmoid()
    d_flow = torch.full((n_flow,), 1.0 / base_steps, device=device)
    n_sizes = base_steps.bit_length() - 1  # 7 for 128: 1, 1/2 .. 1/64
    exponent = torch.randint(n_sizes, (n_shortcut,), generator=generator, device=device)
    d_shortcut = torch.exp2(-exponent.float())
    place = torch.rand(n_shortcut, generator=generator, device=device)
    t_shortcut = (place / d_shortcut).floor() * d_shortcut
    return torch.cat([t_flow, t_shortcut]), torch.cat([d_flow, d_shortcut])
