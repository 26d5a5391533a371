"""How many processor threads torch uses, and how they wait: arranged around torch's import, which this module does.

Threads of one calculation meet many times a millisecond.  Those that have come first spin by default, and where other
processes hold the processors they spin for as long as those run: an 8 s clip beside busy processes then took six times
its CPU time.  A short spin and then sleep takes 1.05 to 1.07 of the CPU time of one thread there.  On an idle machine
the sampler is then a tenth slower than with endless spinning, and a fifth faster than when threads sleep at once.
"""

from __future__ import annotations

import ctypes
import gc
import math
import os
import sys
from contextlib import suppress
from pathlib import Path

USER_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # where one of them is set, the number of threads is settled
SPIN_COUNT = "1000"  # of libgomp, a few microseconds: ten times as many cost half as much again beside busy processes
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
WAITING_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def import_torch(threads: int | None = None) -> None:
    """Import torch, which takes its settings from the environment at that moment, and set its number of threads.

    threads  so many; None: what the user's own OMP_NUM_THREADS or MKL_NUM_THREADS says, else what torch chooses, but no
             more than this process may use
    """
    if not any(name in os.environ for name in WAITING_VARIABLES):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT  # where torch brings libgomp, on Linux
    if "torch" not in sys.modules:
        was_enabled = gc.isenabled()
        gc.disable()  # looking for garbage among a million new objects that all stay takes a tenth of the import
        import torch

        gc.freeze()  # nor shall any later search walk over them
        if was_enabled:
            gc.enable()
    import torch

    if not any(name.startswith("MALLOC_") for name in os.environ):
        reuse_freed_memory(1 << 30)
    if threads is not None:
        torch.set_num_threads(threads)
    elif not any(name in os.environ for name in USER_VARIABLES) and torch.get_num_threads() > usable_cpus():
        torch.set_num_threads(usable_cpus())


def reuse_freed_memory(kept_bytes: int) -> None:
    """Have glibc keep so much freed memory for the next large tensors: the system clears every page that it gives."""
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, 32 << 20)  # the highest that there is; by itself glibc gets there step by step
        mallopt(M_TRIM_THRESHOLD, kept_bytes)


def decoder_threads() -> int:
    """How many threads read a video, beside those of the networks: half as many as these, one at least.

    A decoder that shares its work among threads takes a fifth more processor time than one that does not.
    """
    torch = sys.modules.get("torch")
    n_threads: int = usable_cpus() if torch is None else torch.get_num_threads()
    return max(1, n_threads // 2)


def usable_cpus(root: Path = Path("/")) -> int:
    """Processors that this process may use: by its affinity, and by the CPU quota of its control groups.

    root  where /proc and /sys are found
    """
    try:
        n_cpus = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        n_cpus = os.cpu_count() or 1
    return max(1, math.ceil(min(n_cpus, cgroup_quota_cpus(root))))


def cgroup_quota_cpus(root: Path = Path("/")) -> float:
    """Processors' worth of time that the control groups of this process grant it, as containers set it; inf: no limit.

    Reads cpu.max (version 2) or cpu.cfs_quota_us (version 1) of its group and of all groups around that.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return math.inf
    least = math.inf
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            base, read = root / "sys/fs/cgroup", _quota_v2
        elif "cpu" in controllers.split(","):
            base, read = root / "sys/fs/cgroup/cpu", _quota_v1
        else:
            continue
        folder = base / group.lstrip("/")
        # A container may see its own group as the root of the mount, but its path from outside.
        for place in (folder, *folder.parents):
            least = min(least, read(place))
            if place == base:
                break
    return least


def _quota_v2(folder: Path) -> float:
    try:
        quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        return math.inf if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf


def _quota_v1(folder: Path) -> float:
    try:
        quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        return quota / period if quota > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf
