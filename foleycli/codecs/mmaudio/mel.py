"""Sound to the log-mel frames that MMAudio's autoencoder was trained on (peers.md B.1.10)."""

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


MEL_16K = MelConfig(16000, 1024, 256, 80, 8000.0, is_log10=True)
MEL_44K = MelConfig(44100, 2048, 512, 128, 22050.0, is_log10=False)


class LogMel(nn.Module):
    """Sound [B, N] to frames [B, mels, N // hop]."""

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
