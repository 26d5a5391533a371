"""Levels of a sound in parts of its spectrum, and the gains that bring a codec's output back to them.

Each part of the spectrum is compared by itself: what a codec cannot carry (a high tone) makes nothing else louder.
"""

from __future__ import annotations

import math
from itertools import pairwise

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
    powers = []
    for low_hz, high_hz in pairwise((*PARTS_HZ, math.inf)):
        is_in = (frequencies_hz >= low_hz) & (frequencies_hz < high_hz)
        part = torch.fft.irfft(spectrum * is_in, n=samples.shape[-1])[..., kept]
        powers.append(part.square().unflatten(-1, (-1, hop)).mean(dim=-1))
    return torch.stack(powers, dim=-2)


def level_correction(wanted: Tensor, decoded: Tensor) -> Tensor:
    """log10 of the gains that bring decoded powers [B, parts, frames] to the wanted ones, smooth over time."""
    ratio = (_smooth(wanted) + QUIET_POWER) / (_smooth(decoded) + QUIET_POWER)
    return (ratio.log10() / 2).clamp(-MAX_CORRECTION, MAX_CORRECTION)


def parts_of_bands(filters: Tensor, rate_hz: int) -> Tensor:
    """The part of the spectrum that contains each mel band's centre, int64 [mels]; filters [mels, bins]."""
    centres_hz = filters @ torch.linspace(0, rate_hz / 2, filters.shape[1], device=filters.device)
    return (centres_hz[:, None] >= torch.tensor(PARTS_HZ[1:], device=filters.device)).sum(dim=1)


def _smooth(powers: Tensor) -> Tensor:
    """Running means of [..., frames] over SMOOTH_FRAMES, weighted by a Hann window."""
    weights = torch.hann_window(SMOOTH_FRAMES + 2, periodic=False, device=powers.device)[None, None, 1:-1]
    rows = F.conv1d(powers.flatten(0, -2)[:, None], weights / weights.sum(), padding=SMOOTH_FRAMES // 2)
    return rows[:, 0].unflatten(0, powers.shape[:-1])
