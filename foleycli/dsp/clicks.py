"""Clicks: finding and suppressing what lasts half a millisecond and stands out of the sound on both its sides.

A click is loud in the samples' second difference, where smooth sound is quiet.  A hit is loud there too, but the sound
goes on after it.  Phases that Griffin-Lim finds make clicks where the sound had none: within a frame of 23 ms they may
gather what should be spread.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SIDE_S = 0.010  # before and after a window, that a click must stand out of
GUARD_S = 0.0015  # of the sides, nearest to the window, is left out: a click rings
FLOOR = 1e-4  # of amplitude, full scale is 1: a click in silence counts from about -65 dB
# `suppress_clicks` looks at windows of WINDOW_HOPS hops of HOP samples: half a millisecond at 44.1 kHz.
HOP, WINDOW_HOPS = 8, 3
MAX_PROMINENCE_DB = 10.0  # that is left alone: the loudest half millisecond of noise is 6 dB above the median
LOW_PASS_SAMPLES = 21  # of the running mean: below 500 Hz there is no click, and the sound stays as it is


def click_prominence_db(samples: Tensor, rate_hz: int, hop: int, window_hops: int) -> Tensor:
    """How far every window of [B, N] stands out of both its sides, dB [B, W].

    A new window begins every `hop` samples and lasts `window_hops` hops; it is compared with the louder side.
    """
    second_difference = F.pad(samples, (2, 0)).diff(n=2, dim=-1)
    n_whole = second_difference.shape[1] // hop * hop
    hops = second_difference[:, :n_whole].unflatten(1, (-1, hop)).square().mean(dim=2)  # [B, hops]
    energy = hops.unfold(1, window_hops, 1).mean(dim=2) + FLOOR**2  # [B, W]
    side, guard = round(SIDE_S * rate_hz / hop), round(GUARD_S * rate_hz / hop)
    sides = _median(F.pad(energy, (side, side), value=FLOOR**2).unfold(1, side - guard, 1))
    n = energy.shape[1]
    return 10 * (energy / torch.maximum(sides[:, :n], sides[:, side + guard + 1 :][:, :n])).log10()


def _median(values: Tensor) -> Tensor:
    """`values.median(dim=2).values`; on the CPU by numpy, which takes a tenth of the time."""
    if values.device.type != "cpu" or values.requires_grad:
        return values.median(dim=2).values
    middle = (values.shape[2] - 1) // 2
    return torch.from_numpy(np.partition(values.numpy(), middle, axis=2)[..., middle].copy())


def suppress_clicks(samples: Tensor, rate_hz: int) -> Tensor:
    """Sound [B, N], N a multiple of HOP, whose clicks are turned down to a prominence of about MAX_PROMINENCE_DB."""
    over_db = (click_prominence_db(samples, rate_hz, HOP, WINDOW_HOPS) - MAX_PROMINENCE_DB).clamp_min(0)  # [B, W]
    over_db = F.max_pool1d(F.pad(over_db, (WINDOW_HOPS - 1, WINDOW_HOPS - 1)), WINDOW_HOPS, 1)  # [B, hops]
    gains = 10 ** (-F.max_pool1d(over_db, 3, 1, 1) / 20)  # a click's neighbours are turned down too
    gains = F.avg_pool1d(gains, 3, 1, 1, count_include_pad=False)
    gains = F.interpolate(gains[:, None], scale_factor=HOP, mode="linear")[:, 0]  # [B, N]
    low = low_pass(samples)
    return low + (samples - low) * gains


def context_samples(rate_hz: int) -> int:
    """How many samples to either side a sample of `suppress_clicks` depends on, at most."""
    return round(SIDE_S * rate_hz) + (WINDOW_HOPS + 3) * HOP + 3 * (LOW_PASS_SAMPLES // 2)


def low_pass(samples: Tensor) -> Tensor:
    """What of [B, N] is below about 500 Hz (at 44.1 kHz): three running means, which delay nothing."""
    for _ in range(3):
        samples = F.avg_pool1d(samples, LOW_PASS_SAMPLES, 1, LOW_PASS_SAMPLES // 2)
    return samples


def apply_edge_fades(samples: Tensor, rate_hz: int, fade_s: float = 0.001) -> Tensor:
    """Sound [B, N] faded in from silence and out to it, over `fade_s` each: sound that is cut off clicks."""
    n = min(math.ceil(fade_s * rate_hz), samples.shape[1] // 2)
    fade = torch.sin(torch.linspace(0, math.pi / 2, n, device=samples.device)).square()
    first, middle, last = samples.split([n, samples.shape[1] - 2 * n, n], dim=1)
    return torch.cat([first * fade, middle, last * fade.flip(0)], dim=1)
