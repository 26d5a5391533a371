"""Which files nothing is trained on: one rule for codec, worlds and films, by the files' names alone.

All trainings leave the same files out, so that figures measured on them show nothing that was memorised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

HELD_OUT_OF_256 = 26  # a tenth


def is_held_out(file: str) -> bool:
    """A tenth of all names; `file` is relative to its data folder, with forward slashes."""
    return _number(file)[0] < HELD_OUT_OF_256


def held_out_of(files: Iterable[str]) -> set[str]:
    """Those of the files that are held out; of two or more at least one, and never all."""
    ranked = sorted(files, key=_number)
    n = sum(map(is_held_out, ranked))
    return set(ranked[: min(max(n, 1), len(ranked) - 1)]) if ranked else set()


def _number(file: str) -> bytes:
    return hashlib.md5(file.encode(), usedforsecurity=False).digest()
