"""DAC 44.1 kHz (Kumar et al., arXiv 2306.06546) through descript-audio-codec: sound to nine codes per step and back.

Sound of any length goes through in overlapping chunks, so that memory stays flat and the result is what
the whole at once would give.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.codecs.dac_import import building, dac_blocks
from foleycli.weights.folder import load_weights, read_config


@dataclass(frozen=True)
class DacConfig:
    """The defaults are the published 44.1 kHz, 8 kbit/s codec."""

    rate_hz: int = 44100
    encoder_dim: int = 64
    encoder_rates: tuple[int, ...] = (2, 4, 8, 8)
    decoder_dim: int = 1536
    decoder_rates: tuple[int, ...] = (8, 8, 4, 2)
    n_codebooks: int = 9
    codebook_size: int = 1024
    codebook_dim: int = 8

    def to_dict(self) -> dict:
        return asdict(self)

    @staticmethod
    def from_dict(values: dict) -> DacConfig:
        return DacConfig(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})


class Dac(nn.Module):
    """Meets `codecs.base.Codec`: latents are what the codes stand for, before the decoder."""

    chunk_steps = 430  # 5 s

    @building()
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

    @property
    def context_steps(self) -> int:
        """Latent steps on either side that a step depends on, in either direction: the overlap of chunks."""
        return 12  # the decoder hears 10, the encoder 8

    def encode(self, samples: Tensor) -> Tensor:
        """Sound [B, N] to the latents [B, L, D] that its codes stand for."""
        return self.codes_to_latents(self.encode_codes(samples))

    def decode(self, latents: Tensor, start_step: int = 0) -> Tensor:
        """Latents [B, L, D] to sound [B, L * hop]; the place on the track does not matter here."""
        return self.model.decode(latents.transpose(1, 2))[:, 0]

    @torch.inference_mode()
    def encode_codes(self, samples: Tensor) -> Tensor:
        """Sound [B, N] to codes int64 [B, L, K]; the end is filled with silence."""
        padded = F.pad(samples, (0, -samples.shape[-1] % self.hop))  # [B, L * hop]

        def encode(first: int, last: int) -> Tensor:
            piece = padded[:, first * self.hop : last * self.hop]
            return self.model.encode(piece[:, None])[1].transpose(1, 2)

        return torch.cat(list(self._chunks(encode, padded.shape[-1] // self.hop, 1)), dim=1)

    @torch.inference_mode()
    def decode_codes(self, codes: Tensor) -> Tensor:
        """Codes [B, L, K] to sound [B, L * hop]."""

        def decode(first: int, last: int) -> Tensor:
            return self.decode(self.codes_to_latents(codes[:, first:last]))

        return torch.cat(list(self._chunks(decode, codes.shape[1], self.hop)), dim=1)

    def codes_to_latents(self, codes: Tensor) -> Tensor:
        """Codes [B, L, K], all levels or the first few, to [B, L, D]."""
        return self.model.quantizer.from_codes(codes.transpose(1, 2))[0].transpose(1, 2)

    def _chunks(self, run: Callable[[int, int], Tensor], n_steps: int, per_step: int):  # noqa: ANN202
        """`run(first, last)` over chunks with context on both sides, each result [B, T, ...] cut to its chunk."""
        for start in range(0, n_steps, self.chunk_steps):
            end = min(start + self.chunk_steps, n_steps)
            first, last = max(0, start - self.context_steps), min(n_steps, end + self.context_steps)
            yield run(first, last)[:, (start - first) * per_step : (end - first) * per_step]


def load(folder: Path, device: torch.device | str) -> Dac:
    """A codec from its weights folder, in float32, without weight norm, which is for training."""
    codec = Dac(DacConfig.from_dict(read_config(folder).get("network", {})))
    load_weights(codec, folder)
    for module in codec.modules():
        if hasattr(module, "weight_g"):
            nn.utils.remove_weight_norm(module)
    return codec.eval().requires_grad_(False).to(device)
