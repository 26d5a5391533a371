"""MMAudio's codec (Cheng et al., arXiv 2412.15322): sound -> log-mel -> VAE latents -> log-mel -> BigVGAN -> sound.

Latents are the VAE's own: each flow network carries the mean and deviation that it normalises them with.
Everything runs in float32; the networks are small beside the flow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.codecs.mmaudio.mel import MEL_16K, MEL_44K, LogMel, MelConfig
from foleycli.codecs.mmaudio.vae import VAE_16K, VAE_44K, Vae, VaeConfig, normalise_weights
from foleycli.codecs.mmaudio.vocoder import BIGVGAN_16K, BIGVGAN_44K, BigVGAN, BigVGANConfig
from foleycli.errors import FoleyError
from foleycli.nn.weight_norm import fold_weight_norm
from foleycli.settings.checking import short_repr
from foleycli.timebase import exact_div
from foleycli.weights.checkpoint import load_strict
from foleycli.weights.config import read_config

NETWORKS: dict[str, tuple[MelConfig, VaeConfig, BigVGANConfig]] = {
    "16k": (MEL_16K, VAE_16K, BIGVGAN_16K),
    "44k": (MEL_44K, VAE_44K, BIGVGAN_44K),
}
PIECE_STEPS = 345  # encoded at once: 8 s, as the autoencoder was trained, in memory that does not grow


class MMAudioCodec(nn.Module):
    """A `codecs.base.Codec` without residual codes."""

    context_steps = 32  # that a decoded step depends on through the convolutions of VAE and vocoder
    blend_steps = 8  # the VAE's attention reads all that is decoded at once, so that pieces differ a little

    def __init__(self, mel: LogMel, vae: Vae, vocoder: BigVGAN) -> None:
        super().__init__()
        self.mel, self.vae, self.vocoder = mel, vae, vocoder
        self.rate_hz = mel.config.rate_hz
        self.hop = 2 * exact_div(mel.config.hop, vocoder.config.hop) * vocoder.config.hop
        self.latent_dim = vae.config.latent_dim
        self._read: Callable[[], tuple[Vae, BigVGAN]] | None = None  # what was set aside
        self._reader: Callable[[], tuple[Vae, BigVGAN]] | None = None  # after something was encoded
        self.register_state_dict_pre_hook(lambda *_: self.read_weights())

    def set_aside(self, read: Callable[[], tuple[Vae, BigVGAN]]) -> None:
        """Let the memory of both networks go; `read` gives them again when they are first needed.

        On a CPU they would lie beside the flow network, which leaves memory before sounds are decoded.
        """
        self._read = self._reader = read
        self.vae, self.vocoder = self.vae.to("meta"), self.vocoder.to("meta")

    def read_weights(self) -> None:
        """Have both networks in memory, if they were set aside."""
        if self._read is not None:
            read, self._read = self._read, None
            self.vae, self.vocoder = read()

    @property
    def latent_rate_hz(self) -> Fraction:
        return Fraction(self.rate_hz, self.hop)

    def encode(self, samples: Tensor) -> Tensor:
        """Sound [B, N] to the posterior's mean [B, L, D], L = ceil(N / hop); the end is filled with silence."""
        self.read_weights()
        padded = F.pad(samples.float(), (0, -samples.shape[-1] % self.hop))  # [B, L * hop]
        n_steps = padded.shape[-1] // self.hop
        pieces = []
        for start in range(0, n_steps, PIECE_STEPS):
            end = min(start + PIECE_STEPS, n_steps)
            first, last = max(0, start - self.context_steps), min(n_steps, end + self.context_steps)
            mean, _ = self.vae.encode(self.mel(padded[:, first * self.hop : last * self.hop]))  # [B, D, l]
            pieces.append(mean[..., start - first : end - first])
        if self._reader is not None:
            self.set_aside(self._reader)  # a reference was encoded: the sampler comes next
        return torch.cat(pieces, dim=-1).transpose(1, 2)

    def decode(self, latents: Tensor, start_step: int = 0) -> Tensor:
        """Latents [B, L, D] to sound [B, L * hop]; their place on the track makes no difference here."""
        self.read_weights()
        return self.vocoder(self.vae.decode(latents.float().transpose(1, 2)))


def load(folder: Path, device: torch.device, with_codes: bool = False) -> MMAudioCodec:
    """A codec from its folder: config.json names the size and the two published files.

    On a CPU both are read for errors, and once more when the first sound is encoded or decoded.
    Errors: FoleyError for a size that is not known, files of something else, and when codes are requested.
    """
    if with_codes:
        raise FoleyError(f"{folder} is MMAudio's codec, which has no residual codes", "Choose another codec")
    config = read_config(folder)
    if not isinstance(config.network, str) or config.network not in NETWORKS:
        raise FoleyError(
            f"{folder}/config.json names no MMAudio codec: network is {short_repr(config.network)}",
            f"Known: {', '.join(NETWORKS)}; get the model folder again",
        )
    mel_config, vae_config, vocoder_config = NETWORKS[config.network]
    vae_config = replace(vae_config, width=config.vae_width or vae_config.width)
    vocoder_config = replace(vocoder_config, width=config.vocoder_width or vocoder_config.width)
    vae_path, vocoder_path = folder / config.vae, folder / config.vocoder

    def read() -> tuple[Vae, BigVGAN]:
        vae = load_strict(lambda: Vae(vae_config), vae_path, select=normalise_weights)
        vocoder = load_strict(lambda: BigVGAN(vocoder_config), vocoder_path, select=fold_weight_norm)
        return vae.eval().requires_grad_(False), vocoder.eval().requires_grad_(False)

    codec = MMAudioCodec(LogMel(mel_config), *read()).to(device, torch.float32).eval()
    if device.type == "cpu":
        codec.set_aside(read)
    return codec
