"""DAC 44.1 kHz (Kumar et al., arXiv 2306.06546) through descript-audio-codec: sound to nine codes per step and back.

Sound of any length is encoded in overlapping chunks, so that memory does not grow and the result is what the whole at
once would give.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.codecs.dac_blocks import dac_blocks, no_weight_norm_warning
from foleycli.nn.weight_norm import fuse_weight_norm
from foleycli.settings.checking import bounded
from foleycli.weights.checkpoint import load_strict
from foleycli.weights.config import network_config, read_config


@dataclass(frozen=True)
class DacConfig:
    """The shape of the networks; the defaults are the published 44.1 kHz, 8 kbit/s codec."""

    rate_hz: int = bounded(8000, 384_000, default=44100)
    encoder_dim: int = 64
    encoder_rates: tuple[int, ...] = (2, 4, 8, 8)
    decoder_dim: int = 1536
    decoder_rates: tuple[int, ...] = (8, 8, 4, 2)
    n_codebooks: int = 9
    codebook_size: int = 1024
    codebook_dim: int = 8

    def to_dict(self) -> dict[str, Any]:
        """Plain values for config.json."""
        return asdict(self)


class Dac(nn.Module):
    """A `codecs.base.ResidualCodec` whose latents are the decoder's input: the sum of the codes' vectors."""

    context_steps = 12  # the decoder depends on 10, the encoder on 8
    blend_steps = 0
    chunk_steps = 430  # encoded at once: 5 s

    @no_weight_norm_warning()
    def __init__(self, config: DacConfig) -> None:
        super().__init__()
        self.config = config
        self.model = dac_blocks().DAC(
            encoder_dim=config.encoder_dim,
            encoder_rates=list(config.encoder_rates),
            decoder_dim=config.decoder_dim,
            decoder_rates=list(config.decoder_rates),
            n_codebooks=config.n_codebooks,
            codebook_size=config.codebook_size,
            codebook_dim=config.codebook_dim,
            sample_rate=config.rate_hz,
        )
        self.rate_hz, self.hop = config.rate_hz, math.prod(config.encoder_rates)
        self.latent_dim, self.n_codebooks = self.model.latent_dim, config.n_codebooks

    @property
    def latent_rate_hz(self) -> Fraction:
        return Fraction(self.rate_hz, self.hop)

    def codebooks(self) -> Tensor:
        """The vectors of the codes, float32 [K, codebook_size, codebook_dim]."""
        return torch.stack([level.codebook.weight for level in self.model.quantizer.quantizers])

    def encode(self, samples: Tensor) -> Tensor:
        """Sound [B, N] to the latents [B, L, D] that its codes encode."""
        return self.codes_to_latents(self.encode_codes(samples))

    def decode(self, latents: Tensor, start_step: int = 0) -> Tensor:
        """Latents [B, L, D] to sound [B, L * hop]; the place on the track makes no difference here."""
        return self.model.decode(latents.transpose(1, 2))[:, 0]

    @torch.inference_mode()
    def encode_codes(self, samples: Tensor) -> Tensor:
        """Sound [B, N] to codes int64 [B, L, K]; the end is filled with silence."""
        padded = F.pad(samples, (0, -samples.shape[-1] % self.hop))  # [B, L * hop]
        n_steps, chunks = padded.shape[-1] // self.hop, []
        for start in range(0, n_steps, self.chunk_steps):
            end = min(start + self.chunk_steps, n_steps)
            first, last = max(0, start - self.context_steps), min(n_steps, end + self.context_steps)
            codes = self.model.encode(padded[:, None, first * self.hop : last * self.hop])[1]  # [B, K, steps]
            chunks.append(codes[..., start - first : end - first])
        return torch.cat(chunks, dim=-1).transpose(1, 2)

    def codes_to_latents(self, codes: Tensor) -> Tensor:
        """Codes [B, L, K], of all codebooks or the first few, to latents [B, L, D]."""
        return self.model.quantizer.from_codes(codes.transpose(1, 2))[0].transpose(1, 2)


def load(folder: Path, device: torch.device | str, with_codes: bool = True) -> Dac:
    """A codec from its weights folder, in float32, without weight norm; its latents are made of codes in any case."""
    config = read_config(folder)
    shape = network_config(DacConfig, config.network, f"{folder}/config.json: network")
    codec = load_strict(lambda: Dac(shape), folder / config.weights, on_meta=False)
    fuse_weight_norm(codec)
    return codec.eval().requires_grad_(False).to(device)
