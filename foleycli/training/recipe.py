"""A training recipe: the YAML of `foley train … --config FILE` as frozen dataclasses.

Unknown keys are errors that name the nearest known one.  `network`, `data` and `objective` are
handed on to what is trained, which checks them in the same way.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from foleycli.errors import FoleyError
from foleycli.settings import plain_yaml
from foleycli.settings.checking import from_mapping, short_repr

T = TypeVar("T")


@dataclass(frozen=True)
class Recipe:
    """What every training has in common."""

    name: str  # of the model that comes out
    steps: int  # optimiser steps in all; the learning rate's cosine ends there
    batch_size: int  # clips per step and process
    lr: float
    minutes: float | None = None  # end the cosine after so long, if that comes before `steps`
    warmup_steps: int = 200
    final_lr_ratio: float = 0.05
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    grad_clip: float = 1.0
    ema: float = 0.999
    precision: str = "auto"  # float32, bfloat16; auto: bfloat16 where the device does it fast
    seed: int = 0
    workers: int = 0  # processes that make batches
    threads: int = 0  # torch threads on the CPU; 0: torch's choice
    log_every: int = 20
    validate_every: int = 500
    save_every: int = 250
    init_from: str = ""  # name or folder of a model to start from
    network: dict = field(default_factory=dict)
    data: dict = field(default_factory=dict)
    objective: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in ("steps", "batch_size", "lr", "log_every", "validate_every", "save_every"):
            if not getattr(self, key) > 0:
                raise FoleyError(f"recipe: {key} is {getattr(self, key)}", "It must be above 0")
        for key in ("seed", "workers", "threads", "warmup_steps"):
            if getattr(self, key) < 0:
                raise FoleyError(f"recipe: {key} is {getattr(self, key)}", "It must be 0 or more")
        if self.minutes is not None and not self.minutes > 0:
            raise FoleyError(f"recipe: minutes is {self.minutes}", "Leave it out, or give a number above 0")


def read_recipe(path: Path, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe file; `overrides` are "key=value" or "data.key=value" from the command line."""
    if not os.path.isfile(path):  # a pipe would be waited for
        raise FoleyError(f"there is no recipe {path}", "Recipes that ship with foley: presets/train/")
    try:
        values = plain_yaml.read(path) or {}
    except OSError as error:
        raise FoleyError(f"{path} cannot be read: {error.strerror}", "Give a YAML file; see presets/train/") from None
    except ValueError as error:
        raise FoleyError(f"{path} is not valid YAML: {error}", "Correct the line that it names") from None
    if not isinstance(values, dict):
        raise FoleyError(f"{path} holds no mapping", "Write lines like steps: 1000; see presets/train/")
    for override in overrides or []:
        _override(values, override)
    return from_dict(Recipe, values, f"recipe {path.name}")


def from_dict(kind: type[T], values: Any, where: str) -> T:
    """A dataclass from a part of a recipe: `settings.checking.from_mapping`."""
    return from_mapping(kind, values, where, hint="See presets/train/")


def _override(values: dict, text: str) -> None:
    key, separator, value = text.partition("=")
    if not separator:
        raise FoleyError(f"--set {short_repr(text)} has no '='", "Write --set key=value, for instance --set steps=100")
    *outer, last = key.split(".")
    for name in outer:
        values = values.setdefault(name, {})
        if not isinstance(values, dict):
            raise FoleyError(f"--set {short_repr(text)}: {name!r} holds no further keys", "Write --set key=value")
    try:
        values[last] = plain_yaml.parse(value)
    except ValueError as error:
        raise FoleyError(f"--set {short_repr(text)} is not valid YAML: {error}", "Quote the value") from None
