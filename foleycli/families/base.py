"""What the pipeline asks of a family: the one contract that all of them meet."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn

from foleycli.errors import FoleyError
from foleycli.records import Features, Report, Stream, silent
from foleycli.settings.settings import Settings
from foleycli.timebase import steps_to_cover
from foleycli.weights.folder import CONFIG_NAME, WEIGHTS_NAME

Network = TypeVar("Network", bound=nn.Module)
Config = TypeVar("Config", bound="NetworkConfig")


@dataclass(frozen=True)
class FamilySpec:
    """The facts of a family's loaded weights that windows, features and codec must agree with."""

    name: str
    latent_rate_hz: Fraction  # latent steps per second
    latent_dim: int
    window_steps: int  # the longest window that the weights were trained on
    stream_dims: dict[str, int]  # feature streams that the network reads, by name, with their width
    text_dim: int
    # "codes": latents are codebook indices, whole numbers, one per codebook, and the codec is asked for those.
    latents: Literal["vectors", "codes"] = "vectors"
    window_grid_s: Fraction = Fraction(0)  # windows begin at multiples of this, where it is not 0
    whole_windows: bool = False  # trained on windows of one length: see `windows.plan.plan_windows`


class Family(Protocol):
    """Latents from features; tests/families holds every family to this."""

    spec: FamilySpec

    def sample(
        self,
        features: Sequence[Features],
        known: Tensor,
        is_known: Tensor,
        settings: Settings,
        rngs: Sequence[torch.Generator],
        report: Report = silent,
    ) -> Tensor:
        """Make B windows at once.

        features   B of them, each already cut to its window; streams start at the window's first step
        known      float32 [B, L, D], read only where is_known
        is_known   bool [B, L], anywhere in the window
        rngs       B CPU generators: noise is drawn on the CPU, one seed means the same noise everywhere
        returns    float32 [B, L, D]; known steps come back bit for bit
        """
        ...


class NetworkConfig:
    """For frozen dataclasses that say a network's shape: to and from the plain values of config.json."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; rates as "11025/256"."""
        return {key: str(value) if isinstance(value, Fraction) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls: type[Config], values: dict[str, Any]) -> Config:
        """The inverse of `to_dict`; a key that this version does not know is an error."""
        known = {field.name: field for field in fields(cls)}
        unknown = sorted(values.keys() - known.keys())
        if unknown:
            raise FoleyError(
                f"the network configuration has unknown keys: {', '.join(unknown)}",
                "these weights were made by another version of foley; update it",
            )
        rates = {name: Fraction(value) for name, value in values.items() if known[name].type == "Fraction"}
        try:
            return cls(**values | rates)
        except TypeError as error:
            raise FoleyError(
                f"the network configuration is incomplete: {error}", "download or export these weights again"
            ) from error


def check_window(
    spec: FamilySpec, features: Sequence[Features], known: Tensor, is_known: Tensor, rngs: Sequence[torch.Generator]
) -> None:
    """Errors: ValueError when what `sample` is given does not go together, or does not fit the weights."""
    n_windows, longest, width = len(features), spec.window_steps, spec.latent_dim
    n_steps = known.shape[1] if known.ndim == 3 else 0
    if known.shape != (n_windows, n_steps, width) or not 1 <= n_steps <= longest:
        raise ValueError(
            f"known has shape {tuple(known.shape)}, {spec.name} expects ({n_windows}, 1..{longest}, {width})"
        )
    if is_known.shape != known.shape[:2] or len(rngs) != n_windows:
        raise ValueError(
            f"is_known has shape {tuple(is_known.shape)} and there are {len(rngs)} generators, "
            f"{spec.name} expects {tuple(known.shape[:2])} and {n_windows}"
        )


def check_stream(stream: Stream, name: str, rate_hz: Fraction, width: int) -> None:
    """Errors: ValueError when a stream is not of the width and rate that a network reads, or empty."""
    shape = tuple(stream.values.shape)
    if len(shape) != 2 or shape[0] < 1 or shape[1] != width or stream.rate_hz != rate_hz:
        raise ValueError(
            f"stream {name!r} has shape {shape} at {stream.rate_hz} Hz, "
            f"this family expects (1.., {width}) at {rate_hz} Hz"
        )


def fit_stream(window: Features, name: str, rate_hz: Fraction, width: int, duration_s: Fraction) -> Tensor:
    """A window's stream at exactly the steps that cover it, [1, T, D]: cut, or its last step held; zeros if absent.

    Errors: ValueError when it is not of the width and rate that the network reads.
    """
    n_steps = steps_to_cover(duration_s, rate_hz)
    stream: Stream | None = window.streams.get(name)
    if stream is None:
        return torch.zeros(1, n_steps, width)
    check_stream(stream, name, rate_hz, width)
    values = stream.values.float().cpu()
    index = torch.arange(n_steps).clamp(max=values.shape[0] - 1)
    return values[index][None]


def open_network(build: Callable[[dict], Network], folder: Path) -> Network:
    """A network from its weights folder: every weight must be there, and no other.

    `build` makes it from the "network" part of config.json, on the meta device.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    described = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))["network"]
    with torch.device("meta"):
        network = build(described)
    path = folder / WEIGHTS_NAME
    try:
        network.load_state_dict(load_file(path), assign=True)
    except (OSError, RuntimeError, SafetensorError) as error:
        why = " ".join(str(error).split())[:300]  # torch lists every tensor, a line each
        raise FoleyError(
            f"{path} does not hold the weights that {folder / CONFIG_NAME} describes: {why}",
            "download, import or export these weights again",
        ) from error
    return network


def write_network(network: nn.Module, name: str, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """A weights folder of the family `name` that `open_network` reads; `network.config` says its shape."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = {"family": name, "network": network.config.to_dict()}
    (folder / CONFIG_NAME).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    weights = network.state_dict().items()
    save_file({key: value.to("cpu", dtype) for key, value in weights}, folder / WEIGHTS_NAME)
