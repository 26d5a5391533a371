"""The shipped codec: a variational bottleneck over mel spectrograms, 44.1 kHz, hop 1024.

    sound -> log-mels, 4 frames a step -> convolutions -> mean, scale -> latents [L, 64] -> convolutions
                                                             |-> residual codes        -> log-mels -> spectra
                                                                                       -> phases -> sound

Latents of SALSA-V's geometry (64 channels at 43.07 Hz) and DAC's residual codes, without a network that makes waves.
On a CPU a waveform codec (`dacvae`) needs days to carry what tells one sound from another; a spectrogram holds
nearly all of it from the start.  100 bands every 6 ms, played with the phases that Griffin-Lim finds, are named by a
sound-effect network about as often as the recordings themselves.  What is lost is the fine structure within a band.

Two things are mended that such a way does to a sound: its levels (`levels`, while encoding), and the spikes that
phases make (`spikes`, after decoding).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.codecs.vae import Posterior, VaeCodec, fuse_weight_norm
from foleycli.dsp.clicks import apply_edge_fades, context_samples, suppress_clicks
from foleycli.dsp.griffin_lim import context_frames, griffin_lim, invert_mel
from foleycli.dsp.mel import log_mel, mel_filters
from foleycli.dsp.subband_levels import level_correction, part_powers, parts_of_bands
from foleycli.timebase import exact_div
from foleycli.weights.folder import load_weights, read_config

LEVEL_MEAN, LEVEL_SPREAD = -3.0, 1.5  # of log10 mels: brings them to about -1..2
FLOOR = 1e-5  # magnitudes under it are silence
SILENCE = math.log10(FLOOR)
LEVEL_ROUNDS = 3
LONG_STEPS = 1292  # 30 s: a longer take is decoded but once for its levels, which is nearly as good
PIECE_STEPS = 430  # 10 s that are decoded at once


@dataclass(frozen=True)
class MelVaeConfig:
    """The shape of spectrogram and networks."""

    rate_hz: int = 44100
    n_fft: int = 1024
    mel_hop: int = 256
    n_mels: int = 100
    hop: int = 1024
    width: int = 384
    n_encoder: int = 3
    n_decoder: int = 4
    kernel_steps: int = 7
    latent_dim: int = 64
    n_codebooks: int = 9
    codebook_size: int = 1024
    codebook_dim: int = 8
    phase_rounds: int = 16

    @property
    def frames_per_step(self) -> int:
        return exact_div(self.hop, self.mel_hop)

    def to_dict(self) -> dict:
        return asdict(self)

    @staticmethod
    def from_dict(values: dict) -> MelVaeConfig:
        return MelVaeConfig(**values)


class MelVae(VaeCodec):
    """Latents (and residual codes) to and from mono sound, over mel spectrograms."""

    def __init__(self, config: MelVaeConfig) -> None:
        super().__init__(config.latent_dim, config.n_codebooks, config.codebook_size, config.codebook_dim)
        self.config = config
        self.rate_hz, self.hop = config.rate_hz, config.hop
        folded, width = config.n_mels * config.frames_per_step, config.width
        self.encoder = nn.Sequential(
            nn.Conv1d(folded, width, kernel_size=3, padding=1),
            *(StepBlock(width, config.kernel_steps) for _ in range(config.n_encoder)),
            nn.Conv1d(width, 2 * config.latent_dim, kernel_size=1),
        )
        self.decoder = nn.Sequential(
            nn.Conv1d(config.latent_dim, width, kernel_size=3, padding=1),
            *(StepBlock(width, config.kernel_steps) for _ in range(config.n_decoder)),
            nn.Conv1d(width, folded, kernel_size=1),
        )
        # What smooth spectra lack in power against real ones, measured after training.
        self.register_buffer("output_gain", torch.ones(()))

    @property
    def context_steps(self) -> int:
        """Latent steps on either side that a decoded step can hear: the decoder's, the phases', a spike's sides."""
        config = self.config
        heard = context_frames(config.n_fft, config.mel_hop, config.phase_rounds)
        steps = -(-heard // config.frames_per_step) + -(-context_samples(config.rate_hz) // config.hop)
        return 1 + config.n_decoder * (config.kernel_steps // 2) + steps

    def encode(self, samples: Tensor) -> Tensor:
        """Sound [B, N] to normalised latents [B, L, D] of which comes what is as loud; see `_levelled`."""
        return self.normalise(self._levelled(samples))

    def encode_codes(self, samples: Tensor) -> Tensor:
        """Sound [B, N] to residual codes int64 [B, L, K], nearly as loud.

        Levels are compared before the codes: they jump from code to code, and what is made up for them spoils more.
        """
        return self.codes_of(self._levelled(samples))

    def _levelled(self, samples: Tensor) -> Tensor:
        """Raw latents [B, D, L] of a sound made as much louder as it comes back quieter, or the other way round.

        Mels, bottleneck and phases each move levels, by 5 dB and more in an odd sound.  How much is heard by
        going the way there and back (analysis by synthesis, as speech codecs do).
        """
        samples = F.pad(samples, (0, -samples.shape[-1] % self.hop))
        mels = self.log_mels(samples)
        is_sound = mels > SILENCE + 1e-3
        filters = mel_filters(self.rate_hz, self.config.n_fft, self.config.n_mels, mels.device)
        part_of_band = parts_of_bands(filters, self.rate_hz)  # [mels]
        for _ in range(LEVEL_ROUNDS if samples.shape[1] <= LONG_STEPS * self.hop else 1):
            change = self._level_change(samples, self.posterior_of(mels).mean)  # [B, parts, frames]
            mels = torch.where(is_sound, mels + change[:, part_of_band], mels).clamp_min(SILENCE)
        return self.posterior_of(mels).mean

    def _level_change(self, samples: Tensor, raw: Tensor) -> Tensor:
        """log10 of the amplitude by which what raw latents sound like misses the sound, slowly: [B, parts, frames].

        In pieces: a sound is decoded for it, and a take is long.
        """
        margin, hop, powers = self.context_steps, self.hop, []
        for start in range(0, raw.shape[2], PIECE_STEPS):
            first, end = max(0, start - margin), min(raw.shape[2], start + PIECE_STEPS)
            made = self.synthesise(raw[..., first : end + margin], first * hop)
            both = torch.stack([samples[:, first * hop :][:, : made.shape[1]], made])  # [2, B, n]
            own = slice((start - first) * hop, (end - first) * hop)
            powers.append(part_powers(both, self.rate_hz, self.config.mel_hop, own))
        return level_correction(*torch.cat(powers, dim=-1))

    def log_mels(self, samples: Tensor) -> Tensor:
        """Sound [B, N], N a multiple of the hop, to log10 mels [B, mels, N / mel_hop]."""
        config = self.config
        return log_mel(samples, config.rate_hz, config.n_fft, config.mel_hop, config.n_mels, FLOOR)[..., :-1]

    def posterior(self, samples: Tensor) -> Posterior:
        """Sound [B, N] to the distribution of raw latents; the end is filled with silence."""
        return self.posterior_of(self.log_mels(F.pad(samples, (0, -samples.shape[-1] % self.hop))))

    def posterior_of(self, log_mels: Tensor) -> Posterior:
        """Log10 mels [B, mels, frames] to the distribution of raw latents."""
        per_step = self.config.frames_per_step
        folded = scaled(log_mels).unflatten(2, (-1, per_step)).transpose(2, 3).flatten(1, 2)  # [B, mels * per_step, L]
        mean, raw_std = self.encoder(folded).float().chunk(2, dim=1)  # [B, D, L] each
        return Posterior(mean, F.softplus(raw_std) + 1e-3)

    def mels_of(self, raw: Tensor) -> Tensor:
        """Raw latents [B, D, L] to log10 mels [B, mels, L * frames per step]."""
        config = self.config
        folded = self.decoder(raw).float().unflatten(1, (config.n_mels, config.frames_per_step))
        return folded.transpose(2, 3).flatten(2) * LEVEL_SPREAD + LEVEL_MEAN

    def synthesise(self, raw: Tensor, start_sample: int = 0) -> Tensor:
        """Raw latents [B, D, L] to sound [B, L * hop]."""
        config = self.config
        mels = 10 ** self.mels_of(raw).clamp(max=1.0)
        mels = torch.where(mels > 1.5 * FLOOR, mels, 0.0)  # at the floor there was silence
        spectra = invert_mel(mels, config.rate_hz, config.n_fft)
        sound = griffin_lim(spectra, config.n_fft, config.mel_hop, start_sample, config.phase_rounds) * self.output_gain
        return suppress_clicks(apply_edge_fades(sound, config.rate_hz), config.rate_hz)


def scaled(log_mels: Tensor) -> Tensor:
    """Log10 mels in the range in which networks see them."""
    return (log_mels - LEVEL_MEAN) / LEVEL_SPREAD


class StepBlock(nn.Module):
    """Over time channel by channel, then over channels step by step, residual (ConvNeXt: arXiv 2201.03545)."""

    def __init__(self, width: int, kernel_steps: int) -> None:
        super().__init__()
        self.over_time = nn.Conv1d(width, width, kernel_steps, padding=kernel_steps // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.over_channels = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """[B, D, L] to the same shape."""
        y = self.over_channels(self.norm(self.over_time(x).transpose(1, 2)))
        return x + y.transpose(1, 2)


def load(folder: Path, device: torch.device) -> MelVae:
    """A codec from its weights folder, in float32, ready to decode."""
    codec = MelVae(MelVaeConfig.from_dict(read_config(folder)["network"]))
    load_weights(codec, folder)
    fuse_weight_norm(codec)
    return codec.eval().requires_grad_(False).to(device)
