"""What our own codecs share: a variational bottleneck of 64 channels at 43.07 Hz with residual codes beside it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor, nn

from foleycli.codecs.dac_import import building, dac_blocks
from foleycli.weights.folder import read_config


@dataclass(frozen=True)
class Posterior:
    """What an encoder says of the latents: mean and standard deviation, both [B, D, L]."""

    mean: Tensor
    std: Tensor

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        noise = torch.randn(self.mean.shape, generator=generator, dtype=self.mean.dtype)
        return self.mean + self.std * noise.to(self.mean.device)

    def kl(self) -> Tensor:
        """Mean divergence from the standard normal, per latent number."""
        return 0.5 * (self.mean**2 + self.std**2 - 2 * self.std.log() - 1).mean()


class VaeCodec(nn.Module):
    """Latents (and residual codes) to and from mono sound.

    A codec of this kind says how it gets from sound to raw latents (`posterior`) and back (`synthesise`),
    and how many latent steps away a decoded step can hear (`context_steps`).
    """

    rate_hz: int
    hop: int
    context_steps: int  # the overlap of chunked decoding

    @building()
    def __init__(self, latent_dim: int, n_codebooks: int, codebook_size: int, codebook_dim: int) -> None:
        super().__init__()
        self.latent_dim, self.n_codebooks = latent_dim, n_codebooks
        self.quantizer = dac_blocks().ResidualVectorQuantize(latent_dim, n_codebooks, codebook_size, codebook_dim)
        # Latents leave normalised per channel by the training set's mean and deviation (papers.md 1.1).
        self.register_buffer("latent_mean", torch.zeros(latent_dim))
        self.register_buffer("latent_std", torch.ones(latent_dim))

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

        `start_step` is the place of the first step on the whole track: the noise is fixed to the
        track, so that decoding in overlapping chunks gives the same sound as decoding at once.
        """
        return self.synthesise(self.denormalise(latents), start_step * self.hop)

    def encode_codes(self, samples: Tensor) -> Tensor:
        """Sound [B, N] to residual codes int64 [B, L, K]."""
        return self.codes_of(self.posterior(samples).mean)

    def codes_of(self, raw: Tensor) -> Tensor:
        """Raw latents [B, D, L] to residual codes int64 [B, L, K]."""
        return self.quantizer(raw)[1].transpose(1, 2)

    def codes_to_latents(self, codes: Tensor) -> Tensor:
        """Codes [B, L, K] (all levels or the first few) to normalised latents [B, L, D]."""
        return self.normalise(self.quantizer.from_codes(codes.transpose(1, 2))[0])

    def normalise(self, raw: Tensor) -> Tensor:
        return ((raw - self.latent_mean[:, None]) / self.latent_std[:, None]).transpose(1, 2)  # [B, L, D]

    def denormalise(self, latents: Tensor) -> Tensor:
        return latents.transpose(1, 2) * self.latent_std[:, None] + self.latent_mean[:, None]  # [B, D, L]


def fuse_weight_norm(codec: VaeCodec) -> None:
    """Weight norm is for training; fused weights are faster."""
    for module in codec.modules():
        if hasattr(module, "weight_g"):
            nn.utils.remove_weight_norm(module)


def load(folder: Path, device: torch.device) -> VaeCodec:
    """One of our own codecs from its weights folder, ready to decode, in float32."""
    from foleycli.codecs import dacvae, melvae

    kind = read_config(folder).get("class", "dac-vae")
    return (melvae if kind == "mel-vae" else dacvae).load(folder, device)


@torch.no_grad()
def measure_latents(codec: VaeCodec, crops: list[Tensor]) -> None:
    """Set mean and deviation of every latent channel from crops of training sound, each [N] (papers.md 1.1).

    The deviation is that of the whole posterior.  A channel that says little has a narrow mean and a
    wide posterior: it stays narrow, so that no generator is taught its last bit of nothing.
    """
    posteriors = [codec.posterior(crop[None].to(codec.latent_mean.device)) for crop in crops]
    means = torch.cat([posterior.mean for posterior in posteriors], dim=2)[0]  # [D, L]
    spreads = torch.cat([posterior.std for posterior in posteriors], dim=2)[0]
    codec.latent_mean.copy_(means.mean(dim=1))
    codec.latent_std.copy_((means.var(dim=1) + spreads.square().mean(dim=1)).sqrt())
