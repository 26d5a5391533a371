"""Levels of a sound in parts of its spectrum, and by how much what comes back from a codec misses them.

Each part is compared by itself: what a codec has no place for (a high tone) makes nothing else louder.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

PARTS_HZ = (20.0, 200.0, 800.0, 3000.0, 8000.0)  # where they begin; below, offset and rumble, no ear misses anything
LEVEL_FRAMES = 257  # 1.5 s over which a level is compared with what comes back
MOST_CHANGE = 0.5  # at once, log10 of amplitude: 10 dB
QUIET_POWER = 1e-9  # -90 dB: below, levels are not compared


def part_powers(samples: Tensor, rate_hz: int, hop: int, own: slice) -> Tensor:
    """Mean power of every `hop` samples of `own` in sound [..., N], for each part of the spectrum: [..., parts, n]."""
    spectrum = torch.fft.rfft(samples)
    frequencies_hz = torch.linspace(0, rate_hz / 2, spectrum.shape[-1], device=samples.device)
    powers = []
    for low_hz, high_hz in pairwise((*PARTS_HZ, math.inf)):
        is_in = (frequencies_hz >= low_hz) & (frequencies_hz < high_hz)
        part = torch.fft.irfft(spectrum * is_in, n=samples.shape[-1])[..., own]
        powers.append(part.square().unflatten(-1, (-1, hop)).mean(dim=-1))
    return torch.stack(powers, dim=-2)


def missing(wanted: Tensor, made: Tensor) -> Tensor:
    """log10 of the amplitude by which made powers [B, parts, frames] miss the wanted ones, slowly: the same shape."""
    ratio = (_smooth(wanted) + QUIET_POWER) / (_smooth(made) + QUIET_POWER)
    return (ratio.log10() / 2).clamp(-MOST_CHANGE, MOST_CHANGE)


def parts_of_bands(filters: Tensor, rate_hz: int) -> Tensor:
    """The part of the spectrum in which the middle of each mel band lies, [mels]; filters [mels, bins]."""
    middles_hz = filters @ torch.linspace(0, rate_hz / 2, filters.shape[1], device=filters.device)
    return (middles_hz[:, None] >= torch.tensor(PARTS_HZ[1:], device=filters.device)).sum(dim=1)


def _smooth(powers: Tensor) -> Tensor:
    """Running means of [..., frames], LEVEL_FRAMES long."""
    weights = torch.hann_window(LEVEL_FRAMES + 2, periodic=False, device=powers.device)[None, None, 1:-1]
    rows = F.conv1d(powers.flatten(0, -2)[:, None], weights / weights.sum(), padding=LEVEL_FRAMES // 2)
    return rows[:, 0].unflatten(0, powers.shape[:-1])
