"""A weights folder: config.json, model.safetensors and a model card, strict and hashed.

`config.json` says what the folder is (kind, family, network shape, what it needs beside it) and the
SHA-256 of the weights file.  Nothing here runs code from a file.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from foleycli.errors import FoleyError

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"


def read_config(folder: Path) -> dict:
    """The folder's config.json; errors: FoleyError when it is missing or is not JSON."""
    path = folder / CONFIG_NAME
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FoleyError(f"{folder} is not a model folder: it has no {CONFIG_NAME}", "See: foley models list") from None
    except (OSError, ValueError) as error:
        raise FoleyError(f"{path} cannot be read: {error}", "Get the model folder again") from error


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
    path = folder / config.get("weights", WEIGHTS_NAME)
    if not path.is_file():
        raise FoleyError(f"{folder} has no {path.name}", "Get the model folder again")
    found, named = sha256_of(path), config.get("sha256")
    if named and found != named:
        raise FoleyError(f"{path} is damaged: SHA-256 {found[:12]}…, expected {named[:12]}…", "Get it again")
    return found


def load_weights(module, folder: Path, prefix: str = "", skip: str | None = None) -> None:  # noqa: ANN001 (torch is imported late)
    """Fill `module` from the folder, strictly, in the module's own dtype (files hold fp16).

    With a `prefix` ("video."), from the part of a larger network that has it; the other parts are left alone.
    Tensors whose names begin with `skip` are left alone too.
    """
    from safetensors.torch import load_file

    path = folder / WEIGHTS_NAME
    try:
        tensors = load_file(path)
    except Exception as error:  # safetensors raises its own type for a broken file
        raise FoleyError(f"{path} cannot be read: {error}", "Get the model folder again") from error
    state = {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
    state = {key: value for key, value in state.items() if skip is None or not key.startswith(skip)}
    own = module.state_dict()
    wrong = [key for key in state.keys() & own.keys() if state[key].shape != own[key].shape]
    missing, unknown = own.keys() - state.keys(), state.keys() - own.keys()
    if wrong or missing or unknown:
        first = sorted(wrong or missing or unknown)[0]
        raise FoleyError(
            f"{path} does not fit its config: {len(missing)} missing, {len(unknown)} unknown, "
            f"{len(wrong)} of another shape (first: {first})",
            "Take config.json and model.safetensors of the same release",
        )
    module.load_state_dict({key: value.to(own[key].dtype) for key, value in state.items()})


def save_folder(module, folder: Path, config: dict) -> Path:  # noqa: ANN001
    """Write `module` in fp16 with its config and hash; both files are renamed into place."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = {
        key: value.detach().cpu().to(torch.float16 if value.is_floating_point() else value.dtype).contiguous()
        for key, value in module.state_dict().items()
    }
    weights = folder / (WEIGHTS_NAME + ".part")
    save_file(state, weights)
    described = folder / (CONFIG_NAME + ".part")
    described.write_text(json.dumps({**config, "sha256": sha256_of(weights)}, indent=2) + "\n", encoding="utf-8")
    weights.chmod(0o644)  # safetensors makes files that only their owner can read
    weights.replace(folder / WEIGHTS_NAME)
    described.replace(folder / CONFIG_NAME)
    return folder
