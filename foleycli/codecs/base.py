"""What the pipeline asks of a codec."""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol

from torch import Tensor


class Codec(Protocol):
    """Latents (and residual codes) to and from sound, mono."""

    rate_hz: int  # of the sound
    hop: int  # samples per latent step
    latent_dim: int
    n_codebooks: int

    @property
    def latent_rate_hz(self) -> Fraction: ...

    def encode(self, samples: Tensor) -> Tensor:
        """Sound [B, N] to latents [B, L, D] of about unit variance, L = ceil(N / hop)."""
        ...

    def decode(self, latents: Tensor, start_step: int = 0) -> Tensor:
        """Latents [B, L, D] to sound [B, L * hop]; `start_step` is their place on the whole track."""
        ...

    def encode_codes(self, samples: Tensor) -> Tensor:
        """Sound [B, N] to residual codes int64 [B, L, K]."""
        ...

    def codes_to_latents(self, codes: Tensor) -> Tensor:
        """Codes [B, L, K] to the latents [B, L, D] that they stand for."""
        ...
