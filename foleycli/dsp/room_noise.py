"""The noise that a recording never falls below: measured in its quietest moments, and made for as long as wanted.

Arrays only; float [C, N].  What channels have in common there they have in common in what is made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FRAME_S = 0.046
QUIET_SHARE = 0.1  # of the frames: in them nothing else is heard
LEAST_FRAMES = 3
SMOOTHED_OCTAVES = 1 / 6  # the spectrum of so few frames is rough
AT_ONCE = 64  # frames that are made at once


@dataclass(frozen=True)
class RoomNoise:
    """Steady noise in C channels: float64 [F, C, C], the covariance of the channels' spectra at each frequency."""

    covariance: np.ndarray

    @staticmethod
    def of(samples: np.ndarray, rate_hz: int) -> RoomNoise:
        """The noise in the quietest moments of [C, N], steady by assumption."""
        size = _frame_size(rate_hz)
        padded = np.pad(samples.astype(np.float64), ((0, 0), (0, max(0, size - samples.shape[1]))))
        frames = np.lib.stride_tricks.sliding_window_view(padded, size, axis=1)[:, :: size // 2]  # [C, T, size]
        power = (frames**2).mean(axis=(0, 2))
        n_quiet = min(len(power), max(LEAST_FRAMES, round(QUIET_SHARE * len(power))))
        spectra = np.fft.rfft(frames[:, np.argsort(power, kind="stable")[:n_quiet]] * _window(size), axis=2)
        covariance = np.einsum("atf,btf->fab", spectra, spectra.conj()).real / n_quiet
        return RoomNoise(_smoothed(covariance))

    def beyond(self, other: RoomNoise) -> RoomNoise:
        """What must be added to sound with `other` so that it has this noise; nothing where it has more."""
        values, vectors = np.linalg.eigh(self.covariance - other.covariance)
        return RoomNoise(np.einsum("fab,fb,fcb->fac", vectors, np.maximum(values, 0), vectors))

    def rms(self) -> float:
        """Its level over all channels, of full scale."""
        n_frequencies, channels, _ = self.covariance.shape
        size = 2 * (n_frequencies - 1)
        power = np.trace(self.covariance, axis1=1, axis2=2).sum() / channels  # of half the spectrum
        return float(np.sqrt(2 * power / size / (_window(size) ** 2).sum()))


class NoiseStream:
    """Noise of a kind, as long as it is asked for: Gaussian, the same for the same seed however it is cut."""

    def __init__(self, noise: RoomNoise, rng: np.random.Generator) -> None:
        n_frequencies, channels, _ = noise.covariance.shape
        values, vectors = np.linalg.eigh(noise.covariance)
        self.mixing = vectors * np.sqrt(np.maximum(values, 0))[:, None, :]  # [F, C, C]
        self.size, self.rng = 2 * (n_frequencies - 1), rng
        self.window = _window(self.size) * np.sqrt(2)  # of what its analysis with a window took
        self.tail = np.zeros((channels, self.size // 2))
        self.made = np.zeros((channels, 0))
        self._make()
        self.made = self.made[:, self.size // 2 :]  # the first half of the first frame has no frame before it

    def next(self, n: int) -> np.ndarray:
        """The next samples, float32 [C, n]."""
        while self.made.shape[1] < n:
            self._make()
        out, self.made = self.made[:, :n], self.made[:, n:]
        return out.astype(np.float32)

    def _make(self) -> None:
        half = self.size // 2
        drawn = self.rng.standard_normal((2, AT_ONCE, *self.mixing.shape[:2])) / np.sqrt(2)
        spectra = np.einsum("fab,tfb->taf", self.mixing, drawn[0] + 1j * drawn[1])
        frames = np.fft.irfft(spectra, axis=2) * self.window  # [T, C, size]
        before = np.concatenate([self.tail[None], frames[:-1, :, half:]])
        self.tail = frames[-1, :, half:]
        self.made = np.concatenate([self.made, *(frames[:, :, :half] + before)], axis=1)


def _frame_size(rate_hz: int) -> int:
    return max(8, round(FRAME_S * rate_hz / 2) * 2)


def _window(size: int) -> np.ndarray:
    """The root of a Hann window: two halves that overlap have a constant power."""
    return np.sqrt(np.hanning(size + 1)[:-1])


def _smoothed(spectrum: np.ndarray) -> np.ndarray:
    """Means of [F, ...] over SMOOTHED_OCTAVES around each frequency."""
    n = len(spectrum)
    width = 2 ** (SMOOTHED_OCTAVES / 2)
    first, end = (
        np.floor(np.arange(n) / width).astype(int),
        np.minimum(np.ceil(np.arange(n) * width).astype(int) + 1, n),
    )
    total = np.concatenate([np.zeros_like(spectrum[:1]), np.cumsum(spectrum, axis=0)])
    return (total[end] - total[first]) / (end - first)[:, None, None]
