"""A weights folder: config.json, model.safetensors and a model card, hashed.  Nothing here runs code from a file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from foleycli.errors import FoleyError
from foleycli.weights.config import AGAIN, WEIGHTS_NAME, ModelConfig, read_config, write_config

if TYPE_CHECKING:
    import torch


def sha256_of(path: Path) -> str:
    """Hex digest of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def verify(folder: Path) -> str:
    """The weights' SHA-256; errors: FoleyError when it is not the one that config.json names."""
    config = read_config(folder)
    path = folder / config.weights
    if not os.path.isfile(path):
        raise FoleyError(f"{folder} has no {path.name}", AGAIN)
    found, named = sha256_of(path), config.sha256
    if named and found != named:
        raise FoleyError(f"{path} is damaged: SHA-256 {found[:12]}…, expected {named[:12]}…", AGAIN)
    return found


def weights_sha256(folder: Path) -> str:
    """The SHA-256 that a model is known by; published files of gigabytes were hashed when they were fetched.

    Errors: FoleyError for a folder that is none, or weights that are not those that config.json names.
    """
    config = read_config(folder)
    return config.sha256 if config.weights != WEIGHTS_NAME and config.sha256 else verify(folder)


def save(
    tensors: Mapping[str, torch.Tensor], folder: Path, config: ModelConfig, dtype: torch.dtype | None = None
) -> None:
    """Write a weights folder: the tensors, and the config with their hash; both files are renamed into place.

    dtype  of floating-point numbers in the file; None: each keeps its own
    Errors: FoleyError when a number is not finite, or too large for `dtype`.
    """
    import torch
    from safetensors.torch import save_file

    from foleycli.weights.checkpoint import check_finite

    folder.mkdir(parents=True, exist_ok=True)
    path, part = folder / WEIGHTS_NAME, folder / (WEIGHTS_NAME + ".part")
    kept = {}
    for name, value in tensors.items():
        own_dtype = value.dtype if dtype is None or not value.is_floating_point() else dtype
        # A copy: tensors that share memory cannot be saved.
        kept[name] = value.detach().to("cpu", own_dtype, copy=True, memory_format=torch.contiguous_format)
        check_finite(kept[name], name, path, "Nothing was written: the training has diverged; lower lr")
    save_file(kept, part)
    part.chmod(0o644)  # safetensors makes files that only their owner can read
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    sha256 = sha256_of(part)
    part.replace(path)
    write_config(folder, replace(config, sha256=sha256))
