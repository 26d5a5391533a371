"""`foley data prepare|curate`: from filmed clips to what a training reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foleycli.cli import console, options
from foleycli.errors import UsageError
from foleycli.threads import import_torch, usable_cpus

app = typer.Typer(
    help="Data sets: prepare, curate.",
    epilog=console.examples(
        ("Shards of a folder of videos", "foley data prepare videos/ --out data"),
        ("What of it is worth learning from", "foley data curate data"),
    ),
)
ENCODERS = "Encoders"


def _encoder(name: str, help: str) -> typer.models.OptionInfo:
    return typer.Option(name, metavar="NAME|FOLDER", help=help, rich_help_panel=ENCODERS)


@app.command(
    epilog=console.examples(
        ("VGGSound, its files in a folder beside the CSV", "foley data prepare vggsound.csv --videos video --out data"),
        ("A folder of videos; sub-folders are labels", "foley data prepare videos/ --out data --duration 5"),
        ("Four processes; the same call goes on after a stop", "foley data prepare videos/ --out data --jobs 4"),
    )
)
def prepare(
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="A CSV of id, start, label, split (VGGSound), or a folder of videos.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The data set's folder.")],
    videos: Annotated[
        Path | None,
        typer.Option("--videos", metavar="DIR", help="The CSV's files.", show_default="the folder of the CSV"),
    ] = None,
    duration: Annotated[float, typer.Option("--duration", metavar="S", help="Seconds of an example.")] = 8.0,
    size: Annotated[int, typer.Option("--size", metavar="PX", help="Shorter side of the pictures kept.")] = 224,
    codec: Annotated[str, _encoder("--codec", 'Makes latents and codes; "" leaves them out.')] = "mel-mini",
    sync: Annotated[str, _encoder("--sync", 'Makes synchronisation features; "" leaves them out.')] = "sync-mini",
    semantic: Annotated[
        str, _encoder("--semantic", 'What the picture shows: tagger, a folder, hub:OWNER/NAME, or "".')
    ] = "tagger",
    examples_per_shard: Annotated[
        int, typer.Option("--examples-per-shard", metavar="N", help="What one tar holds, and one process does at once.")
    ] = 256,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", min=1, max=1024, metavar="N", help="Processes.", show_default="one a processor"),
    ] = None,
    scheduler: Annotated[
        str, typer.Option("--scheduler", metavar="ADDRESS", help="A Dask scheduler whose workers do it.")
    ] = "",
    device: options.Device = "auto",
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Cut clips, compute the features and latents that trainings read, and write them as tar shards.

    Goes on where it was stopped. Files that cannot be read are listed in DIR/broken.jsonl and left out.
    """
    if source.suffix.lower() != ".csv" and videos is not None:
        raise UsageError("--videos is for a CSV", "A folder of videos is its own source")
    import_torch()
    from foleycli.datasets import prepare as preparing
    from foleycli.datasets.shards import PrepareSettings
    from foleycli.device import name_device
    from foleycli.media.ffmpeg import find_ffmpeg

    settings = PrepareSettings(
        duration_s=duration,
        size_px=size,
        codec=codec,
        sync=sync,
        semantic=semantic,
        examples_per_shard=examples_per_shard,
    )
    find_ffmpeg()
    where, _ = name_device(device, "float32")
    with console.progress(quiet) as report:
        made = preparing.prepare(
            source,
            out,
            settings,
            videos=videos,
            jobs=jobs or usable_cpus(),
            scheduler=scheduler,
            device=where,
            report=report,
        )
    if made.broken:
        n, path = len(made.broken), out / preparing.BROKEN_NAME
        console.note(f"{console.count(n, 'input')} could not be used: {path} says why", quiet)
    if json:
        facts = {"examples": made.examples, "shards": made.shards, "made_now": made.made_now}
        console.result_json({"out": str(out), **facts, "broken": len(made.broken)})
        return
    console.table(("split", "examples"), [(split, str(n)) for split, n in made.examples.items()], right=(1,))
