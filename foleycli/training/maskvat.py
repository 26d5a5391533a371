"""Trains MaskVAT; what it learns from and how it is laid out is `training.family`'s."""

from __future__ import annotations

from dataclasses import asdict

import torch
from torch import Tensor

from foleycli.errors import FoleyError
from foleycli.families.maskvat.config import SIZES, MaskVatConfig
from foleycli.families.maskvat.family import NAME, MaskVatFamily
from foleycli.families.maskvat.network import MaskVat
from foleycli.families.maskvat.objective import Batch, ObjectiveConfig, training_loss
from foleycli.hub.resolve import resolve
from foleycli.training.family import FamilyTask, Rows, codebooks_for, inputs_of, sized_config
from foleycli.training.recipe import Recipe, from_dict
from foleycli.weights.folder import read_config


class MaskVatTask(FamilyTask):
    """What the training loop needs to know about MaskVAT."""

    name = NAME
    default_settings = {**FamilyTask.default_settings, "steps": 16, "guidance": 3.0, "words_guidance": 3.0}

    def build(self, recipe: Recipe) -> MaskVat:
        self.objective = from_dict(ObjectiveConfig, recipe.objective, "recipe, objective")
        network = MaskVat(sized_config(MaskVatConfig, SIZES, recipe.network))
        network.adopt_codebooks(codebooks_for(network.config, self.data.codec))
        heard_dim = read_config(resolve(self.data.sync))["network"]["width"]
        if network.encoder is not None and network.config.heard_dim != heard_dim:
            raise FoleyError(
                f"the network's encoder foretells features of width {network.config.heard_dim}, "
                f"{self.data.sync} hears features of width {heard_dim}",
                f"Set network.heard_dim to {heard_dim}",
            )
        return network

    def family(self, network: MaskVat) -> MaskVatFamily:
        return MaskVatFamily(network)

    def loss(self, network: MaskVat, average: MaskVat, batch: Rows, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        return training_loss(network, batch_of(batch), self.generator(), self.objective)

    def figures(self, average: MaskVat, rows: Rows) -> dict[str, float]:
        _, figures = training_loss(average, batch_of(rows), torch.Generator().manual_seed(0), self.objective)
        return {name: value.item() for name, value in figures.items()}

    def objective_dict(self) -> dict:
        return asdict(self.objective)


def batch_of(rows: Rows) -> Batch:
    """The rows as MaskVAT's objective reads them."""
    return Batch(rows.codes, inputs_of(rows), rows.heard, rows.n_reference)
