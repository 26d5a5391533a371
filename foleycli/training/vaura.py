"""Trains V-AURA; what it learns from and how it is laid out is `training.family`'s."""

from __future__ import annotations

from dataclasses import asdict

import torch
from torch import Tensor

from foleycli.families.vaura.config import SIZES, VAuraConfig
from foleycli.families.vaura.family import NAME, VAuraFamily
from foleycli.families.vaura.network import VAura
from foleycli.families.vaura.objective import Batch, ObjectiveConfig, training_loss
from foleycli.training.family import FamilyTask, Rows, codebooks_for, sized_config
from foleycli.training.recipe import Recipe, from_dict


class VAuraTask(FamilyTask):
    """What the training loop needs to know about V-AURA."""

    name = NAME
    default_settings = {
        **FamilyTask.default_settings,
        "guidance": 6.0,
    }  # the paper's, which its table finds best (papers.md 3.2)

    def build(self, recipe: Recipe) -> VAura:
        self.objective = from_dict(ObjectiveConfig, recipe.objective, "recipe, objective")
        network = VAura(sized_config(VAuraConfig, SIZES, recipe.network))
        network.adopt_codebooks(codebooks_for(network.config, self.data.codec))
        return network

    def family(self, network: VAura) -> VAuraFamily:
        return VAuraFamily(network)

    def loss(self, network: VAura, average: VAura, batch: Rows, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        return training_loss(network, batch_of(batch, network.config), self.generator(), self.objective)

    def figures(self, average: VAura, rows: Rows) -> dict[str, float]:
        """Cross entropy with the picture, and without it: what lies between is what the picture tells."""
        batch, told = batch_of(rows, average.config), {}
        for name, p_drop in (("seen", 0.0), ("unseen", 1.0)):
            loss, figures = training_loss(average, batch, torch.Generator(), ObjectiveConfig(p_drop_visual=p_drop))
            told |= {f"{name}_nats": loss.item(), f"{name}_coarsest_nats": figures["coarsest"].item()}
        return told

    def objective_dict(self) -> dict:
        return asdict(self.objective)


def batch_of(rows: Rows, config: VAuraConfig) -> Batch:
    """The rows as V-AURA's objective reads them: pictures to a window's number, as sampling does."""
    index = torch.arange(config.n_visual, device=rows.sync.device).clamp(max=rows.sync.shape[1] - 1)
    return Batch(rows.codes, rows.sync[:, index], rows.n_reference)
