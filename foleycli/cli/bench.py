"""`foley bench`: how fast foley is here, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foleycli.cli import console, options
from foleycli.errors import FoleyError, UsageError
from foleycli.hub.catalog import DEFAULT_MODEL, SHIPPED
from foleycli.hub.resolve import default_settings, resolve
from foleycli.settings.preset import resolve_settings
from foleycli.threads import import_torch

if TYPE_CHECKING:
    from foleycli.rendering.bench import Bench

DEMO = SHIPPED / "demo.mp4"
STEPS = ("4,8,32",)


def bench(
    clip: Annotated[Path | None, typer.Argument(metavar="VIDEO", help="Without: the demo clip.")] = None,
    steps: Annotated[
        list[str] | None,
        typer.Option("--steps", metavar="N[,N...]", help="Sampler steps, one run each.", show_default="4,8,32"),
    ] = None,
    model: options.Model = DEFAULT_MODEL,
    random_weights: Annotated[
        bool,
        typer.Option("--random-weights", help="Time a published model without its files: noise, at its speed."),
    ] = False,
    without_encoders: Annotated[
        bool,
        typer.Option("--without-encoders", help="With --random-weights: time sampler and codec on random features."),
    ] = False,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    threads: options.Threads = None,
    compiled: options.Compile = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Time the stages of a render on this machine."""
    counts = step_counts(steps or STEPS)
    if without_encoders and not random_weights:
        raise UsageError("--without-encoders is for random weights", "Add --random-weights, or leave it out")
    if clip is None and not DEMO.is_file():
        raise FoleyError(f"the demo clip is missing from {DEMO.parent}", "Name a video: foley bench clip.mp4")
    from foleycli.media.probe import probe

    probe(clip or DEMO)
    folder = None if random_weights else resolve(model)
    import_torch(threads)
    from foleycli.device import oom_as_foley_error
    from foleycli.models.model import load_model
    from foleycli.models.random_weights import random_model
    from foleycli.rendering.bench import run

    if folder is None:
        load = partial(random_model, model, device, dtype, without_encoders)
    else:
        load = partial(load_model, folder, device, dtype)
    settings = resolve_settings(model_defaults=default_settings(model))
    with console.progress(quiet) as report, oom_as_foley_error():
        measured = run(
            clip or DEMO,
            load,
            counts,
            settings,
            compiled=compiled,
            random_weights=random_weights,
            without_encoders=without_encoders,
            report=report,
        )
    if json:
        facts = asdict(measured)
        for row, given in zip(facts["rows"], measured.rows, strict=True):
            row |= {"real_time_factor": given.real_time_factor, "shares": given.shares}
        console.result_json(facts)
        return
    _show(measured, clip or DEMO, quiet)


def step_counts(given: Sequence[str]) -> list[int]:
    """`--steps 4,8 --steps 32` to 4, 8, 32; errors: UsageError for what is no number of steps."""
    counts = []
    for text in ",".join(given).split(","):
        if not text.strip().isdecimal() or not 1 <= int(text) <= 64:
            raise UsageError(f"--steps is {text!r}", "Give whole numbers from 1 to 64: --steps 4,8,32")
        counts.append(int(text))
    return counts


def _show(measured: Bench, clip: Path, quiet: bool) -> None:
    from foleycli.rendering.bench import STAGES

    length_s = measured.rows[0].video_s
    how = f"{measured.device}, {measured.dtype}{', compiled' if measured.compiled else ''}"
    console.note(f"{clip.name}, {length_s:.1f} s, {measured.model} on {how}; load {measured.load_s:.1f} s", quiet)
    machine = measured.machine
    threads = console.count(machine.threads, "thread")
    console.note(f"{machine.gpu or machine.cpu}, {threads}; torch {machine.versions['torch']}", quiet)
    if measured.random_weights:
        console.note("random weights: the times are the model's, the sound is noise; nothing was downloaded", quiet)
    if measured.without_encoders:
        console.note("encoders left out: features are random, their stage only prepares the pictures", quiet)
    columns = ("steps", *(f"{stage} s" for stage in STAGES), "all s", "CPU s", "real-time factor", "peak MB", "weights")
    rows = [
        (
            str(row.steps),
            *(f"{row.stage_s.get(stage, 0.0):.2f}" for stage in STAGES),
            f"{row.wall_s:.2f}",
            f"{row.cpu_s:.2f}",
            f"{row.real_time_factor:.3f}",
            f"{row.peak_memory_mb:.0f}",
            "random" if measured.random_weights else "real",
        )
        for row in measured.rows
    ]
    shown = len(columns) - (not measured.random_weights)
    console.table(columns[:shown], [row[:shown] for row in rows], right=range(len(columns) - 1))
    if not measured.random_weights:
        fitted = ", ".join(f"{key}={value:.4g}" for key, value in asdict(measured.speed).items() if value is not None)
        console.note(f"what --dry-run estimates with (foleycli/rendering/cost.py): Speed({fitted})", quiet)
