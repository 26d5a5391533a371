"""aisfx: a 512-wide embedding of sound effects (Ma and Lerch, ISMIR 2022; weights CC-BY-4.0).

A log-mel spectrogram goes in by blocks of 2.3 s; four blocks of two convolutions each, then the mean over
frequency and the maximum over time.  The weights are read from the publisher's file, or straight from its wheel.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.dsp.mel import mel_filterbank
from foleycli.errors import FoleyError
from foleycli.evaluation.embedders.base import GET_AGAIN, ConvBlock, Embedding, build
from foleycli.weights.checkpoint import under, unpickle

RATE_HZ = 44100
FFT, HOP, N_MELS = 2048, 1024, 96
BLOCK, BLOCK_HOP = 100, 50  # spectrogram frames: 2.3 s, every 1.2 s
MAX_LOG_MEL = 9.457798957824707  # of all spectrograms that it was trained on: they are scaled to 0..1
IN_WHEEL = "aisfx/models/checkpoint.pth"
BATCH = 8


class Aisfx(nn.Module):
    """Spectrograms [B, T, N_MELS] in 0..1 to embeddings [B, 512]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_block1, self.conv_block2 = ConvBlock(1, 64), ConvBlock(64, 128)  # the publisher's names
        self.conv_block3, self.conv_block4 = ConvBlock(128, 256), ConvBlock(256, 512)

    def forward(self, spectrograms: Tensor) -> Tensor:
        x = spectrograms[:, None]  # [B, 1, T, N_MELS]
        for block in (self.conv_block1, self.conv_block2, self.conv_block3):
            x = F.max_pool2d(block(x), 2)
        return self.conv_block4(x).mean(dim=3).amax(dim=2)


class AisfxEmbedder:
    """The network on sound of any length."""

    rate_hz = RATE_HZ

    def __init__(self, network: Aisfx, device: torch.device) -> None:
        self.network, self.device = network.to(device), device

    @torch.inference_mode()
    def embed(self, samples: np.ndarray) -> Embedding:
        """One embedding a block, [F, 512].  The peak is brought to 0.95, since levels change what the network says."""
        peak = float(np.abs(samples).max(initial=0.0))
        levelled = samples * (0.95 / peak) if peak > 1e-6 else samples
        spectrogram = torch.from_numpy(log_mel(levelled) / np.float32(MAX_LOG_MEL)).to(self.device)
        vectors = [self.network(batch) for batch in blocks(spectrogram).split(BATCH)]
        return Embedding(torch.cat(vectors).float().cpu().numpy())


def load(path: Path, device: torch.device) -> AisfxEmbedder:
    """From the publisher's checkpoint or the wheel that holds it; errors: FoleyError for any other file."""
    state = under(_tensors(path), "embedding_net.")  # the rest are classifiers of other data sets
    return AisfxEmbedder(build(Aisfx, state, path), device)


def _tensors(path: Path) -> dict[str, Tensor]:
    """The first half of the checkpoint; the other describes data sets.  (Torch's own files are zips like wheels.)"""
    source: Path | io.BytesIO = path
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                source = io.BytesIO(archive.read(IN_WHEEL)) if IN_WHEEL in archive.namelist() else path
        found = unpickle(source)
        found = found[0] if isinstance(found, tuple) else found
        return {key: value for key, value in found.items() if isinstance(value, Tensor)}
    except Exception as error:  # zip, pickle and torch each raise their own kinds for a broken file
        raise FoleyError(f"the weights file {path} cannot be read: {type(error).__name__}", GET_AGAIN) from error


def log_mel(samples: np.ndarray) -> np.ndarray:
    """log10(1 + 10^4 power) in mel bands of mono [N] at 44.1 kHz: float32 [T, N_MELS], frames centred on k * HOP."""
    padded = np.pad(samples.astype(np.float32), (FFT // 2, FFT))
    n_frames = 1 + -(-len(samples) // HOP)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP][:n_frames]  # [T, FFT], a view
    filters = mel_filterbank(RATE_HZ, FFT, N_MELS, scale="htk", linear_in="mel", norm="sum").numpy()
    window, pieces = np.hanning(FFT).astype(np.float32), []
    for first in range(0, len(frames), 1024):  # the spectra of an hour at once would be gigabytes
        power = np.abs(np.fft.rfft(frames[first : first + 1024] * window, axis=1)) ** 2
        pieces.append(np.log10(1e4 * (power @ filters.T) + 1).astype(np.float32))
    return np.concatenate(pieces)


def blocks(spectrogram: Tensor) -> Tensor:
    """[T, N_MELS] as overlapping blocks [F, BLOCK, N_MELS]; a short one padded, an incomplete last one dropped."""
    short = BLOCK - len(spectrogram)
    whole = F.pad(spectrogram, (0, 0, 0, short)) if short > 0 else spectrogram
    return whole.unfold(0, BLOCK, BLOCK_HOP).transpose(1, 2)
