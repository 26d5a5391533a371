"""Presets: YAML files of settings.  A name or a file and the options go in, a checked `Settings` comes out.

Precedence: the defaults of `settings.Settings`, then the preset, then the options.  Types, bounds and
choices come from the fields of `Settings`; nothing is defined twice.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import Field, fields, replace
from pathlib import Path
from typing import get_args, get_type_hints

from foleycli.errors import FoleyError, UsageError
from foleycli.settings.settings import Settings

SUFFIXES = (".yaml", ".yml")
KIND_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def setting_fields() -> dict[str, Field]:
    """The fields of `Settings` by name, with help, bounds and choices in their metadata."""
    return {field.name: field for field in fields(Settings)}


def flag(name: str) -> str:
    """The option that sets `name`, without its unit: `rate_hz` is set by --rate (decibels stay)."""
    return "--" + name.removesuffix("_hz").removesuffix("_lufs").removesuffix("_s").replace("_", "-")


def folder() -> Path:
    """Where the shipped presets lie: inside the package (wheel), else beside it (checkout)."""
    package = Path(__file__).parents[1]
    for place in (package / "presets", package.parent / "presets"):
        if (place / "default.yaml").is_file():
            return place
    raise FoleyError(f"the presets are missing from {package}", "install foleycli again")


def names() -> list[str]:
    """The shipped presets, default first."""
    found = sorted(path.stem for path in folder().glob("*.yaml"))
    return sorted(found, key=lambda name: name != "default")


def find(name_or_file: str) -> Path:
    """The file of a preset given by name or by path; errors: FoleyError naming the nearest known one."""
    if name_or_file in names():
        return folder() / f"{name_or_file}.yaml"
    path = Path(name_or_file).expanduser()
    if path.suffix in SUFFIXES or len(path.parts) > 1:
        if path.is_file():
            return path
        raise FoleyError(
            f"there is no preset file {path}",
            "pass a name or a YAML file; list the names: foley presets list",
        )
    raise FoleyError(
        f"unknown preset {name_or_file!r}", nearest(name_or_file, names()) + "list them: foley presets list"
    )


def nearest(word: str, known: list[str]) -> str:
    """`did you mean 'x'? ` when something like `word` is known, else nothing."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}? " if close else ""


def read(path: Path) -> dict[str, object]:
    """The checked settings of a preset file; errors: FoleyError naming key, value and what is allowed."""
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FoleyError(
            f"preset {path} cannot be read: {error.strerror}", "check the file's name and rights"
        ) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        told = " ".join(str(error).split())
        raise FoleyError(f"preset {path} is not YAML: {told}", "each line is `setting: value`") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise FoleyError(f"preset {path} holds a {type(found).__name__}, not settings", "each line is `setting: value`")
    return {str(key): _check_entry(path, str(key), value) for key, value in found.items()}


def _check_entry(path: Path, key: str, value: object) -> object:
    """One line of a preset file, checked."""
    known = list(setting_fields())
    if key not in known:
        hint = nearest(key, known) + "list the settings: foley presets show default"
        raise FoleyError(f"preset {path} has an unknown setting {key!r}", hint)
    try:
        return check(key, value)
    except ValueError as error:
        raise FoleyError(f"preset {path}: {key} is {value!r}", f"{key} is {error}") from error


def describe(path: Path) -> str:
    """What a preset is for: the comment that its file begins with."""
    first = path.read_text(encoding="utf-8").lstrip().splitlines()[:1]
    return first[0].lstrip("# ").strip() if first and first[0].startswith("#") else ""


def allowed(name: str) -> str:
    """What a setting accepts, in words: `a whole number from 1 to 64`."""
    field, kind, may_be_none = setting_fields()[name], *_kind(name)
    low, high, choices = (field.metadata[key] for key in ("low", "high", "choices"))
    words = KIND_WORDS[kind]
    if choices:
        words = " or ".join(str(choice) for choice in choices)
    elif low is not None:
        words += f" from {_short(low)} to {_short(high)}"
    return words + (" (or null)" if may_be_none else "")


def _short(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


def _kind(name: str) -> tuple[type, bool]:
    """A setting's type, and whether None is allowed too."""
    hint = get_type_hints(Settings)[name]
    kinds = get_args(hint) or (hint,)
    return next(kind for kind in kinds if kind is not type(None)), type(None) in kinds


def check(name: str, value: object) -> object:
    """The value in its setting's own type; errors: ValueError saying what is allowed."""
    kind, may_be_none = _kind(name)
    if value is None and may_be_none:
        return None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind or not _within(setting_fields()[name], value):
        raise ValueError(allowed(name))
    return value


def _within(field: Field, value: object) -> bool:
    low, high, choices = (field.metadata[key] for key in ("low", "high", "choices"))
    if choices:
        return value in choices
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return low is None or low <= value <= high  # type: ignore[operator]


def resolve(
    preset: str = "default",
    options: Mapping[str, object] | None = None,
    model_wants: Mapping[str, object] | None = None,
) -> Settings:
    """Default < what the model wants < another preset < option; errors: FoleyError, UsageError for an option."""
    wanted = {name: value for name, value in (model_wants or {}).items() if name in setting_fields()}
    named = read(find(preset))
    chosen = {**named, **wanted} if preset == "default" else {**wanted, **named}
    for name, value in (options or {}).items():
        try:
            chosen[name] = check(name, value)
        except ValueError as error:
            raise UsageError(f"{flag(name)} is {value!r}", f"{flag(name)} takes {error}") from error
    return replace(Settings(), **chosen)  # type: ignore[arg-type]
