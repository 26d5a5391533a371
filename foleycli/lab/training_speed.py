"""How fast a recipe trains on this device: clips a second, memory, share of the peak; then a training for some minutes.

python -m foleycli.lab training-speed --config presets/train/salsav-large.yaml --then presets/train/salsav-mini.yaml \
    --minutes 5 --then-set data.cache=examples --out speed

Steps are taken on random batches of the recipe's shapes, so that neither data nor encoders are needed.  The second
recipe is trained in earnest, from examples that were made before (`python -m foleycli.lab examples`) and carried along.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from foleycli.cli import console
from foleycli.device import choose_device
from foleycli.media.output import replacing
from foleycli.training.log import LOG_NAME
from foleycli.training.parallel import passes
from foleycli.training.plan import GPUS, count_flop, on_meta, take_steps
from foleycli.training.recipe import Recipe, read_recipe
from foleycli.training.run import task_class, train

RESULT_NAME = "training-speed.json"


def main(
    config: Annotated[Path, typer.Option(metavar="FILE", help="The recipe whose steps are timed.")],
    kind: Annotated[str, typer.Option(help="What it trains.")] = "salsa-v",
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a line of the recipe.")
    ] = None,
    reduced: Annotated[bool, typer.Option("--reduced", help="The recipe as it is with --reduced.")] = False,
    seconds: Annotated[float, typer.Option(help="Of steps.", min=0.0)] = 30.0,
    then: Annotated[Path | None, typer.Option(metavar="FILE", help="A recipe of salsa-v that is then trained.")] = None,
    then_set: Annotated[
        list[str] | None, typer.Option("--then-set", metavar="KEY=VALUE", help="Change a line of that one.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Of that training.", min=0.0)] = 5.0,
    device: Annotated[str, typer.Option(help="Where.")] = "auto",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the result.")] = Path("speed"),
) -> None:
    """Time the steps of a recipe on this device, then train another for some minutes; figures as JSON."""
    where = choose_device(device)
    recipe = read_recipe(config, set_, is_reduced=reduced)
    out.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {"recipe": recipe.name, **step_figures(kind, recipe, where, seconds)}
    _write(out, figures)  # what is known is kept, should the training not end
    if then is not None:
        lines = [*(then_set or []), f"minutes={minutes}"]
        model = train("salsa-v", then, out / "run", overrides=lines, device=device, note=console.note)
        figures["trained"] = {"model": str(model), "minutes": minutes, **_last_figures(out / "run" / LOG_NAME)}
        _write(out, figures)
    console.result_json(figures)


def step_figures(kind: str, recipe: Recipe, device: torch.device, seconds: float) -> dict[str, Any]:
    """Clips per second of a recipe's steps without parallelism, memory, and the share of the device's peak."""
    make_task = task_class(kind, recipe).without_data
    rows, _ = passes(recipe.batch_size, recipe.total_batch, 1)
    recipe = replace(recipe, batch_size=rows)
    task = make_task(recipe)
    n_parameters = sum(parameter.numel() for parameter in task.network.parameters())
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    clips_per_s, n_steps = take_steps(task, recipe, device, seconds)
    flop = count_flop(*on_meta(make_task, recipe))[recipe.checkpointing]
    figures: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "parameters": n_parameters,
        "clips_at_once": rows,
        "steps": n_steps,
        "checkpointing": recipe.checkpointing,
        "precision": recipe.precision,
        "clips_per_s": clips_per_s,
        "tflop_per_clip": flop / 1e12,
        "tflops": clips_per_s * flop / 1e12,
    }
    if device.type == "cuda":
        figures["peak_gib"] = torch.cuda.max_memory_allocated(device) / 2**30
        if (peak := peak_tflops(figures["device"])) is not None:
            figures["share_of_peak"] = figures["tflops"] / peak
    return figures


def peak_tflops(device_name: str) -> float | None:
    """The peak of the GPU that calls itself so ("NVIDIA H100 80GB HBM3"); None for one that no table knows."""
    words = device_name.lower().replace(" ", "")
    found = [name for name in GPUS if all(part in words for part in name.split("-"))]
    return GPUS[max(found, key=len)].peak_tflops if found else None


def _last_figures(log: Path) -> dict[str, Any]:
    """The last losses and the last validation of a training's log."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    losses = [line for line in lines if "loss" in line]
    validations = [line for line in lines if "validation" in line]
    return {"steps": lines[-1]["step"], **(losses[-1] if losses else {}), "validation": validations[-1]["validation"]}


def _write(out: Path, figures: dict[str, Any]) -> None:
    with replacing(out / RESULT_NAME) as part:
        part.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
