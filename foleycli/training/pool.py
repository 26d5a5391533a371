"""The latest items of a stream, drawn from again and again: making one costs more than learning from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")


class Pool(Generic[T]):
    """The latest `size` items of a stream, and random ones out of them."""

    def __init__(self, items: Iterator[T], size: int) -> None:
        self._items, self._size, self._next = items, size, 0
        self._latest: list[T] = []

    def take(self, n_fresh: int) -> None:
        """Let `n_fresh` new items push out the oldest."""
        for _ in range(n_fresh):
            item = next(self._items)
            if len(self._latest) < self._size:
                self._latest.append(item)
            else:
                self._latest[self._next % self._size] = item
            self._next += 1

    def draw(self, n: int, rng: np.random.Generator) -> list[T]:
        return [self._latest[k] for k in rng.integers(len(self._latest), size=n)]
