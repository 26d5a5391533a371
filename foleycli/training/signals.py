"""Ctrl-C and SIGTERM during a training: a step that has begun is ended first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def signals_held() -> Iterator[list[int]]:
    """Hold SIGINT and SIGTERM back until the block ends, then act on them; a second signal acts at once.

    Network, average and optimiser change one after the other: stopped between them, they would not go together.
    The block is given the list of signals held; one that it appends itself acts as well.
    """
    if threading.current_thread() is not threading.main_thread():  # Python gives signals to no other
        yield []
        return
    held: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def hold(number: int, frame: FrameType | None) -> None:
        held.append(number)
        if len(held) > 1:
            restore()
            signal.raise_signal(number)

    for number in handlers:
        signal.signal(number, hold)
    try:
        yield held
    finally:
        restore()
        if len(held) == 1:
            signal.raise_signal(held[0])
