"""Trains SALSA-V; what it learns from and how it is laid out is `training.family`'s."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

import torch
from torch import Tensor

from foleycli.families.salsav.config import SIZES, SalsaVConfig
from foleycli.families.salsav.family import NAME, SalsaVFamily
from foleycli.families.salsav.network import SalsaV
from foleycli.families.salsav.objective import Batch, ObjectiveConfig, training_loss
from foleycli.training.family import FamilyTask, Rows, inputs_of, sized_config
from foleycli.training.recipe import Recipe, from_dict


class SalsaVTask(FamilyTask):
    """What the training loop needs to know about SALSA-V."""

    name = NAME
    # Behind a reference less is right than without: it says how things sound, and more makes them harsh.
    default_settings: ClassVar[dict[str, Any]] = {**FamilyTask.default_settings, "guidance": 4.0, "words_guidance": 4.0}

    def build(self, recipe: Recipe) -> SalsaV:
        self.objective = from_dict(ObjectiveConfig, recipe.objective, "recipe, objective")
        return SalsaV(sized_config(SalsaVConfig, SIZES, recipe.network))

    def family(self, network: SalsaV) -> SalsaVFamily:
        return SalsaVFamily(network)

    def loss(self, network: SalsaV, average: SalsaV, batch: Rows, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        teacher = average if step >= self.objective.shortcut_from else None
        loss, figures = training_loss(network, teacher, batch_of(batch), self.generator(), self.objective)
        figures.pop("loss", None)
        return loss, figures

    def figures(self, average: SalsaV, rows: Rows) -> dict[str, float]:
        _, figures = training_loss(average, None, batch_of(rows), torch.Generator().manual_seed(0), self.objective)
        return {"flow": figures["flow"].item()}

    def objective_dict(self) -> dict:
        return asdict(self.objective)


def batch_of(rows: Rows) -> Batch:
    """The rows as SALSA-V's objective reads them."""
    return Batch(rows.latents, inputs_of(rows), rows.n_reference)
