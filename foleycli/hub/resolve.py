"""A model's name or folder to the folder on this disk that holds it.  Imports no torch, asks no network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from foleycli.errors import FoleyError
from foleycli.hub import places
from foleycli.hub.catalog import Entry, entries, find, with_parts
from foleycli.settings.checking import did_you_mean, expand_user, short_repr
from foleycli.weights.config import CONFIG_NAME, read_config
from foleycli.weights.folder import sha256_of
from foleycli.weights.folder import verify as verify_weights

LIST_HINT = "List the models: foley models list"


def resolve(name_or_folder: str) -> Path:
    """The weights folder; errors: FoleyError naming the nearest known model, or how to fetch this one."""
    entry = find(name_or_folder)
    if entry is not None:
        return _known(entry)
    for folder in places.installed():
        if folder.name == name_or_folder:
            return folder
    folder = expand_user(name_or_folder)
    if os.path.isdir(folder):  # unlike Path's, not surprised by any name
        read_config(folder)  # says what is missing
        return folder
    if os.path.exists(folder):
        raise FoleyError(
            f"model {name_or_folder} is a file, not a folder",
            f"Pass the folder that holds it, or foley models import {name_or_folder}; {LIST_HINT}",
        )
    names = [entry.name for entry in entries()] + [folder.name for folder in places.installed()]
    raise FoleyError(f"unknown model {short_repr(name_or_folder)}", did_you_mean(name_or_folder, names) + LIST_HINT)


def _known(entry: Entry) -> Path:
    if entry.is_here:
        return entry.folder
    if entry.is_shipped:
        raise FoleyError(f"the shipped model {entry.name} is not in {entry.folder}", "Install foleycli again")
    size_gb = sum(part.size_mb for part in with_parts(entry) if not part.is_here) / 1e3
    size = f" ({size_gb:.1f} GB)" if size_gb else ""
    raise FoleyError(f"the model {entry.name} is not on this machine", f"Get it{size}: foley models pull {entry.name}")


def verify(folder: Path) -> bool:
    """Whether every file is the one that config.json names."""
    try:
        check(folder)
    except FoleyError:
        return False
    return True


def check(folder: Path) -> None:
    """Read and hash every file that config.json names, in folders of parts too; errors: FoleyError naming the
    first that is wrong."""
    for part in sorted(config.parent for config in folder.glob(f"*/{CONFIG_NAME}")):
        check(part)
    files = read_config(folder).files
    if not files:
        verify_weights(folder)
        return
    for name, facts in files.items():
        path = folder / name
        if not path.is_file():
            raise FoleyError(f"{path} is gone", f"Get the model again: foley models pull {folder.name}")
        if (found := sha256_of(path)) != (named := facts.get("sha256", "")):
            raise FoleyError(
                f"{path} is damaged: SHA-256 {found[:12]}…, expected {named[:12]}…",
                f"Run foley models remove {folder.name}, then foley models pull {folder.name}",
            )


def default_settings(name_or_folder: str) -> dict[str, Any]:
    """What a model is best rendered with, by names of `Settings`; nothing where it is not known (refused later)."""
    entry = find(name_or_folder)
    try:
        if entry is not None and not entry.is_shipped:
            return entry.model_config.default_settings
        return read_config(resolve(name_or_folder)).default_settings
    except FoleyError:
        return {}
