"""The shipped codec: a variational bottleneck over mel spectrograms, 44.1 kHz, hop 1024.

    sound -> log-mels, 4 frames a step -> convolutions -> mean, std -> latents [L, 64] -> convolutions
                                                            |-> residual codes         -> log-mels -> magnitudes
                                                                                       -> phases -> sound

Latents have SALSA-V's geometry (64 channels at 43.07 Hz), residual codes are DAC's; no network makes waveforms.
On a CPU a waveform codec (`dacvae`) needs days of training before its sounds can be told apart; a
spectrogram holds nearly all of it from the start.  100 bands every 6 ms, played with the phases that Griffin-Lim finds,
are recognised by a sound-effect network about as often as the recordings themselves.  What is lost is the fine
structure within a band.

Two faults of the way over spectrograms are corrected: levels (while encoding, see `_level_matched`) and the clicks that
estimated phases make (after decoding, see `dsp.clicks`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.codecs.vae import Posterior, VaeCodec, load_vae
from foleycli.dsp.clicks import apply_edge_fades, context_samples, suppress_clicks
from foleycli.dsp.griffin_lim import context_frames, griffin_lim, invert_mel
from foleycli.dsp.mel import log_mel, mel_filters
from foleycli.dsp.subband_levels import level_correction, part_powers, parts_of_bands, smooth
from foleycli.nn.linear import Linear
from foleycli.settings.checking import bounded
from foleycli.timebase import exact_div

MEL_MEAN, MEL_STD = -3.0, 1.5  # of log10 mels: networks see about -1..2
FLOOR = 1e-5  # magnitudes below are silence
LOG_FLOOR = math.log10(FLOOR)
LEVEL_ROUNDS = 3
LONG_STEPS = 1292  # 30 s: a longer sound gets one level round, which is nearly as good
PIECE_STEPS = 430  # 10 s, decoded at once while levels are compared


@dataclass(frozen=True)
class MelVaeConfig:
    """The shape of spectrogram and networks."""

    rate_hz: int = bounded(8000, 384_000, default=44100)
    n_fft: int = field(default=1024, metadata={"choices": (256, 512, 1024, 2048, 4096, 8192)})
    mel_hop: int = bounded(16, 8192, default=256)
    n_mels: int = 100
    hop: int = bounded(16, 65536, default=1024)
    width: int = 384
    n_encoder: int = 3
    n_decoder: int = 4
    kernel_steps: int = 7
    latent_dim: int = 64
    n_codebooks: int = 9
    codebook_size: int = 1024
    codebook_dim: int = 8
    phase_rounds: int = bounded(0, 1000, default=16)

    @property
    def frames_per_step(self) -> int:
        return exact_div(self.hop, self.mel_hop)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for config.json."""
        return asdict(self)


