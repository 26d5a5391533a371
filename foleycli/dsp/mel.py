"""Mel filter banks and mel spectrograms: of codecs, encoders, evaluation networks and pictures.

Every bank comes from `mel_filterbank`; what differs between networks are its arguments.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Scale = Literal["slaney", "htk"]
LINEAR_HZ = 200 / 3  # per mel on Slaney's scale up to 1 kHz; above, 27 mels are a factor of 6.4

FFT = 2048  # of the spectra that are measured and drawn with numpy
LOW_HZ = 30.0
MAX_HOP = 1024  # a column of a picture that is wider is the mean of several frames
BLOCK_FRAMES = 512  # transformed at once: memory does not grow with the sound


def hz_to_mel(hz: float | Tensor, scale: Scale) -> Tensor:
    """Frequency to mels.

    "slaney": linear to 1 kHz, logarithmic above (Slaney, Auditory Toolbox, 1998).
    "htk": 2595 log10(1 + f / 700) (O'Shaughnessy, Speech Communication, 1987), as in HTK and Kaldi.
    """
    hz = hz if isinstance(hz, Tensor) else torch.tensor(hz, dtype=torch.float64)
    if scale == "htk":
        return 2595 * torch.log10(1 + hz / 700)
    return torch.where(hz < 1000, hz / LINEAR_HZ, 15 + 27 * torch.log(hz.clamp_min(1000) / 1000) / math.log(6.4))


def mel_to_hz(mel: Tensor, scale: Scale) -> Tensor:
    """The inverse of `hz_to_mel`."""
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    return torch.where(mel < 15, mel * LINEAR_HZ, 1000 * torch.exp((mel - 15) * math.log(6.4) / 27))


@cache
@torch.inference_mode(False)
def mel_filterbank(
    rate_hz: int,
    n_fft: int,
    n_mels: int,
    low_hz: float = 0.0,
    high_hz: float | None = None,
    *,
    scale: Scale = "slaney",
    linear_in: Literal["hz", "mel"] = "hz",
    norm: Literal["peak", "area", "sum"] = "peak",
    narrow: Literal["empty", "nearest", "widen"] = "empty",
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Triangular filters [n_mels, 1 + n_fft / 2] with edges at equal distances in mels.

    high_hz    None: half the rate
    linear_in  where the sides are straight lines: over Hz (librosa, torchaudio) or over mels (HTK, Kaldi)
    norm       "peak": of height 1; "area": of area 1 in Hz (Slaney, librosa); "sum": a mean over its bins
    narrow     of a band between two bins: "empty", as librosa has it; "nearest": its nearest bin counts at least 0.05;
               "widen": it reaches a bin to either side of its centre
    dtype      in which it is computed

    The tensor is shared between calls: it must not be changed.
    """
    lowest, highest = (hz_to_mel(hz, scale).item() for hz in (low_hz, rate_hz / 2 if high_hz is None else high_hz))
    edges = torch.linspace(lowest, highest, n_mels + 2, dtype=dtype)
    bins = torch.linspace(0, rate_hz / 2, 1 + n_fft // 2, dtype=dtype)
    if linear_in == "mel":
        bins = hz_to_mel(bins, scale)
    else:
        edges = mel_to_hz(edges, scale)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    if narrow == "widen":
        low, high = torch.minimum(low, centre - bins[1]), torch.maximum(high, centre + bins[1])
    filters = torch.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clamp_min(0)
    if narrow == "nearest":
        bands, nearest = torch.arange(n_mels), (bins - centre).abs().argmin(dim=1)
        filters[bands, nearest] = filters[bands, nearest].clamp_min(0.05)
    if norm == "area":
        filters = filters * (2 / (high - low))
    elif norm == "sum":
        filters = filters / filters.sum(dim=1, keepdim=True)
    return filters


# Cached tables are made outside inference mode, whoever calls first: a training in the same process needs them too.
@cache
@torch.inference_mode(False)
def mel_filters(rate_hz: int, n_fft: int, n_mels: int, device: torch.device) -> Tensor:
    """The bank of foley's own networks, [n_mels, 1 + n_fft / 2]; in float32, bit for bit as in their training."""
    filters = mel_filterbank(rate_hz, n_fft, n_mels, norm="sum", narrow="nearest", dtype=torch.float32)
    return filters.to(device)


@cache
@torch.inference_mode(False)
def hann_window(n_fft: int, device: torch.device) -> Tensor:
    """A periodic Hann window [n_fft]."""
    return torch.hann_window(n_fft, device=device)


def mel_spectrogram(samples: Tensor, rate_hz: int, n_fft: int, hop: int, n_mels: int, is_rms: bool = False) -> Tensor:
    """Magnitude mel spectrogram of float32 [B, N]: [B, n_mels, 1 + N // hop], frames centred.

    A band is the mean of its bins' magnitudes, or with `is_rms` the root of their mean power, which is more where
    a band holds a peak.  A full-scale sine reads about 1 at every window length, so that one floor suits all of them.
    """
    window = hann_window(n_fft, samples.device)
    spectrum = torch.stft(samples, n_fft, hop, window=window, return_complex=True, pad_mode="constant")
    magnitude = spectrum.abs() * (4 / n_fft)  # the window's mean is a half, a sine's energy is in two bins
    filters = mel_filters(rate_hz, n_fft, n_mels, samples.device)
    return (filters @ magnitude.square()).sqrt() if is_rms else filters @ magnitude  # [B, n_mels, frames]


def log_mel(samples: Tensor, rate_hz: int, n_fft: int, hop: int, n_mels: int, floor: float = 1e-5) -> Tensor:
    """log10 of the mel spectrogram, never below `floor`."""
    return mel_spectrogram(samples, rate_hz, n_fft=n_fft, hop=hop, n_mels=n_mels).clamp_min(floor).log10()


def display_filters(rate_hz: int, n_mels: int) -> np.ndarray:
    """The bank of pictures and measurements, float32 [n_mels, 1 + FFT / 2], from LOW_HZ up.

    Bands are means over their bins; none is empty.
    """
    bank = mel_filterbank(rate_hz, FFT, n_mels, low_hz=LOW_HZ, scale="htk", norm="sum", narrow="widen")
    return bank.float().numpy()


def mel_picture_db(samples: np.ndarray, rate_hz: int, n_mels: int, n_columns: int) -> np.ndarray:
    """Levels [n_mels, n_columns] in dB of mono samples [N], lowest band first; column k covers N / n_columns samples.

    The scale has no reference: compare values within one picture only.
    """
    per_column = max(1, -(-samples.shape[0] // (n_columns * MAX_HOP)))
    n_frames = n_columns * per_column
    centres = (np.arange(n_frames) + 0.5) * samples.shape[0] / n_frames
    padded = np.pad(samples.astype(np.float32, copy=False), FFT // 2)
    bank = display_filters(rate_hz, n_mels)
    window = np.hanning(FFT).astype(np.float32)
    power = np.empty((n_frames, n_mels), np.float32)
    for first in range(0, n_frames, BLOCK_FRAMES):
        starts = centres[first : first + BLOCK_FRAMES].astype(np.int64)
        frames = padded[starts[:, None] + np.arange(FFT)] * window  # [frames, FFT]
        power[first : first + BLOCK_FRAMES] = np.abs(np.fft.rfft(frames)) ** 2 @ bank.T
    columns = power.reshape(n_columns, per_column, n_mels).mean(axis=1)  # [n_columns, n_mels]
    return 10 * np.log10(columns.T + 1e-10)
