"""Several processes and passes come to what one process comes to with all rows at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from foleycli.families.foleyflow.config import SIZES as FOLEYFLOW
from foleycli.families.foleyflow.network import FoleyFlow
from foleycli.families.maskvat.config import SIZES as MASKVAT
from foleycli.families.maskvat.network import MaskVat
from foleycli.training.parallel import blocks_of, checkpoint_blocks, passes

SCRIPT = Path(__file__).with_name("two_processes.py")
sys.path.insert(0, str(SCRIPT.parent))
import two_processes  # noqa: E402


def train_on_two(mode: str, out: Path, meeting: Path, last_step: int = 100) -> dict:
    """The checkpoint of a training on two processes."""
    both = [
        subprocess.Popen(
            [sys.executable, SCRIPT, mode, str(out), str(rank), str(meeting), str(last_step)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    told = [process.communicate(timeout=240)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], "\n".join(told)
    return torch.load(out / "last.pt", weights_only=True)


def same(state: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert state.keys() == other.keys()
    for name, value in state.items():
        torch.testing.assert_close(value, other[name], rtol=1e-4, atol=2e-5, msg=name)


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict:  # noqa: ANN001
    """The checkpoint of one process that adds up two passes."""
    out = tmp_path_factory.mktemp("alone")
    two_processes.run("ddp", out)
    return torch.load(out / "last.pt", weights_only=True)


SLOW = pytest.mark.slow


@pytest.mark.parametrize("mode", ["ddp", pytest.param("fsdp", marks=SLOW)])
def test_two_processes_learn_as_one_that_adds_up_two_passes(tmp_path, alone, mode):
    both = train_on_two(mode, tmp_path / "both", tmp_path / "meeting")
    for part in ("network", "average"):
        same(both[part], alone[part])
    for number, values in alone["optimizer"]["state"].items():
        same({"exp_avg": both["optimizer"]["state"][number]["exp_avg"]}, {"exp_avg": values["exp_avg"]})
    assert both["step"] == 3


@SLOW
def test_a_stopped_training_of_cut_weights_goes_on_with_another_number_of_processes(tmp_path, alone):
    stopped = train_on_two("fsdp", tmp_path / "both", tmp_path / "meeting", last_step=1)
    assert stopped["step"] == 2
    two_processes.run("ddp", tmp_path / "both", resume=True)
    same(torch.load(tmp_path / "both" / "last.pt", weights_only=True)["network"], alone["network"])


@pytest.mark.parametrize("choice", ["half", "all"])
def test_activations_that_are_computed_again_give_the_same_weights(tmp_path, alone, choice):
    two_processes.run("ddp", tmp_path / "again", checkpointing=choice)
    again = torch.load(tmp_path / "again" / "last.pt", weights_only=True)
    for name, value in alone["network"].items():
        assert torch.equal(value, again["network"][name]), name


def test_all_blocks_of_a_network_are_found() -> None:
    with torch.device("meta"):
        maskvat, foleyflow = MaskVat(MASKVAT["mini"]), FoleyFlow(FOLEYFLOW["mini"])
    config = MASKVAT["mini"]
    assert len(blocks_of(maskvat)) == config.n_blocks + config.n_codebooks
    assert len(blocks_of(foleyflow)) == FOLEYFLOW["mini"].n_blocks + FOLEYFLOW["mini"].video_layers
    assert blocks_of(nn.Linear(2, 2)) == []


def test_a_block_that_is_checkpointed_keeps_less() -> None:
    kept = {}
    for choice in ("none", "half", "all"):
        task = two_processes.Velocities()
        checkpoint_blocks(task.network, choice)
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, sizes=sizes: sizes.append(x.nbytes) or x, lambda x: x):
            task.loss(task.network, task.network, next(task.batches(0, 0, 1)), 0)
        kept[choice] = sum(sizes)
    assert kept["all"] < 0.6 * kept["half"] < 0.6 * kept["none"]


@pytest.mark.parametrize(
    ("batch_size", "total", "processes", "expected"),
    [(8, 0, 4, (8, 1)), (64, 300, 8, (38, 1)), (64, 300, 1, (60, 5)), (16, 300, 8, (13, 3)), (64, 10, 2, (5, 1))],
)
def test_a_steps_clips_are_divided_evenly(batch_size, total, processes, expected):
    assert passes(batch_size, total, processes) == expected
