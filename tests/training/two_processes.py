"""One of two processes of a training on the CPU, started by test_parallel.py: MODE OUT RANK MEETING LAST_STEP."""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from foleycli.families.inputs import Inputs
from foleycli.families.salsav.config import SIZES
from foleycli.families.salsav.network import SalsaV
from foleycli.training.loop import Trainer
from foleycli.training.recipe import Recipe

N_STEPS, N_ROWS = 20, 4
CONFIG = replace(SIZES["mini"], width=32, n_heads=2, n_joint=2, n_single=2, sync_dim=6, semantic_dim=5, text_dim=7,
                 window_steps=N_STEPS, modulation_rank=8)  # fmt: skip
RECIPE = Recipe("two", 3, 2, 1e-2, total_batch=4, warmup_steps=1, precision="float32", log_every=1, save_every=50)


class Velocities:
    """SALSA-V's network to velocities that are drawn with the batch, so that nothing depends on the process."""

    def __init__(self, last_step: int = 100) -> None:
        self.last_step = last_step
        torch.manual_seed(0)
        self.network = SalsaV(CONFIG)
        with torch.no_grad():  # adaptive norms start at zero, where most gradients would be zero too
            for parameter in self.network.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape))

    def rows(self, step: int) -> dict[str, Tensor]:
        rng = torch.Generator().manual_seed(step)
        shapes = {"x": (N_STEPS, 64), "target": (N_STEPS, 64), "sync": (12, 6), "semantic": (2, 5), "text": (7,)}
        return {name: torch.randn(N_ROWS, *shape, generator=rng) for name, shape in shapes.items()}

    def batches(self, first_step: int, rank: int, world_size: int) -> Iterator[dict[str, Tensor]]:
        """A step's four rows, as many at once as there are in the recipe: process after process, pass after pass."""
        n_passes = N_ROWS // (2 * world_size)
        for number in range(first_step, 100):
            step, k = divmod(number, n_passes)
            if step > self.last_step:
                raise SystemExit  # stops as a signal does
            place = 2 * (k * world_size + rank)
            yield {name: value[place : place + 2] for name, value in self.rows(step).items()}

    def loss(
        self, network: SalsaV, average: nn.Module, batch: dict[str, Tensor], step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        n_rows = len(batch["x"])
        there = torch.ones(n_rows, dtype=torch.bool)
        inputs = Inputs(batch["sync"], batch["semantic"], batch["text"], there, there, there)
        t, d = torch.full((n_rows,), 0.3), torch.full((n_rows,), 1 / 128)
        is_known = torch.zeros(n_rows, N_STEPS, dtype=torch.bool)
        conditions = network.encode_conditions(inputs, N_STEPS)
        velocity = network(batch["x"], t, d, conditions, is_known)
        return (velocity - batch["target"]).square().mean(), {"size": velocity.abs().mean()}

    def validate(self, average: SalsaV) -> dict[str, float]:
        return {}

    def state(self) -> dict:
        return {}

    def load_state(self, state: dict) -> None:
        """All of its state is in the networks."""

    def export(self, average: SalsaV, folder: Path, history: dict) -> None:
        torch.save({"average": average.state_dict()}, folder.with_suffix(".pt"))


def run(mode: str, out: Path, *, resume: bool = False, checkpointing: str = "none", last_step: int = 100) -> None:
    out.mkdir(exist_ok=True)
    recipe = replace(RECIPE, parallel=mode, checkpointing=checkpointing)
    trainer = Trainer(Velocities(last_step), recipe, out, torch.device("cpu"))
    if resume:
        trainer.resume()
    trainer.run()


if __name__ == "__main__":
    mode, folder, rank, meeting, last_step = sys.argv[1:]
    torch.set_num_threads(1)
    os.environ.update(RANK=rank, WORLD_SIZE="2")
    dist.init_process_group("gloo", f"file://{meeting}", datetime.timedelta(seconds=60), 2, int(rank))
    try:
        run(mode, Path(folder), last_step=int(last_step))
    finally:
        dist.destroy_process_group()
