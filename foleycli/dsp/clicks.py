"""Spikes: what lasts half a millisecond and stands out of the sound on both its sides.

A spike is loud in the samples' second difference, where smooth sound is quiet.  A hit is loud there too, but the
sound goes on after it.  Phases that are found for a spectrogram make spikes where the sound had none: within a
frame of 23 ms they may gather what should be spread.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

AROUND_S = 0.010  # before and after, that a spike must stand out of
GUARD_S = 0.0015  # of these nearest to it are not looked at: a spike rings
FLOOR = 1e-4  # full scale is 1: a spike over silence counts from about -65 dB
HOP, PER_WINDOW = 8, 3  # samples and hops of the windows in which `softened` looks: half a millisecond at 44.1 kHz
MOST_DB = 10.0  # by which a spike may stand out: of noise, the loudest half millisecond is 6 dB above the middle one
MEAN_OF = 21  # samples: what is below 500 Hz holds no spike, and goes on as it is


def heights_db(samples: Tensor, rate_hz: int, hop: int, per_window: int) -> Tensor:
    """How far every window of [B, N] stands out of both its sides, dB [B, W]; windows lie a hop apart."""
    bent = F.pad(samples, (2, 0)).diff(n=2, dim=-1)
    hops = bent[:, : bent.shape[1] // hop * hop].unflatten(1, (-1, hop)).square().mean(dim=2)  # [B, hops]
    energy = hops.unfold(1, per_window, 1).mean(dim=2) + FLOOR**2  # [B, W]
    around, guard = round(AROUND_S * rate_hz / hop), round(GUARD_S * rate_hz / hop)
    sides = F.pad(energy, (around, around), value=FLOOR**2).unfold(1, around - guard, 1).median(dim=2).values
    n = energy.shape[1]
    return 10 * (energy / torch.maximum(sides[:, :n], sides[:, around + guard + 1 :][:, :n])).log10()


def softened(samples: Tensor, rate_hz: int) -> Tensor:
    """Sound [B, N] whose spikes stand out by about MOST_DB at most; all else stays.  N is a multiple of HOP."""
    over_db = (heights_db(samples, rate_hz, HOP, PER_WINDOW) - MOST_DB).clamp_min(0)  # [B, W]
    over_db = F.max_pool1d(F.pad(over_db, (PER_WINDOW - 1, PER_WINDOW - 1)), PER_WINDOW, 1)  # [B, hops]
    gains = 10 ** (-F.max_pool1d(over_db, 3, 1, 1) / 20)  # of a spike's neighbours too
    gains = F.avg_pool1d(gains, 3, 1, 1, count_include_pad=False)
    gains = F.interpolate(gains[:, None], scale_factor=HOP, mode="linear")[:, 0]  # [B, N]
    low = low_part(samples)
    return low + (samples - low) * gains


def reach(rate_hz: int) -> int:
    """Samples on either side that a softened one can depend on."""
    return round(AROUND_S * rate_hz) + (PER_WINDOW + 3) * HOP + 3 * (MEAN_OF // 2)


def low_part(samples: Tensor) -> Tensor:
    """What of [B, N] is below about 500 Hz (at 44.1 kHz): three running means, which delay nothing."""
    for _ in range(3):
        samples = F.avg_pool1d(samples, MEAN_OF, 1, MEAN_OF // 2)
    return samples


def with_soft_ends(samples: Tensor, rate_hz: int, rise_s: float = 0.001) -> Tensor:
    """Sound [B, N] that begins and ends in silence, within `rise_s`: what is cut off clicks."""
    n = min(math.ceil(rise_s * rate_hz), samples.shape[1] // 2)
    rise = torch.sin(torch.linspace(0, math.pi / 2, n, device=samples.device)).square()
    return torch.cat([samples[:, :n] * rise, samples[:, n : samples.shape[1] - n],
                      samples[:, samples.shape[1] - n :] * rise.flip(0)], dim=1)  # fmt: skip
