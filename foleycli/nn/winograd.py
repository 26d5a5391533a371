"""Convolutions of three taps over time by Winograd's F(2, 3): two outputs by four products of matrices instead of six.

Lavin and Gray, arXiv 1509.09308.  Steps are taken by twos; in float32 the outputs equal the plain ones to rounding
(1e-6), while in bfloat16 the sums of weights would be rounded once more, so that it is left out there.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from foleycli import onednn


class Pairs(NamedTuple):
    """Steps [B, L, D] by twos; where L is odd, the last pair's second is zero."""

    even: Tensor  # [B, ceil(L / 2), D]
    odd: Tensor  # [B, ceil(L / 2), D]


def suits(x: Tensor, weight: Tensor) -> bool:
    """Whether a convolution of [B, L, D] by a weight [out, D, kernel] is quicker by F(2, 3)."""
    has_three_taps = weight.ndim == 3 and weight.shape[2] == 3
    return has_three_taps and weight.dtype == torch.float32 and onednn.runs_on_onednn(x, weight)


def pair(x: Tensor) -> Pairs:
    """Steps [B, L, D] by twos."""
    padded = F.pad(x, (0, 0, 0, x.shape[1] % 2))
    return Pairs(padded[:, 0::2], padded[:, 1::2])


def join(pairs: Pairs, n_steps: int) -> Tensor:
    """The first `n_steps` steps in a row, [B, L, D]."""
    return torch.stack(pairs, dim=2).flatten(1, 2)[:, :n_steps]


def transform(pairs: Pairs) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What the four products read, each [B, pairs, D]; steps before the first and after the last are zero."""
    even, odd = pairs
    before, after = F.pad(odd[:, :-1], (0, 0, 1, 0)), F.pad(even[:, 1:], (0, 0, 0, 1))
    mean = (even + odd).mul_(0.5)
    return before - odd, mean, odd - mean, after - even


def convolve(transformed: tuple[Tensor, Tensor, Tensor, Tensor], taps: Tensor, bias: Tensor | None = None) -> Pairs:
    """The convolution, same length, of what was transformed by taps [3, out, D]; one step more where L is odd."""
    first, mean, half_difference, last = transformed
    outer = taps[0] + taps[2]  # [out, D]
    of_mean = onednn.linear(mean, outer + taps[1])
    of_difference = onednn.linear(half_difference, outer.sub_(taps[1]))
    even = onednn.linear_plus(first, taps[0], of_mean + of_difference, bias)
    odd = onednn.linear_plus(last, taps[2], of_mean.sub_(of_difference), bias)
    return Pairs(even, odd)
