"""Sound to the log-mel frames that MMAudio's autoencoder was trained on (peers.md B.1.10)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

FLOOR = 1e-5
LINEAR_HZ = 200 / 3  # per mel, up to 1 kHz; logarithmic above (Slaney, Auditory Toolbox, 1998)
LOG_STEP = math.log(6.4) / 27


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
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)
        self.register_buffer("filters", torch.from_numpy(mel_filters(config)), persistent=False)

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


def mel_filters(config: MelConfig) -> np.ndarray:
    """Triangles of equal area on the Slaney scale, float32 [mels, bins]; computed in float64."""
    edges_hz = _mel_to_hz(np.linspace(0.0, _hz_to_mel(config.top_hz), config.n_mels + 2))
    bins_hz = np.linspace(0.0, config.rate_hz / 2, config.n_fft // 2 + 1)
    rising = (bins_hz - edges_hz[:-2, None]) / (edges_hz[1:-1] - edges_hz[:-2])[:, None]
    falling = (edges_hz[2:, None] - bins_hz) / (edges_hz[2:] - edges_hz[1:-1])[:, None]
    triangles = np.minimum(rising, falling).clip(0)
    return (triangles * (2 / (edges_hz[2:] - edges_hz[:-2]))[:, None]).astype(np.float32)


def _hz_to_mel(hz: float) -> float:
    return hz / LINEAR_HZ if hz < 1000 else 15 + math.log(hz / 1000) / LOG_STEP


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, mel * LINEAR_HZ, 1000 * np.exp((mel - 15) * LOG_STEP))
