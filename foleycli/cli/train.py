"""`foley train codec|mel-codec|sync|salsa-v|maskvat|vaura|foley-flow`: from a recipe to a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from foleycli.cli import console, options

Kind = Literal["codec", "mel-codec", "sync", "salsa-v", "maskvat", "vaura", "foley-flow"]


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
    device: options.Device = "auto",
    quiet: options.Quiet = False,
) -> None:
    """Train a model from a recipe; --resume goes on after a stop; torchrun for several GPUs."""
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
                resume=resume,
                device=device,
                report=report,
                note=notes.append,
            )
    finally:
        for text in notes:
            console.note(text, quiet)
    console.result(str(model))
