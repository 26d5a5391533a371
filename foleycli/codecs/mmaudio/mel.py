"""Sound to the log-mel frames that MMAudio's autoencoder was trained on (Cheng et al., arXiv 2412.15322)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.dsp.mel import mel_filterbank

FLOOR = 1e-5


@dataclass(frozen=True)
class MelConfig:
    """The two published front ends."""

    rate_hz: int
    n_fft: int
    hop: int
    n_mels: int
    top_hz: float
    is_log10: bool  # else the natural logarithm


MEL_16K = MelConfig(rate_hz=16000, n_fft=1024, hop=256, n_mels=80, top_hz=8000.0, is_log10=True)
MEL_44K = MelConfig(rate_hz=44100, n_fft=2048, hop=512, n_mels=128, top_hz=22050.0, is_log10=False)


class LogMel(nn.Module):
    """Sound [B, N] to frames [B, mels, N // hop]; not centred, but padded by reflection so that none is missing."""

    window: Tensor  # [n_fft]
    filters: Tensor  # [mels, bins]

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.config = config
        filters = mel_filterbank(config.rate_hz, config.n_fft, config.n_mels, high_hz=config.top_hz, norm="area")
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)
        self.register_buffer("filters", filters.float(), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        config = self.config
        pad = (config.n_fft - config.hop) // 2
        padded = F.pad(samples.float().clamp(-1, 1)[:, None], (pad, pad), mode="reflect")[:, 0]
        spectrum = torch.stft(
            padded, config.n_fft, config.hop, window=self.window, center=False, return_complex=True
        )  # [B, bins, T]
        magnitude = (spectrum.real.square() + spectrum.imag.square() + 1e-9).sqrt()
        mel = (self.filters @ magnitude).clamp_min(FLOOR)  # [B, mels, T]
        return mel.log10() if config.is_log10 else mel.log()
