"""Flow times at which a sampler stops: rising, first 0 (noise), last 1 (data)."""

from __future__ import annotations

from itertools import accumulate


def uniform(n_steps: int) -> list[float]:
    """`n_steps` equal steps, for fields that do not read the step size."""
    return [index / n_steps for index in range(n_steps + 1)]


def shortcut(n_steps: int) -> list[float]:
    """`n_steps` steps whose sizes are all powers of two, as shortcut models are trained on.

    8 gives eight steps of 1/8; 6 gives four of 1/8, then two of 1/4.  The short steps come first, where
    the course of the sound is decided; each step starts on a multiple of its own size, as in training.
    """
    coarse = 1 << (n_steps.bit_length() - 1)  # the power of two at or below n_steps
    n_fine = 2 * (n_steps - coarse)
    sizes = [0.5 / coarse] * n_fine + [1.0 / coarse] * (n_steps - n_fine)
    return list(accumulate(sizes, initial=0.0))  # sums of powers of two: exact
