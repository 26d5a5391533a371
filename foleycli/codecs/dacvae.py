"""A waveform codec: DAC's encoder, decoder and residual quantiser at laptop size, 44.1 kHz, hop 1024.

    sound -> 8 sub-bands -> DAC encoder -> mean, std -> latents [L, 64] -> DAC decoder -> sub-bands -> sound
                                             |-> residual codes              |-> filtered noise --------^

Three things are added to DAC (Kumar et al., arXiv 2306.06546), so that a short training goes far.  The networks work
on eight sub-bands at 5.5 kHz, which makes them about six times faster.  The encoder gets the bands companded and a mel
spectrogram as well, and the decoder predicts each band's level, so that a whisper after a bang costs no precision.
And two heads shape white noise (after DDSP: Engel et al., arXiv 2001.04643), one with short frames for hits and one
with long frames for what rings, because much of Foley is noise, whose phases no latent could carry.  The bottleneck is
a VAE with 64 channels at 43.07 Hz, SALSA-V's geometry.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.codecs.dac_blocks import dac_blocks, no_weight_norm_warning
from foleycli.codecs.vae import Posterior, VaeCodec, load_vae
from foleycli.dsp.filterbank import PseudoQMF
from foleycli.dsp.griffin_lim import NOISE_PERIOD, fixed_noise
from foleycli.dsp.mel import log_mel, mel_filters
from foleycli.settings.checking import bounded
from foleycli.timebase import exact_div

HEAD_HOP = 64  # samples per frame of the level and the short noise head: 1.5 ms, so that a hit starts sharply
LONG_HOP, LONG_FRAME = 512, 2048  # of the long noise head: bins are 21 Hz apart, so that a ring has a pitch
MEL_HOP, N_MELS = 256, 80  # of the encoder's spectrogram


@dataclass(frozen=True)
class DacVaeConfig:
    """The shape of the networks."""

    rate_hz: int = bounded(8000, 384_000, default=44100)
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

    def to_dict(self) -> dict[str, Any]:
        """Plain values for config.json."""
        return asdict(self)


class DacVae(VaeCodec):
    """A codec over waveforms."""

    @no_weight_norm_warning()
    def __init__(self, config: DacVaeConfig, with_codes: bool = True) -> None:
        super().__init__(
            config.latent_dim,
            n_codebooks=config.n_codebooks,
            codebook_size=config.codebook_size,
            codebook_dim=config.codebook_dim,
            with_codes=with_codes,
        )
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
        """Latent steps to either side that a decoded step depends on."""
        return 20

    def posterior(self, samples: Tensor) -> Posterior:
        """Sound [B, N] to the distribution of raw latents; the end is filled with silence."""
        padded = F.pad(samples, (0, -samples.shape[-1] % self.hop))[:, None]  # [B, 1, L * hop]
        bands = self.bands.split(padded)  # [B, bands, N / bands]
        both = torch.cat([bands, mu_law(bands)], dim=1)
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
        noise = self.short_noise(hidden[HEAD_HOP], start_sample)
        noise = noise + self.long_noise(hidden[LONG_HOP // 2], start_sample)
        return self.bands.join(bands).squeeze(1) + noise


def mu_law(bands: Tensor) -> Tensor:
    """Companding: -60 dB becomes a seventh of full scale instead of a thousandth."""
    return bands.sign() * torch.log1p(1000 * bands.abs()) / math.log1p(1000)


def bounded_exp(x: Tensor) -> Tensor:
    """exp(x) that saturates smoothly at e^-12 and e^4: no level can run away, none can get stuck."""
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
    """Sound [B, N] to what is added to the encoder's output [B, 2 * D, L]: its spectrogram through convolutions."""

    def __init__(self, config: DacVaeConfig, width: int = 256) -> None:
        super().__init__()
        self.rate_hz = config.rate_hz
        factor = exact_div(config.hop, MEL_HOP)
        first = nn.Conv1d(N_MELS, width, kernel_size=3, padding=1)
        middle = nn.Conv1d(width, width, kernel_size=2 * factor, stride=factor, padding=factor // 2)
        last = nn.Conv1d(width, 2 * config.latent_dim, kernel_size=3, padding=1)
        nn.init.zeros_(last.weight)
        self.layers = nn.Sequential(first, nn.GELU(), middle, nn.GELU(), last)

    def forward(self, samples: Tensor) -> Tensor:
        mel = log_mel(samples, self.rate_hz, n_fft=4 * MEL_HOP, hop=MEL_HOP, n_mels=N_MELS)
        return self.layers((mel[..., :-1] + 3.5) / 1.5)  # from [B, mels, N / MEL_HOP]


class LevelHead(nn.Module):
    """The decoder's hidden frames to the level of each band, interpolated between frames in the log domain."""

    def __init__(self, config: DacVaeConfig) -> None:
        super().__init__()
        self.factor = exact_div(HEAD_HOP, config.n_bands)
        self.to_levels = biased_conv(stage_width(config, HEAD_HOP), config.n_bands, bias=-3.0)

    def forward(self, hidden: Tensor) -> Tensor:
        """[B, D, frames] to gains [B, bands, frames * HEAD_HOP / bands]."""
        levels = self.to_levels(hidden).float()
        levels = F.interpolate(levels, scale_factor=self.factor, mode="linear", align_corners=False)
        return bounded_exp(levels)


class Noise(nn.Module):
    """White noise fixed to the track, in frames whose spectra are multiplied by gains."""

    table: Tensor  # [NOISE_PERIOD]
    window: Tensor  # [frame]

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
        filtered = torch.fft.irfft(spectrum.T[None] * gains, dim=1) * self.window[:, None]  # [B, frame, F]
        size = (1, n_frames * self.hop + 2 * before)
        summed = F.fold(filtered, size, (1, self.frame), stride=(1, self.hop))[:, 0, 0]
        return summed[:, before : before + n_frames * self.hop]


class ShortNoise(nn.Module):
    """Noise in frames of 3 ms: of hits."""

    def __init__(self, config: DacVaeConfig) -> None:
        super().__init__()
        self.to_gains = biased_conv(stage_width(config, HEAD_HOP), HEAD_HOP + 1, bias=-5.0)  # begins quietly
        self.noise = Noise(2 * HEAD_HOP, HEAD_HOP)

    def forward(self, hidden: Tensor, start_sample: int) -> Tensor:
        """The decoder's stage [B, D, N / HEAD_HOP] to sound [B, N]."""
        return self.noise.shaped(bounded_exp(self.to_gains(hidden).float()), start_sample)


class LongNoise(nn.Module):
    """Noise in frames of 46 ms, on a mel scale: of what rings, hums and hisses."""

    spread: Tensor  # [bins, bands]

    def __init__(self, config: DacVaeConfig, n_bands: int = 256) -> None:
        super().__init__()
        width = stage_width(config, LONG_HOP // 2)
        self.layers = nn.Sequential(
            nn.Conv1d(width, width, kernel_size=4, stride=2, padding=1),
            nn.GELU(),
            biased_conv(width, n_bands, bias=-7.0),
        )
        self.noise = Noise(LONG_FRAME, LONG_HOP)
        # Between the bands' centres gains are interpolated, in the log domain.
        spread = mel_filters(config.rate_hz, LONG_FRAME, n_bands, torch.device("cpu")).T.clone()
        spread[0, 0] = spread[-1, -1] = 1.0  # the outermost bins lie on the edge of all triangles
        self.register_buffer("spread", spread / spread.sum(dim=1, keepdim=True), persistent=False)

    def forward(self, hidden: Tensor, start_sample: int) -> Tensor:
        """The decoder's stage [B, D, 2 * N / LONG_HOP] to sound [B, N]."""
        levels = self.layers(hidden).float()  # [B, bands, N / LONG_HOP]
        return self.noise.shaped(bounded_exp(self.spread @ levels), start_sample)


def biased_conv(n_in: int, n_out: int, bias: float) -> nn.Conv1d:
    """A convolution over three steps whose output begins at `bias`."""
    layer = nn.Conv1d(n_in, n_out, kernel_size=3, padding=1)
    assert layer.bias is not None
    nn.init.constant_(layer.bias, bias)
    return layer


def load(folder: Path, device: torch.device, with_codes: bool = True) -> DacVae:
    """A codec from its weights folder, in float32, ready to decode; `with_codes`: see `VaeCodec`."""
    return load_vae(DacVae, DacVaeConfig, folder, device, with_codes)
