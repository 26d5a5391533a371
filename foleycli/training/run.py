"""`foley train KIND`: from a recipe file to a trained model folder."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import torch
import torch.distributed as dist

from foleycli.device import choose_device
from foleycli.errors import FoleyError
from foleycli.records import Report, silent
from foleycli.training.loop import CHECKPOINT_NAME, Trainer
from foleycli.training.recipe import read_recipe

TASKS = {  # what can be trained -> "module:what makes its task of a recipe", imported late
    "codec": "foleycli.training.codec:CodecTask",
    "mel-codec": "foleycli.training.mel_codec:MelCodecTask",
    "sync": "foleycli.training.sync:SyncTask",
    "maskvat": "foleycli.training.maskvat:MaskVatTask",
    "salsa-v": "foleycli.training.salsav:SalsaVTask",
    "vaura": "foleycli.training.vaura:VAuraTask",
    "foley-flow": "foleycli.training.foleyflow:task_of",
}


def train(
    kind: str,
    config: Path,
    out: Path,
    overrides: list[str] | None = None,
    resume: bool = False,
    device: str = "auto",
    report: Report = silent,
) -> Path:
    """Train to the end of the recipe and return the model folder `out/model`.

    Under `torchrun` every process runs this; only the first one writes.
    Errors: FoleyError for an unknown kind, a bad recipe, or an output folder that holds a training.
    """
    if kind not in TASKS:
        raise FoleyError(f"{kind!r} cannot be trained", f"One of: {', '.join(TASKS)}")
    recipe = read_recipe(config, overrides)
    if not resume and (out / CHECKPOINT_NAME).exists():
        raise FoleyError(f"{out} already holds a training", "Go on with it: --resume; or give another --out")
    out.mkdir(parents=True, exist_ok=True)
    chosen = _join_processes(choose_device(device))
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    task = _task_class(kind)(recipe)
    trainer = Trainer(task, recipe, out, chosen)
    if resume:
        trainer.resume()
    trainer.run(report)
    if dist.is_initialized():
        dist.destroy_process_group()
    return out / "model"


def _task_class(kind: str) -> type:
    module, _, name = TASKS[kind].partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name not in ("cv2", "scipy"):
            raise
        told = f"training needs {error.name}, which is not installed"
        raise FoleyError(told, "pip install 'foleycli[train]'") from error


def _join_processes(device: torch.device) -> torch.device:
    """Under torchrun: meet the other processes, and take the GPU with our own number."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device
