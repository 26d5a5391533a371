"""One training loop for everything that is trained: steps, averages, logs, checkpoints.

What is trained meets `Task`.  The loop owns the optimiser, the moving average of the weights (EMA),
the learning rate, precision, checkpoints and the log; under `torchrun` all processes take one step
together (`training.parallel`).  Ctrl-C and SIGTERM end it after a whole step, with a checkpoint.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from foleycli.errors import FoleyError
from foleycli.media.output import replacing
from foleycli.records import Report, silent
from foleycli.settings.checking import short_repr
from foleycli.training.log import TrainingLog
from foleycli.training.parallel import (
    BatchLoss,
    checkpoint_blocks,
    gradients_kept,
    load_whole,
    load_whole_optimizer,
    passes,
    whole,
    wrap,
)
from foleycli.training.recipe import Recipe
from foleycli.training.signals import signals_held

CHECKPOINT_NAME = "last.pt"
MOST_SKIPPED = 50  # steps in a row whose gradient is not finite


NetworkT = TypeVar("NetworkT", bound=nn.Module)
BatchT = TypeVar("BatchT")


class Task(Protocol[NetworkT, BatchT]):
    """Something to train."""

    network: NetworkT  # built as type(network)(network.config); its parameters are trained and averaged

    def batches(self, first_step: int, rank: int, world_size: int) -> Iterator[BatchT]:
        """Batches from `first_step` on, never ending, on the CPU; other ranks get other data.

        Where a step takes several batches, `first_step` counts these.
        """
        ...

    def loss(self, network: NetworkT, average: NetworkT, batch: BatchT, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch and what to log beside it."""
        ...

    def validate(self, average: NetworkT) -> dict[str, float]:
        """Figures on held-out data."""
        ...

    def state(self) -> dict[str, Any]:
        """What a resumed training needs beside the network and its average; empty for most."""
        ...

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        ...

    def export(self, average: NetworkT, folder: Path, history: dict[str, Any]) -> None:
        """Write a model folder from the averaged weights."""
        ...


