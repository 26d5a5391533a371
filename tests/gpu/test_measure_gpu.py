"""The script of the GPU's measurements runs in miniature, so that it works when there is a GPU for a few minutes."""

from __future__ import annotations

import json
from pathlib import Path

import measure_gpu
import pytest
import torch


def test_every_part_gives_figures_in_miniature(tmp_path: Path) -> None:
    out, parts = tmp_path / "found.json", ["salsav_large", "codecs", "published", "copies", "gpu_tests"]
    measure_gpu.main(out, device="cpu", miniature=True, minutes=1.0, parts=parts)
    facts = json.loads(out.read_text())
    assert list(facts["parts"]) == parts and '"error"' not in out.read_text()
    large = facts["parts"]["salsav_large"]
    assert all(large[name] > 0 for name in ("float32", "tf32", "bfloat16", "bfloat16, 2 windows at once, each"))
    assert facts["parts"]["codecs"]["mel-mini"]["bfloat16"]["snr_db"] > 10
    assert facts["parts"]["published"]["mmaudio, bfloat16"] > 0
    assert facts["parts"]["copies"] == {"left_out": "they need CUDA", "took_s": 0.0}


def test_an_error_in_one_part_does_not_end_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(machine: measure_gpu.Machine) -> dict[str, object]:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(measure_gpu, "PARTS", {"first": fails, "second": lambda machine: {"device": machine.device}})
    out = tmp_path / "found.json"
    measure_gpu.main(out, device="cpu", miniature=True, minutes=1.0, parts=None)
    parts = json.loads(out.read_text())["parts"]
    assert "no such kernel" in parts["first"]["error"] and parts["second"]["device"] == "cpu"


def test_no_part_begins_when_the_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_gpu, "PARTS", {"one": lambda machine: {}})
    measure_gpu.main(tmp_path / "found.json", device="cpu", miniature=True, minutes=-1.0, parts=None)
    assert json.loads((tmp_path / "found.json").read_text())["parts"] == {"one": {"left_out": "the time was over"}}


def test_tf32_is_only_asked_for_within() -> None:
    before = torch.get_float32_matmul_precision()
    with measure_gpu.tf32(True):
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == before
