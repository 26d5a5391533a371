"""Trains the waveform codec (`codecs.dacvae`): crops of recorded sounds in, spectral (and adversarial) losses.

Losses after DAC (arXiv 2306.06546, section 3.4): L1 of log-mels at seven resolutions, and, where the
recipe asks for it, a multi-resolution STFT discriminator with feature matching.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from foleycli.codecs.dacvae import DacVae, DacVaeConfig
from foleycli.codecs.vae import set_latent_statistics
from foleycli.device import full_precision
from foleycli.dsp.mel import log_mel, mel_spectrogram
from foleycli.hub.resolve import resolve
from foleycli.soundset.sounds import random_crop
from foleycli.training.codec_sounds import open_sounds
from foleycli.training.discriminator import AdversarialTrainer, STFTDiscriminator
from foleycli.training.loop import device_of
from foleycli.training.recipe import Recipe, from_dict
from foleycli.weights.checkpoint import load_into
from foleycli.weights.config import WEIGHTS_NAME, ModelConfig
from foleycli.weights.folder import save

if TYPE_CHECKING:
    from typing_extensions import Self

SMOOTH_WINDOWS = ((2048, 128), (512, 64), (128, 16))  # (samples, mels)
SMOOTH_FRAMES = 4
PIECE, LAGS = 8192, (128, 256, 512, 1024, 2048)  # of `periodicity_loss`, samples
MEL_WINDOWS = ((2048, 320), (1024, 160), (512, 80), (256, 40), (128, 20), (64, 10), (32, 5))  # (samples, mels)


@dataclass(frozen=True)
class CodecData:
    """The `data` part of the recipe."""

    sounds: str = ""  # a folder of labelled sounds
    shards: str = ""  # a data set of `foley data prepare`, in place of the folder
    kept: str = ""  # the list of `foley data curate`: the examples of it that are used; "" uses all
    crop_steps: int = 32  # latent steps per crop


@dataclass(frozen=True)
class CodecObjective:
    """Weights of the losses, and the discriminator."""

    mel: float = 15.0
    smooth: float = 15.0
    periodicity: float = 0.0  # against a buzz at the latent rate; see `periodicity_loss`
    wave: float = 1.0  # keeps the phase of what the latents can carry: the low end
    kl: float = 0.1
    codebook: float = 1.0
    commitment: float = 0.25
    adversarial: float = 0.0  # 0: no discriminator
    feature: float = 2.0
    discriminator_windows: tuple[int, ...] = (2048, 1024, 512)  # one discriminator each, samples
    discriminator_width: int = 16  # channels: the cost grows with their square
    discriminator_lr: float = 1e-4
    adversarial_from: int = 0  # step at which the discriminator joins
    frozen_encoder: bool = False  # train the decoder alone: what was trained on latents and codes stays valid


class CodecTask:
    """Meets `training.loop.Task` for the waveform codec."""

    def __init__(self, recipe: Recipe) -> None:
        self._describe(recipe)
        if recipe.init_from:
            load_into(self.network, resolve(recipe.init_from) / WEIGHTS_NAME)
        if self.weights.frozen_encoder:
            for part in (self.network.encoder, self.network.mel, self.network.quantizer):
                part.requires_grad_(False)
        self.sounds = open_sounds(self.data.sounds, self.data.shards, self.data.kept, recipe)

    def _describe(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.data = from_dict(CodecData, recipe.data, "recipe, data")
        self.weights = w = from_dict(CodecObjective, recipe.objective, "recipe, objective")
        self.network = DacVae(from_dict(DacVaeConfig, recipe.network, "recipe, network"))
        discriminators = [STFTDiscriminator(window, w.discriminator_width) for window in w.discriminator_windows]
        self.adversary = AdversarialTrainer(discriminators, w.discriminator_lr)

    @classmethod
    def without_data(cls, recipe: Recipe) -> Self:
        """The network and its loss alone, for a plan; without the discriminators, which train apart."""
        task = cls.__new__(cls)
        with torch.device("cpu"):  # some of its parts are computed
            task._describe(replace(recipe, objective={**recipe.objective, "adversarial": 0.0}))
        return task

    def blank_batch(self, n_rows: int) -> Tensor:
        """Noise [B, N]."""
        return 0.1 * torch.randn(n_rows, self.data.crop_steps * self.network.hop, device="cpu")

    def batches(self, first_step: int, rank: int, world_size: int) -> Iterator[Tensor]:
        step, n_rows = first_step, self.recipe.batch_size
        n_samples = self.data.crop_steps * self.network.hop
        choices = self.sounds.choices(first_step * n_rows, rank, world_size)
        while True:
            rng = np.random.default_rng((self.recipe.seed, step, rank))
            crops = [random_crop(sounds, n_samples, rng) for sounds in itertools.islice(choices, n_rows)]
            yield torch.from_numpy(np.stack(crops))  # [B, N]
            step += 1

    def loss(self, network: DacVae, average: DacVae, batch: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        w = self.weights
        posterior = network.posterior(batch)
        quantised, _, _, commitment, codebook = network.quantizer(posterior.mean)
        # Every other crop is decoded from its codes, so that latents and codes share one decoder.
        from_codes = (torch.arange(len(batch), device=batch.device) % 2 == 1)[:, None, None]
        decoded = network.synthesise(torch.where(from_codes, quantised, posterior.sample()))  # [B, N]
        with full_precision(batch.device):
            mel = mel_loss(decoded.float(), batch)
            smooth = smooth_loss(decoded.float(), batch)
            wave = F.l1_loss(decoded.float(), batch)
        total = w.mel * mel + w.smooth * smooth + w.wave * wave + w.kl * posterior.kl()
        total = total + w.codebook * codebook + w.commitment * commitment
        if w.periodicity > 0:
            total = total + w.periodicity * periodicity_loss(decoded.float(), batch)
        figures = {"mel": mel, "smooth": smooth, "wave": wave, "kl": posterior.kl(), "codebook": codebook}
        if w.adversarial > 0 and step >= w.adversarial_from:
            adversarial = self.adversary.step(decoded.float(), batch)
            total = total + w.adversarial * adversarial["adversarial"] + w.feature * adversarial["feature"]
            figures |= adversarial
        return total, figures

    def validate(self, average: DacVae) -> dict[str, float]:
        """Mel distance of the round trip on held-out takes, through latents and through codes."""
        rng = np.random.default_rng(1)
        n_samples = 2 * self.data.crop_steps * average.hop
        crops = torch.from_numpy(np.stack([random_crop(self.sounds.held_out, n_samples, rng) for _ in range(24)]))
        crops = crops.to(device_of(average))
        with torch.no_grad():
            mean = average.posterior(crops).mean
            raws = {"latents": mean, "codes": average.quantizer(mean)[0]}
            return {f"mel_{name}": mel_loss(average.synthesise(raw), crops).item() for name, raw in raws.items()}

    def state(self) -> dict[str, Any]:
        return self.adversary.state()

    def load_state(self, state: dict[str, Any]) -> None:
        self.adversary.load_state(state)

    def export(self, average: DacVae, folder: Path, history: dict[str, Any]) -> None:
        if not self.weights.frozen_encoder:
            rng = np.random.default_rng(0)
            choices = itertools.islice(self.sounds.choices(0, 0, 1), 128)
            crops = [torch.from_numpy(random_crop(sounds, 64 * average.hop, rng)) for sounds in choices]
            set_latent_statistics(average, crops)
        config = ModelConfig(
            name=self.recipe.name,
            kind="codec",
            loader_class="dac-vae",
            network=average.config.to_dict(),
            training=history,
        )
        save(average.state_dict(), folder, config, torch.float16)


def mel_loss(decoded: Tensor, real: Tensor, rate_hz: int = 44100) -> Tensor:
    """L1 of log10 mels, summed over seven window lengths (DAC's settings)."""
    total = decoded.new_zeros(())
    for n_fft, n_mels in MEL_WINDOWS:
        decoded_mel, real_mel = (log_mel(x, rate_hz, n_fft, hop=n_fft // 4, n_mels=n_mels) for x in (decoded, real))
        total = total + F.l1_loss(decoded_mel, real_mel)
    return total


def smooth_loss(decoded: Tensor, real: Tensor, rate_hz: int = 44100) -> Tensor:
    """L1 of log power, averaged over four frames before the logarithm, summed over three resolutions.

    Two noises of the same colour differ by about 5 dB from bin to bin, and would hide from `mel_loss`
    whether their levels agree; their averages do not.
    """
    total = decoded.new_zeros(())
    for n_fft, n_mels in SMOOTH_WINDOWS:
        levels = []
        for samples in (decoded, real):
            power = mel_spectrogram(samples, rate_hz, n_fft, hop=n_fft // 4, n_mels=n_mels).square()
            levels.append(F.avg_pool1d(power, SMOOTH_FRAMES).clamp_min(1e-10).log10() / 2)
        total = total + F.l1_loss(levels[0], levels[1])
    return total


def periodicity_loss(decoded: Tensor, real: Tensor) -> Tensor:
    """How much more the decoded sound repeats itself than the real one, at the lags of the decoder's strides.

    A steady sound has steady latents, from which a decoder is free to make the same frame again and again:
    spectra hardly differ from noise's, ears hear a buzz.  Autocorrelation shows it, over pieces of 0.19 s
    that are louder than -60 dB.
    """
    excess = []
    pieces = [samples.unfold(1, PIECE, PIECE // 2) for samples in (decoded, real)]  # [B, P, PIECE]
    is_loud = pieces[1].square().mean(dim=2) > 1e-6
    for lag in LAGS:
        here, wanted = ((x[..., :-lag] * x[..., lag:]).mean(dim=2) / (x.square().mean(dim=2) + 1e-8) for x in pieces)
        excess.append((F.relu(here.abs() - wanted.abs()) * is_loud).mean())
    return torch.stack(excess).mean()
