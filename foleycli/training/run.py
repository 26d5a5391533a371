"""`foley train KIND`: from a recipe file to a trained model folder."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from foleycli.device import choose_device
from foleycli.errors import FoleyError
from foleycli.records import Report, silent
from foleycli.settings.checking import did_you_mean, short_repr
from foleycli.training import plan as planning
from foleycli.training.loop import CHECKPOINT_NAME, Task, Trainer
from foleycli.training.parallel import passes
from foleycli.training.plan import Plan
from foleycli.training.recipe import Recipe, read_recipe

TASKS = {  # what can be trained -> "module:its kind of task, or what finds it for a recipe", imported late
    "codec": "foleycli.training.codec:CodecTask",
    "mel-codec": "foleycli.training.mel_codec:MelCodecTask",
    "sync": "foleycli.training.sync:SyncTask",
    "sync-large": "foleycli.training.sync_large:SyncLargeTask",
    "dynamics": "foleycli.training.dynamics:DynamicsTask",
    "maskvat": "foleycli.training.maskvat:MaskVatTask",
    "salsa-v": "foleycli.training.salsav:SalsaVTask",
    "vaura": "foleycli.training.vaura:VAuraTask",
    "foley-flow": "foleycli.training.foleyflow:task_class",
}


def train(
    kind: str,
    config: Path,
    out: Path,
    *,
    overrides: list[str] | None = None,
    is_reduced: bool = False,
    resume: bool = False,
    device: str = "auto",
    report: Report = silent,
    note: Callable[[str], None] | None = None,
) -> Path:
    """Train to the end of the recipe and return the model folder `out/model`.

    kind       what is trained: a key of `TASKS`
    config     the recipe, YAML
    out        folder of the training: checkpoint, log, and the model in the end
    overrides  "key=value" lines that change the recipe
    is_reduced  as the recipe's `reduced` says, small enough for a CPU
    resume     go on from the checkpoint in `out`
    note       is given what a user should read when the training is stopped

    Under `torchrun` every process runs this; only the first one writes.
    Errors: FoleyError for an unknown kind, a bad recipe, an output folder that holds a training (or, to resume, none
    that is whole and of this recipe), and whatever the data cannot give.
    """
    check_kind(kind)
    recipe = read_recipe(config, overrides, is_reduced=is_reduced)
    if not resume and (out / CHECKPOINT_NAME).exists():
        raise FoleyError(f"{out} already holds a training", "Go on with it: --resume; or give another --out")
    if resume and not (out / CHECKPOINT_NAME).is_file():
        raise FoleyError(f"nothing to resume: {out / CHECKPOINT_NAME} does not exist", "Start without --resume")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FoleyError(f"{out} cannot be made: {error.strerror}", "Give another folder with --out") from error
    chosen = _join_processes(choose_device(device))
    n_rows, _ = passes(recipe.batch_size, recipe.total_batch, int(os.environ.get("WORLD_SIZE", 1)))
    recipe = replace(recipe, batch_size=n_rows)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    task: Task[Any, Any] = task_class(kind, recipe)(recipe)
    trainer = Trainer(task, recipe, out, chosen)
    if resume:
        trainer.resume()
    trainer.run(report, note)
    if dist.is_initialized():
        dist.destroy_process_group()
    return out / "model"


def plan_training(
    kind: str,
    config: Path,
    *,
    overrides: list[str] | None = None,
    is_reduced: bool = False,
    gpu: str = "h100",
    n_gpus: int = 1,
    share: float | None = None,
    device: str = "auto",
) -> Plan:
    """What the training of a recipe will cost on `n_gpus` of a kind of `training.plan.GPUS`; nothing is written.

    share   of the GPU's peak that is reached; None: `training.plan.ASSUMED_SHARE`
    device  on which a few steps are measured
    Errors: FoleyError for an unknown kind, a bad recipe, and an unknown GPU.
    """
    check_kind(kind)
    recipe = read_recipe(config, overrides, is_reduced=is_reduced)
    reduced = None if is_reduced or not recipe.reduced else read_recipe(config, overrides, is_reduced=True)
    make_task = task_class(kind, recipe).without_data
    return planning.plan(
        make_task,
        recipe,
        gpu=gpu,
        n_gpus=n_gpus,
        share=share,
        reduced=reduced,
        device=choose_device(device),
    )


def check_kind(kind: str) -> None:
    """Errors: FoleyError for what cannot be trained."""
    if kind not in TASKS:
        known = f"{did_you_mean(kind, TASKS)}One of: {', '.join(TASKS)}"
        raise FoleyError(f"{short_repr(kind)} cannot be trained", known)


def task_class(kind: str, recipe: Recipe) -> Any:
    """The kind of task; errors: FoleyError where what its data is made with is not installed."""
    module, _, name = TASKS[kind].partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name not in ("cv2", "scipy"):
            raise
        raise FoleyError(
            f"training needs {error.name}, which is not installed", "Install it: pip install 'foleycli[train]'"
        ) from error
    return found if isinstance(found, type) else found(recipe)


def _join_processes(device: torch.device) -> torch.device:
    """Under torchrun: join the other processes, and take the GPU with our own number."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device
