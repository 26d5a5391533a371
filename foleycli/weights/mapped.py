"""Weights that are mapped from their file: memory that they take is given back, and read again when it is needed."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor

SMALLEST_BYTES = 1 << 20  # of a tensor that is worth a call


def give_back(tensors: Iterable[Tensor]) -> bool:
    """Let the memory of mapped tensors go; they stay as they are, and are read from the page cache or the file anew.

    Tensors that are not mapped, or that are trained (their pages differ from the file's), are left alone.  Nothing
    happens where there is no Linux.  Returns whether memory of all tensors, small ones aside, was given back.
    """
    large = [tensor for tensor in tensors if tensor.nbytes >= SMALLEST_BYTES]
    advise, spans = _madvise(), _mapped_spans()
    if advise is None or not spans:
        return False
    is_all = bool(large)
    for tensor in large:
        begin, end = tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes
        if tensor.requires_grad or not any(first <= begin and end <= last for first, last in spans):
            is_all = False
            continue
        first_page, last_page = -(-begin // mmap.PAGESIZE), end // mmap.PAGESIZE
        advise(first_page * mmap.PAGESIZE, (last_page - first_page) * mmap.PAGESIZE, mmap.MADV_DONTNEED)
    return is_all


@cache
def _madvise() -> Any:
    """The system's call; None where there is none."""
    if not hasattr(mmap, "MADV_DONTNEED") or not Path("/proc/self/maps").exists():
        return None
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return advise


def _mapped_spans() -> list[tuple[int, int]]:
    """Where files of weights lie in this process's memory: first and last address of each."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return []
    # "from-to rights offset device inode path": without execution, and of a file
    fields = [line.split(maxsplit=5) for line in lines]
    files = [one for one in fields if len(one) == 6 and one[4] != "0" and "x" not in one[1] and one[5].startswith("/")]
    return [(int(first, 16), int(last, 16)) for first, last in (one[0].split("-") for one in files)]
