"""aisfx: a 512-wide embedding of sound effects (Ma and Lerch, ISMIR 2022; weights CC-BY-4.0).

A log-mel spectrogram goes in by blocks of 2.3 s; four blocks of two convolutions each, then the mean over
frequency and the maximum over time.  The weights are read from the publisher's file, or straight from its wheel.
"""

from __future__ import annotations

import io
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.checkpoints import under
from foleycli.errors import FoleyError
from foleycli.evaluation.listeners.base import Heard, filled

RATE_HZ = 44100
FFT, HOP, N_MELS = 2048, 1024, 96
BLOCK, BLOCK_HOP = 100, 50  # spectrogram frames: 2.3 s, every 1.2 s
LOUDEST = 9.457798957824707  # of all spectrograms that it was trained on: they are scaled to 0..1
IN_WHEEL = "aisfx/models/checkpoint.pth"
AGAIN = "pip download aisfx --no-deps, then --aisfx aisfx-0.1.2-py2.py3-none-any.whl"
BATCH = 8


class Twice(nn.Module):
    """Two 3x3 convolutions, each normalised and rectified; the names are the publisher's."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(n_out), nn.BatchNorm2d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class Aisfx(nn.Module):
    """Spectrograms [B, T, N_MELS] in 0..1 to embeddings [B, 512]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_block1, self.conv_block2 = Twice(1, 64), Twice(64, 128)
        self.conv_block3, self.conv_block4 = Twice(128, 256), Twice(256, 512)

    def forward(self, spectrograms: Tensor) -> Tensor:
        x = spectrograms[:, None]  # [B, 1, T, N_MELS]
        for block in (self.conv_block1, self.conv_block2, self.conv_block3):
            x = F.max_pool2d(block(x), 2)
        return self.conv_block4(x).mean(dim=3).amax(dim=2)


class AisfxListener:
    """The network on sound of any length."""

    rate_hz = RATE_HZ

    def __init__(self, network: Aisfx, device: torch.device) -> None:
        self.network, self.device = network.to(device), device

    @torch.inference_mode()
    def hear(self, samples: np.ndarray) -> Heard:
        """One embedding a block, [F, 512].  The loudest sample is brought to 0.95, since the network hears levels."""
        peak = float(np.abs(samples).max(initial=0.0))
        levelled = samples * (0.95 / peak) if peak > 1e-6 else samples
        spectrogram = torch.from_numpy(log_mel(levelled) / np.float32(LOUDEST)).to(self.device)
        made = [self.network(batch) for batch in blocks(spectrogram).split(BATCH)]
        return Heard(torch.cat(made).float().cpu().numpy())


def load(path: Path, device: torch.device) -> AisfxListener:
    """From the publisher's checkpoint or the wheel that holds it; errors: FoleyError for any other file."""
    state = under(_read(path), "embedding_net.")
    return AisfxListener(filled(Aisfx(), state, path), device)


def _read(path: Path) -> dict[str, Tensor]:
    """The checkpoint's tensors.  Torch's restricted unpickler must be told of the numpy integers beside them."""
    scalar, dtype = np.int64(0).__reduce__()[0], np.dtype(np.int64)
    allowed = [scalar, (scalar, "numpy.core.multiarray.scalar"), np.dtype, type(dtype)]  # the name is numpy 1's
    try:
        with torch.serialization.safe_globals(allowed):
            found = torch.load(_checkpoint(path), map_location="cpu", weights_only=True)
        return found[0] if isinstance(found, tuple) else found
    except FileNotFoundError:
        raise FoleyError(f"there is no file {path}", AGAIN) from None
    except Exception as error:  # zip, pickle and torch each raise their own kinds for a broken file
        raise FoleyError(f"{path} cannot be read as aisfx's weights ({type(error).__name__})", AGAIN) from error


def _checkpoint(path: Path) -> io.BytesIO | Path:
    """What torch reads: the file itself, or the part of a wheel.  (Torch's own files are zips too.)"""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if IN_WHEEL in archive.namelist():
                return io.BytesIO(archive.read(IN_WHEEL))
    return path


def log_mel(samples: np.ndarray) -> np.ndarray:
    """log10(1 + 10^4 power) in mel bands of mono [N] at 44.1 kHz: float32 [T, N_MELS], frames centred on k * HOP."""
    padded = np.pad(samples.astype(np.float32), (FFT // 2, FFT))
    n_frames = 1 + -(-len(samples) // HOP)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP][:n_frames]  # [T, FFT], a view
    window, bank, made = np.hanning(FFT).astype(np.float32), mel_bank(), []
    for first in range(0, len(frames), 1024):  # the spectra of an hour at once would be gigabytes
        power = np.abs(np.fft.rfft(frames[first : first + 1024] * window, axis=1)) ** 2
        made.append(np.log10(1e4 * (power @ bank.T) + 1).astype(np.float32))
    return np.concatenate(made)


@cache
def mel_bank() -> np.ndarray:
    """Triangles on O'Shaughnessy's mel scale, straight in mel, each a mean over its bins: [N_MELS, 1 + FFT / 2]."""
    edges = np.linspace(0, _mel(RATE_HZ / 2), N_MELS + 2)
    bins = _mel(np.arange(1 + FFT // 2) * RATE_HZ / FFT)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bank = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clip(0)
    return bank / bank.sum(axis=1, keepdims=True)


def _mel(hz: np.ndarray | float) -> np.ndarray:
    return 1127.01048 * np.log1p(np.asarray(hz) / 700)


def blocks(spectrogram: Tensor) -> Tensor:
    """[T, N_MELS] as overlapping blocks [F, BLOCK, N_MELS]; a short one is filled up with silence, a rest left out."""
    short = BLOCK - len(spectrogram)
    whole = F.pad(spectrogram, (0, 0, 0, short)) if short > 0 else spectrogram
    return whole.unfold(0, BLOCK, BLOCK_HOP).transpose(1, 2)
