"""PANNs' Cnn14 (Kong et al., 2020), 16 kHz: logits of AudioSet's 527 classes, and an embedding of 2048.

The mel filters come from the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.evaluation.embedders.base import ConvBlock, Embedding, build, read_published

RATE_HZ = 16000
FFT, HOP, N_MELS, N_CLASSES = 512, 160, 64, 527
WIDTHS = (1, 64, 128, 256, 512, 1024, 2048)
MIN_S = 1.0  # five halvings need 32 frames; a shorter sound is padded with silence
FILTERS = "logmel_extractor.melW"
FOURIER = "spectrogram_extractor."  # in the file, a Fourier transform as convolutions


class Cnn14(nn.Module):
    """Sound [B, N] to embeddings [B, 2048] and logits [B, N_CLASSES]; names are the publisher's."""

    mel_filters: Tensor  # [1 + FFT / 2, N_MELS]

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.register_buffer("mel_filters", torch.zeros(1 + FFT // 2, N_MELS))
        self.bn0 = nn.BatchNorm2d(N_MELS)
        self.blocks = [f"conv_block{number}" for number in range(1, len(widths))]
        for name, n_in, n_out in zip(self.blocks, widths, widths[1:], strict=False):
            self.add_module(name, ConvBlock(n_in, n_out))
        self.fc1 = nn.Linear(widths[-1], widths[-1])
        self.fc_audioset = nn.Linear(widths[-1], N_CLASSES)

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        window = torch.hann_window(FFT, device=samples.device)
        spectrum = torch.stft(samples, FFT, HOP, window=window, return_complex=True, pad_mode="reflect")
        power = spectrum.abs().square().transpose(1, 2) @ self.mel_filters  # [B, T, N_MELS]
        level_db = 10 * power.clamp_min(1e-10).log10()
        x = self.bn0(level_db.transpose(1, 2)[..., None]).permute(0, 3, 2, 1)  # [B, 1, T, N_MELS]
        for name in self.blocks:
            x = self.get_submodule(name)(x)
            x = F.avg_pool2d(x, 2) if name != self.blocks[-1] else x
        x = x.mean(dim=3)  # [B, 2048, T']
        embeddings = F.relu(self.fc1(x.amax(dim=2) + x.mean(dim=2)))
        return embeddings, self.fc_audioset(embeddings)


class Cnn14Embedder:
    """The network on a whole sound at once."""

    rate_hz = RATE_HZ

    def __init__(self, network: Cnn14, device: torch.device) -> None:
        self.network, self.device = network.to(device), device

    @torch.inference_mode()
    def embed(self, samples: np.ndarray) -> Embedding:
        padded = np.pad(samples, (0, max(0, round(MIN_S * RATE_HZ) - len(samples))))
        embeddings, logits = self.network(torch.from_numpy(padded)[None].to(self.device))
        return Embedding(embeddings.float().cpu().numpy(), logits[0].float().cpu().numpy())


def load(path: Path, device: torch.device) -> Cnn14Embedder:
    """From PANNs' file, Cnn14_16k_mAP=0.438.pth."""
    return Cnn14Embedder(build(Cnn14, renamed(read_published(path)), path), device)


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The file's tensors under the names of `Cnn14`."""
    kept = {key: value for key, value in state.items() if not key.startswith(FOURIER)}
    return {"mel_filters" if key == FILTERS else key: value for key, value in kept.items()}