class Trainer(Generic[NetworkT, BatchT]):
    """The state of one training: what a checkpoint holds."""

    def __init__(self, task: Task[NetworkT, BatchT], recipe: Recipe, out: Path, device: torch.device) -> None:
        self.task, self.recipe, self.out, self.device = task, recipe, out, device
        self.rank, self.world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        _, self.n_passes = passes(recipe.batch_size, recipe.total_batch, self.world_size)
        self.network = task.network.to(device)
        self.average = build_average(self.network).to(device)
        self._agree_on_weights()
        checkpoint_blocks(self.network, recipe.checkpointing)
        self.loss = wrap(BatchLoss(task.loss, self.network, self.average), recipe.parallel, device)
        self.optimizer = torch.optim.AdamW(
            _parameter_groups(self.network, recipe),
            lr=recipe.lr,
            betas=recipe.betas,
            fused=device.type == "cuda",
        )
        self.step, self.spent_s = 0, 0.0
        self._saved_step = 0  # of the checkpoint on the disk
        self._n_skipped = 0  # steps in a row, up to now
        self._logged: dict[str, list[Tensor]] = defaultdict(list)
        self._log = TrainingLog(out, recipe.tensorboard) if self.rank == 0 else None

    def run(self, report: Report = silent, note: Callable[[str], None] | None = None) -> None:
        """Train to the end of the recipe, from the step that the trainer is at.

        Ctrl-C and other signals that raise (SIGTERM under the command line) end it between two steps: the checkpoint
        is written, `note` is called with a line that says so, and the exception is raised again.
        Errors: FoleyError when `MOST_SKIPPED` steps in a row have no finite gradient.
        """
        if note is not None and self._log is not None and self._log.note:
            note(self._log.note)
        try:
            self._take_steps(report)
        except BaseException as error:
            if not isinstance(error, Exception) and self.step > self._saved_step:
                self.save()
                if note is not None and self.rank == 0:
                    note(f"stopped after step {self.step}, which {self.out / CHECKPOINT_NAME} holds; --resume goes on")
            raise
        if self.rank == 0:
            self.log({"validation": self.task.validate(self.average)})
        self.save()
        if self.rank == 0:
            self.task.export(self.average, self.out / "model", self.history())

    def _take_steps(self, report: Report) -> None:
        """All steps that are left; alone, a signal also ends the waiting for a batch."""
        batches = self.task.batches(self.step * self.n_passes, self.rank, self.world_size)
        began, before_s = time.monotonic(), self.spent_s
        is_alone = self.world_size == 1
        nothing_held: contextlib.AbstractContextManager[list[int]] = contextlib.nullcontext([])
        with nothing_held if is_alone else signals_held() as held:
            while self.progress() < 1:
                batch = next(batches)
                with signals_held() if is_alone else nothing_held:
                    self._one_step(batch, batches)
                    self.spent_s = self._agreed_time(before_s + time.monotonic() - began)
                    if self._log is not None and self.step % self.recipe.log_every == 0:
                        self._log_losses()
                if self.rank == 0:
                    report("train", self.progress(), 1.0)
                self._validate_and_save_if_due()
                if self._someone_is_stopped(held):
                    return  # and the signal acts

    def progress(self) -> float:
        """Share of the training that is done, by steps or by time."""
        by_time = self.spent_s / (self.recipe.minutes * 60) if self.recipe.minutes else 0.0
        return min(1.0, max(self.step / self.recipe.steps, by_time))

    def history(self) -> dict:
        """For the model card: how long this took, and where."""
        return {"steps": self.step, "hours": round(self.spent_s / 3600, 3), "device": str(self.device),
                "processes": self.world_size, "recipe": self.recipe.name}  # fmt: skip

    def save(self) -> None:
        """Write the checkpoint aside, have it on the disk, and rename it into place; errors: FoleyError (full disk).

        All processes call it together: where each has a part of the state, the first one gathers and writes it.
        """
        network, optimizer = whole(self.network.state_dict()), whole(self.optimizer.state_dict())
        self._saved_step = self.step
        if self.rank != 0:
            return
        state = {
            "recipe": dataclasses.asdict(self.recipe),
            "network": network,
            "average": self.average.state_dict(),
            "optimizer": optimizer,
            "step": self.step,
            "spent_s": self.spent_s,
            "task": self.task.state(),
        }
        with replacing(self.out / CHECKPOINT_NAME) as part:
            torch.save(state, part)

    def resume(self) -> None:
        """Go on from the checkpoint in the output folder.

        Errors: FoleyError for none, a damaged one, and one of another recipe; the trainer is then of no use.
        """
        path = self.out / CHECKPOINT_NAME
        state = _read_checkpoint(path, self.device)
        _check_same_recipe(state.get("recipe"), self.recipe, path)
        try:
            load_whole(self.network, state["network"])
            self.average.load_state_dict(state["average"])
            load_whole_optimizer(self.optimizer, state["optimizer"])
            self.task.load_state(state.get("task", {}))
            self.step, self.spent_s = int(state["step"]), float(state["spent_s"])
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            why = " ".join(str(error).split())[:200]
            raise FoleyError(
                f"{path} does not fit the recipe: {why}",
                "Resume with the recipe that the training began with, or begin anew with another --out",
            ) from error
        self._saved_step = self.step
        if self._log is not None:
            self._log.trim(self.step)

    def log(self, figures: dict[str, Any]) -> None:
        """One entry of the log; only the first process has one."""
        if self._log is not None:
            self._log.write(self.step, self.spent_s, figures)

    def _one_step(self, batch: BatchT, more: Iterator[BatchT] = iter(())) -> None:
        """One step of the optimiser on `batch`, and on the next ones of `more` where gradients are added up."""
        lr = learning_rate(self.step, self.progress(), self.recipe)
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group.get("lr_scale", 1.0)
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        logged = []
        for k in range(self.n_passes):
            # Noise belongs to the step (and the process), so that it is the same after a resume.
            seed = self.recipe.seed * 1_000_003 + self.step * self.n_passes + k
            torch.manual_seed(seed * self.world_size + self.rank)
            batch = batch if k == 0 else next(more)
            with gradients_kept(self.loss, is_kept=k < self.n_passes - 1):
                with precision(self.recipe.precision, self.device):
                    loss, figures = self.loss(to_device(batch, self.device), self.step)
                (loss / self.n_passes if self.n_passes > 1 else loss).backward()
            logged.append({"loss": loss.detach(), **figures})
        norm = whole(nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.grad_clip))
        is_sound = bool(torch.isfinite(norm))  # a rare overflow in bfloat16 must not reach the weights
        if is_sound:
            self.optimizer.step()
            self._move_average()
        self._count_skipped(is_sound)
        self.step += 1
        if self._log is not None:  # read when it is written, so that a GPU is not waited for
            for figures in (*logged, {"grad_norm": norm}):
                for key, value in figures.items():
                    self._logged[key].append(value.detach().float())

    def _count_skipped(self, is_sound: bool) -> None:
        """End a training that learns nothing more; all processes have the same gradient, so all end."""
        self._n_skipped = 0 if is_sound else self._n_skipped + 1
        if self._n_skipped == MOST_SKIPPED:
            raise FoleyError(
                f"training learns nothing more: {MOST_SKIPPED} steps in a row, up to step {self.step + 1}, "
                "had no finite loss or gradient",
                "Lower lr, or set precision: float32, in the recipe or with --set",
            )

    @torch.no_grad()
    def _agree_on_weights(self) -> None:
        """All processes begin with what the first one has."""
        if self.world_size > 1:
            for tensor in (*self.network.state_dict().values(), *self.average.state_dict().values()):
                dist.broadcast(tensor, src=0)

    def _agreed_time(self, spent_s: float) -> float:
        """The first process's clock: it sets the learning rate and the end, which must come for all at one step."""
        if self.world_size == 1:
            return spent_s
        agreed = torch.tensor([spent_s], device=self.device, dtype=torch.float32)
        dist.broadcast(agreed, src=0)
        return agreed.item()

    def _someone_is_stopped(self, held: list[int]) -> bool:
        """Whether any process was sent a signal: all then stop after the same step, or the others would wait."""
        if self.world_size == 1:
            return False
        number = torch.tensor([held[0] if held else 0], device=self.device)
        dist.all_reduce(number, dist.ReduceOp.MAX)
        if number.item() and not held:
            held.append(int(number.item()))
        return bool(number.item())

    @torch.no_grad()
    def _move_average(self) -> None:
        # A young average follows faster, or it would keep the random start for thousands of steps.
        keep = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
        if self.recipe.parallel == "fsdp" and self.world_size > 1:
            for average, parameter in pairs:  # one after the other, so that no second network is in memory
                average.lerp_(whole(parameter.detach()), 1 - keep)
        else:
            averages, parameters = zip(*pairs, strict=True)
            torch._foreach_lerp_(averages, parameters, 1 - keep)
        for mine, theirs in zip(self.average.buffers(), self.network.buffers(), strict=True):
            mine.copy_(theirs)

    def _log_losses(self) -> None:
        """The means since they were logged last."""
        self.log({key: round(torch.stack(values).mean().item(), 5) for key, values in self._logged.items()})
        self._logged.clear()

    def _validate_and_save_if_due(self) -> None:
        if self.rank == 0 and self.step % self.recipe.validate_every == 0:
            self.log({"validation": self.task.validate(self.average)})
        if self.step % self.recipe.save_every == 0:
            self.save()


