"""Weight norm (Salimans and Kingma, arXiv 1602.07868) taken out of networks that are not trained any more."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def fuse_weight_norm(network: nn.Module) -> None:
    """Replace every layer's length and direction (torch's older weight norm) by one weight, in place."""
    for module in network.modules():
        if hasattr(module, "weight_g"):
            nn.utils.remove_weight_norm(module)


def fold_weight_norm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same for a state dict, with torch's older names or the newer ones: every pair becomes `weight`, float32."""
    folded = dict(state)
    for length_suffix, direction_suffix in (
        (".weight_g", ".weight_v"),
        (".parametrizations.weight.original0", ".parametrizations.weight.original1"),
    ):
        for name in [key for key in folded if key.endswith(length_suffix)]:
            stem = name.removesuffix(length_suffix)
            length, direction = folded.pop(name), folded.pop(stem + direction_suffix)
            folded[stem + ".weight"] = torch._weight_norm(direction.float(), length.float(), 0)
    return folded
