"""Trains the spectrogram codec (`codecs.melvae`): log-mels of recorded sounds through the bottleneck and back.

No sound is decoded in training, only spectrograms, so that a step costs a hundredth of a waveform codec's.  The loss
is the L1 distance of log-mels, and that of their power summed over patches: the median of many likely spectra, which
L1 alone learns, is quieter than any of them, and the mean of a band's magnitudes hides its peaks.  A discriminator
(`training.discriminator`) can join: it asks for the grain that real spectra have and a median has not.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from foleycli.codecs.melvae import FLOOR, LOG_FLOOR, MelVae, MelVaeConfig, normalise_mels
from foleycli.codecs.vae import set_latent_statistics
from foleycli.dsp.mel import mel_spectrogram
from foleycli.hub.resolve import resolve
from foleycli.soundset.sounds import Sound, random_crop
from foleycli.training.codec_sounds import open_sounds
from foleycli.training.discriminator import AdversarialTrainer, MelDiscriminator
from foleycli.training.loop import device_of
from foleycli.training.pool import Pool
from foleycli.training.recipe import Recipe, from_dict
from foleycli.weights.checkpoint import load_into
from foleycli.weights.config import WEIGHTS_NAME, ModelConfig
from foleycli.weights.folder import save

if TYPE_CHECKING:
    from typing_extensions import Self

PATCHES = ((10, 1), (1, 4), (5, 4), (20, 8))  # (mels, frames) over which power is summed
GAINS = (-0.6, 0.3)  # of a crop, log10, drawn anew each time it is used
VALIDATION_CROPS = 32
GAIN_S = 4  # of a sound whose level is measured
QUIET_POWER = 1e-8  # -80 dB: below, levels are not compared


@dataclass(frozen=True)
class MelCodecData:
    """The `data` part of the recipe."""

    sounds: str = ""  # a folder of labelled sounds
    shards: str = ""  # a data set of `foley data prepare`, in place of the folder
    kept: str = ""  # the list of `foley data curate`: the examples of it that are used; "" uses all
    crop_steps: int = 64  # latent steps per crop
    pool: int = 6000  # the latest crops are drawn from
    first: int = 512  # crops that the first step waits for
    fresh_per_step: int = 4


@dataclass(frozen=True)
class MelCodecObjective:
    """Weights of the losses, and the discriminator."""

    power: float = 0.5  # weight of the patches' power
    kl: float = 0.001
    codebook: float = 0.05
    commitment: float = 0.0125
    adversarial: float = 0.0  # 0: no discriminator
    feature: float = 0.15
    discriminator_width: int = 24
    discriminator_lr: float = 3e-4
    frozen_encoder: bool = False  # train the decoder alone: what was trained on the latents stays valid


class MelCodecTask:
    """Meets `training.loop.Task` for the spectrogram codec."""

    def __init__(self, recipe: Recipe) -> None:
        self._describe(recipe)
        if recipe.init_from:
            load_into(self.network, resolve(recipe.init_from) / WEIGHTS_NAME)
        if self.weights.frozen_encoder:
            self.network.encoder.requires_grad_(False)
            self.network.quantizer.requires_grad_(False)
        self.sounds = open_sounds(self.data.sounds, self.data.shards, self.data.kept, recipe)

    def _describe(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.data = from_dict(MelCodecData, recipe.data, "recipe, data")
        self.weights = from_dict(MelCodecObjective, recipe.objective, "recipe, objective")
        self.network = MelVae(from_dict(MelVaeConfig, recipe.network, "recipe, network"))
        self.adversary = AdversarialTrainer(
            [MelDiscriminator(self.weights.discriminator_width)], self.weights.discriminator_lr
        )

    @classmethod
    def without_data(cls, recipe: Recipe) -> Self:
        """The network and its loss alone, for a plan; without the discriminator, which trains apart."""
        task = cls.__new__(cls)
        with torch.device("cpu"):  # some of its parts are computed
            task._describe(replace(recipe, objective={**recipe.objective, "adversarial": 0.0}))
        return task

    def blank_batch(self, n_rows: int) -> Tensor:
        """Spectrograms of nothing [B, 2, mels, frames]."""
        c = self.network.config
        return torch.full((n_rows, 2, c.n_mels, self.n_samples // c.mel_hop), LOG_FLOOR + 1.0, device="cpu")

    def batches(self, first_step: int, rank: int, world_size: int) -> Iterator[Tensor]:
        """Log-mels [B, 2, mels, frames] of crops (see `log_mels`), from a pool that grows, then is refreshed."""
        data, step = self.data, first_step
        n_taken = data.first + step * data.fresh_per_step
        pool = Pool.after(partial(self._crops, rank=rank, n_ranks=world_size), data.pool, n_taken)
        while True:
            rng = np.random.default_rng((self.recipe.seed, step, rank, 1))
            drawn = torch.stack(pool.draw(self.recipe.batch_size, rng)).float()
            gains = torch.from_numpy(rng.uniform(*GAINS, (self.recipe.batch_size, 1, 1, 1))).float()
            yield torch.where(drawn > LOG_FLOOR, drawn + gains, drawn).clamp_min(LOG_FLOOR)
            pool.take(data.fresh_per_step)
            step += 1

    def _crops(self, first: int, rank: int, n_ranks: int) -> Iterator[Tensor]:
        """Crops from number `first` on; halves, since many are kept."""
        for number, sounds in enumerate(self.sounds.choices(first, rank, n_ranks), first):
            rng = np.random.default_rng((self.recipe.seed, number, rank, 2))
            yield self.log_mels(random_crop(sounds, self.n_samples, rng)).half()

    @property
    def n_samples(self) -> int:
        return self.data.crop_steps * self.network.hop

    @torch.no_grad()
    def log_mels(self, samples: np.ndarray) -> Tensor:
        """Sound [N] to log-mels [2, mels, frames]: of the bands' mean magnitudes, and of their RMS."""
        c = self.network.config
        whole = torch.from_numpy(samples)[None]
        rms = mel_spectrogram(whole, rate_hz=c.rate_hz, n_fft=c.n_fft, hop=c.mel_hop, n_mels=c.n_mels, is_rms=True)[
            ..., :-1
        ]
        return torch.cat([self.network.log_mels(whole), rms.clamp_min(FLOOR).log10()])

    def loss(self, network: MelVae, average: MelVae, batch: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        w = self.weights
        mels, rms = batch.unbind(dim=1)  # [B, mels, frames] each
        posterior = network.posterior_of_mels(mels)
        quantised, _, _, commitment, codebook = network.quantizer(posterior.mean)
        # Every other crop is decoded from its codes, so that latents and codes share one decoder.
        from_codes = (torch.arange(len(batch), device=batch.device) % 2 == 1)[:, None, None]
        decoded = network.decode_mels(torch.where(from_codes, quantised, posterior.sample()))
        mel, power, kl = F.l1_loss(decoded, mels), power_loss(decoded, rms), posterior.kl()
        total = mel + w.power * power + w.kl * kl + w.codebook * codebook + w.commitment * commitment
        figures = {"mel": mel, "power": power, "kl": kl, "codebook": codebook}
        if w.adversarial > 0:
            adversarial = self.adversary.step(
                normalise_mels(decoded.clamp_min(LOG_FLOOR)), normalise_mels(mels.clamp_min(LOG_FLOOR))
            )
            total = total + w.adversarial * adversarial["adversarial"] + w.feature * adversarial["feature"]
            figures |= adversarial
        return total, figures

    @torch.no_grad()
    def validate(self, average: MelVae) -> dict[str, float]:
        """Distances of the round trip on held-out takes, through latents and through codes, log10."""
        rng = np.random.default_rng(1)
        crops = [self.log_mels(random_crop(self.sounds.held_out, self.n_samples, rng)) for _ in range(VALIDATION_CROPS)]
        real, rms = torch.stack(crops).to(device_of(average)).unbind(dim=1)
        mean = average.posterior_of_mels(real).mean
        figures: dict[str, float] = {}
        for name, raw in {"latents": mean, "codes": average.quantizer(mean)[0]}.items():
            decoded = average.decode_mels(raw)
            figures |= {
                f"mel_{name}": F.l1_loss(decoded, real).item(),
                f"power_{name}": power_loss(decoded, rms).item(),
            }
        return figures

    def state(self) -> dict[str, Any]:
        return self.adversary.state()

    def load_state(self, state: dict[str, Any]) -> None:
        self.adversary.load_state(state)

    def export(self, average: MelVae, folder: Path, history: dict[str, Any]) -> None:
        if not self.weights.frozen_encoder:
            rng = np.random.default_rng(0)
            choices = itertools.islice(self.sounds.choices(0, 0, 1), 128)
            crops = [torch.from_numpy(random_crop(sounds, self.n_samples, rng)) for sounds in choices]
            set_latent_statistics(average, crops)
        measure_gain(average, self.sounds.some())
        config = ModelConfig(
            name=self.recipe.name,
            kind="codec",
            loader_class="mel-vae",
            network=average.config.to_dict(),
            training={**history, **self.validate(average)},
        )
        save(average.state_dict(), folder, config, torch.float16)


@torch.no_grad()
def measure_gain(codec: MelVae, sounds: list[Sound], n: int = 200) -> None:
    """Set the gain after which sounds of the training set come back as loud as they were, in dB on average."""
    codec.output_gain.fill_(1.0)
    changes_db = []
    for sound in sounds[:: max(1, len(sounds) // n)]:
        samples = torch.from_numpy(sound.as_float()[: GAIN_S * codec.rate_hz])[None].to(device_of(codec))
        # Not `encode`, which corrects the level that is measured here.
        decoded = codec.synthesise(codec.posterior(samples).mean)
        powers = [x.square().mean().item() for x in (samples, decoded)]
        if min(powers) > QUIET_POWER:
            changes_db.append(10 * np.log10(powers[1] / powers[0]))
    if changes_db:
        codec.output_gain.fill_(float(10 ** (-np.mean(changes_db) / 20)))


def power_loss(decoded: Tensor, rms: Tensor) -> Tensor:
    """L1 of the log10 power in patches of decoded log-mels and of the real RMS mels, [B, mels, frames]."""
    powers = [(10 ** (2 * mels.clamp(-6.0, 1.5)))[:, None] for mels in (decoded, rms)]
    distances = []
    for patch in PATCHES:
        levels = [F.avg_pool2d(power, patch).clamp_min(FLOOR**2).log10() / 2 for power in powers]
        distances.append(F.l1_loss(levels[0], levels[1]))
    return torch.stack(distances).mean()
