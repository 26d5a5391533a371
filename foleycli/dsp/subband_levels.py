"""Levels of a sound in parts of its spectrum, and the gains that bring a codec's output back to them.

Each part of the spectrum is compared by itself: what a codec cannot carry (a high tone) makes nothing else louder.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

PARTS_HZ = (20.0, 200.0, 800.0, 3000.0, 8000.0)  # where the parts begin; offset and rumble below are not compared
SMOOTH_FRAMES = 257  # 1.5 s over which levels are compared
MAX_CORRECTION = 0.5  # at once, log10 of amplitude: 10 dB
QUIET_POWER = 1e-9  # -90 dB: below, levels are not compared


def part_powers(samples: Tensor, rate_hz: int, hop: int, kept: slice) -> Tensor:
    """Mean power of every `hop` samples in each part of the spectrum: sound [..., N] to [..., parts, frames].

    kept  which samples are measured; the others are context for the filters
    """
    spectrum = torch.fft.rfft(samples)
    frequencies_hz = torch.linspace(0, rate_hz / 2, spectrum.shape[-1], device=samples.device)
    edges_hz = torch.tensor((*PARTS_HZ, math.inf), device=samples.device)[:, None]
    is_in = (frequencies_hz >= edges_hz[:-1]) & (frequencies_hz < edges_hz[1:])  # [parts, bins]
    # All parts at once: a single long transform takes MKL thrice as long as one of several.
    parts = torch.fft.irfft(spectrum[..., None, :] * is_in, n=samples.shape[-1])[..., kept]
    return parts.square_().unflatten(-1, (-1, hop)).mean(dim=-1)


def level_correction(wanted: Tensor, decoded: Tensor) -> Tensor:
    """log10 of the gains that bring smoothed powers [B, parts, frames] of a decoded sound to the wanted ones."""
    ratio = (wanted + QUIET_POWER) / (decoded + QUIET_POWER)
    return (ratio.log10() / 2).clamp(-MAX_CORRECTION, MAX_CORRECTION)


def parts_of_bands(filters: Tensor, rate_hz: int) -> Tensor:
    """The part of the spectrum that contains each mel band's centre, int64 [mels]; filters [mels, bins]."""
    centres_hz = filters @ torch.linspace(0, rate_hz / 2, filters.shape[1], device=filters.device)
    return (centres_hz[:, None] >= torch.tensor(PARTS_HZ[1:], device=filters.device)).sum(dim=1)


def smooth(powers: Tensor) -> Tensor:
    """Running means of [..., frames] over SMOOTH_FRAMES, weighted by a Hann window."""
    weights = torch.hann_window(SMOOTH_FRAMES + 2, periodic=False, device=powers.device)[1:-1]
    padded = F.pad(powers, (SMOOTH_FRAMES // 2, SMOOTH_FRAMES // 2))
    return padded.unfold(-1, SMOOTH_FRAMES, 1) @ (weights / weights.sum())
