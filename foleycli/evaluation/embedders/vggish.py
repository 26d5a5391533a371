"""VGGish (Hershey et al., 2017) as torchvggish published it: one embedding of 128 for each 0.96 s of sound.

For Fréchet audio distance as av-benchmark takes it: before the last rectifier, without the PCA and quantisation of
AudioSet's released embeddings.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from foleycli.dsp.mel import mel_filterbank
from foleycli.evaluation.embedders.base import Embedding, build, read_published

RATE_HZ = 16000
WINDOW, HOP, FFT, N_MELS = 400, 160, 512, 64
LOW_HZ, HIGH_HZ, OFFSET = 125.0, 7500.0, 0.01
EXAMPLE = 96  # frames of one embedding
LAYERS = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0)  # widths of convolutions; 0: max pooling by 2
BATCH = 16


class Vggish(nn.Module):
    """Log-mel examples [B, EXAMPLE, N_MELS] to embeddings [B, 128]; names are the publisher's."""

    def __init__(self, hidden: int = 4096) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_in = 1
        for width in LAYERS:
            layers += [nn.Conv2d(n_in, width, 3, padding=1), nn.ReLU()] if width else [nn.MaxPool2d(2)]
            n_in = width or n_in
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(512 * 6 * 4, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 128)
        )

    def forward(self, examples: Tensor) -> Tensor:
        x = self.features(examples[:, None])  # [B, 512, 6, 4]
        return self.embeddings(x.permute(0, 2, 3, 1).flatten(1))


class VggishEmbedder:
    """The network on sound of any length; less than an example is padded with silence."""

    rate_hz = RATE_HZ

    def __init__(self, network: Vggish, device: torch.device) -> None:
        self.network, self.device = network.to(device), device

    @torch.inference_mode()
    def embed(self, samples: np.ndarray) -> Embedding:
        least = WINDOW + (EXAMPLE - 1) * HOP
        spectrogram = log_mel(np.pad(samples, (0, max(0, least - len(samples)))))
        n_examples = len(spectrogram) // EXAMPLE
        examples = torch.from_numpy(spectrogram[: n_examples * EXAMPLE].reshape(n_examples, EXAMPLE, N_MELS))
        vectors = [self.network(batch.to(self.device)) for batch in examples.split(BATCH)]
        return Embedding(torch.cat(vectors).float().cpu().numpy())


def load(path: Path, device: torch.device) -> VggishEmbedder:
    """From torchvggish's file, vggish-10086976.pth."""
    return VggishEmbedder(build(Vggish, read_published(path), path), device)


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Log of magnitudes in mel bands of mono [N] at 16 kHz: float32 [T, N_MELS], whole frames only, not centred."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]  # [T, WINDOW], a view
    filters = mel_filterbank(RATE_HZ, FFT, N_MELS, low_hz=LOW_HZ, high_hz=HIGH_HZ, scale="htk", linear_in="mel").numpy()
    window = np.hanning(WINDOW + 1)[:-1]
    pieces = []
    for first in range(0, len(frames), 4096):
        magnitude = np.abs(np.fft.rfft(frames[first : first + 4096] * window, FFT, axis=1))
        pieces.append(np.log(magnitude @ filters.T + OFFSET).astype(np.float32))
    return np.concatenate(pieces)
