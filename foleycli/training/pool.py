"""The latest items of a stream, drawn from again and again: making one costs more than learning from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")


class Pool(Generic[T]):
    """The latest `size` items of a stream, and random ones out of them."""

    def __init__(self, items: Iterator[T], size: int) -> None:
        self._items, self._size, self._next = items, size, 0
        self._latest: list[T] = []

    @classmethod
    def after(cls, items_from: Callable[[int], Iterator[T]], size: int, n_taken: int) -> Pool[T]:
        """The pool as it is after `n_taken` items: a training that goes on draws from what it would have had.

        items_from  the stream from the item of a number on
        """
        first = max(0, n_taken - size)
        pool = cls(items_from(first), size)
        pool.take(n_taken - first)
        if first:  # item k lies at k modulo the size
            shift = first % size
            pool._latest = pool._latest[-shift:] + pool._latest[:-shift] if shift else pool._latest
            pool._next = n_taken
        return pool

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

    def draw_distinct(self, n: int, rng: np.random.Generator) -> list[T]:
        """None of them twice, where there are enough."""
        return [self._latest[k] for k in rng.choice(len(self._latest), size=n, replace=n > len(self._latest))]
