"""Codes as latents, for families that generate codes: wraps a codec so that its latents are its residual codes.

Windows, joins and known spans work on latent tracks float32 [L, D]; codes [L, K] are whole numbers, which float32
holds exactly, so that a track of codes needs no machinery of its own.
"""

from __future__ import annotations

from fractions import Fraction

from torch import Tensor

from foleycli.codecs.base import ResidualCodec


class TokenCodec:
    """A `codecs.base.Codec` whose `latent_dim` is the number of codebooks of the codec that it wraps."""

    def __init__(self, codec: ResidualCodec) -> None:
        self.codec = codec
        self.rate_hz, self.hop = codec.rate_hz, codec.hop
        self.latent_dim = codec.n_codebooks
        self.context_steps, self.blend_steps = codec.context_steps, codec.blend_steps

    @property
    def latent_rate_hz(self) -> Fraction:
        return self.codec.latent_rate_hz

    def encode(self, samples: Tensor) -> Tensor:
        """Sound [B, N] to its codes as float32 [B, L, K]."""
        return self.codec.encode_codes(samples).float()

    def decode(self, latents: Tensor, start_step: int = 0) -> Tensor:
        """Codes as float32 [B, L, K] to sound [B, L * hop]."""
        return self.codec.decode(self.codec.codes_to_latents(latents.round().long()), start_step)
