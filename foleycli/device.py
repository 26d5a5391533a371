"""Chooses where the networks run, in which precision, and makes seeded generators."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from foleycli.errors import FoleyError

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "bfloat16", "float16")
BFLOAT16_FLAGS = frozenset(["avx512_bf16", "amx_bf16"])
# What shows a GPU that torch might use: NVIDIA's and AMD's drivers on Linux, and Windows' GPUs inside of it.
GPU_NODES = tuple(map(Path, ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")))


def name_device(device: str, dtype: str, cpu_bfloat16: bool = False) -> tuple[str, str]:
    """What `choose_device` and `choose_dtype` come to, as names; without importing torch where only a CPU can be meant.

    Errors as theirs.
    """
    if device == "cpu" or (device == "auto" and has_cpu_only()):
        fastest = "bfloat16" if cpu_bfloat16 and cpu_has_bfloat16() else "float32"
        return "cpu", fastest if dtype == "auto" else dtype
    chosen = choose_device(device)
    return str(chosen), str(choose_dtype(dtype, chosen, cpu_bfloat16)).removeprefix("torch.")


def has_cpu_only() -> bool:
    """Whether torch can use nothing but the CPU here, as far as that shows without importing it; False: perhaps not."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        is_cpu_build = version("torch").endswith("+cpu")
    except PackageNotFoundError:
        is_cpu_build = False
    return is_cpu_build or not any(node.exists() for node in GPU_NODES)


@cache
def cpu_has_bfloat16(cpu_info: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor has instructions for products of bfloat16 matrices: x86, as Linux tells; False: perhaps."""
    try:
        flags = re.search(r"^flags\s*:(.*)$", cpu_info.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return False
    return flags is not None and not BFLOAT16_FLAGS.isdisjoint(flags[1].split())


def choose_device(name: str = "auto") -> torch.device:
    """`auto` is CUDA, else MPS, else the CPU; a named device that is not there is an error."""
    import torch

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


def choose_dtype(name: str, device: torch.device, cpu_bfloat16: bool = False) -> torch.dtype:
    """`auto` is bfloat16 on CUDA cards that have it and, for some models, on CPUs that have it, else float32.

    cpu_bfloat16   whether that was found to make no difference that can be heard: the model's config.json says so
    """
    import torch

    if name == "auto":
        on_cuda = device.type == "cuda" and torch.cuda.is_bf16_supported()
        on_cpu = device.type == "cpu" and cpu_bfloat16 and cpu_has_bfloat16()
        return torch.bfloat16 if on_cuda or on_cpu else torch.float32
    if name not in DTYPES:
        raise FoleyError(f"dtype {name!r} is unknown", f"One of: auto, {', '.join(DTYPES)}")
    return getattr(torch, name)


def full_precision(device: torch.device) -> AbstractContextManager:
    """No autocast in the block; the meta device knows none."""
    import torch

    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def generator(seed: int, *purpose: object) -> torch.Generator:
    """A CPU generator of its own for every purpose (a window's index, say): same seed, same noise everywhere."""
    import torch

    text = "/".join(map(str, (seed, *purpose)))
    return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1)


@contextmanager
def oom_as_foley_error() -> Iterator[None]:
    """A device that is out of memory becomes a FoleyError that says what to do; around all work on networks."""
    import torch

    try:
        yield
    except RuntimeError as error:  # CUDA has a class of its own for it, MPS and the CPU have a sentence
        message = " ".join(str(error).split())
        is_cuda = isinstance(error, torch.cuda.OutOfMemoryError)
        if not (is_cuda or "out of memory" in message or "can't allocate memory" in message):
            raise
        raise FoleyError(
            f"the device has too little memory: {message[:200]}",
            "Free some of it, or use --device cpu; the size and length of the picture make no difference",
        ) from error