class MelVae(VaeCodec):
    """A codec over mel spectrograms."""

    output_gain: Tensor  # scalar

    def __init__(self, config: MelVaeConfig, with_codes: bool = True) -> None:
        super().__init__(
            config.latent_dim,
            n_codebooks=config.n_codebooks,
            codebook_size=config.codebook_size,
            codebook_dim=config.codebook_dim,
            with_codes=with_codes,
        )
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
        # Makes up for the power that smooth spectra lack against real ones; measured after training.
        self.register_buffer("output_gain", torch.ones(()))

    @property
    def context_steps(self) -> int:
        """Latent steps to either side that a decoded step depends on: by decoder, phases and click suppression."""
        config = self.config
        phase_frames = context_frames(config.n_fft, config.mel_hop, config.phase_rounds)
        phase_steps = -(-phase_frames // config.frames_per_step)
        click_steps = -(-context_samples(config.rate_hz) // config.hop)
        return 1 + config.n_decoder * (config.kernel_steps // 2) + phase_steps + click_steps

    def encode(self, samples: Tensor) -> Tensor:
        """Sound [B, N] to the normalised latents [B, L, D] that decode to a sound as loud; see `_level_matched`."""
        return self.normalise(self._level_matched(samples))

    def encode_codes(self, samples: Tensor) -> Tensor:
        """Sound [B, N] to residual codes int64 [B, L, K] that decode to a sound nearly as loud.

        Levels are matched before quantisation: they jump from code to code, and matching them after it spoils more.
        """
        return self.quantise(self._level_matched(samples))

    def _level_matched(self, samples: Tensor) -> Tensor:
        """Sound [B, N] to the raw latents [B, D, L] of a sound made louder where it would be decoded too quiet.

        Mels, bottleneck and phases each change levels, by 5 dB and more in an odd sound.  How much is found by
        decoding what was encoded (analysis by synthesis, as in speech codecs).
        """
        samples = F.pad(samples, (0, -samples.shape[-1] % self.hop))
        mels = self.log_mels(samples)
        is_sound = mels > LOG_FLOOR + 1e-3
        filters = mel_filters(self.rate_hz, self.config.n_fft, self.config.n_mels, mels.device)
        part_of_band = parts_of_bands(filters, self.rate_hz)  # [mels]
        n_steps = samples.shape[1] // self.hop
        wanted = self._smooth_powers(lambda steps: samples[:, steps.start * self.hop : steps.stop * self.hop], n_steps)
        for _ in range(LEVEL_ROUNDS if samples.shape[1] <= LONG_STEPS * self.hop else 1):
            correction = self._level_correction(wanted, self.posterior_of_mels(mels).mean)  # [B, parts, frames]
            mels = torch.where(is_sound, mels + correction[:, part_of_band], mels).clamp_min(LOG_FLOOR)
        return self.posterior_of_mels(mels).mean

    def _level_correction(self, wanted: Tensor, raw: Tensor) -> Tensor:
        """log10 of the gains that bring decoded raw latents [B, D, L] to the wanted powers: [B, parts, frames]."""

        def decoded(steps: slice) -> Tensor:
            return self.synthesise(raw[..., steps], steps.start * self.hop)

        return level_correction(wanted, self._smooth_powers(decoded, raw.shape[2]))

    def _smooth_powers(self, sound_of: Callable[[slice], Tensor], n_steps: int) -> Tensor:
        """Powers of a sound's parts, smooth over time: [B, parts, frames].

        sound_of   [B, n] of some of the latent steps; the sound is asked for in pieces, since it may be long
        """
        margin, hop, powers = self.context_steps, self.hop, []
        for start in range(0, n_steps, PIECE_STEPS):
            first, end = max(0, start - margin), min(n_steps, start + PIECE_STEPS)
            sound = sound_of(slice(first, min(end + margin, n_steps)))
            kept = slice((start - first) * hop, (end - first) * hop)
            powers.append(part_powers(sound, self.rate_hz, self.config.mel_hop, kept))
        return smooth(torch.cat(powers, dim=-1))

    def log_mels(self, samples: Tensor) -> Tensor:
        """Sound [B, N], N a multiple of the hop, to log10 mels [B, mels, N / mel_hop]."""
        c = self.config
        return log_mel(samples, c.rate_hz, n_fft=c.n_fft, hop=c.mel_hop, n_mels=c.n_mels, floor=FLOOR)[..., :-1]

    def posterior(self, samples: Tensor) -> Posterior:
        """Sound [B, N] to the distribution of raw latents; the end is filled with silence."""
        return self.posterior_of_mels(self.log_mels(F.pad(samples, (0, -samples.shape[-1] % self.hop))))

    def posterior_of_mels(self, log_mels: Tensor) -> Posterior:
        """Log10 mels [B, mels, frames] to the distribution of raw latents."""
        per_step = self.config.frames_per_step
        folded = normalise_mels(log_mels).unflatten(2, (-1, per_step))  # [B, mels, L, per_step]
        folded = folded.transpose(2, 3).flatten(1, 2)  # [B, mels * per_step, L]
        mean, raw_std = self.encoder(folded).float().chunk(2, dim=1)  # [B, D, L] each
        return Posterior(mean, F.softplus(raw_std) + 1e-3)

    def decode_mels(self, raw: Tensor) -> Tensor:
        """Raw latents [B, D, L] to log10 mels [B, mels, L * frames per step]."""
        config = self.config
        folded = self.decoder(raw).float().unflatten(1, (config.n_mels, config.frames_per_step))
        return folded.transpose(2, 3).flatten(2) * MEL_STD + MEL_MEAN

    def synthesise(self, raw: Tensor, start_sample: int = 0) -> Tensor:
        """Raw latents [B, D, L] to sound [B, L * hop]."""
        c = self.config
        mels = 10 ** self.decode_mels(raw).clamp(max=1.0)
        mels = torch.where(mels > 1.5 * FLOOR, mels, 0.0)  # at the floor there was silence
        magnitudes = invert_mel(mels, c.rate_hz, c.n_fft)
        sound = griffin_lim(
            magnitudes, n_fft=c.n_fft, hop=c.mel_hop, start_sample=start_sample, n_iterations=c.phase_rounds
        )
        return suppress_clicks(apply_edge_fades(sound * self.output_gain, c.rate_hz), c.rate_hz)


def normalise_mels(log_mels: Tensor) -> Tensor:
    """Log10 mels in the range in which networks see them."""
    return (log_mels - MEL_MEAN) / MEL_STD


class StepBlock(nn.Module):
    """Over time channel by channel, then over channels step by step, residual (ConvNeXt: arXiv 2201.03545)."""

    def __init__(self, width: int, kernel_steps: int) -> None:
        super().__init__()
        self.over_time = nn.Conv1d(width, width, kernel_steps, padding=kernel_steps // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.over_channels = nn.Sequential(Linear(width, 2 * width), nn.GELU(), Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """[B, D, L] to the same shape."""
        y = self.over_channels(self.norm(self.over_time(x).transpose(1, 2)))
        return x + y.transpose(1, 2)


def load(folder: Path, device: torch.device, with_codes: bool = True) -> MelVae:
    """A codec from its weights folder, in float32, ready to decode; `with_codes`: see `VaeCodec`."""
    return load_vae(MelVae, MelVaeConfig, folder, device, with_codes)
