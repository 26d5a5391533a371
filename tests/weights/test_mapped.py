"""Memory of mapped weights: given back, and the same numbers afterwards."""

from pathlib import Path

import pytest
import torch

from foleycli.weights.checkpoint import read
from foleycli.weights.mapped import give_back


def resident_bytes() -> int:
    """Memory of this process that files take."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssFile"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="counts memory as Linux does")
def test_mapped_weights_leave_memory_and_come_again(tmp_path):
    numbers = torch.randn(1 << 22)  # 16 MB
    torch.save({"weight": numbers}, tmp_path / "weights.pth")
    weight = read(tmp_path / "weights.pth")["weight"]
    assert torch.equal(weight, numbers)
    before = resident_bytes()
    assert give_back([weight])
    assert before - resident_bytes() > 12e6
    assert torch.equal(weight, numbers)


def test_weights_of_this_process_alone_are_left_alone(tmp_path):
    numbers = torch.randn(1 << 20)
    kept = numbers.clone()
    assert not give_back([numbers]) and torch.equal(numbers, kept)
    torch.save({"weight": numbers}, tmp_path / "weights.pth")
    trained = read(tmp_path / "weights.pth")["weight"].requires_grad_()
    assert not give_back([trained])
