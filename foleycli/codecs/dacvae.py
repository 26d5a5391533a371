"""A waveform codec: DAC's encoder, decoder and residual quantiser at laptop size, 44.1 kHz, hop 1024.

    sound -> 8 sub-bands -> DAC encoder -> mean, scale -> latents [L, 64] -> DAC decoder -> sub-bands -> sound
                                                             |-> residual codes        |-> filtered noise -^

Three things are added to DAC (Kumar et al., arXiv 2306.06546), so that a short training goes far.  The
networks work on eight sub-bands at 5.5 kHz, which makes them about six times faster.  The encoder sees
the bands companded and a mel spectrogram as well, and the decoder says how loud each band is, so that a
whisper after a bang costs no precision.  And two heads shape white noise (after DDSP: Engel et al.,
arXiv 2001.04643), one with short frames for hits and one with long frames for what rings, because much
of Foley is noise, whose phases no latent could carry.  The bottleneck is a VAE with 64 channels at
43.07 Hz, SALSA-V's geometry.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.codecs.dac_import import building, dac_blocks
from foleycli.codecs.vae import Posterior, VaeCodec, fuse_weight_norm
from foleycli.dsp.filterbank import PseudoQMF
from foleycli.dsp.griffin_lim import NOISE_PERIOD, fixed_noise
from foleycli.dsp.mel import log_mel, mel_filters
from foleycli.timebase import exact_div
from foleycli.weights.folder import load_weights, read_config

HEAD_HOP = 64  # samples per frame of the level and the short noise head: 1.5 ms, so that a hit starts sharply
LONG_HOP, LONG_FRAME = 512, 2048  # of the long noise head: 21 Hz apart, so that a ring has a pitch
MEL_HOP, N_MELS = 256, 80  # of the encoder's spectrogram


@dataclass(frozen=True)
class DacVaeConfig:
    """The shape of the networks."""

    rate_hz: int = 44100
    n_bands: int = 8
    encoder_dim: int = 48
    encoder_strides: tuple[int, ...] = (8, 4, 4)
    decoder_dim: int = 512
    decoder_rates: tuple[int, ...] = (4, 4, 8)
    latent_dim: int = 64
    n_codebooks: int = 9
    codebook_size: int = 1024
    codebook_dim: int = 8

    @property
    def hop(self) -> int:
        return self.n_bands * math.prod(self.encoder_strides)

    def to_dict(self) -> dict:
        return asdict(self)

    @staticmethod
    def from_dict(values: dict) -> DacVaeConfig:
        return DacVaeConfig(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})


class DacVae(VaeCodec):
    """Latents (and residual codes) to and from mono sound, over waveforms."""

    @building()
    def __init__(self, config: DacVaeConfig) -> None:
        super().__init__(config.latent_dim, config.n_codebooks, config.codebook_size, config.codebook_dim)
        blocks = dac_blocks()
        self.config = config
        self.rate_hz, self.hop = config.rate_hz, config.hop
        self.bands = PseudoQMF(config.n_bands)
        self.encoder = blocks.Encoder(config.encoder_dim, list(config.encoder_strides), 2 * config.latent_dim)
        self.encoder.block[0] = blocks.WNConv1d(2 * config.n_bands, config.encoder_dim, kernel_size=7, padding=3)
        self.decoder = blocks.Decoder(
            config.latent_dim, config.decoder_dim, list(config.decoder_rates), d_out=config.n_bands
        )
        self.mel = MelBranch(config)
        self.level = LevelHead(config)
        self.short_noise = ShortNoise(config)
        self.long_noise = LongNoise(config)

    @property
    def context_steps(self) -> int:
        """Latent steps on either side that a decoded step can hear: the overlap of chunked decoding."""
        return 20

    def posterior(self, samples: Tensor) -> Posterior:
        """Sound [B, N] to the distribution of raw latents; the end is filled with silence."""
        padded = F.pad(samples, (0, -samples.shape[-1] % self.hop))[:, None]  # [B, 1, L * hop]
        bands = self.bands.split(padded)  # [B, bands, N / bands]
        both = torch.cat([bands, companded(bands)], dim=1)
        mean, raw_std = (self.encoder(both) + self.mel(padded[:, 0])).float().chunk(2, dim=1)  # [B, D, L] each
        return Posterior(mean, F.softplus(raw_std) + 1e-3)

    def synthesise(self, raw: Tensor, start_sample: int = 0) -> Tensor:
        """Raw latents [B, D, L] to sound [B, L * hop]."""
        *stages, snake, last, tanh = self.decoder.model
        x, hidden = raw, {}  # the decoder's stages by samples per step
        for stage in stages:
            x = stage(x)
            hidden[self.hop * raw.shape[-1] // x.shape[-1]] = x
        bands = tanh(last(snake(x))).float() * self.level(hidden[HEAD_HOP])  # [B, bands, N / bands]
        shaped = self.short_noise(hidden[HEAD_HOP], start_sample)
        shaped = shaped + self.long_noise(hidden[LONG_HOP // 2], start_sample)
        return self.bands.join(bands).squeeze(1) + shaped


def companded(bands: Tensor) -> Tensor:
    """Mu-law: -60 dB stands at a seventh of full scale instead of a thousandth."""
    return bands.sign() * torch.log1p(1000 * bands.abs()) / math.log1p(1000)


def bounded_exp(x: Tensor) -> Tensor:
    """exp(x) that bends off smoothly at e^-12 and e^4: no level can run away, none can get stuck."""
    return torch.exp(8 * torch.tanh((x + 4) / 8) - 4)


def stage_width(config: DacVaeConfig, hop: int) -> int:
    """Channels of the decoder's stage with so many samples per step."""
    stage_hop = config.hop
    for n_stages, factor in enumerate(config.decoder_rates):
        if stage_hop == hop:
            return config.decoder_dim // 2**n_stages
        stage_hop = exact_div(stage_hop, factor)
    raise ValueError(f"no decoder stage has a hop of {hop} samples: {config.decoder_rates}")


