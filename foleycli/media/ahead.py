"""Reading ahead: the next pieces of a stream are made by another thread while one is worked on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import TypeVar

Piece = TypeVar("Piece")
POLL_S = 0.1  # after which a thread that waits looks whether it is still wanted


def read_ahead(pieces: Iterator[Piece], n: int = 2) -> Iterator[Piece]:
    """The same pieces in the same order, at most `n` of them made ahead by a thread of their own.

    An error in their making is raised where the piece is missing.  The thread ends with the generator: read out,
    closed early, or interrupted; `pieces` is closed then, if it can be.
    """
    ready: queue.Queue[tuple[Piece | None, BaseException | None]] = queue.Queue(maxsize=n)
    is_over = threading.Event()

    def put(piece: Piece | None, error: BaseException | None) -> None:
        while not is_over.is_set():
            with suppress(queue.Full):
                ready.put((piece, error), timeout=POLL_S)
                return

    def make() -> None:
        try:
            for piece in pieces:
                put(piece, None)
                if is_over.is_set():
                    break
            put(None, StopIteration())
        except BaseException as error:  # it belongs to who reads
            put(None, error)
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    maker = threading.Thread(target=make, name="read-ahead", daemon=True)
    maker.start()
    try:
        while True:
            piece, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            assert piece is not None
            yield piece
    finally:
        is_over.set()
        maker.join()
