"""Trains V-AURA; its data and windows are those of `training.family`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

import torch
from torch import Tensor

from foleycli.families.vaura.config import SIZES, VAuraConfig
from foleycli.families.vaura.family import VAuraFamily
from foleycli.families.vaura.network import VAura
from foleycli.families.vaura.objective import ObjectiveConfig, VAuraBatch, training_loss
from foleycli.training.family import FamilyTask, TrainingBatch, codec_codebooks, config_of_size
from foleycli.training.recipe import Recipe, from_dict


class VAuraTask(FamilyTask[VAura]):
    """Meets `training.loop.Task` for V-AURA."""

    name = VAuraFamily.name
    # The guidance of the paper's best row (arXiv 2409.13689, ablation of the guidance scale).
    default_settings: ClassVar[dict[str, Any]] = {**FamilyTask.default_settings, "guidance": 6.0}

    def build(self, recipe: Recipe) -> VAura:
        self.objective = from_dict(ObjectiveConfig, recipe.objective, "recipe, objective")
        return VAura(config_of_size(SIZES, recipe.network))

    def fill(self, network: VAura) -> None:
        config = network.config
        network.adopt_codebooks(
            codec_codebooks(self.data.codec, config.n_codebooks, config.codebook_size, config.codebook_dim)
        )

    def family(self, network: VAura) -> VAuraFamily:
        return VAuraFamily(network)

    def loss(self, network: VAura, average: VAura, batch: TrainingBatch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        return training_loss(network, objective_batch(batch, network.config), self.generator(), self.objective)

    def figures(self, average: VAura, batch: TrainingBatch) -> dict[str, float]:
        """Cross entropy with the picture and without it: the difference is what the picture adds."""
        windows = objective_batch(batch, average.config)
        nats: dict[str, float] = {}
        for name, p_drop in (("seen", 0.0), ("unseen", 1.0)):
            loss, parts = training_loss(average, windows, torch.Generator(), ObjectiveConfig(p_drop_visual=p_drop))
            nats |= {f"{name}_nats": loss.item(), f"{name}_coarsest_nats": parts["coarsest"].item()}
        return nats

    def objective_dict(self) -> dict[str, Any]:
        return asdict(self.objective)


def objective_batch(batch: TrainingBatch, config: VAuraConfig) -> VAuraBatch:
    """The windows as V-AURA's objective reads them: as many pictures as a window has in sampling."""
    index = torch.arange(config.n_visual, device=batch.sync.device).clamp(max=batch.sync.shape[1] - 1)
    return VAuraBatch(batch.codes, batch.sync[:, index], batch.n_reference)
