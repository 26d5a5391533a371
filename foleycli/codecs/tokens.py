"""Codes as latents, for families that make codes: a codec with residual codes in, a codec whose latents are codes out.

Windows, joins and known spans work on latent tracks float32 [L, D]; codes [L, K] are whole numbers, which
float32 keeps exactly, so that a track of codes needs no machinery of its own.
"""

from __future__ import annotations

from fractions import Fraction

from torch import Tensor

from foleycli.codecs.base import Codec


class TokenCodec:
    """Meets `codecs.base.Codec`; `latent_dim` is the number of codebooks."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.rate_hz, self.hop = codec.rate_hz, codec.hop
        self.latent_dim = self.n_codebooks = codec.n_codebooks

    @property
    def latent_rate_hz(self) -> Fraction:
        return self.codec.latent_rate_hz

    @property
    def context_steps(self) -> int:
        return self.codec.context_steps

    def encode(self, samples: Tensor) -> Tensor:
        """Sound [B, N] to its codes as float32 [B, L, K]."""
        return self.encode_codes(samples).float()

    def decode(self, latents: Tensor, start_step: int = 0) -> Tensor:
        """Codes as float32 [B, L, K] to sound [B, L * hop]."""
        return self.codec.decode(self.codes_to_latents(latents.round().long()), start_step)

    def encode_codes(self, samples: Tensor) -> Tensor:
        return self.codec.encode_codes(samples)

    def codes_to_latents(self, codes: Tensor) -> Tensor:
        """Codes [B, L, K] to the latents of the codec beneath."""
        return self.codec.codes_to_latents(codes)
