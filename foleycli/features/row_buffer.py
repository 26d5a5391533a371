"""A growing matrix for feature steps that come chunk by chunk.

Collected in a list, small tensors that stay would sit between the large ones that come and go; the heap fragments, and
half an hour of video takes hundreds of megabytes more than its features.
"""

from __future__ import annotations

import torch
from torch import Tensor

FIRST_BYTES = 1 << 21  # nearly three minutes of the shipped encoder's vectors


class RowBuffer:
    """Rows [n, D] on the CPU, in one block of memory that doubles when it is full."""

    def __init__(self, dim: int, dtype: torch.dtype = torch.float32) -> None:
        self._rows = torch.empty(max(1, FIRST_BYTES // (4 * dim)), dim, dtype=dtype)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def append(self, rows: Tensor) -> None:
        """Add rows [m, D], of any dtype and device."""
        end = self._n + len(rows)
        if end > len(self._rows):
            larger = self._rows.new_empty(max(end, 2 * len(self._rows)), self._rows.shape[1])
            larger[: self._n] = self._rows[: self._n]
            self._rows = larger
        self._rows[self._n : end] = rows
        self._n = end

    def all(self) -> Tensor:
        """A copy of all rows so far, [n, D]."""
        return self._rows[: self._n].clone()
