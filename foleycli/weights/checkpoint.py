"""Weight files as others publish them: safetensors, or pickled tensors that are read without running any code.

A path comes in, tensors by name go out; `fill` puts them into a network, strictly.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from foleycli.errors import FoleyError

WRAPPERS = ("generator", "state_dict", "model")  # keys under which published files put the tensors
AGAIN = "Get the model folder again"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a `.safetensors` file or of a torch pickle (`weights_only`), on the CPU, not yet copied."""
    if not path.is_file():
        raise FoleyError(f"{path} is missing", AGAIN)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        found = unpickled(path)
    except Exception as error:  # safetensors, zip and pickle each raise their own kinds for a broken file
        why = " ".join(str(error).split())[:200]
        raise FoleyError(f"{path} cannot be read: {why}", AGAIN) from error
    for wrapper in WRAPPERS:
        if isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    return {name: value for name, value in found.items() if isinstance(value, Tensor)}


def unpickled(path: Path) -> dict:
    """What a torch pickle holds, by torch's restricted unpickler, on the CPU and mapped where the file allows it."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:  # files older than torch 1.6 are no zip and cannot be mapped
        return torch.load(path, map_location="cpu", weights_only=True)


def under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}


def fill(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Give `module` (it may be on the meta device) these tensors: every one must be there, and no other."""
    own = module.state_dict()
    wrong = [key for key in state.keys() & own.keys() if state[key].shape != own[key].shape]
    missing, unknown = own.keys() - state.keys(), state.keys() - own.keys()
    if wrong or missing or unknown:
        first = sorted(wrong or missing or unknown)[0]
        raise FoleyError(
            f"{path} is not the file that its config.json describes: {len(missing)} missing, {len(unknown)} unknown, "
            f"{len(wrong)} of another shape (first: {first})",
            AGAIN,
        )
    module.load_state_dict(dict(state), assign=True)
