"""Generative networks, one folder a family: features of a video in, latents out.  Families never import one another."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foleycli.errors import FoleyError
from foleycli.settings.checking import short_repr
from foleycli.weights.config import CONFIG_NAME, ModelConfig, read_config

if TYPE_CHECKING:
    import torch

    from foleycli.families.base import Family
    from foleycli.families.spec import FamilySpec

# A family's name in config.json -> "module:Class", imported when it is needed.
FAMILIES = {
    "foley-flow": "foleycli.families.foleyflow.family:FoleyFlowFamily",
    "mmaudio": "foleycli.families.mmaudio.family:MMAudioFamily",
    "maskvat": "foleycli.families.maskvat.family:MaskVatFamily",
    "salsa-v": "foleycli.families.salsav.family:SalsaVFamily",
    "vaura": "foleycli.families.vaura.family:VAuraFamily",
}


# The same for the dataclass that describes a family's networks, which needs no torch.
CONFIGS = {
    "foley-flow": "foleycli.families.foleyflow.config:FoleyFlowConfig",
    "mmaudio": "foleycli.families.mmaudio.config:MMAudioConfig",
    "maskvat": "foleycli.families.maskvat.config:MaskVatConfig",
    "salsa-v": "foleycli.families.salsav.config:SalsaVConfig",
    "vaura": "foleycli.families.vaura.config:VAuraConfig",
}


def family_class(name: str) -> type[Family]:
    """The class of a family; errors: FoleyError for a name that is not known."""
    return _import_class(FAMILIES, name)


def _import_class(table: Mapping[str, str], name: str) -> Any:
    if name not in table:
        raise FoleyError(
            f"there is no model family {short_repr(name)}", f"Update foley, or choose one of: {', '.join(table)}"
        )
    module, class_name = table[name].split(":")
    return getattr(import_module(module), class_name)


def spec_from_config(config: ModelConfig) -> FamilySpec:
    """The spec of the network that a model's config.json describes; reads no weights and imports no torch.

    Errors: FoleyError for a family or a network that this version does not know.
    """
    return _import_class(CONFIGS, config.family).parse(config.network).spec()


def load_family(folder: Path, device: torch.device | str, dtype: torch.dtype) -> Family:
    """Load the family weights in `folder`: config.json and the weights that it names.  Errors: FoleyError."""
    config = read_config(folder)
    if config.family not in FAMILIES:
        raise FoleyError(
            f"{folder / CONFIG_NAME} names the family {short_repr(config.family)}; known are {', '.join(FAMILIES)}",
            "Update foley, or choose another model: foley models list",
        )
    return family_class(config.family).load(folder, device, dtype)
