"""What the rest of foley asks of a model family: one contract, met by every family.

A family is one kind of generative network with its way of sampling (SALSA-V, MaskVAT, V-AURA, Foley-Flow, MMAudio).
It is one folder here, one line in `families.FAMILIES` and its entries in the catalog of models; nothing else
knows it by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from foleycli.families.spec import FamilySpec
from foleycli.records import Features, Report, Stream, silent
from foleycli.settings.settings import Settings
from foleycli.timebase import steps_to_cover

if TYPE_CHECKING:
    from typing_extensions import Self


class Family(Protocol):
    """Makes latents from features; tests/families holds every family to this."""

    name: ClassVar[str]
    published_endings: ClassVar[tuple[str, ...]]  # of the files that `import_files` reads; none: it reads none
    spec: FamilySpec

    @property
    def network(self) -> nn.Module:
        """In evaluation mode; its parameters learn nothing."""
        ...

    @classmethod
    def spec_from_config(cls, network: Any) -> FamilySpec:
        """The spec of the network that the "network" part of a config.json describes; builds nothing.

        Errors: FoleyError for a description that this version does not understand.
        """
        ...

    @classmethod
    def build_empty(cls, network: Any) -> Self:
        """The family with its network on the meta device: every shape and no number.  Errors as above."""
        ...

    @classmethod
    def load(cls, folder: Path, device: torch.device | str, dtype: torch.dtype) -> Self:
        """The family with the weights of a model folder; every weight must be there, and no other."""
        ...

    @classmethod
    def import_files(cls, path: Path, folder: Path) -> None:
        """Write what `load` reads into `folder`, config.json included, from a file as its publisher offers it.

        Errors: FoleyError when the file is none of this family's, is damaged, or nobody publishes such files.
        """
        ...

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
        known      float32 [B, L, D]: latents that are given, read only where is_known
        is_known   bool [B, L], anywhere in the window
        rngs       B CPU generators: noise is drawn on the CPU, one seed means the same noise everywhere
        returns    float32 [B, L, D]; known steps come back bit for bit
        """
        ...


def check_window(
    spec: FamilySpec, features: Sequence[Features], known: Tensor, is_known: Tensor, rngs: Sequence[torch.Generator]
) -> None:
    """Errors: ValueError when the arguments of `Family.sample` disagree with one another or with the network."""
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
    stream = window.streams.get(name)
    if stream is None:
        return torch.zeros(1, n_steps, width)
    check_stream(stream, name, rate_hz, width)
    return hold_last(stream.values.float().cpu(), n_steps)[None]


def hold_last(x: Tensor, n_steps: int) -> Tensor:
    """Exactly so many steps of [T, D]: cut, or the last one held."""
    return x[torch.arange(n_steps, device=x.device).clamp(max=len(x) - 1)]
