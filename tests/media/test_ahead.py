"""Reading ahead: the same pieces, a few of them early, and an end in every case."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from foleycli.media.ahead import read_ahead


class Counted:
    """Numbers, how many of them were made, and whether their generator was closed."""

    def __init__(self, n: int, fails_at: int | None = None) -> None:
        self.n, self.fails_at, self.n_made, self.is_closed = n, fails_at, 0, False

    def pieces(self) -> Iterator[int]:
        try:
            for k in range(self.n):
                if k == self.fails_at:
                    raise ValueError("broken")
                self.n_made += 1
                yield k
        finally:
            self.is_closed = True


def test_all_pieces_come_in_order() -> None:
    counted = Counted(50)
    assert list(read_ahead(counted.pieces())) == list(range(50))
    assert counted.is_closed and list(read_ahead(Counted(0).pieces())) == []


def test_so_many_are_made_ahead_and_no_more() -> None:
    counted = Counted(50)
    reading = read_ahead(counted.pieces(), n=3)
    assert next(reading) == 0
    deadline = time.monotonic() + 10
    while counted.n_made < 5 and time.monotonic() < deadline:  # one taken, three waiting, one in hand
        time.sleep(0.01)
    time.sleep(0.05)
    assert counted.n_made == 5
    reading.close()  # type: ignore[attr-defined]


def test_an_error_comes_after_the_pieces_before_it() -> None:
    read: list[int] = []
    with pytest.raises(ValueError, match="broken"):
        read.extend(iter(read_ahead(Counted(9, fails_at=4).pieces())))
    counted = Counted(9, fails_at=4)
    reading = read_ahead(counted.pieces())
    assert [next(reading) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="broken"):
        next(reading)
    assert counted.is_closed


def test_who_stops_early_leaves_no_thread() -> None:
    counted = Counted(1000)
    before = threading.active_count()
    reading = read_ahead(counted.pieces())
    assert next(reading) == 0
    reading.close()  # type: ignore[attr-defined]
    assert counted.is_closed and threading.active_count() == before
