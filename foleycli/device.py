"""Chooses where the networks run, in which precision, and makes seeded generators."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from foleycli.errors import FoleyError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(name: str = "auto") -> torch.device:
    """`auto` is CUDA, else MPS, else the CPU; a named device that is not there is an error."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if there[kind]))
    if name.split(":")[0] not in there:
        raise FoleyError(f"device {name!r} is unknown", "One of: auto, cpu, cuda, mps")
    if not there[name.split(":")[0]]:
        raise FoleyError(f"this torch sees no {name} device", "Use --device auto; foley doctor shows what there is")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise FoleyError(f"device {name!r} is unknown", "A number may follow, as in cuda:0") from None
    n_devices = torch.cuda.device_count() if device.type == "cuda" else 1
    if (device.index or 0) >= n_devices:
        raise FoleyError(f"there is no device {name}: they are numbered 0 to {n_devices - 1}", "Use --device auto")
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """`auto` is bfloat16 on CUDA cards that have it, else float32."""
    if name == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if fast else torch.float32
    if name not in DTYPES:
        raise FoleyError(f"dtype {name!r} is unknown", f"One of: auto, {', '.join(DTYPES)}")
    return DTYPES[name]


def generator(seed: int, *purpose: object) -> torch.Generator:
    """A CPU generator of its own for every purpose (a window's index, say): same seed, same noise everywhere."""
    text = "/".join(map(str, (seed, *purpose)))
    return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1)


@contextmanager
def oom_as_foley_error() -> Iterator[None]:
    """A device that is out of memory becomes a FoleyError that says what to do; around all work on networks."""
    try:
        yield
    except RuntimeError as error:  # CUDA has a class of its own for it, MPS and the CPU have a sentence
        told = " ".join(str(error).split())
        is_cuda = isinstance(error, torch.cuda.OutOfMemoryError)
        if not (is_cuda or "out of memory" in told or "can't allocate memory" in told):
            raise
        raise FoleyError(
            f"the device has too little memory: {told[:200]}",
            "Free some of it, or use --device cpu; the size and length of the picture make no difference",
        ) from error
