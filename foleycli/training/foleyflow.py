"""Trains Foley-Flow in four stages, each its own training; `objective.stage` of the recipe says which.

video, audio    each encoder alone, as a masked autoencoder
align           masked audio from the video: reads the folders of the two
flow            makes sound under the aligned video encoder: reads the folder of `align`
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from foleycli.errors import FoleyError
from foleycli.families.foleyflow.alignment import Alignment, AudioAutoencoder, VideoAutoencoder
from foleycli.families.foleyflow.config import SIZES, FoleyFlowConfig
from foleycli.families.foleyflow.family import NAME, FoleyFlowFamily
from foleycli.families.foleyflow.network import FoleyFlow
from foleycli.families.foleyflow.objective import ObjectiveConfig, training_loss
from foleycli.hub.resolve import resolve
from foleycli.settings.settings import Settings
from foleycli.training.family import FamilyTask, Rows, inputs_of, sized_config
from foleycli.training.recipe import Recipe, from_dict
from foleycli.weights.folder import load_weights, read_config, save_folder


@dataclass(frozen=True)
class VideoStage:
    mask_ratio: float = 0.6
    span_frames: int = 5  # frames that are masked together


@dataclass(frozen=True)
class AudioStage:
    mask_ratio: float = 0.6  # of the columns; less than in `align`, so that whole audio is no foreign sight


@dataclass(frozen=True)
class AlignStage:
    video: str  # folders of the stages before
    audio: str
    mask_ratio: float = 0.8  # better than 0.9 [paper]
    p_no_audio: float = 0.15  # rows of which no audio is left, only the picture


@dataclass(frozen=True)
class FlowStage(ObjectiveConfig):
    aligned: str = ""  # folder of the stage before; "": the video encoder learns here, without alignment
    freeze_video: bool = True  # the aligned encoder stays as it is


class FoleyFlowTask(FamilyTask):
    """What all stages share."""

    name = NAME
    stage: str
    objective_type: type  # of the recipe's `objective`, less the stage

    def build(self, recipe: Recipe) -> nn.Module:
        values = {key: value for key, value in recipe.objective.items() if key != "stage"}
        self.objective = from_dict(self.objective_type, values, "recipe, objective")
        return self.build_stage(sized_config(FoleyFlowConfig, SIZES, recipe.network))

    def build_stage(self, config: FoleyFlowConfig) -> nn.Module:
        """The network that this stage trains, with what it takes over from the stages before."""
        raise NotImplementedError

    def objective_dict(self) -> dict:
        return {"stage": self.stage, **asdict(self.objective)}


class EncoderStageTask(FoleyFlowTask):
    """A stage after which nothing sounds yet: its folder is for the next one."""

    def loss(self, network: nn.Module, average: nn.Module, batch: Rows, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        return self.stage_loss(network, batch, self.generator()), {}

    def stage_loss(self, network: nn.Module, rows: Rows, generator: torch.Generator) -> Tensor:
        raise NotImplementedError

    def figures(self, average: nn.Module, rows: Rows) -> dict[str, float]:
        return {self.stage: self.stage_loss(average, rows, torch.Generator().manual_seed(0)).item()}

    def _onsets(self, average: nn.Module) -> dict[str, float]:
        return {}

    def export(self, average: nn.Module, folder: Path, history: dict) -> None:
        config = {"name": self.recipe.name, "kind": "stage", "family": self.name, "stage": self.stage, "version": 1}
        figures = {**history, "objective": self.objective_dict()}
        save_folder(average, folder, {**config, "network": average.config.to_dict(), "training": figures})


class VideoTask(EncoderStageTask):
    stage, objective_type = "video", VideoStage

    def build_stage(self, config: FoleyFlowConfig) -> VideoAutoencoder:
        return VideoAutoencoder(config)

    def stage_loss(self, network: VideoAutoencoder, rows: Rows, generator: torch.Generator) -> Tensor:
        return network.loss(rows.sync, self.objective.mask_ratio, self.objective.span_frames, generator)


class AudioTask(EncoderStageTask):
    stage, objective_type = "audio", AudioStage

    def build_stage(self, config: FoleyFlowConfig) -> AudioAutoencoder:
        return AudioAutoencoder(config)

    def stage_loss(self, network: AudioAutoencoder, rows: Rows, generator: torch.Generator) -> Tensor:
        return network.loss(rows.latents, self.objective.mask_ratio, generator)


class AlignTask(EncoderStageTask):
    stage, objective_type = "align", AlignStage

    def build_stage(self, config: FoleyFlowConfig) -> Alignment:
        network = Alignment(config)
        load_pretrained_encoder(network.video, self.objective.video, "video", "encoder.")
        load_pretrained_encoder(network.audio, self.objective.audio, "audio", "encoder.")
        return network

    def stage_loss(self, network: Alignment, rows: Rows, generator: torch.Generator) -> Tensor:
        objective = self.objective
        return network.loss(rows.latents, rows.sync, objective.mask_ratio, objective.p_no_audio, generator)

    def figures(self, average: Alignment, rows: Rows) -> dict[str, float]:
        """The loss on held-out rows, and the controls that say whether it comes from the picture."""
        generator = torch.Generator().manual_seed(0)
        return average.controls(rows.latents, rows.sync, self.objective.mask_ratio, generator)


class FlowTask(FoleyFlowTask):
    stage, objective_type = "flow", FlowStage
    default_settings: ClassVar[dict[str, Any]] = {**FamilyTask.default_settings, "steps": 25}

    @property
    def validation_settings(self) -> Settings:
        return replace(super().validation_settings, steps=8)  # is done every few minutes, and only compared with itself

    def build_stage(self, config: FoleyFlowConfig) -> FoleyFlow:
        network, objective = FoleyFlow(config), self.objective
        if objective.aligned:
            load_pretrained_encoder(network.video, objective.aligned, "align", "video.")
        elif objective.freeze_video and not self.recipe.init_from:
            raise FoleyError(
                "recipe, objective: freeze_video without an aligned encoder",
                "Name the folder of stage align (aligned: runs/NAME/model), or set freeze_video: false",
            )
        network.video.requires_grad_(not objective.freeze_video)
        return network

    def family(self, network: FoleyFlow) -> FoleyFlowFamily:
        return FoleyFlowFamily(network)

    def loss(self, network: FoleyFlow, average: FoleyFlow, batch: Rows, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        return self._loss(network, batch, self.generator()), {}

    def figures(self, average: FoleyFlow, rows: Rows) -> dict[str, float]:
        return {"flow": self._loss(average, rows, torch.Generator().manual_seed(0)).item()}

    def _loss(self, network: FoleyFlow, rows: Rows, generator: torch.Generator) -> Tensor:
        return training_loss(network, rows.latents, inputs_of(rows), generator, self.objective, rows.n_reference)


STAGES: dict[str, type[FoleyFlowTask]] = {task.stage: task for task in (VideoTask, AudioTask, AlignTask, FlowTask)}


def task_of(recipe: Recipe) -> FoleyFlowTask:
    """The task of the stage that the recipe names."""
    stage = recipe.objective.get("stage")
    if stage not in STAGES:
        raise FoleyError(f"recipe, objective: stage is {stage!r}", f"One of: {', '.join(STAGES)}")
    return STAGES[stage](recipe)


def load_pretrained_encoder(encoder: nn.Module, name: str, stage: str, prefix: str) -> None:
    """Fill an encoder from the folder of an earlier stage; errors: FoleyError when it is of another one, or unfit."""
    folder = resolve(name)
    found = read_config(folder).get("stage")
    if found != stage:
        raise FoleyError(f"{folder} is of stage {found!r}, not {stage!r}",
                         f"Train it first: foley train foley-flow with objective.stage: {stage}")  # fmt: skip
    load_weights(encoder, folder, prefix)
