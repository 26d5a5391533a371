"""What foley's own codecs share: a variational bottleneck, 64 channels at 43.07 Hz, and residual codes beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from foleycli.codecs.dac_blocks import dac_blocks, no_weight_norm_warning
from foleycli.nn.weight_norm import fuse_weight_norm
from foleycli.weights.checkpoint import load_strict
from foleycli.weights.config import network_config, read_config

QUANTIZER = "quantizer."  # how the names of its weights begin

ConfigT = TypeVar("ConfigT")
CodecT = TypeVar("CodecT", bound="VaeCodec")


@dataclass(frozen=True)
class Posterior:
    """An encoder's distribution of the latents: mean and standard deviation, both [B, D, L]."""

    mean: Tensor
    std: Tensor

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Latents drawn from it [B, D, L]; the noise is drawn on the CPU."""
        noise = torch.randn(self.mean.shape, generator=generator, dtype=self.mean.dtype)
        return self.mean + self.std * noise.to(self.mean.device)

    def kl(self) -> Tensor:
        """Kullback-Leibler divergence from the standard normal, mean per latent value, scalar."""
        return 0.5 * (self.mean**2 + self.std**2 - 2 * self.std.log() - 1).mean()


class VaeCodec(nn.Module):
    """A `codecs.base.ResidualCodec` over a variational autoencoder.

    A subclass says how it gets from sound to raw latents (`posterior`) and back (`synthesise`), and how many latent
    steps to either side a decoded step depends on (`context_steps`).
    """

    rate_hz: int
    hop: int
    blend_steps = 0
    latent_mean: Tensor  # [D]
    latent_std: Tensor  # [D]
    quantizer: Any  # descript-audio-codec's ResidualVectorQuantize; only `with_codes`

    @no_weight_norm_warning()
    def __init__(
        self, latent_dim: int, n_codebooks: int, codebook_size: int, codebook_dim: int, with_codes: bool = True
    ) -> None:
        """`with_codes`: False leaves the quantiser out, and with it the import of descript-audio-codec."""
        super().__init__()
        self.latent_dim, self.n_codebooks = latent_dim, n_codebooks
        if with_codes:
            self.quantizer = dac_blocks().ResidualVectorQuantize(latent_dim, n_codebooks, codebook_size, codebook_dim)
        # Latents are normalised per channel by the training set's mean and deviation, as MMAudio's (arXiv 2412.15322).
        self.register_buffer("latent_mean", torch.zeros(latent_dim))
        self.register_buffer("latent_std", torch.ones(latent_dim))

    @property
    def context_steps(self) -> int:
        raise NotImplementedError

    @property
    def latent_rate_hz(self) -> Fraction:
        return Fraction(self.rate_hz, self.hop)

    def posterior(self, samples: Tensor) -> Posterior:
        """Sound [B, N] to the distribution of raw latents, L = ceil(N / hop); the end is filled with silence."""
        raise NotImplementedError

    def synthesise(self, raw: Tensor, start_sample: int = 0) -> Tensor:
        """Raw latents [B, D, L] to sound [B, L * hop]."""
        raise NotImplementedError

    def encode(self, samples: Tensor) -> Tensor:
        """Sound [B, N] to normalised latents [B, L, D]: the posterior's mean."""
        return self.normalise(self.posterior(samples).mean)

    def decode(self, latents: Tensor, start_step: int = 0) -> Tensor:
        """Normalised latents [B, L, D] to sound [B, L * hop].

        `start_step` is the place of the first step on the whole track.  Noise and phases are fixed to the track, so
        that decoding in overlapping pieces gives the same sound as decoding at once.
        """
        return self.synthesise(self.denormalise(latents), start_step * self.hop)

    def encode_codes(self, samples: Tensor) -> Tensor:
        """Sound [B, N] to residual codes int64 [B, L, K]."""
        return self.quantise(self.posterior(samples).mean)

    def quantise(self, raw: Tensor) -> Tensor:
        """Raw latents [B, D, L] to residual codes int64 [B, L, K]."""
        return self.quantizer(raw)[1].transpose(1, 2)

    def codes_to_latents(self, codes: Tensor) -> Tensor:
        """Codes [B, L, K], of all codebooks or the first few, to normalised latents [B, L, D]."""
        return self.normalise(self.quantizer.from_codes(codes.transpose(1, 2))[0])

    def codebooks(self) -> Tensor:
        """The vectors of the codes, float32 [K, codebook_size, codebook_dim]."""
        return torch.stack([level.codebook.weight for level in self.quantizer.quantizers])

    def normalise(self, raw: Tensor) -> Tensor:
        """Raw latents [B, D, L] to normalised ones [B, L, D]."""
        return ((raw - self.latent_mean[:, None]) / self.latent_std[:, None]).transpose(1, 2)

    def denormalise(self, latents: Tensor) -> Tensor:
        """Normalised latents [B, L, D] to raw ones [B, D, L]."""
        return latents.transpose(1, 2) * self.latent_std[:, None] + self.latent_mean[:, None]


def without_quantizer(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All weights of a codec but those that only codes need."""
    return {name: value for name, value in weights.items() if not name.startswith(QUANTIZER)}


def load_vae(
    codec_type: Callable[[ConfigT, bool], CodecT],
    config_type: type[ConfigT],
    folder: Path,
    device: torch.device,
    with_codes: bool,
) -> CodecT:
    """A codec from its weights folder, in float32, ready to decode; errors: FoleyError where the weights do not fit."""
    config = read_config(folder)
    shape = network_config(config_type, config.network, f"{folder}/config.json: network")
    codec = load_strict(
        lambda: codec_type(shape, with_codes),
        folder / config.weights,
        select=None if with_codes else without_quantizer,
        on_meta=False,
    )
    fuse_weight_norm(codec)
    return codec.eval().requires_grad_(False).to(device)


@torch.no_grad()
def set_latent_statistics(codec: VaeCodec, crops: list[Tensor]) -> None:
    """Measure mean and deviation of every latent channel on crops of training sound, each [N], and keep them.

    The deviation is that of the whole posterior.  A channel that carries little has a narrow mean and a wide
    posterior: it stays narrow, so that no generator learns its noise.
    """
    posteriors = [codec.posterior(crop[None].to(codec.latent_mean.device)) for crop in crops]
    means = torch.cat([posterior.mean for posterior in posteriors], dim=2)[0]  # [D, L]
    stds = torch.cat([posterior.std for posterior in posteriors], dim=2)[0]
    codec.latent_mean.copy_(means.mean(dim=1))
    codec.latent_std.copy_((means.var(dim=1) + stds.square().mean(dim=1)).sqrt())
