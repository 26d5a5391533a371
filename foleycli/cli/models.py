"""`foley models`: what models there are, and getting, checking, removing and giving them away."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from foleycli.cli import console, fetched, options
from foleycli.cli.guide import without_marks
from foleycli.errors import EXIT_FAILED, FoleyError, UsageError
from foleycli.hub import places
from foleycli.hub.catalog import DEFAULT_MODEL, Entry, entries, find

app = typer.Typer(
    help="Models: list, fetch, check, remove, share.",
    epilog=console.examples(
        ("Which there are", "foley models list"), ("Get one", "foley models pull mmaudio-small-44k")
    ),
)


def _complete(begun: str) -> list[str]:
    return [entry.name for entry in entries() if entry.name.startswith(begun)]


Name = Annotated[
    str, typer.Argument(metavar="NAME|FOLDER", help="A model's name or its folder.", autocompletion=_complete)
]
Published = Annotated[
    str, typer.Argument(metavar="NAME", help="A name that `foley models list` shows.", autocompletion=_complete)
]


@app.command(
    "list",
    epilog=console.examples(
        ("Names, sizes and licences", "foley models list"),
        ("The names alone", "foley models list | tail -n +2 | cut -f1"),
    ),
)
def list_models(json: options.Json = False) -> None:
    """All models that foley knows by name, here or not."""
    others = [folder for folder in places.installed() if find(folder.name) is None]
    models = [*map(_known, entries()), *map(_imported, others)]
    if json:
        for model in models:
            console.result_json(asdict(model))
    elif sys.stdout.isatty():  # 80 columns have room for what a person chooses by
        rows = [(one.name, one.state, one.size, one.terms, one.what) for one in models]
        console.table(("name", "state", "size", "licence", "what"), rows, right=(2,))
    else:
        columns = ("name", "kind", "state", "size", "licence", "commercial use", "what")
        console.table(
            columns,
            [(one.name, one.kind, one.state, one.size, one.licence, one.commercial_use, one.what) for one in models],
        )


@dataclass(frozen=True)
class Listed:
    """One model of the list; its fields are the keys of `--json`."""

    name: str
    kind: str
    what: str
    folder: str
    is_default: bool
    is_shipped: bool
    is_here: bool
    size_mb: float  # 0: not stated
    licence: str
    is_commercial: bool | None  # None: not stated
    parts: list[str]
    files: list[dict[str, object]]

    @property
    def state(self) -> str:
        state = "ready" if self.is_here else "missing" if self.is_shipped else "to fetch"
        return f"{state}, default" if self.is_default else state

    @property
    def size(self) -> str:
        return _size(self.size_mb)

    @property
    def commercial_use(self) -> str:
        return "not stated" if self.is_commercial is None else "yes" if self.is_commercial else "no"

    @property
    def terms(self) -> str:
        """The licence, and what a reader should not miss about it."""
        return f"{self.licence}, not commercial" if self.is_commercial is False else self.licence


def _size(size_mb: float) -> str:
    if not size_mb:
        return "?"
    return f"{size_mb / 1e3:.1f} GB" if size_mb >= 1000 else f"{size_mb:.0f} MB"


def _known(entry: Entry) -> Listed:
    return Listed(
        name=entry.name,
        kind=entry.kind,
        what=entry.what,
        folder=str(entry.folder),
        is_default=entry.name == DEFAULT_MODEL,
        is_shipped=entry.is_shipped,
        is_here=entry.is_here,
        size_mb=round(entry.size_mb, 1),
        licence=entry.licence.name,
        is_commercial=entry.licence.is_commercial,
        parts=list(entry.parts),
        files=[asdict(file) for file in entry.files],
    )


def _imported(folder: Path) -> Listed:
    """A model of the user's that the catalogue does not know."""
    from foleycli.weights.config import read_config

    size_mb = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
    try:
        kind, what = read_config(folder).kind or "?", "imported"
    except FoleyError as error:  # the others are listed all the same
        kind, what = "?", f"cannot be used: {error.message}"
    return Listed(
        name=folder.name,
        kind=kind,
        what=what,
        folder=str(folder),
        is_default=False,
        is_shipped=False,
        is_here=True,
        size_mb=round(size_mb, 1),
        licence="not stated",
        is_commercial=None,
        parts=[],
        files=[],
    )


@app.command(
    epilog=console.examples(
        ("The default model's card", "foley models show"), ("Another's", "foley models show vaura-mini")
    )
)
def show(name: Name = DEFAULT_MODEL, json: options.Json = False) -> None:
    """What a model's folder says about it: its configuration and its model card."""
    from foleycli.hub.resolve import resolve, verify
    from foleycli.weights.config import CONFIG_NAME, read_config

    folder = resolve(name)
    config = read_config(folder)
    is_intact = verify(folder)
    weights = [
        file
        for file in folder.rglob("*")
        if file.is_file() and file.name not in (CONFIG_NAME, "README.md", "metrics.json")
    ]
    size_mb = sum(file.stat().st_size for file in weights) / 1e6
    if json:
        console.result_json({"folder": str(folder), "size_mb": size_mb, "is_intact": is_intact, **config.to_dict()})
        return
    for key in ("name", "kind", "family", "codec", "sync", "semantic", "text", "sha256"):
        if value := getattr(config, key):
            console.result(f"{key:8} {value}")
    console.result(f"{'folder':8} {folder}")
    console.result(f"{'weights':8} {size_mb:.1f} MB, {'intact' if is_intact else 'DAMAGED OR MISSING'}")
    card = folder / "README.md"
    if card.is_file():
        console.result("\n" + without_marks(card.read_text(encoding="utf-8")))


