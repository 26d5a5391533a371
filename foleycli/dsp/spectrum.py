"""How alike two sounds are in timbre: long-term spectra, whatever their levels and timing."""

from __future__ import annotations

import numpy as np

from foleycli.dsp.mel import FFT, display_filters

N_BANDS = 40


def long_term_spectrum_db(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """Mean power in mel bands of mono [N], dB, its own mean taken away: [N_BANDS].

    Quiet frames hardly count, because power is averaged, not decibels, as a listener hears it.
    """
    padded = np.pad(samples.astype(np.float32), (0, max(0, FFT - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[:: FFT // 2]  # [F, FFT]
    window = np.hanning(FFT).astype(np.float32)
    power = (np.abs(np.fft.rfft(frames * window, axis=1)) ** 2).mean(axis=0)
    bands = display_filters(rate_hz, N_BANDS) @ power
    level_db = 10 * np.log10(np.maximum(bands, bands.max(initial=1e-12) * 1e-6))  # not under -60 dB
    return level_db - level_db.mean()


def spectral_distance_db(one: np.ndarray, other: np.ndarray, rate_hz: int) -> float:
    """Mean absolute difference of two long-term spectra, in dB per band; 0 for the same timbre."""
    return float(np.abs(long_term_spectrum_db(one, rate_hz) - long_term_spectrum_db(other, rate_hz)).mean())