def device_of(network: nn.Module) -> torch.device:
    """The device that the first parameter is on."""
    return next(network.parameters()).device


def learning_rate(step: int, progress: float, recipe: Recipe) -> float:
    """Linear warm-up, then a half cosine down to `final_lr_ratio`."""
    warm = min(1.0, (step + 1) / max(1, recipe.warmup_steps))
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return recipe.lr * warm * (recipe.final_lr_ratio + (1 - recipe.final_lr_ratio) * cosine)


def precision(name: str, device: torch.device) -> contextlib.AbstractContextManager:
    """Autocast for a step; `auto` is bfloat16 on CUDA and on CPUs whose matrix units have it."""
    if name not in ("auto", "float32", "bfloat16"):
        raise FoleyError(f"precision {short_repr(name)} is unknown", "One of: auto, float32, bfloat16")
    fast_cpu = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    wanted = name == "bfloat16" or (name == "auto" and (device.type == "cuda" or fast_cpu))
    return torch.autocast(device.type, torch.bfloat16) if wanted else contextlib.nullcontext()


def to_device(batch: Any, device: torch.device) -> Any:
    """Every tensor of a batch (a tensor, a dict or a dataclass of them) to the device."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: to_device(value, device) for key, value in batch.items()}
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        names = [field.name for field in dataclasses.fields(batch)]
        return dataclasses.replace(batch, **{name: to_device(getattr(batch, name), device) for name in names})
    return batch


def _read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """What `Trainer.save` wrote; errors: FoleyError where there is none or it is damaged."""
    if not path.is_file():
        raise FoleyError(f"nothing to resume: {path} does not exist", "Start without --resume")
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        if not isinstance(state, dict):
            raise ValueError(f"it holds {short_repr(state)}")
    except Exception as error:  # zip, pickle and torch each raise their own kinds for a damaged file
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise FoleyError(
            f"the checkpoint {path} is damaged: {why}", "Begin anew: remove it, or give another --out"
        ) from error
    return state


def _check_same_recipe(saved: Any, recipe: Recipe, path: Path) -> None:
    """Errors: FoleyError for a checkpoint of a recipe of another name or network."""
    for key in ("name", "network"):
        if isinstance(saved, dict) and saved.get(key) != getattr(recipe, key):
            raise FoleyError(
                f"{path} is of a training whose recipe has {key}: {short_repr(saved.get(key))}, "
                f"not {short_repr(getattr(recipe, key))}",
                "Resume with the recipe that the training began with, or begin anew with another --out",
            )


def build_average(network: NetworkT) -> NetworkT:
    """A twin built from the same config: old-style weight norm cannot be deep-copied."""
    twin = type(network)(network.config)
    twin.load_state_dict(network.state_dict())
    return twin.eval().requires_grad_(False)


def _parameter_groups(network: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Weight decay on matrices only; gains, biases and embeddings of one axis keep their size.

    Parts of the network with a learning rate of their own follow as groups of their own.
    Errors: FoleyError for a part that the network has not.
    """
    named = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    groups: list[dict[str, Any]] = []
    for part, scale in recipe.lr_scales.items():
        chosen = [named.pop(name) for name in list(named) if name == part or name.startswith(f"{part}.")]
        if not chosen:
            raise FoleyError(
                f"recipe, lr_scales: the network has no part {short_repr(part)} that is trained",
                f"Its parts: {', '.join(name for name, _ in network.named_children())}",
            )
        groups += _by_decay(chosen, recipe.weight_decay, lr_scale=float(scale))
    return _by_decay(list(named.values()), recipe.weight_decay) + groups


def _by_decay(parameters: list[nn.Parameter], weight_decay: float, **more: float) -> list[dict[str, Any]]:
    matrices = [parameter for parameter in parameters if parameter.ndim >= 2]
    others = [parameter for parameter in parameters if parameter.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay, **more}, {"params": others, "weight_decay": 0.0, **more}]