class MelBranch(nn.Module):
    """Sound [B, N] to a part of what the encoder says, [B, 2 * D, L]: its spectrogram, summed up by two layers."""

    def __init__(self, config: DacVaeConfig, width: int = 256) -> None:
        super().__init__()
        self.rate_hz = config.rate_hz
        factor = exact_div(config.hop, MEL_HOP)
        self.layers = nn.Sequential(
            nn.Conv1d(N_MELS, width, kernel_size=3, padding=1),
            nn.GELU(),
            nn.Conv1d(width, width, kernel_size=2 * factor, stride=factor, padding=factor // 2),
            nn.GELU(),
            nn.Conv1d(width, 2 * config.latent_dim, kernel_size=3, padding=1),
        )
        nn.init.zeros_(self.layers[-1].weight)

    def forward(self, samples: Tensor) -> Tensor:
        mel = log_mel(samples, self.rate_hz, 4 * MEL_HOP, MEL_HOP, N_MELS)[..., :-1]  # [B, mels, N / MEL_HOP]
        return self.layers((mel + 3.5) / 1.5)


class LevelHead(nn.Module):
    """Hidden frames to the level of each band, in the log domain, smooth between frames."""

    def __init__(self, config: DacVaeConfig) -> None:
        super().__init__()
        self.factor = exact_div(HEAD_HOP, config.n_bands)
        self.to_levels = nn.Conv1d(stage_width(config, HEAD_HOP), config.n_bands, kernel_size=3, padding=1)
        nn.init.constant_(self.to_levels.bias, -3.0)

    def forward(self, hidden: Tensor) -> Tensor:
        """[B, D, frames] to gains [B, bands, frames * HEAD_HOP / bands]."""
        levels = self.to_levels(hidden).float()
        levels = F.interpolate(levels, scale_factor=self.factor, mode="linear", align_corners=False)
        return bounded_exp(levels)


class Noise(nn.Module):
    """White noise fixed to the track, in frames whose spectra are multiplied by gains."""

    def __init__(self, frame: int, hop: int) -> None:
        super().__init__()
        self.frame, self.hop = frame, hop
        self.register_buffer("table", fixed_noise(torch.device("cpu")), persistent=False)
        # Applied before and after shaping: the squares of overlapping frames add up to one.
        window = torch.sin(math.pi * (torch.arange(frame) + 0.5) / frame) * (2 * hop / frame) ** 0.5
        self.register_buffer("window", window, persistent=False)

    def shaped(self, gains: Tensor, start_sample: int) -> Tensor:
        """Gains [B, frame / 2 + 1, F] of frames around the middles of F hops, to sound [B, F * hop]."""
        n_frames, before = gains.shape[-1], (self.frame - self.hop) // 2
        index = torch.arange(-before, n_frames * self.hop + before, device=gains.device) + start_sample
        frames = self.table[index % NOISE_PERIOD].unfold(0, self.frame, self.hop)  # [F, frame]
        spectrum = torch.fft.rfft(frames * self.window)  # [F, bins]
        made = torch.fft.irfft(spectrum.T[None] * gains, dim=1) * self.window[:, None]  # [B, frame, F]
        size = (1, n_frames * self.hop + 2 * before)
        summed = F.fold(made, size, (1, self.frame), stride=(1, self.hop))[:, 0, 0]
        return summed[:, before : before + n_frames * self.hop]


class ShortNoise(nn.Module):
    """Frames of 3 ms: the noise of hits."""

    def __init__(self, config: DacVaeConfig) -> None:
        super().__init__()
        self.to_gains = nn.Conv1d(stage_width(config, HEAD_HOP), HEAD_HOP + 1, kernel_size=3, padding=1)
        nn.init.constant_(self.to_gains.bias, -5.0)  # begin quietly
        self.noise = Noise(2 * HEAD_HOP, HEAD_HOP)

    def forward(self, hidden: Tensor, start_sample: int) -> Tensor:
        """The decoder's stage [B, D, N / HEAD_HOP] to sound [B, N]."""
        return self.noise.shaped(bounded_exp(self.to_gains(hidden).float()), start_sample)


class LongNoise(nn.Module):
    """Frames of 46 ms on a mel scale: what rings, hums and hisses."""

    def __init__(self, config: DacVaeConfig, n_bands: int = 256) -> None:
        super().__init__()
        width = stage_width(config, LONG_HOP // 2)
        self.layers = nn.Sequential(
            nn.Conv1d(width, width, kernel_size=4, stride=2, padding=1),
            nn.GELU(),
            nn.Conv1d(width, n_bands, kernel_size=3, padding=1),
        )
        nn.init.constant_(self.layers[-1].bias, -7.0)
        self.noise = Noise(LONG_FRAME, LONG_HOP)
        # Between the bands' centres gains are interpolated, in the log domain.
        spread = mel_filters(config.rate_hz, LONG_FRAME, n_bands, torch.device("cpu")).T.clone()  # [bins, bands]
        spread[0, 0] = spread[-1, -1] = 1.0  # the outermost bins lie on the edge of all triangles
        self.register_buffer("spread", spread / spread.sum(dim=1, keepdim=True), persistent=False)

    def forward(self, hidden: Tensor, start_sample: int) -> Tensor:
        """The decoder's stage [B, D, 2 * N / LONG_HOP] to sound [B, N]."""
        levels = self.layers(hidden).float()  # [B, bands, N / LONG_HOP]
        return self.noise.shaped(bounded_exp(self.spread @ levels), start_sample)


def load(folder: Path, device: torch.device) -> DacVae:
    """A codec from its weights folder, in float32, ready to decode."""
    codec = DacVae(DacVaeConfig.from_dict(read_config(folder)["network"]))
    load_weights(codec, folder)
    fuse_weight_norm(codec)
    return codec.eval().requires_grad_(False).to(device)
