"""Loudness and true peak of sound that comes block by block: ITU-R BS.1770-5, as EBU R 128 uses it.

The two K-weighting filters (annex 1) run as products of spectra; the true peak is that of the sound at four times its
rate (annex 2).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import soxr

SILENT_LUFS = -70.0  # the absolute gate: what is softer has no loudness
RELATIVE_GATE_LU = -10.0
HOPS_PER_BLOCK = 4  # gating blocks of 0.4 s begin every 0.1 s
OVERSAMPLING = 4
CONTEXT_S = 0.25  # after which nothing is left of what the filters remember: e^-60
BLOCK_S = 1.2  # of sound that is transformed at once, about: it stays in the processor's cache
LEAST = 1e-12  # of power and amplitude: -120 dB


def k_weighting(rate_hz: int, n_fft: int) -> np.ndarray:
    """The frequency response of both filters at the bins of `np.fft.rfft`, complex [1 + n_fft / 2].

    BS.1770 gives coefficients at 48 kHz; these are the analogue filters that they come from, at any rate.
    """
    z = np.exp(-2j * np.pi * np.arange(n_fft // 2 + 1) / n_fft)  # one sample of delay
    k, q, gain = math.tan(math.pi * 1681.974450955533 / rate_hz), 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    middle = gain**0.4996667741545416
    shelf = (gain + middle * k / q + k * k) + 2 * (k * k - gain) * z + (gain - middle * k / q + k * k) * z * z
    shelf /= (1 + k / q + k * k) + 2 * (k * k - 1) * z + (1 - k / q + k * k) * z * z
    k, q = math.tan(math.pi * 38.13547087602444 / rate_hz), 0.5003270373238773
    poles = 1 + (2 * (k * k - 1) * z + (1 - k / q + k * k) * z * z) / (1 + k / q + k * k)
    return shelf * (1 - 2 * z + z * z) / poles


@lru_cache(maxsize=16)
def _response(rate_hz: int, n_fft: int) -> np.ndarray:
    """`k_weighting` in complex64, kept for the next sound of this length; it must not be changed."""
    return k_weighting(rate_hz, n_fft).astype(np.complex64)


class PeakMeter:
    """Takes blocks float32 [C, n]; then `peak_dbtp` is known."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._upsampler = soxr.ResampleStream(rate_hz, OVERSAMPLING * rate_hz, channels, dtype="float32")
        self._peak = 0.0

    def push(self, samples: np.ndarray, *, is_last: bool = False) -> None:
        """Measure more of the sound; `is_last` closes it."""
        self._note(self._upsampler.resample_chunk(np.ascontiguousarray(samples.T, np.float32), last=is_last))
        self._note(samples)

    @property
    def peak_dbtp(self) -> float:
        """The true peak; -inf for silence."""
        return 20 * math.log10(self._peak) if self._peak > 0 else -math.inf

    def _note(self, samples: np.ndarray) -> None:
        if samples.size:
            self._peak = max(self._peak, float(samples.max()), -float(samples.min()))


class LoudnessMeter(PeakMeter):
    """Takes blocks float32 [C, n] of one or two channels; then `lufs` and `peak_dbtp` are known."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        super().__init__(rate_hz, channels)
        self.rate_hz = rate_hz
        self._hop = round(rate_hz / 10)
        self._context = np.zeros((channels, math.ceil(CONTEXT_S * rate_hz)), np.float32)
        self._pending = np.zeros((channels, 0), np.float32)  # less than a hop
        self._powers: list[np.ndarray] = []  # K-weighted power of each hop, all channels together

    def push(self, samples: np.ndarray, *, is_last: bool = False) -> None:
        """Measure more of the sound; `is_last` closes it."""
        super().push(samples, is_last=is_last)
        whole = np.concatenate([self._pending, samples], axis=1)
        n = whole.shape[1] // self._hop * self._hop
        self._pending = whole[:, n:].copy()
        if n:
            self._powers.append(self._weighted_powers(whole[:, :n]))

    @property
    def lufs(self) -> float:
        """Integrated loudness by both gates; SILENT_LUFS where there is none."""
        hops = np.concatenate([np.zeros(0), *self._powers])
        if len(hops) < HOPS_PER_BLOCK:
            return SILENT_LUFS
        blocks = np.lib.stride_tricks.sliding_window_view(hops, HOPS_PER_BLOCK).mean(axis=1)
        heard = blocks[_lufs_of(blocks) > SILENT_LUFS]
        if not len(heard):
            return SILENT_LUFS
        gate = _lufs_of(heard.mean()) + RELATIVE_GATE_LU
        return max(SILENT_LUFS, float(_lufs_of(heard[_lufs_of(heard) > gate].mean())))

    def _weighted_powers(self, samples: np.ndarray) -> np.ndarray:
        """K-weighted power of each hop of [C, n], whole hops, summed over the channels."""
        n_context, n_fft = self._context.shape[1], 1 << math.ceil(BLOCK_S * self.rate_hz - 1).bit_length()
        known = np.concatenate([self._context, samples], axis=1)
        self._context, powers = known[:, -n_context:], []
        n_most = (n_fft - n_context) // self._hop * self._hop  # of samples in a block
        for first in range(0, samples.shape[1], n_most):
            n = min(n_most, samples.shape[1] - first)
            spectrum = np.fft.rfft(known[:, first : first + n_context + n], n_fft) * _response(self.rate_hz, n_fft)
            # What wraps around falls on the context, or on the zeros that fill the block.
            weighted = np.fft.irfft(spectrum, n_fft)[:, n_context : n_context + n].reshape(len(samples), -1, self._hop)
            powers.append(np.einsum("chn,chn->h", weighted, weighted))
        return np.concatenate(powers).astype(np.float64) / self._hop


def _lufs_of(power: np.ndarray) -> np.ndarray:
    return -0.691 + 10 * np.log10(np.maximum(power, LEAST))
