"""What a network of metrics is, and how its published weights are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.weights import checkpoint

Network = TypeVar("Network", bound=nn.Module)
GET_AGAIN = "Get the file again, or remove it: its metrics are then not measured"


@dataclass(frozen=True)
class Embedding:
    """What a network makes of one sound."""

    vectors: np.ndarray  # float32 [F, D]: one a block of the sound, or one in all
    logits: np.ndarray | None = None  # float32 [C]: of the whole sound, for networks that classify


class AudioEmbedder(Protocol):
    """A network that embeds a sound."""

    rate_hz: int

    def embed(self, samples: np.ndarray) -> Embedding:
        """Mono float32 samples [N] at `rate_hz`; a sound of any length, silence too."""
        ...


class AudioVisualScorer(Protocol):
    """A network that compares a sound with a picture."""

    rate_hz: int

    def scores(self, samples: np.ndarray, video: Path) -> dict[str, float]:
        """Figures by metric for mono float32 samples [N] at `rate_hz` with a video; {} where they are too short.

        What it makes of the picture of the latest video is kept: of one clip, the sounds of several systems are asked
        about in a row.
        """
        ...


class ConvBlock(nn.Module):
    """Two 3x3 convolutions, each with batch norm and ReLU, [B, D, T, F] to the same; a block of PANNs and of aisfx."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(n_out), nn.BatchNorm2d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


def read_published(path: Path) -> dict[str, Tensor]:
    """The tensors of a published file; errors: FoleyError when it is missing or holds something else."""
    return checkpoint.read(path, GET_AGAIN)


def build(make: Callable[[], Network], state: Mapping[str, Tensor], path: Path) -> Network:
    """The network with exactly these tensors, in evaluation mode; errors: FoleyError when they are another's."""
    network = checkpoint.load_strict(make, path, tensors=state, hint=GET_AGAIN)
    return network.eval().requires_grad_(False)