@app.command(
    epilog=console.examples(
        ("The folder of a model", "foley models path salsav-mini"), ("Its files", 'ls "$(foley models path)"')
    )
)
def path(name: Name = DEFAULT_MODEL) -> None:
    """The folder that holds a model."""
    from foleycli.hub.resolve import resolve

    console.result(str(resolve(name)))


@app.command(
    epilog=console.examples(("Fetch a model with its parts", "foley models pull mmaudio-large-44k-v2 --accept-license"))
)
def pull(name: Published, accept_license: options.AcceptLicense = False, quiet: options.Quiet = False) -> None:
    """Fetch a published model with its parts; an interrupted download goes on where it stopped."""
    from foleycli.hub.pull import published

    entry = published(name)
    fetched.ask_licence(entry, accept_license)
    console.result(str(fetched.fetch(entry, quiet)))


@app.command(epilog=console.examples(("Free its room", "foley models remove mmaudio-large-44k-v2")))
def remove(name: Published, quiet: options.Quiet = False) -> None:
    """Delete a fetched or imported model, and parts that no other model needs."""
    from foleycli.hub import remove as removal

    freed_mb = removal.remove(name)
    console.note(f"{name} removed, {_size(freed_mb)} freed", quiet)


@app.command(
    epilog=console.examples(
        ("Everything that is here", "foley models verify"), ("One model", "foley models verify salsav-mini")
    )
)
def verify(
    name: Annotated[str | None, typer.Argument(metavar="NAME|FOLDER", help="One model; without: all here.")] = None,
    json: options.Json = False,
) -> None:
    """Read every file of a model, or of all, and compare with the hashes noted when it came; exit 1 if one differs."""
    from foleycli.hub.resolve import check, resolve

    if name is not None:
        known = find(name)
        parts = [find(part) for part in known.parts] if known else []
        folders = [resolve(name), *(part.folder for part in parts if part)]
    else:
        folders = [entry.folder for entry in entries() if entry.is_shipped] + places.installed()
    intact = [_is_intact(folder, check) for folder in folders]
    if json:
        for folder, is_intact in zip(folders, intact, strict=True):
            console.result_json({"name": folder.name, "folder": str(folder), "is_intact": is_intact})
    else:
        states = ["intact" if is_intact else "DAMAGED" for is_intact in intact]
        console.table(("name", "state"), [(folder.name, state) for folder, state in zip(folders, states, strict=True)])
    if not all(intact):
        raise typer.Exit(EXIT_FAILED)


def _is_intact(folder: Path, check: Callable[[Path], None]) -> bool:
    """Check one folder; what is wrong with it is shown."""
    try:
        check(folder)
    except FoleyError as error:
        console.show_error(error, about=folder.name)
        return False
    return True


@app.command(
    "import",
    epilog=console.examples(
        ("Files that you copied to this machine", "foley models import downloads/ --family mmaudio"),
        ("Your own fine-tuned network", "foley models import tuned.pth --family mmaudio --name mine"),
    ),
)
def import_model(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file, or a folder of files, that you have.")],
    family: Annotated[Literal["mmaudio", "vaura"], typer.Option("--family", help="What kind of model it is.")],
    name: Annotated[str | None, typer.Option("--name", help="Its name; published files have theirs.")] = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
) -> None:
    """Make a model folder of files got elsewhere: without a network, from a mirror, or fine-tuned."""
    from foleycli.hub.foreign import import_files

    with console.progress(quiet) as report:
        made = import_files(path, family, name, force, report)
    for folder in made:
        console.result(str(folder))


@app.command(
    epilog=console.examples(
        ("See what would be uploaded", "foley models push runs/mine/model me/my-model --dry-run"),
        ("Upload it", "foley models push runs/mine/model me/my-model"),
        (
            "With a card of the training's log and a benchmark",
            "foley models push mine/model me/mine --license mit --benchmark table.json",
        ),
    )
)
def push(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A model folder of yours.")],
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository on the Hub.")],
    license: Annotated[
        str | None,
        typer.Option("--license", metavar="ID", help="Make the model card, with this licence (mit, cc-by-4.0, ...)."),
    ] = None,
    benchmark: Annotated[
        Path | None,
        typer.Option("--benchmark", metavar="FILE", help="benchmark.json of foley evaluate, for the card."),
    ] = None,
    system: Annotated[
        str, typer.Option("--system", metavar="NAME", help="Which of the benchmark's systems this model is.")
    ] = "",
    log: Annotated[
        Path | None,
        typer.Option(
            "--log", metavar="FILE", help="The training's log, for the card.", show_default="log.jsonl beside FOLDER"
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ask the Hub, change nothing.")] = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Upload a model folder with its card to the Hub; --license makes the card of what is known of the model."""
    from foleycli.hub import push as pushed
    from foleycli.hub.card import CardSources

    card = None
    if license is not None:
        card = CardSources(license, log, benchmark, system)
    elif benchmark or system or log:
        raise UsageError("a card is made where its licence is given", "Add --license mit, or another identifier")
    with console.progress(quiet) as report:
        plan = pushed.push(folder, repo, dry_run, report, card)
    if json:
        console.result_json(asdict(plan))
        return
    new = " (new)" if plan.is_new_repo else ""
    console.note(f"{'would upload' if dry_run else 'uploaded'} as {plan.user} to {plan.repo}{new}:", quiet)
    columns = ("file", "bytes", "sha256", "state")
    rows = [(each.name, str(each.size_bytes), each.sha256[:12], each.state) for each in plan.uploads]
    console.table(columns, rows, right=(1,))
    if plan.address:
        console.result(plan.address)
