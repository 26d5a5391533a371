"""The training loop on a network of one layer: stop and resume, damaged checkpoints, average, log, schedule."""

from __future__ import annotations

import errno
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Container, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from foleycli.errors import FoleyError
from foleycli.training.loop import MOST_SKIPPED, Trainer, learning_rate, precision, to_device
from foleycli.training.recipe import Recipe
from foleycli.training.signals import signals_held

RECIPE = Recipe("line", 12, 4, 0.05, warmup_steps=2, precision="float32", log_every=2, validate_every=5, save_every=4)
CPU = torch.device("cpu")


class Line(nn.Module):
    """One layer with dropout, so that noise that is not the step's own would show."""

    def __init__(self, config: int) -> None:
        super().__init__()
        self.config = config
        self.layer = nn.Linear(config, 1)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.seen += self.training
        return self.layer(nn.functional.dropout(x, 0.3, self.training))


class KilledError(Exception):
    """As SIGKILL, this leaves no time to save."""


class LineTask:
    """Learns the sum of its inputs; stops as if killed before step `killed_at`; loses its loss at `spoiled_at`."""

    def __init__(self, killed_at: int = -1, spoiled_at: Container[int] = ()) -> None:
        torch.manual_seed(0)
        self.network, self.killed_at, self.spoiled_at = Line(3), killed_at, spoiled_at

    def batches(self, first_step: int, rank: int, world_size: int) -> Iterator[Tensor]:
        for step in range(first_step, 1000):
            if step == self.killed_at:
                raise KilledError
            yield torch.randn(4, 3, generator=torch.Generator().manual_seed(step))

    def loss(self, network: Line, average: nn.Module, batch: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        loss = ((network(batch)[:, 0] - batch.sum(dim=1)) ** 2).mean()
        return (loss * torch.inf if step in self.spoiled_at else loss), {"half": loss / 2}

    def validate(self, average: Line) -> dict[str, float]:
        assert not average.training
        return {"bias": average.layer.bias.item()}

    def state(self) -> dict:
        return {}

    def load_state(self, state: dict) -> None:
        """All of its state is in the networks."""

    def export(self, average: Line, folder: Path, history: dict) -> None:
        folder.mkdir()
        torch.save({**average.state_dict(), **history}, folder / "line.pt")


def trained(out: Path, task: LineTask, recipe: Recipe = RECIPE, resume: bool = False) -> Trainer:
    out.mkdir(exist_ok=True)
    trainer = Trainer(task, recipe, out, CPU)
    if resume:
        trainer.resume()
    trainer.run()
    return trainer


def test_killed_and_resumed_is_the_same_as_never_stopped(tmp_path):
    whole = trained(tmp_path / "whole", LineTask())
    with pytest.raises(KilledError):
        trained(tmp_path / "parts", LineTask(killed_at=7))
    assert not (tmp_path / "parts" / "model").exists()
    parts = trained(tmp_path / "parts", LineTask(), resume=True)
    assert parts.step == whole.step == 12
    for mine, theirs in ((parts.network, whole.network), (parts.average, whole.average)):
        for key, value in mine.state_dict().items():
            assert torch.equal(value, theirs.state_dict()[key]), key
    kept = torch.load(tmp_path / "parts" / "model" / "line.pt")
    assert torch.equal(kept["layer.weight"], whole.average.layer.weight)
    assert (kept["steps"], kept["recipe"]) == (12, "line")


def test_log_has_a_json_line_for_all_that_is_due(tmp_path):
    trained(tmp_path, LineTask())
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [line for line in lines if "loss" in line]
    assert [line["step"] for line in losses] == [2, 4, 6, 8, 10, 12]
    assert set(losses[0]) == {"step", "minutes", "loss", "grad_norm", "half"}
    assert losses[-1]["loss"] < losses[0]["loss"]
    assert losses[0]["half"] == pytest.approx(losses[0]["loss"] / 2, rel=1e-3)
    assert [line["step"] for line in lines if "validation" in line] == [5, 10, 12]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.pt", "log.jsonl", "model"]


def test_average_follows_the_weights_and_a_young_one_faster(tmp_path):
    task = LineTask()
    trainer = Trainer(task, replace(RECIPE, ema=0.5), tmp_path, CPU)
    before = trainer.average.layer.weight.clone()
    trainer._one_step(next(task.batches(0, 0, 1)))
    now = trainer.network.layer.weight.detach()
    assert torch.allclose(trainer.average.layer.weight, torch.lerp(before, now, 0.9), atol=1e-7)  # keeps (1+0)/(10+0)
    assert trainer.average.seen == trainer.network.seen == 1
    slow = Trainer(LineTask(), replace(RECIPE, ema=0.05), tmp_path, CPU)
    slow._one_step(next(task.batches(0, 0, 1)))
    assert torch.allclose(slow.average.layer.weight, torch.lerp(before, slow.network.layer.weight.detach(), 0.95))


def test_a_step_that_overflows_does_not_reach_the_weights(tmp_path):
    task = LineTask(spoiled_at=[0])
    trainer = Trainer(task, RECIPE, tmp_path, CPU)
    before = trainer.network.layer.weight.clone()
    trainer._one_step(next(task.batches(0, 0, 1)))
    assert torch.equal(trainer.network.layer.weight, before) and trainer.step == 1


def test_a_training_whose_loss_stays_infinite_ends_and_says_what_to_do(tmp_path):
    recipe = replace(RECIPE, steps=200)
    with pytest.raises(FoleyError, match=f"{MOST_SKIPPED} steps in a row, up to step {MOST_SKIPPED + 3}") as told:
        trained(tmp_path / "ends", LineTask(spoiled_at=range(3, 200)), recipe)
    assert "precision: float32" in told.value.hint
    held = torch.load(tmp_path / "ends" / "last.pt")["network"]
    assert all(torch.isfinite(value).all() for value in held.values())


def test_a_training_goes_on_after_steps_that_overflow_and_logs_them_as_null(tmp_path):
    spoiled = [step for step in range(3, 110) if step % MOST_SKIPPED]  # one fewer in a row than end a training
    trainer = trained(tmp_path / "goes", LineTask(spoiled_at=spoiled), replace(RECIPE, steps=120))
    assert trainer.step == 120

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    text = (tmp_path / "goes" / "log.jsonl").read_text().splitlines()
    lines = [json.loads(line, parse_constant=refuse) for line in text]
    losses = {line["step"]: line["loss"] for line in lines if "loss" in line}
    assert losses[10] is None and losses[2] > 0 and losses[120] > 0


class StoppedTask(LineTask):
    """Gets a signal in the middle of step `stopped_at`, after the loss and before the weights change."""

    def __init__(self, stopped_at: int, number: signal.Signals = signal.SIGINT) -> None:
        super().__init__()
        self.stopped_at, self.number = stopped_at, number

    def loss(self, network: Line, average: nn.Module, batch: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        result = super().loss(network, average, batch, step)
        if step == self.stopped_at:
            signal.raise_signal(self.number)
        return result


def test_a_stop_between_two_saves_ends_the_step_and_saves(tmp_path):
    whole = trained(tmp_path / "whole", LineTask())
    notes: list[str] = []
    (tmp_path / "parts").mkdir()
    with pytest.raises(KeyboardInterrupt):
        Trainer(StoppedTask(5), RECIPE, tmp_path / "parts", CPU).run(note=notes.append)
    assert torch.load(tmp_path / "parts" / "last.pt")["step"] == 6  # saved at 4 as the recipe says, and here
    assert len(notes) == 1 and "after step 6" in notes[0] and "--resume" in notes[0]
    parts = trained(tmp_path / "parts", LineTask(), resume=True)
    assert torch.equal(parts.average.layer.weight, whole.average.layer.weight)


def test_signals_are_held_until_the_block_ends_and_a_second_one_acts_at_once():
    reached = []
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), signals_held():
        signal.raise_signal(signal.SIGINT)
        reached.append("end")
    assert reached == ["end"]
    with pytest.raises(KeyboardInterrupt), signals_held():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        reached.append("never")
    assert reached == ["end"]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def spoil_empty(path: Path) -> None:
    path.write_bytes(b"")


def spoil_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def spoil_text(path: Path) -> None:
    path.write_text("not a checkpoint")


def spoil_flipped_bytes(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[:200] = b"\xff" * 200
    path.write_bytes(bytes(content))


def spoil_list(path: Path) -> None:
    torch.save([1, 2], path)


def spoil_keys(path: Path) -> None:
    state = torch.load(path)
    del state["optimizer"]
    torch.save(state, path)


def spoil_types(path: Path) -> None:
    torch.save({**torch.load(path), "network": 3}, path)


def spoil_network(path: Path) -> None:
    state = torch.load(path)
    torch.save({**state, "network": Line(7).state_dict()}, path)


SPOILERS = [
    spoil_empty,
    spoil_half,
    spoil_text,
    spoil_flipped_bytes,
    spoil_list,
    spoil_keys,
    spoil_types,
    spoil_network,
]


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda spoil: spoil.__name__)
def test_a_damaged_checkpoint_is_one_clear_error(tmp_path, spoil):
    trained(tmp_path, LineTask())
    spoil(tmp_path / "last.pt")
    with pytest.raises(FoleyError, match=r"last\.pt") as caught:
        Trainer(LineTask(), RECIPE, tmp_path, CPU).resume()
    assert "--out" in caught.value.hint and "\n" not in caught.value.message


@pytest.mark.parametrize("change", [{"name": "other"}, {"network": {"width": 4}}])
def test_a_checkpoint_of_another_recipe_is_refused(tmp_path, change):
    trained(tmp_path, LineTask())
    with pytest.raises(FoleyError, match=next(iter(change))) as caught:
        Trainer(LineTask(), replace(RECIPE, **change), tmp_path, CPU).resume()
    assert "recipe" in caught.value.hint
    Trainer(LineTask(), replace(RECIPE, steps=20, lr=0.01), tmp_path, CPU).resume()  # these may change


def test_a_log_that_ends_in_half_a_line_is_mended_and_steps_are_not_told_twice(tmp_path):
    with pytest.raises(KilledError):
        trained(tmp_path, LineTask(killed_at=7))  # the log is at step 6, the checkpoint at step 4
    log = tmp_path / "log.jsonl"
    log.write_text(log.read_text() + '{"step": 7, "min')
    trained(tmp_path, LineTask(), resume=True)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [2, 4, 6, 8, 10, 12]


def test_a_checkpoint_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    trainer = trained(tmp_path, LineTask())
    before = (tmp_path / "last.pt").read_bytes()

    def save_half(state: dict, path: Path) -> None:
        path.write_bytes(before[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(torch, "save", save_half)
    with pytest.raises(FoleyError, match="(space|full)"):
        trainer.save()
    assert (tmp_path / "last.pt").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.pt", "log.jsonl", "model"]


def test_nothing_to_resume_is_told(tmp_path):
    with pytest.raises(FoleyError, match="nothing to resume"):
        Trainer(LineTask(), RECIPE, tmp_path, CPU).resume()


def test_learning_rate_warms_up_and_falls_by_a_cosine() -> None:
    recipe = replace(RECIPE, steps=100, lr=1.0, warmup_steps=10, final_lr_ratio=0.1)
    rates = [learning_rate(step, step / 100, recipe) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and rates[4] < rates[9]
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[50] == pytest.approx(0.55) and rates[100] == pytest.approx(0.1)


def test_minutes_end_a_training_before_its_steps(tmp_path):
    trainer = trained(tmp_path, LineTask(), replace(RECIPE, steps=10**6, minutes=0.01 / 60))
    assert 1 <= trainer.step < 10**6 and trainer.progress() == 1


def test_precision_is_checked() -> None:
    with pytest.raises(FoleyError, match="'float8'"):
        precision("float8", CPU)
    with precision("bfloat16", CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    moved = to_device({"a": torch.ones(1), "b": ("words", 3)}, CPU)
    assert moved["b"] == ("words", 3)


TWO_PROCESSES = """
import datetime, sys, torch, torch.distributed as dist
from foleycli.training.parallel import share_gradients

rank, meeting = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", f"file://{meeting}", datetime.timedelta(seconds=20), 2, rank)
network = torch.nn.ModuleDict({name: torch.nn.Linear(2, size, bias=False) for name, size in
                               {"heard": 3, "unused": 4, "made": 5}.items()})
x = torch.tensor([[1.0, 2.0]]) * (rank + 1)
loss = network["made"](x).sum()
if rank == 0:  # as MaskVAT's encoder, whose heads learn only from rows that are heard
    loss = loss + network["heard"](x).sum()
loss.backward()
share_gradients(network)
told = {name: layer.weight.grad for name, layer in network.items()}
assert told["unused"] is None, told  # what nobody used stays out of the optimiser's way
assert told["made"].tolist() == [[1.5, 3.0]] * 5, told
assert told["heard"].tolist() == [[0.5, 1.0]] * 3, told
dist.destroy_process_group()
"""


def test_processes_whose_batches_reach_other_parts_share_their_gradients(tmp_path):
    command = [sys.executable, "-c", TWO_PROCESSES]
    both = [
        subprocess.Popen([*command, str(rank), str(tmp_path / "meeting")], stderr=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    told = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], "\n".join(told)


def test_tensorboard_reads_the_same_figures_as_the_log_and_a_resume_hides_steps_done_twice(tmp_path):
    recipe = replace(RECIPE, tensorboard=True)
    with pytest.raises(KilledError):
        trained(tmp_path, LineTask(killed_at=7), recipe)  # the log is at step 6, the checkpoint at step 4
    trained(tmp_path, LineTask(), recipe, resume=True)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    told = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    events = [event for path in sorted((tmp_path / "tensorboard").iterdir()) for event in read_events(path)]
    last_start = max(k for k, event in enumerate(events) if event.HasField("session_log"))
    assert events[last_start].step == 5  # TensorBoard forgets what it was told of this step and later ones
    kept = [event for event in events[:last_start] if event.step < 5] + events[last_start:]
    losses = [(event.step, value) for event in kept for value in event.summary.value if value.tag == "loss"]
    assert [(step, pytest.approx(value.simple_value, rel=1e-4)) for step, value in losses] == told
    assert any(value.tag == "validation/bias" for event in kept for value in event.summary.value)


def read_events(path: Path) -> list:
    """The events of a TensorBoard file: length, checksum, event, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    content, events, at = path.read_bytes(), [], 0
    while at < len(content):
        (n,) = struct.unpack("<Q", content[at : at + 8])
        events.append(Event.FromString(content[at + 12 : at + 12 + n]))
        at += n + 16
    return events


def test_a_log_without_tensorboard_says_so_once_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    notes: list[str] = []
    Trainer(LineTask(), replace(RECIPE, tensorboard=True), tmp_path, CPU).run(note=notes.append)
    assert len(notes) == 1 and "pip install 'foleycli[tensorboard]'" in notes[0]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 9 and not (tmp_path / "tensorboard").exists()
