"""A stand-in for a torchaudio that is installed but cannot be imported.

torchaudio's registry wheel links CUDA libraries and fails beside a CPU-only torch.  Packages that foley uses import it
without needing it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType


@contextmanager
def torchaudio_stand_in() -> Iterator[None]:
    """Around the import of such a package: a torchaudio that works stays, an empty module stands in for another."""
    if _torchaudio_works():
        yield
        return
    stand_in = ModuleType("torchaudio")
    stand_in.__spec__ = ModuleSpec("torchaudio", loader=None)  # some packages ask whether it is installed
    sys.modules["torchaudio"] = stand_in
    try:
        yield
    finally:
        _forget_torchaudio()


def _torchaudio_works() -> bool:
    try:
        importlib.import_module("torchaudio")
    except (ImportError, OSError, RuntimeError):  # OSError: a CUDA library that the wheel links is missing
        _forget_torchaudio()
        return False
    return True


def _forget_torchaudio() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
        del sys.modules[name]
