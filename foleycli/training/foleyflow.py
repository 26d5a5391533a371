"""Trains Foley-Flow in four stages, each its own training; `objective.stage` of the recipe says which.

video, audio    each encoder alone, as a masked autoencoder
align           masked audio from the video: starts from the encoders of the two
flow            generates sound from the aligned video encoder: starts from the folder of `align`
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from foleycli.errors import FoleyError
from foleycli.families.foleyflow.alignment import Alignment, AudioAutoencoder, VideoAutoencoder
from foleycli.families.foleyflow.config import SIZES, FoleyFlowConfig
from foleycli.families.foleyflow.family import FoleyFlowFamily
from foleycli.families.foleyflow.network import FoleyFlow
from foleycli.families.foleyflow.objective import ObjectiveConfig, training_loss
from foleycli.hub.resolve import resolve
from foleycli.settings.checking import short_repr
from foleycli.settings.settings import Settings
from foleycli.training.family import FamilyTask, TrainingBatch, config_of, config_of_size, network_inputs
from foleycli.training.loop import NetworkT
from foleycli.training.recipe import Recipe, from_dict
from foleycli.weights.checkpoint import load_into
from foleycli.weights.config import WEIGHTS_NAME, ModelConfig, read_config
from foleycli.weights.folder import save


@dataclass(frozen=True)
class VideoStage:
    """Objective of stage `video`: masked frames are recovered from the others."""

    mask_ratio: float = 0.6
    span_frames: int = 5  # frames that are masked together


@dataclass(frozen=True)
class AudioStage:
    """Objective of stage `audio`: masked columns of latents are recovered from the others."""

    # Of the columns; less than in `align`, so that the encoder is trained on nearly whole audio.
    mask_ratio: float = 0.6


@dataclass(frozen=True)
class AlignStage:
    """Objective of stage `align`: masked audio is recovered from the video and the audio that is left."""

    video: str  # folders of the stages before
    audio: str
    mask_ratio: float = 0.8  # the paper (arXiv 2603.08126) finds 0.8 better than 0.9
    p_no_audio: float = 0.15  # windows of which no audio is left, only the picture


@dataclass(frozen=True)
class FlowStage(ObjectiveConfig):
    """Objective of stage `flow`: flow matching, conditioned on the video encoder."""

    aligned: str = ""  # folder of the stage before; "": the video encoder is trained here, without alignment
    freeze_video: bool = True  # the aligned encoder stays as it is


ObjectiveT = TypeVar("ObjectiveT", VideoStage, AudioStage, AlignStage, FlowStage)


class FoleyFlowTask(FamilyTask[NetworkT], Generic[NetworkT, ObjectiveT]):
    """What all stages share."""

    name = FoleyFlowFamily.name
    stage: ClassVar[str]
    objective_type: type[ObjectiveT]  # of the recipe's `objective`, less the stage

    def build(self, recipe: Recipe) -> NetworkT:
        values = {key: value for key, value in recipe.objective.items() if key != "stage"}
        self.objective: ObjectiveT = from_dict(self.objective_type, values, "recipe, objective")
        return self.build_stage(config_of_size(SIZES, recipe.network))

    def build_stage(self, config: FoleyFlowConfig) -> NetworkT:
        """The network that this stage trains; `fill` gives it the encoders of the stages before."""
        raise NotImplementedError

    def stage_loss(self, network: NetworkT, batch: TrainingBatch, generator: torch.Generator) -> Tensor:
        raise NotImplementedError

    def loss(
        self, network: NetworkT, average: NetworkT, batch: TrainingBatch, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        return self.stage_loss(network, batch, self.generator()), {}

    def figures(self, average: NetworkT, batch: TrainingBatch) -> dict[str, float]:
        return {self.stage: self.stage_loss(average, batch, torch.Generator().manual_seed(0)).item()}

    def objective_dict(self) -> dict[str, Any]:
        return {"stage": self.stage, **asdict(self.objective)}


class EncoderStageTask(FoleyFlowTask[NetworkT, ObjectiveT]):
    """A stage whose network generates nothing yet: its folder is for the next one."""

    def onset_figures(self, average: NetworkT) -> dict[str, float]:
        return {}

    def export(self, average: NetworkT, folder: Path, history: dict[str, Any]) -> None:
        config = ModelConfig(
            name=self.recipe.name,
            kind="stage",
            family=self.name,
            stage=self.stage,
            network=config_of(average).to_dict(),
            training={**history, "objective": self.objective_dict()},
        )
        save(average.state_dict(), folder, config, torch.float16)


class VideoTask(EncoderStageTask[VideoAutoencoder, VideoStage]):
    stage, objective_type = "video", VideoStage

    def build_stage(self, config: FoleyFlowConfig) -> VideoAutoencoder:
        return VideoAutoencoder(config)

    def stage_loss(self, network: VideoAutoencoder, batch: TrainingBatch, generator: torch.Generator) -> Tensor:
        return network.loss(batch.sync, self.objective.mask_ratio, self.objective.span_frames, generator)


class AudioTask(EncoderStageTask[AudioAutoencoder, AudioStage]):
    stage, objective_type = "audio", AudioStage

    def build_stage(self, config: FoleyFlowConfig) -> AudioAutoencoder:
        return AudioAutoencoder(config)

    def stage_loss(self, network: AudioAutoencoder, batch: TrainingBatch, generator: torch.Generator) -> Tensor:
        return network.loss(batch.latents, self.objective.mask_ratio, generator)


class AlignTask(EncoderStageTask[Alignment, AlignStage]):
    stage, objective_type = "align", AlignStage

    def build_stage(self, config: FoleyFlowConfig) -> Alignment:
        return Alignment(config)

    def fill(self, network: Alignment) -> None:
        load_pretrained_encoder(network.video, self.objective.video, stage="video", prefix="encoder.")
        load_pretrained_encoder(network.audio, self.objective.audio, stage="audio", prefix="encoder.")

    def stage_loss(self, network: Alignment, batch: TrainingBatch, generator: torch.Generator) -> Tensor:
        objective = self.objective
        return network.loss(batch.latents, batch.sync, objective.mask_ratio, objective.p_no_audio, generator)

    def figures(self, average: Alignment, batch: TrainingBatch) -> dict[str, float]:
        """The loss on held-out windows, and the controls that say whether it comes from the picture."""
        generator = torch.Generator().manual_seed(0)
        return average.controls(batch.latents, batch.sync, self.objective.mask_ratio, generator)


class FlowTask(FoleyFlowTask[FoleyFlow, FlowStage]):
    stage, objective_type = "flow", FlowStage
    default_settings: ClassVar[dict[str, Any]] = {
        **FamilyTask.default_settings, "steps": 25, "guidance": 5.0, "words_guidance": 7.0
    }  # fmt: skip

    @property
    def validation_settings(self) -> Settings:
        return replace(super().validation_settings, steps=8)  # is done every few minutes, and only compared with itself

    def build_stage(self, config: FoleyFlowConfig) -> FoleyFlow:
        network = FoleyFlow(config)
        network.video.requires_grad_(not self.objective.freeze_video)
        return network

    def fill(self, network: FoleyFlow) -> None:
        objective = self.objective
        if objective.aligned:
            load_pretrained_encoder(network.video, objective.aligned, stage="align", prefix="video.")
        elif objective.freeze_video and not self.recipe.init_from:
            raise FoleyError(
                "recipe, objective: freeze_video without an aligned encoder",
                "Name the folder of stage align (aligned: runs/NAME/model), or set freeze_video: false",
            )

    def family(self, network: FoleyFlow) -> FoleyFlowFamily:
        return FoleyFlowFamily(network)

    def stage_loss(self, network: FoleyFlow, batch: TrainingBatch, generator: torch.Generator) -> Tensor:
        return training_loss(
            network, batch.latents, network_inputs(batch), generator, self.objective, batch.n_reference
        )


STAGES: dict[str, type[FoleyFlowTask[Any, Any]]] = {
    task.stage: task for task in (VideoTask, AudioTask, AlignTask, FlowTask)
}


def task_class(recipe: Recipe) -> type[FoleyFlowTask[Any, Any]]:
    """The kind of task for the stage that the recipe names."""
    stage = recipe.objective.get("stage")
    if stage not in STAGES:
        raise FoleyError(f"recipe, objective: stage is {short_repr(stage)}", f"One of: {', '.join(STAGES)}")
    return STAGES[stage]


def load_pretrained_encoder(encoder: nn.Module, name: str, stage: str, prefix: str) -> None:
    """Fill an encoder from the folder of an earlier stage.

    name    of the folder, or its path
    prefix  of the encoder's weights in it
    Errors: FoleyError when the folder is of another stage, or its weights do not fit.
    """
    folder = resolve(name)
    found = read_config(folder).stage
    if found != stage:
        raise FoleyError(
            f"{folder} is of stage {short_repr(found)}, not {short_repr(stage)}",
            f"Train that first: foley train foley-flow with objective.stage: {stage}",
        )
    load_into(encoder, folder / WEIGHTS_NAME, prefix)
