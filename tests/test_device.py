"""Devices that are not there, and ones that are full."""

from __future__ import annotations

import pytest
import torch

from foleycli.device import choose_device, choose_dtype, generator, oom_as_foley_error
from foleycli.errors import FoleyError


def test_unknown_names_are_refused() -> None:
    with pytest.raises(FoleyError, match="'tpu'"):
        choose_device("tpu")
    with pytest.raises(FoleyError, match="'int8'"):
        choose_dtype("int8", torch.device("cpu"))
    assert choose_dtype("auto", torch.device("cpu")) == torch.float32


def test_every_purpose_has_its_own_noise() -> None:
    purposes = ((1, "window", 0), (1, "window", 0), (1, "window", 9))
    a, b, c = (torch.randn(4, generator=generator(*purpose)) for purpose in purposes)
    assert torch.equal(a, b) and not torch.equal(a, c)


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:75] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_missing_memory_is_told_with_a_way_out(error: RuntimeError) -> None:
    with pytest.raises(FoleyError, match="memory") as told, oom_as_foley_error():
        raise error
    assert "--device cpu" in told.value.hint


def test_real_failures_of_the_cpu_allocator_are_such() -> None:
    with pytest.raises(FoleyError, match="memory"), oom_as_foley_error():
        torch.empty(1 << 60, dtype=torch.uint8)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shape"), oom_as_foley_error():
        raise RuntimeError("shape mismatch")
