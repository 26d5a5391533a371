"""Devices that are not there, and ones that are full."""

from __future__ import annotations

import pytest
import torch

from foleycli import device
from foleycli.device import (
    choose_device,
    choose_dtype,
    cpu_has_bfloat16,
    generator,
    has_cpu_only,
    name_device,
    oom_as_foley_error,
)
from foleycli.errors import FoleyError


def test_unknown_names_are_refused() -> None:
    with pytest.raises(FoleyError, match="'tpu'"):
        choose_device("tpu")
    with pytest.raises(FoleyError, match="'int8'"):
        choose_dtype("int8", torch.device("cpu"))
    assert choose_dtype("auto", torch.device("cpu")) == torch.float32


@pytest.mark.parametrize(
    ("flags", "wanted"), [("fpu avx512_bf16 xsave", True), ("fpu amx_bf16", True), ("bf16", False)]
)
def test_fast_bfloat16_is_told_by_the_processors_flags(tmp_path, flags, wanted) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(f"model name\t: A\nflags\t\t: {flags}\nbugs\t: none\n")
    assert cpu_has_bfloat16(info) is wanted
    assert cpu_has_bfloat16(tmp_path / "missing") is False


@pytest.mark.parametrize(("is_there", "wanted"), [(True, "bfloat16"), (False, "float32")])
def test_a_model_that_bears_bfloat16_gets_it_where_it_is_fast(monkeypatch, is_there, wanted) -> None:
    monkeypatch.setattr(device, "cpu_has_bfloat16", lambda: is_there)
    assert str(choose_dtype("auto", torch.device("cpu"), True)) == f"torch.{wanted}"
    assert name_device("cpu", "auto", True) == ("cpu", wanted)
    assert name_device("cpu", "auto") == ("cpu", "float32")
    assert choose_dtype("float32", torch.device("cpu"), True) == torch.float32


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


@pytest.mark.parametrize("device", ["auto", "cpu"])
@pytest.mark.parametrize("dtype", ["auto", "bfloat16"])
def test_names_without_torch_are_those_that_torch_chooses(device: str, dtype: str) -> None:
    chosen = choose_device(device)
    assert name_device(device, dtype) == (str(chosen), str(choose_dtype(dtype, chosen)).removeprefix("torch."))


def test_a_gpu_that_is_not_there_is_refused_by_name_too() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(FoleyError, match="no cuda device"):
        name_device("cuda", "auto")


def test_where_a_gpu_might_be_torch_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foleycli.device.has_cpu_only", lambda: False)
    assert name_device("auto", "auto")[0] == str(choose_device("auto"))
    monkeypatch.undo()
    assert not (torch.cuda.is_available() and has_cpu_only())
