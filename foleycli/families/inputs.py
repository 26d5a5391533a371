"""What networks are told of a window: the picture's motion, what it shows, words.  For families that hear all three.

Features -> `passes` (B windows, and again what guidance steers away from) -> one batch of Inputs;
what the network answers for that batch -> `Passes.steer` -> B guided answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Protocol

import torch
from torch import Tensor

from foleycli.families.base import fit_stream
from foleycli.records import Features
from foleycli.sampling import guidance
from foleycli.settings.settings import Settings


class Reads(Protocol):
    """The facts of a network's config that say what it reads."""

    sync_dim: int
    semantic_dim: int
    sync_rate_hz: Fraction
    semantic_rate_hz: Fraction
    latent_rate_hz: Fraction


@dataclass(frozen=True)
class Inputs:
    """Features of B windows as the network reads them; a row marked False gets the learned empty vector."""

    sync: Tensor  # [B, T, sync_dim]: frame k shows the time (k + late_frames) / sync rate from the window's start
    semantic: Tensor  # [B, S, semantic_dim], S >= 1
    text: Tensor  # [B, text_dim]
    has_sync: Tensor  # bool [B]
    has_semantic: Tensor  # bool [B]
    has_text: Tensor  # bool [B]
    late_frames: Tensor | None = None  # float32 [B]: how much later frame 0 of `sync` is than the window; None: 0

    def rows(self, rows: slice | Tensor) -> Inputs:
        """Some of the windows."""
        values = (getattr(self, name) for name in self.__dataclass_fields__)
        return Inputs(*(None if value is None else value[rows] for value in values))


@dataclass(frozen=True)
class Passes:
    """One batch that holds every pass of guidance."""

    inputs: Inputs  # [n_passes * B] rows
    n_passes: int  # 1: told; 2: told, null; 3: told, null, wordless
    scale: float
    words: float

    def steer(self, answers: Tensor) -> Tensor:
        """What the network answers for all rows, [n_passes * B, ...], to the guided answer [B, ...]."""
        if self.n_passes == 1:
            return answers
        if self.n_passes == 2:
            return guidance.guide(answers, self.scale)
        return guidance.guide_words(answers, self.scale, self.words)


def passes(
    features: Sequence[Features], reads: Reads, n_steps: int, settings: Settings, device: torch.device
) -> Passes:
    """B windows of `n_steps` latent steps as one batch on the network's device, with the passes that guidance needs."""
    scale = guidance.scale_at(settings.guidance, settings.steps)
    words = guidance.scale_at(settings.words_guidance, settings.steps)
    inputs = told = [told_of(window, reads, n_steps) for window in features]
    if scale != 1.0:
        null = [null_of(window, of) for window, of in zip(features, told, strict=True)]
        # With nothing said, the wordless pass would be the told one again.
        wordless = [_wordless(of, against) for of, against in zip(told, null, strict=True)]
        inputs = told + null + (wordless if words != scale and _says_something(told) else [])
    names = Inputs.__dataclass_fields__
    joined = Inputs(*(torch.cat([getattr(one, name) for one in inputs]).to(device) for name in names))
    return Passes(joined, len(inputs) // len(told), scale, words)


def told_of(window: Features, reads: Reads, n_steps: int) -> Inputs:
    """One window as a batch of one; an absent stream or an empty prompt is marked as missing."""
    duration_s = n_steps / reads.latent_rate_hz
    late_s = window.streams["sync"].late_s if "sync" in window.streams else 0.0
    return Inputs(
        sync=fit_stream(window, "sync", reads.sync_rate_hz, reads.sync_dim, duration_s),
        semantic=fit_stream(window, "semantic", reads.semantic_rate_hz, reads.semantic_dim, duration_s),
        text=window.text.float().cpu()[None],
        has_sync=torch.tensor(["sync" in window.streams]),
        has_semantic=torch.tensor(["semantic" in window.streams]),
        has_text=window.text.any().cpu()[None],
        late_frames=torch.tensor([late_s * float(reads.sync_rate_hz)]),
    )


def null_of(window: Features, of: Inputs) -> Inputs:
    """What the result is steered away from: nothing, or the negative prompt."""
    nothing = torch.zeros_like(of.has_text)
    negative = window.negative_text
    return replace(
        of,
        text=of.text if negative is None else negative.float().cpu()[None],
        has_sync=nothing,
        has_semantic=nothing,
        has_text=nothing if negative is None else negative.any().cpu()[None],
    )


def _wordless(told: Inputs, null: Inputs) -> Inputs:
    """The picture's timing alone: what `told` knows of it, and of words what `null` does."""
    return replace(told, text=null.text, has_text=null.has_text, has_semantic=null.has_semantic)


def _says_something(told: list[Inputs]) -> bool:
    return any(bool(of.has_text.any() or (of.has_semantic.any() and of.semantic.any())) for of in told)


def drop_conditions(inputs: Inputs, generator: torch.Generator, p_all: float, p_each: float) -> Inputs:
    """Forget some conditions, all of a row together or each by itself; the network sees its empty vectors."""
    shape = (4, len(inputs.text))
    draws = torch.rand(shape, generator=generator, device=generator.device).to(inputs.text.device)
    kept = (draws[:1] >= p_all) & (draws[1:] >= p_each)  # [3, B]
    return replace(
        inputs,
        has_sync=inputs.has_sync & kept[0],
        has_semantic=inputs.has_semantic & kept[1],
        has_text=inputs.has_text & kept[2],
    )
