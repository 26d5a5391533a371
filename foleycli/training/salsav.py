"""Trains SALSA-V; its data and windows are those of `training.family`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

import torch
from torch import Tensor

from foleycli.families.salsav.config import SIZES
from foleycli.families.salsav.family import SalsaVFamily
from foleycli.families.salsav.network import SalsaV
from foleycli.families.salsav.objective import ObjectiveConfig, SalsaVBatch, training_loss
from foleycli.training.family import FamilyTask, TrainingBatch, config_of_size, network_inputs
from foleycli.training.recipe import Recipe, from_dict


class SalsaVTask(FamilyTask[SalsaV]):
    """Meets `training.loop.Task` for SALSA-V."""

    name = SalsaVFamily.name
    # With a reference less guidance is better than without: it says how things sound, and more makes them harsh.
    default_settings: ClassVar[dict[str, Any]] = {
        **FamilyTask.default_settings, "guidance": 4.0, "words_guidance": 4.0
    }  # fmt: skip

    def build(self, recipe: Recipe) -> SalsaV:
        self.objective = from_dict(ObjectiveConfig, recipe.objective, "recipe, objective")
        return SalsaV(config_of_size(SIZES, recipe.network))

    def family(self, network: SalsaV) -> SalsaVFamily:
        return SalsaVFamily(network)

    def loss(
        self, network: SalsaV, average: SalsaV, batch: TrainingBatch, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        teacher = average if step >= self.objective.shortcut_from else None
        loss, figures = training_loss(network, teacher, objective_batch(batch), self.generator(), self.objective)
        figures.pop("loss", None)
        return loss, figures

    def figures(self, average: SalsaV, batch: TrainingBatch) -> dict[str, float]:
        generator = torch.Generator().manual_seed(0)
        _, figures = training_loss(average, None, objective_batch(batch), generator, self.objective)
        return {"flow": figures["flow"].item()}

    def objective_dict(self) -> dict[str, Any]:
        return asdict(self.objective)


def objective_batch(batch: TrainingBatch) -> SalsaVBatch:
    """The windows as SALSA-V's objective reads them."""
    return SalsaVBatch(batch.latents, network_inputs(batch), batch.n_reference)
