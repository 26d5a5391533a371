"""`foley data prepare|curate|export`: from filmed clips to what a training reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from foleycli.cli import console, options
from foleycli.errors import UsageError
from foleycli.threads import import_torch, usable_cpus

app = typer.Typer(
    help="Data sets: prepare, curate, export.",
    epilog=console.examples(
        ("Shards of a folder of videos", "foley data prepare videos/ --out data"),
        ("What of it is worth learning from", "foley data curate data"),
    ),
)
ENCODERS, THRESHOLDS = "Encoders", "Thresholds"
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", min=1, max=1024, metavar="N", help="Processes.", show_default="one a processor"),
]
Scheduler = Annotated[str, typer.Option("--scheduler", metavar="ADDRESS", help="A Dask scheduler whose workers do it.")]


def _jobs(jobs: int | None, scheduler: str) -> int:
    """How many processes; errors: UsageError where a cluster is given beside them."""
    if jobs is not None and scheduler:
        raise UsageError(
            "--jobs and --scheduler are both given", "A cluster has as many workers as it was started with"
        )
    return jobs or (1 if scheduler else usable_cpus())


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
    jobs: Jobs = None,
    scheduler: Scheduler = "",
    device: options.Device = "auto",
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Cut clips, compute the features and latents that trainings read, and write them as tar shards.

    Goes on where it was stopped. Files that cannot be read are listed in DIR/broken.jsonl and left out.
    """
    n_jobs = _jobs(jobs, scheduler)
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
            jobs=n_jobs,
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


def _threshold(name: str, help: str) -> typer.models.OptionInfo:
    return typer.Option(name, metavar="X", help=help, rich_help_panel=THRESHOLDS)


@app.command(
    epilog=console.examples(
        ("By whatever is here", "foley data curate data"),
        ("V-AURA's VisualSound, where ImageBind's weights are", "foley data curate data --imagebind 0.3"),
    )
)
def curate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A data set of `foley data prepare`.")],
    imagebind: Annotated[float, _threshold("--imagebind", "Lowest cosine of sound and picture, by ImageBind.")] = 0.3,
    sync: Annotated[
        float, _threshold("--sync", "Without ImageBind: by how much a sound must fit its picture better than others.")
    ] = 0.05,
    tags: Annotated[
        float, _threshold("--tags", "Without ImageBind: cosine of label and picture that is enough by itself.")
    ] = 0.5,
    speech: Annotated[float, _threshold("--speech", "Probability of speech from which on an example falls.")] = 0.5,
    music: Annotated[float, _threshold("--music", "Probability of music from which on an example falls.")] = 0.5,
    silence: Annotated[float, _threshold("--silence", "Level in dB below which an example falls.")] = -50.0,
    duplicate: Annotated[
        float, _threshold("--duplicate", "Cosine from which on two sounds are the same recording.")
    ] = 0.98,
    jobs: Jobs = None,
    scheduler: Scheduler = "",
    device: options.Device = "auto",
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Choose the examples whose sound and picture belong together, without speech, music, silence and duplicates.

    Writes DIR/curation: kept.txt for `data.kept` of a recipe, report.md with borderline cases, report.json.
    """
    n_jobs = _jobs(jobs, scheduler)
    import_torch()
    from foleycli.datasets import curate as curating
    from foleycli.datasets.curation_report import write_page
    from foleycli.datasets.measures import TAGGERS
    from foleycli.datasets.reader import Dataset
    from foleycli.device import name_device
    from foleycli.evaluation import networks

    dataset = Dataset(folder)
    thresholds = curating.Thresholds(
        imagebind=imagebind,
        sync=sync,
        tags=tags,
        speech=speech,
        music=music,
        silence_db=silence,
        duplicate=duplicate,
    )
    files = {name: path for name, path in networks.find({}).items() if name in curating.USED}
    where, _ = name_device(device, "float32")
    with console.progress(quiet) as report:
        curated = curating.curate(
            folder,
            thresholds,
            files,
            jobs=n_jobs,
            scheduler=scheduler,
            device=where,
            report=report,
        )
        write_page(curated, dataset, thresholds)
    if "ImageBind" not in files:
        console.note(
            "without ImageBind: a sync encoder and an image tagger decide what belongs together, far less surely", quiet
        )
    if not files.keys() & set(TAGGERS):
        console.note("without an AudioSet tagger: speech and music are known by the labels alone", quiet)
    if json:
        console.result_json({"kept_list": str(curated.folder / curating.KEPT_NAME), **curated.report})
        return
    kept, n = (sum(curated.report[key].values()) for key in ("kept", "examples"))
    console.note(f"{kept} of {n} examples are kept; {curated.folder / 'report.md'} says why the others are not", quiet)
    console.result(str(curated.folder / curating.KEPT_NAME))


@app.command(
    epilog=console.examples(
        ("The clips that nothing was trained on", "foley data export data --split test --out held-out"),
        ("Of them those that curation kept", "foley data export data --kept data/curation/kept.txt --out held-out"),
    )
)
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A data set of `foley data prepare`.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new folder for the clips.")],
    split: Annotated[Literal["train", "val", "test"], typer.Option("--split", help="Which of its clips.")] = "test",
    kept: Annotated[
        Path | None, typer.Option("--kept", metavar="FILE", help="Only these: the kept.txt of foley data curate.")
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Write the clips of a split as files with picture and sound, and their labels as words.csv."""
    import_torch()
    from foleycli.datasets.export import export_split
    from foleycli.datasets.reader import Dataset
    from foleycli.media.ffmpeg import find_ffmpeg

    dataset = Dataset(folder, kept)
    find_ffmpeg()
    with console.progress(quiet) as report:
        written = export_split(dataset, split, out, report)
    for path in written:
        console.result(str(path))
