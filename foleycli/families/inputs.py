"""Conditioning inputs of networks that read the picture's motion, what it shows, and text; and guidance by them.

Features of B windows -> guidance_batch -> Inputs of all passes of classifier-free guidance as one batch
the network's answers for that batch -> GuidanceBatch.guide -> B guided answers
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from foleycli.families.base import fit_stream
from foleycli.families.spec import ConditioningSpec
from foleycli.records import Features
from foleycli.sampling import guidance
from foleycli.settings.settings import Settings


@dataclass(frozen=True)
class Inputs:
    """Features of B windows as a network reads them; where has_* is False, a learned empty vector is read instead."""

    sync: Tensor  # [B, T, sync_dim]: frame k shows the time (k + late_frames) / sync rate from the window's start
    semantic: Tensor  # [B, S, semantic_dim], S >= 1
    text: Tensor  # [B, text_dim]
    has_sync: Tensor  # bool [B]
    has_semantic: Tensor  # bool [B]
    has_text: Tensor  # bool [B]
    late_frames: Tensor | None = None  # float32 [B]: how much later frame 0 of `sync` is than the window; None: 0

    def rows(self, rows: slice | Tensor) -> Inputs:
        """Some of the windows."""
        return replace(self, **{name: value[rows] for name, value in self._tensors().items()})

    def to(self, device: torch.device) -> Inputs:
        """The same inputs on a device."""
        return replace(self, **{name: value.to(device) for name, value in self._tensors().items()})

    def _tensors(self) -> dict[str, Tensor]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


def join_inputs(batches: Sequence[Inputs]) -> Inputs:
    """Several batches as one; all of them with `late_frames`, or none."""
    tensors = [batch._tensors() for batch in batches]
    return Inputs(**{name: torch.cat([one[name] for one in tensors]) for name in tensors[0]})


@dataclass(frozen=True)
class GuidanceBatch:
    """All passes of classifier-free guidance as rows of one batch."""

    inputs: Inputs  # [n_passes * B] rows
    n_passes: int  # 1: conditional; 2: conditional, unconditional; 3: and text-free
    scale: float  # of the guidance by all conditions
    words_scale: float  # of the guidance by what sounds: the text and the semantic stream

    def repeat(self, x: Tensor) -> Tensor:
        """The B rows of `x` once for each pass: [B, ...] to [n_passes * B, ...]."""
        return guidance.repeat_rows(x, self.n_passes)

    def guide(self, answers: Tensor) -> Tensor:
        """The network's answers for all rows, [n_passes * B, ...], to the guided answer [B, ...]."""
        if self.n_passes == 1:
            return answers
        if self.n_passes == 2:
            return guidance.guide(answers, self.scale)
        return guidance.guide_words(answers, self.scale, self.words_scale)


def guidance_batch(
    features: Sequence[Features], spec: ConditioningSpec, n_steps: int, settings: Settings, device: torch.device
) -> GuidanceBatch:
    """B windows of `n_steps` latent steps as one batch on `device`, with the passes that the settings ask for."""
    scale = guidance.scale_for_steps(settings.guidance, settings.steps)
    words_scale = guidance.scale_for_steps(settings.words_guidance, settings.steps)
    inputs = conditional = [conditional_inputs(window, spec, n_steps) for window in features]
    if scale != 1.0:
        unconditional = [unconditional_inputs(window, own) for window, own in zip(features, conditional, strict=True)]
        inputs = conditional + unconditional
        # Where no window has either, the text-free pass would be the conditional one again.
        if words_scale != scale and any(map(_has_words, conditional)):
            inputs += [text_free_inputs(own, null) for own, null in zip(conditional, unconditional, strict=True)]
    n_passes = len(inputs) // len(conditional)
    return GuidanceBatch(join_inputs(inputs).to(device), n_passes, scale, words_scale)


def conditional_inputs(window: Features, spec: ConditioningSpec, n_steps: int) -> Inputs:
    """One window as a batch of one; an absent stream or an empty prompt is marked as missing."""
    duration_s = n_steps / spec.latent_rate_hz
    late_s = window.streams["sync"].late_s if "sync" in window.streams else 0.0
    return Inputs(
        sync=fit_stream(window, "sync", spec.sync_rate_hz, spec.sync_dim, duration_s),
        semantic=fit_stream(window, "semantic", spec.semantic_rate_hz, spec.semantic_dim, duration_s),
        text=window.text.float().cpu()[None],
        has_sync=torch.tensor(["sync" in window.streams]),
        has_semantic=torch.tensor(["semantic" in window.streams]),
        has_text=window.text.any().cpu()[None],
        late_frames=torch.tensor([late_s * float(spec.sync_rate_hz)]),
    )


def unconditional_inputs(window: Features, conditional: Inputs) -> Inputs:
    """What guidance steers away from: no condition at all, or the negative prompt alone."""
    absent = torch.zeros_like(conditional.has_text)
    negative = window.negative_text
    return replace(
        conditional,
        text=conditional.text if negative is None else negative.float().cpu()[None],
        has_sync=absent,
        has_semantic=absent,
        has_text=absent if negative is None else negative.any().cpu()[None],
    )


def text_free_inputs(conditional: Inputs, unconditional: Inputs) -> Inputs:
    """The synchronisation stream as in the conditional pass; text and semantic stream as in the unconditional one."""
    return replace(
        conditional,
        text=unconditional.text,
        has_text=unconditional.has_text,
        has_semantic=unconditional.has_semantic,
    )


def _has_words(inputs: Inputs) -> bool:
    """Whether text or semantic stream says what sounds."""
    return bool(inputs.has_text.any() or (inputs.has_semantic.any() and inputs.semantic.any()))


def drop_conditions(inputs: Inputs, generator: torch.Generator, p_all: float, p_each: float) -> Inputs:
    """Condition dropout for training with guidance: all conditions of a row at once, or each by itself."""
    shape = (4, len(inputs.text))
    draws = torch.rand(shape, generator=generator, device=generator.device).to(inputs.text.device)
    kept = (draws[:1] >= p_all) & (draws[1:] >= p_each)  # [3, B]
    return replace(
        inputs,
        has_sync=inputs.has_sync & kept[0],
        has_semantic=inputs.has_semantic & kept[1],
        has_text=inputs.has_text & kept[2],
    )
