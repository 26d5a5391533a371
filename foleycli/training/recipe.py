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
    batch_size: int  # clips at once in a process
    lr: float
    total_batch: int = 0  # clips of a step over all processes; more than fit at once are added up.  0: as many as fit
    minutes: float | None = None  # end the cosine after so long, if that comes before `steps`
    lr_scales: dict = field(default_factory=dict)  # of parts of the network, by their name: {sound: 0.3}
    warmup_steps: int = 200
    final_lr_ratio: float = 0.05
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    grad_clip: float = 1.0
    ema: float = 0.999
    precision: str = "auto"  # float32, bfloat16; auto: bfloat16 where the device does it fast
    parallel: str = "ddp"  # under torchrun; fsdp: weights and optimiser's state are cut into parts, for large networks
    checkpointing: str = "none"  # half, all: so many blocks compute activations again instead of keeping them
    seed: int = 0
    workers: int = 0  # processes that make batches
    threads: int = 0  # torch threads on the CPU; 0: torch's choice
    log_every: int = 20
    validate_every: int = 500
    save_every: int = 250
    tensorboard: bool = False  # the log for TensorBoard as well: pip install 'foleycli[tensorboard]'
    init_from: str = ""  # name or folder of a model to start from
    network: dict = field(default_factory=dict)
    data: dict = field(default_factory=dict)
    objective: dict = field(default_factory=dict)
    reduced: dict = field(default_factory=dict)  # what --reduced changes: the same training, small enough for a CPU

    def __post_init__(self) -> None:
        for key in ("steps", "batch_size", "lr", "log_every", "validate_every", "save_every"):
            if not getattr(self, key) > 0:
                raise FoleyError(f"recipe: {key} is {getattr(self, key)}", "It must be above 0")
        for key in ("seed", "workers", "threads", "warmup_steps", "total_batch"):
            if getattr(self, key) < 0:
                raise FoleyError(f"recipe: {key} is {getattr(self, key)}", "It must be 0 or more")
        if self.minutes is not None and not self.minutes > 0:
            raise FoleyError(f"recipe: minutes is {self.minutes}", "Leave it out, or give a number above 0")
        for key, choices in (("parallel", ("ddp", "fsdp")), ("checkpointing", ("none", "half", "all"))):
            if getattr(self, key) not in choices:
                raise FoleyError(f"recipe: {key} is {short_repr(getattr(self, key))}", f"One of: {', '.join(choices)}")


def read_recipe(path: Path, overrides: list[str] | None = None, *, is_reduced: bool = False) -> Recipe:
    """Read a recipe file; `overrides` are "key=value" or "data.key=value" from the command line.

    is_reduced  with what the recipe's `reduced` changes, before the overrides
    """
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
    if is_reduced:
        if not isinstance(values.get("reduced"), dict):
            raise FoleyError(f"{path} says nothing of a reduced training", "Leave out --reduced, or give it a reduced:")
        values = _changed(values, values["reduced"])
    for override in overrides or []:
        _override(values, override)
    return from_dict(Recipe, values, f"recipe {path.name}")


def from_dict(kind: type[T], values: Any, where: str) -> T:
    """A dataclass from a part of a recipe: `settings.checking.from_mapping`."""
    return from_mapping(kind, values, where, hint="See presets/train/")


def _changed(values: dict, changes: dict) -> dict:
    """Nested values with some of them changed; a change of None takes a key out."""
    changed = dict(values)
    for key, change in changes.items():
        if isinstance(change, dict) and isinstance(changed.get(key), dict):
            changed[key] = _changed(changed[key], change)
        else:
            changed[key] = change
    return {key: value for key, value in changed.items() if value is not None or key not in changes}


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
