"""A mel spectrogram for eyes, by numpy alone: samples in, decibels per band and column out."""

from __future__ import annotations

import numpy as np

FFT = 2048
MAX_HOP = 1024  # columns that are wider than this are the mean of several frames
BLOCK = 512  # frames transformed at once: memory does not grow with the sound
LOW_HZ = 30.0


def mel_db(samples: np.ndarray, rate_hz: int, n_mels: int, n_columns: int) -> np.ndarray:
    """Levels [n_mels, n_columns] in dB of mono samples [N], lowest band first; column k covers N / n_columns samples.

    The scale has no reference: compare values within one picture only.
    """
    per_column = max(1, -(-samples.shape[0] // (n_columns * MAX_HOP)))
    n_frames = n_columns * per_column
    centres = (np.arange(n_frames) + 0.5) * samples.shape[0] / n_frames
    padded = np.pad(samples.astype(np.float32, copy=False), FFT // 2)
    bank = filterbank(rate_hz, n_mels)  # [n_mels, FFT / 2 + 1]
    window = np.hanning(FFT).astype(np.float32)
    power = np.empty((n_frames, n_mels), np.float32)
    for first in range(0, n_frames, BLOCK):
        starts = centres[first : first + BLOCK].astype(np.int64)
        frames = padded[starts[:, None] + np.arange(FFT)] * window  # [frames, FFT]
        power[first : first + BLOCK] = np.abs(np.fft.rfft(frames)) ** 2 @ bank.T
    columns = power.reshape(n_columns, per_column, n_mels).mean(axis=1)  # [n_columns, n_mels]
    return 10 * np.log10(columns.T + 1e-10)


def hz_to_mel(hz: np.ndarray | float) -> np.ndarray:
    """The mel scale in O'Shaughnessy's form."""
    return 2595 * np.log10(1 + np.asarray(hz) / 700)


def filterbank(rate_hz: int, n_mels: int) -> np.ndarray:
    """Triangles [n_mels, FFT / 2 + 1] of equal area, from LOW_HZ to half the rate.

    Low bands are narrower than a bin; each then takes from its two nearest bins, so that none is empty.
    """
    edges_mel = np.linspace(hz_to_mel(LOW_HZ), hz_to_mel(rate_hz / 2), n_mels + 2)
    edges_hz = 700 * (10 ** (edges_mel / 2595) - 1)
    bins_hz = np.arange(FFT // 2 + 1) * rate_hz / FFT
    bin_hz = rate_hz / FFT
    low, centre, high = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rise = (bins_hz - np.minimum(low, centre - bin_hz)) / np.maximum(centre - low, bin_hz)
    fall = (np.maximum(high, centre + bin_hz) - bins_hz) / np.maximum(high - centre, bin_hz)
    bank = np.clip(np.minimum(rise, fall), 0, None)
    return (bank / bank.sum(axis=1, keepdims=True)).astype(np.float32)
