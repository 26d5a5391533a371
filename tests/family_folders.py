"""Model folders of any family for tests, and how large a configuration's network is."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from foleycli.families import family_class
from foleycli.families.base import Family
from foleycli.families.spec import NetworkConfig


def save_family(family: Family, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """A folder that `load_family` reads: config.json and model.safetensors."""
    config = {"family": family.name, "network": family.network.config.to_dict()}
    (folder / "config.json").write_text(json.dumps(config))
    weights = {key: value.to(dtype) for key, value in family.network.state_dict().items()}
    save_file(weights, folder / "model.safetensors")


def n_parameters(family: str, config: NetworkConfig) -> int:
    """How many numbers the network learns; allocates none of them."""
    network = family_class(family).build_empty(config.to_dict()).network
    return sum(parameter.numel() for parameter in network.parameters())
