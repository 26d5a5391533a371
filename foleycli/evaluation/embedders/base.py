"""What a network of metrics is, and how its published weights are read."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from foleycli.errors import FoleyError

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

    def score(self, samples: np.ndarray, video: Path) -> float | None:
        """One figure for mono float32 samples [N] at `rate_hz` with a video; None where they are too short for it."""
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


def unpickle(source: Path | io.BytesIO) -> Any:
    """What a file holds, without running its code; a pickle may have numpy's numbers and arrays beside tensors."""
    # Numbers and arrays in a pickle name the functions that make them; numpy 1 has these in another module.
    numpy_makers: list[Callable] = [np.int64(0).__reduce__()[0], np.empty(0).__reduce__()[0]]  # type: ignore[list-item]
    numpy1_names = [(function, f"numpy.core.multiarray.{function.__name__}") for function in numpy_makers]
    dtypes = [type(np.dtype(kind)) for kind in (np.int32, np.int64, np.float32, np.float64)]
    if isinstance(source, Path) and source.suffix == ".safetensors":
        return load_file(source)
    with torch.serialization.safe_globals([*numpy_makers, *numpy1_names, np.ndarray, np.dtype, *dtypes]):
        return torch.load(source, map_location="cpu", weights_only=True)


def read_published(path: Path, read: Callable[[Path], Any] = unpickle) -> dict[str, Tensor]:
    """The tensors of a published file; errors: FoleyError when it is missing or holds something else."""
    try:
        found = read(path)
    except Exception as error:  # zip, pickle and torch each raise their own kinds for a broken file
        why = "it is missing" if isinstance(error, FileNotFoundError) else type(error).__name__
        raise FoleyError(f"the weights file {path} cannot be read: {why}", GET_AGAIN) from error
    for wrapper in ("model", "state_dict"):
        found = found[wrapper] if isinstance(found, dict) and isinstance(found.get(wrapper), Mapping) else found
    if not isinstance(found, Mapping):
        raise FoleyError(f"the weights file {path} holds a {type(found).__name__}, not weights", GET_AGAIN)
    return {key: value for key, value in found.items() if isinstance(value, Tensor)}


def build(make: Callable[[], Network], state: Mapping[str, Tensor], path: Path) -> Network:
    """The network with exactly these tensors, in evaluation mode; errors: FoleyError when they are another's."""
    with torch.device("meta"):  # weights that are to be replaced need not be drawn
        module = make()
    try:
        module.load_state_dict(dict(state), assign=True)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise FoleyError(
            f"{path} is not the weights file of {type(module).__name__}: {first[0].strip()[:160]}",
            GET_AGAIN,
        ) from error
    return module.eval().requires_grad_(False)
