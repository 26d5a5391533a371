"""Worker processes that make training data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader, IterableDataset

from foleycli.errors import FoleyError


class Mapped(IterableDataset):
    """Items of a stream, made into others by the process that reads them."""

    def __init__(self, stream: IterableDataset, function: Callable[[Any], Any]) -> None:
        self.stream, self.function = stream, function

    def __iter__(self) -> Iterator[Any]:
        return map(self.function, iter(self.stream))


class _ErrorAsItem(IterableDataset):
    """The items of a stream and, where a FoleyError ends it, that error as its last item.

    Raised in a worker, an error comes back as the text of its traceback; handed over as an item, it stays what it is.
    """

    def __init__(self, stream: IterableDataset) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self.stream
        except FoleyError as error:
            yield error


def iterate_in_workers(stream: IterableDataset, n_workers: int, prefetch: int = 2) -> Iterator[Any]:
    """The items of the stream, made by worker processes (0: in this one), `prefetch` items ahead each.

    Errors: the FoleyError that ended the stream, wherever it was raised.
    """
    if n_workers == 0:
        yield from stream
        return
    for item in DataLoader(_ErrorAsItem(stream), batch_size=None, num_workers=n_workers, prefetch_factor=prefetch):
        if isinstance(item, FoleyError):
            raise item
        yield item
