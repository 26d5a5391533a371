"""Trains MaskVAT; its data and windows are those of `training.family`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

import torch
from torch import Tensor

from foleycli.errors import FoleyError
from foleycli.families.maskvat.config import SIZES
from foleycli.families.maskvat.family import MaskVatFamily
from foleycli.families.maskvat.network import MaskVat
from foleycli.families.maskvat.objective import MaskVatBatch, ObjectiveConfig, training_loss
from foleycli.hub.resolve import resolve
from foleycli.training.family import FamilyTask, TrainingBatch, codec_codebooks, config_of_size, network_inputs
from foleycli.training.recipe import Recipe, from_dict
from foleycli.weights.config import read_config


class MaskVatTask(FamilyTask[MaskVat]):
    """Meets `training.loop.Task` for MaskVAT."""

    name = MaskVatFamily.name
    default_settings: ClassVar[dict[str, Any]] = {
        **FamilyTask.default_settings, "steps": 16, "guidance": 3.0, "words_guidance": 3.0
    }  # fmt: skip

    def build(self, recipe: Recipe) -> MaskVat:
        self.objective = from_dict(ObjectiveConfig, recipe.objective, "recipe, objective")
        return MaskVat(config_of_size(SIZES, recipe.network))

    def fill(self, network: MaskVat) -> None:
        config = network.config
        network.adopt_codebooks(
            codec_codebooks(self.data.codec, config.n_codebooks, config.codebook_size, config.codebook_dim)
        )
        width = read_config(resolve(self.data.sync)).network_values["width"]
        if network.encoder is not None and config.heard_dim != width:
            raise FoleyError(
                f"the network's encoder predicts audio features of width {config.heard_dim}, "
                f"the audio tower of {self.data.sync} has features of width {width}",
                f"Set network.heard_dim to {width}",
            )

    def family(self, network: MaskVat) -> MaskVatFamily:
        return MaskVatFamily(network)

    def loss(
        self, network: MaskVat, average: MaskVat, batch: TrainingBatch, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        return training_loss(network, objective_batch(batch), self.generator(), self.objective)

    def figures(self, average: MaskVat, batch: TrainingBatch) -> dict[str, float]:
        generator = torch.Generator().manual_seed(0)
        _, figures = training_loss(average, objective_batch(batch), generator, self.objective)
        return {name: value.item() for name, value in figures.items()}

    def objective_dict(self) -> dict[str, Any]:
        return asdict(self.objective)


def objective_batch(batch: TrainingBatch) -> MaskVatBatch:
    """The windows as MaskVAT's objective reads them."""
    return MaskVatBatch(batch.codes, network_inputs(batch), batch.audio_features, batch.n_reference)
