"""Steps of a stream as they come, in one piece of memory that grows.

Kept as a list, small pieces that stay would lie between the large tensors that come and go: the heap's holes are then
never large enough again, and half an hour of video takes hundreds of megabytes more than its features.
"""

from __future__ import annotations

import torch
from torch import Tensor

FIRST_BYTES = 1 << 21  # nearly three minutes of the shipped encoder's vectors


class Growing:
    """Rows [n, D], float32 on the CPU unless another `dtype` is asked for."""

    def __init__(self, dim: int, dtype: torch.dtype = torch.float32) -> None:
        self._rows = torch.empty(max(1, FIRST_BYTES // (4 * dim)), dim, dtype=dtype)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def append(self, rows: Tensor) -> None:
        """More rows [m, D], of any dtype and device."""
        end = self._n + len(rows)
        if end > len(self._rows):
            larger = self._rows.new_empty(max(end, 2 * len(self._rows)), self._rows.shape[1])
            larger[: self._n] = self._rows[: self._n]
            self._rows = larger
        self._rows[self._n : end] = rows
        self._n = end

    def all(self) -> Tensor:
        """What has come, [n, D]."""
        return self._rows[: self._n].clone()
