"""Presets, YAML files of settings, and the one rule by which settings come together: `resolve_settings`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from foleycli.errors import FoleyError, UsageError
from foleycli.settings.checking import check_value, did_you_mean, expand_user, short_repr
from foleycli.settings.settings import Settings, flag, setting_fields

SUFFIXES = (".yaml", ".yml")
DEFAULT = "default"  # the preset that writes the defaults out, with their reasons
LINE_HINT = "Each line is `setting: value`"
LIST_HINT = "List the settings: foley presets show default"


def resolve_settings(
    preset: str | None = None,
    model_defaults: Mapping[str, object] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """The settings that hold: defaults < the model's own < the preset's < overrides.

    preset          a name or a YAML file; None and "default" set nothing
    model_defaults  what the model is best rendered with (`hub.resolve.default_settings`)
    overrides       options or arguments by the names of `Settings`; None means not given
    Errors: FoleyError for the preset, UsageError for an override that is out of its bounds.
    """
    preset_values = {} if preset is None or preset == DEFAULT else read(find(preset))
    chosen: dict[str, object] = {**(model_defaults or {}), **preset_values}
    for name, value in (overrides or {}).items():
        if value is None:
            continue
        if name not in setting_fields():
            raise UsageError(
                f"there is no setting {short_repr(name)}", did_you_mean(name, setting_fields()) + LIST_HINT
            )
        try:
            chosen[name] = check_value(Settings, name, value)
        except ValueError as error:
            raise UsageError(f"{flag(name)} is {short_repr(value)}", f"Give {flag(name)} {error}") from error
    return replace(Settings(), **chosen)  # type: ignore[arg-type] # checked one by one


def folder() -> Path:
    """Where the shipped presets are: inside the package (wheel), else beside it (checkout)."""
    package = Path(__file__).parents[1]
    for place in (package / "presets", package.parent / "presets"):
        if (place / "default.yaml").is_file():
            return place
    raise FoleyError(f"the presets are missing from {package}", "Install foley again")


def names() -> list[str]:
    """The shipped presets, default first."""
    found = sorted(path.stem for path in folder().glob("*.yaml"))
    return sorted(found, key=lambda name: name != DEFAULT)


def find(name_or_file: str) -> Path:
    """The file of a preset given by name or by path; errors: FoleyError naming the nearest known one."""
    if name_or_file in names():
        return folder() / f"{name_or_file}.yaml"
    path = expand_user(name_or_file)
    if path.suffix not in SUFFIXES and len(path.parts) < 2:
        raise FoleyError(
            f"unknown preset {short_repr(name_or_file)}",
            did_you_mean(name_or_file, names()) + "List them: foley presets list",
        )
    if not os.path.isfile(path):  # unlike Path's, not surprised by any name; false for pipes, which would hang
        raise FoleyError(
            f"there is no preset file {path}", "Pass a name or a YAML file; list the names: foley presets list"
        )
    return path


def read(path: Path) -> dict[str, object]:
    """The checked settings of a preset file; errors: FoleyError naming key, value and what is accepted."""
    from foleycli.settings import plain_yaml

    try:
        found = plain_yaml.read(path)
    except OSError as error:
        raise FoleyError(
            f"preset {path} cannot be read: {error.strerror}", "Check the file's name and rights"
        ) from error
    except ValueError as error:
        raise FoleyError(f"preset {path} is not YAML of settings: {error}", LINE_HINT) from error
    if found is None:
        return {}
    return check_settings(found, f"preset {path}", LINE_HINT)


def check_settings(found: object, where: str, hint: str) -> dict[str, object]:
    """A mapping of settings with every value in its own type; errors: FoleyError that begins with `where`."""
    if not isinstance(found, dict):
        raise FoleyError(f"{where} holds a {type(found).__name__}, not settings", hint)
    checked = {}
    for name, value in found.items():
        if name not in setting_fields():
            near = did_you_mean(name, setting_fields()) if isinstance(name, str) else ""
            raise FoleyError(f"{where} has the unknown setting {short_repr(name)}", near + LIST_HINT)
        try:
            checked[name] = check_value(Settings, name, value)
        except ValueError as error:
            raise FoleyError(f"{where}: {name} is {short_repr(value)}", f"Set {name} to {error}") from error
    return checked


def describe(path: Path) -> str:
    """What a preset is for: the comment that its file begins with."""
    first = path.read_text(encoding="utf-8").lstrip().splitlines()[:1]
    return first[0].lstrip("# ").strip() if first and first[0].startswith("#") else ""
