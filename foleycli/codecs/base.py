"""The contract of a codec: mono sound to latents and back."""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol

from torch import Tensor


class Codec(Protocol):
    """Sound to latents and back.  `models.model.LOADERS` names the function that loads each kind."""

    @property
    def rate_hz(self) -> int:
        """Sample rate of the sound."""
        ...

    @property
    def hop(self) -> int:
        """Samples per latent step."""
        ...

    @property
    def latent_dim(self) -> int:
        """Width of a latent step."""
        ...

    @property
    def latent_rate_hz(self) -> Fraction:
        """Latent steps per second: rate_hz / hop."""
        ...

    @property
    def context_steps(self) -> int:
        """Latent steps to either side that a decoded step depends on: the overlap of decoding in pieces."""
        ...

    @property
    def blend_steps(self) -> int:
        """Latent steps over which decoded pieces are cross-faded; 0 where `context_steps` are enough.

        A decoder with attention depends on all that it is given, however much the pieces overlap.
        """
        ...

    def encode(self, samples: Tensor) -> Tensor:
        """Sound [B, N] to latents [B, L, D], L = ceil(N / hop); the end is filled with silence."""
        ...

    def decode(self, latents: Tensor, start_step: int = 0) -> Tensor:
        """Latents [B, L, D] to sound [B, L * hop]; `start_step` is the place of the first step on the whole track."""
        ...


class ResidualCodec(Codec, Protocol):
    """A codec that has residual codes beside its latents: K codebooks, each for what the ones before left over."""

    @property
    def n_codebooks(self) -> int: ...

    def encode_codes(self, samples: Tensor) -> Tensor:
        """Sound [B, N] to residual codes int64 [B, L, K]."""
        ...

    def codes_to_latents(self, codes: Tensor) -> Tensor:
        """Codes [B, L, K], of all codebooks or the first few, to the latents [B, L, D] that they encode."""
        ...
