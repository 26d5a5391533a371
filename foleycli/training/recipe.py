"""A training recipe: the YAML of `foley train … --config FILE` as frozen dataclasses.

Unknown keys are errors that name the nearest known one.  `network`, `data` and `objective` are
handed on to what is trained, which checks them in the same way.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from foleycli.errors import FoleyError

T = TypeVar("T")
TYPE_NAMES = {int: "a whole number", float: "a number", str: "words", bool: "true or false", tuple: "a list",
              dict: "a mapping"}  # fmt: skip


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
                raise FoleyError(f"recipe: {key} is {getattr(self, key)}", "it must be above 0")
        for key in ("seed", "workers", "threads", "warmup_steps"):
            if getattr(self, key) < 0:
                raise FoleyError(f"recipe: {key} is {getattr(self, key)}", "it must be 0 or more")
        if self.minutes is not None and not self.minutes > 0:
            raise FoleyError(f"recipe: minutes is {self.minutes}", "leave it out, or give a number above 0")


def read_recipe(path: Path, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe file; `overrides` are "key=value" or "data.key=value" from the command line."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise FoleyError(f"there is no recipe {path}", "recipes that ship with foley: presets/train/") from None
    except yaml.YAMLError as error:
        raise FoleyError(f"{path} is not valid YAML: {error}", "correct the line that it names") from None
    except (OSError, UnicodeDecodeError) as error:
        raise FoleyError(f"{path} cannot be read: {error}", "give a YAML file; see presets/train/") from None
    if not isinstance(values, dict):
        raise FoleyError(f"{path} holds no mapping", "write lines like steps: 1000; see presets/train/")
    for override in overrides or []:
        _override(values, override)
    return from_dict(Recipe, values, f"recipe {path.name}")


def from_dict(kind: type[T], values: dict[str, Any], where: str) -> T:
    """A dataclass from a mapping; unknown and missing keys are errors that name `where`."""
    known = {f.name: f for f in dataclasses.fields(kind)}
    if not isinstance(values, dict):
        raise FoleyError(f"{where} is {values!r}", "it must be a mapping; see presets/train/")
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise FoleyError(f"{where}: unknown key {key!r}", hint)
    missing = [n for n, f in known.items() if n not in values and _is_required(f)]
    if missing:
        raise FoleyError(f"{where}: {missing[0]!r} is missing", "add it; see presets/train/")
    kinds = get_type_hints(kind)
    return kind(**{key: _as(kinds[key], value, f"{where}: {key}") for key, value in values.items()})


def _as(kind: Any, value: Any, where: str) -> Any:
    """The value in the field's type: lists become tuples, and YAML's "1e-4", which it reads as words, a number."""
    options = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    if value is None and type(None) in options:
        return None
    plain = get_origin(options[0]) or options[0]
    if plain is float and isinstance(value, (int, str)) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):
            return float(value)
    if plain is int and isinstance(value, float) and value.is_integer():
        return int(value)
    value = tuple(value) if plain is tuple and isinstance(value, list) else value
    if plain in TYPE_NAMES and (not isinstance(value, plain) or isinstance(value, bool) is not (plain is bool)):
        raise FoleyError(f"{where} is {value!r}", f"it must be {TYPE_NAMES[plain]}")
    return value


def _is_required(field_: dataclasses.Field) -> bool:
    return field_.default is dataclasses.MISSING and field_.default_factory is dataclasses.MISSING


def _override(values: dict, text: str) -> None:
    key, separator, value = text.partition("=")
    if not separator:
        raise FoleyError(f"--set {text!r} has no '='", "write --set key=value, for instance --set steps=100")
    *outer, last = key.split(".")
    for name in outer:
        values = values.setdefault(name, {})
        if not isinstance(values, dict):
            raise FoleyError(f"--set {text!r}: {name!r} holds no further keys", "write --set key=value")
    try:
        values[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise FoleyError(f"--set {text!r} is not valid YAML: {error}", "quote the value") from None
