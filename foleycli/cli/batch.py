"""`foley batch`: a manifest or a folder of videos in, a folder of results with a page to look through out."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from foleycli.cli import options, render

MOST_JOBS = 64
NOT_OPTIONS = ("videos", "out", "out_dir", "resume")  # of render, that a batch has in another form

Manifest = Annotated[
    Path, typer.Argument(metavar="MANIFEST|FOLDER", help="CSV or JSON lines, a video and its options a row; or videos.")
]
OutDir = Annotated[
    Path,
    typer.Option(
        "--out-dir",
        metavar="DIR",
        help="Where results, index.html and summary.csv go; sub-folders of the inputs are kept.",
        rich_help_panel=options.OUTPUT,
    ),
]
Jobs = Annotated[
    int,
    typer.Option(
        "--jobs",
        min=1,
        max=MOST_JOBS,
        metavar="N",
        help="Worker processes, which share the processor's threads; each loads the model.",
        rich_help_panel=options.RUN,
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS|FILE",
        help="Let the workers of a Dask cluster that see the same folders do the work.",
        rich_help_panel=options.RUN,
    ),
]
Page = Annotated[
    bool,
    typer.Option(
        "--page/--no-page",
        help="Write index.html, to look and listen through the results.",
        rich_help_panel=options.OUTPUT,
    ),
]


def batch(
    manifest: Manifest,
    out_dir: OutDir,
    jobs: Jobs = 1,
    scheduler: Scheduler = None,
    page: Page = True,
    **common: Any,
) -> None:
    """Make the sound of many videos, each with options of its own, and go on where an earlier call stopped.

    A row has a file and any option of foley render by its name; options given here hold for rows that do not set
    them.  What is done with the same settings from the same files is not made again.
    """
    from foleycli.cli.batch_call import Call

    Call(manifest, out_dir, jobs, scheduler, page, common).run()


def _with_options_of_render() -> None:
    """Give `batch` the options of `foley render`, as if they were written out."""
    own, of_render = (inspect.signature(each).parameters.values() for each in (batch, render.requests))
    hints = get_type_hints(render.requests, include_extras=True) | get_type_hints(batch, include_extras=True)
    kept = [one for one in own if one.kind is not one.VAR_KEYWORD]
    kept += [one for one in of_render if one.name not in NOT_OPTIONS]
    named = [one.replace(annotation=hints[one.name], kind=one.KEYWORD_ONLY) for one in kept]
    batch.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]  # what `inspect` looks for
    batch.__annotations__ = {one.name: one.annotation for one in named} | {"return": None}


_with_options_of_render()
