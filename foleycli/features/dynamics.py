"""How loud a scene is over seconds, from what the synchronisation encoder and the motion say: curves in, decibels out.

The encoder's loudness was learnt from worlds: it follows every hit, and films only a little.  Over seconds a film's
loudness follows how much moves, all over the picture and at its most moving place.  So a few of these curves, each
smoothed, are added up, with weights that only film has taught.  The sum says how the level moves, not how high it is.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.errors import FoleyError
from foleycli.weights.checkpoint import load_strict
from foleycli.weights.config import network_config, read_config

RATE_HZ = 25
CURVES = ("loudness", "motion", "peak")  # of the encoder; of the whole picture; of its most moving place
REACH = 4.0  # standard deviations to either side that smoothing looks


@dataclass(frozen=True)
class DynamicsConfig:
    """Which curves are added up, each smoothed by a bell with a standard deviation in seconds."""

    curves: tuple[str, ...] = ("loudness", "motion", "motion", "peak")
    smoothing_s: tuple[float, ...] = (0.2, 0.2, 0.8, 0.8)

    def __post_init__(self) -> None:
        if len(self.curves) != len(self.smoothing_s) or not set(self.curves) <= set(CURVES):
            raise FoleyError("curves and smoothing_s do not fit together", f"As many of each; {', '.join(CURVES)}")
        if not all(0 < width_s <= 60 for width_s in self.smoothing_s):
            raise FoleyError("smoothing_s is out of range", "Use more than 0, up to 60 seconds")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for config.json."""
        return asdict(self)


class DynamicsHead(nn.Module):
    """A weighted sum of smoothed curves; each weight is positive: what is louder or moves more is never softer."""

    def __init__(self, config: DynamicsConfig) -> None:
        super().__init__()
        self.config = config
        self.log_weight = nn.Parameter(torch.zeros(len(config.curves)))  # [K]

    def forward(self, curves: Tensor) -> Tensor:
        """Curves [B, T, 3] in the order of CURVES to a loudness [B, T] in dB, of any reference."""
        smoothed = [
            smooth(curves[..., CURVES.index(name)], width_s)
            for name, width_s in zip(self.config.curves, self.config.smoothing_s, strict=True)
        ]
        return torch.stack(smoothed, dim=-1) @ self.log_weight.exp()


def curves_of(loudness_db: np.ndarray, motion: np.ndarray) -> Tensor:
    """The curves of one video, float32 [T, 3].

    loudness_db   [T], by the encoder
    motion        float32 [T, 2]: mean over the picture, and the largest; see `features.position`
    """
    n = min(len(loudness_db), len(motion))
    moved = np.log1p(4 * motion[:n])
    if n > 1:
        moved[0] = moved[1]  # nothing is known of what is before the first picture
    return torch.from_numpy(np.column_stack([loudness_db[:n] / 10, moved]).astype(np.float32))


def smooth(curve: Tensor, width_s: float) -> Tensor:
    """A running mean of [B, T], weighted by a bell of standard deviation `width_s`; the ends are held."""
    if curve.shape[1] == 0:  # which has no ends
        return curve
    reach = math.ceil(REACH * width_s * RATE_HZ)
    bell = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=curve.device) / (width_s * RATE_HZ)) ** 2)
    padded = F.pad(curve[:, None], (reach, reach), mode="replicate")
    return F.conv1d(padded, (bell / bell.sum())[None, None])[:, 0]


def load(folder: Path) -> DynamicsHead:
    """A trained head from its weights folder."""
    config = read_config(folder)
    shape = network_config(DynamicsConfig, config.network, f"{folder}/config.json: network")
    head = load_strict(lambda: DynamicsHead(shape), folder / config.weights, device=torch.device("cpu"), on_meta=False)
    return head.eval().requires_grad_(False)
