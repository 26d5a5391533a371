"""`foley train KIND`, of a codec, an encoder or a model that renders: from a recipe to a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from foleycli.cli import console, options
from foleycli.errors import UsageError

if TYPE_CHECKING:
    from foleycli.training.plan import Costs, Plan

Kind = Literal["codec", "mel-codec", "sync", "sync-large", "dynamics", "salsa-v", "maskvat", "vaura", "foley-flow"]
PLAN = "Plan"


def train(
    kind: Annotated[Kind, typer.Argument(help="What is trained.")],
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="The recipe; see presets/train/.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder of the training.", show_default="runs/RECIPE"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume/--fresh", help="Go on where it was stopped.")] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a line of the recipe.")
    ] = None,
    reduced: Annotated[
        bool, typer.Option("--reduced", help="The same training small enough for a CPU, as the recipe's reduced says.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print what it will cost, and train nothing.", rich_help_panel=PLAN)
    ] = False,
    gpu: Annotated[
        str, typer.Option("--gpu", metavar="KIND", help="Kind of GPU: h100, h200, a100, ...", rich_help_panel=PLAN)
    ] = "h100",
    gpus: Annotated[
        int, typer.Option("--gpus", min=1, max=65536, metavar="N", help="How many.", rich_help_panel=PLAN)
    ] = 1,
    share: Annotated[
        float | None,
        typer.Option(
            "--share", min=0.01, max=1.0, metavar="X", rich_help_panel=PLAN, show_default="0.4",
            help="Share of the GPUs' peak that is reached.",
        ),
    ] = None,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:  # fmt: skip
    """Train a model from a recipe; --resume goes on after a stop; torchrun for several GPUs; --plan: what it costs."""
    if plan:
        if resume or out is not None:
            raise UsageError("--plan trains nothing", "Leave out --resume and --out")
        _show_plan(kind, config, set_, reduced, gpu=gpu, n_gpus=gpus, share=share, device=device, as_json=json)
        return
    from foleycli.training.run import train as run_training

    folder = out or Path("runs") / config.stem
    notes: list[str] = []
    try:
        with console.progress(quiet) as report:
            model = run_training(
                kind=kind,
                config=config,
                out=folder,
                overrides=set_,
                is_reduced=reduced,
                resume=resume,
                device=device,
                report=report,
                note=notes.append,
            )
    finally:
        for text in notes:
            console.note(text, quiet)
    if json:
        console.result_json({"model": str(model)})
    else:
        console.result(str(model))


def _show_plan(
    kind: str,
    config: Path,
    overrides: list[str] | None,
    is_reduced: bool,
    *,
    gpu: str,
    n_gpus: int,
    share: float | None,
    device: str,
    as_json: bool,
) -> None:
    from foleycli.training.run import plan_training

    made = plan_training(
        kind,
        config,
        overrides=overrides,
        is_reduced=is_reduced,
        gpu=gpu,
        n_gpus=n_gpus,
        share=share,
        device=device,
    )
    if as_json:
        console.result_json(made.to_dict())
        return
    console.table(("what", "figure"), _facts(made))
    console.table(
        ("checkpointing", "weights", "gradients", "optimiser", "average", "activations", "GiB a GPU", "TFLOP a clip"),
        [_choice_row(costs, is_chosen=costs is made.chosen) for costs in made.costs],
        right=range(1, 8),
    )


def _facts(made: Plan) -> list[tuple[str, str]]:
    """The first table of a plan."""
    frozen = made.parameters - made.trained_parameters
    rows = [
        ("parameters", f"{made.parameters / 1e6:.1f} M" + (f", {frozen / 1e6:.1f} M of them frozen" if frozen else "")),
        ("a step", f"{made.clips_per_step} clips: {made.n_gpus} {made.gpu} x {made.rows}, "
                   f"{console.count(made.n_passes, 'pass', 'passes')}"),
        ("operations of a step", f"{made.tflop_per_step:,.1f} TFLOP"),
        ("clips a second", f"{made.clips_per_s:,.1f} at {made.share:.0%} of the peak, which is assumed"),
        ("time", f"{_days(made.days)} for {made.steps:,} steps on {made.n_gpus} {made.gpu}"),
    ]  # fmt: skip
    if made.measured is not None:
        here = made.measured
        rows.append(("measured here", f"{here.clips_per_s:,.2f} clips a second, {here.tflops:,.3f} TFLOP/s on "
                                      f"{here.device}, network {here.network}"))  # fmt: skip
    return rows


def _days(days: float) -> str:
    return f"{days:,.1f} days" if days >= 2 else f"{24 * days:,.1f} hours"


def _choice_row(costs: Costs, is_chosen: bool) -> tuple[str, ...]:
    """A line of the second table."""
    memory = costs.memory
    parts = (memory.weights, memory.gradients, memory.optimizer, memory.average, memory.activations, memory.total)
    chosen = " (the recipe's)" if is_chosen else ""
    return costs.checkpointing + chosen, *(f"{part:.1f}" for part in parts), f"{costs.tflop_per_clip:.3f}"
