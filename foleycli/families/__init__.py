"""Latents from features, one folder a family; families never import one another.

`load_family` opens a weights folder with the class that its config.json names.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from foleycli.errors import FoleyError

if TYPE_CHECKING:
    import torch

    from foleycli.families.base import Family

# Family name in config.json -> "module:Class", imported when it is needed.
FAMILIES = {
    "foley-flow": "foleycli.families.foleyflow.family:FoleyFlowFamily",
    "mmaudio": "foleycli.families.mmaudio.family:MMAudioFamily",
    "maskvat": "foleycli.families.maskvat.family:MaskVatFamily",
    "salsa-v": "foleycli.families.salsav.family:SalsaVFamily",
    "vaura": "foleycli.families.vaura.family:VAuraFamily",
}


def load_family(folder: Path, device: torch.device | str, dtype: torch.dtype) -> Family:
    """Load the family weights in `folder`: config.json and model.safetensors."""
    path = folder / "config.json"
    try:
        name = json.loads(path.read_text())["family"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FoleyError(
            f"{path} does not name a model family ({type(error).__name__})",
            "pass a weights folder, or a name that `foley models list` shows",
        ) from error
    if name not in FAMILIES:
        raise FoleyError(
            f"{path} names the family {name!r}; known are {', '.join(FAMILIES)}",
            "update foley, or choose another model",
        )
    module, class_name = FAMILIES[name].split(":")
    return getattr(import_module(module), class_name).load(folder, device, dtype)
