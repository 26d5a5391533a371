"""`foley models`: what models there are, and getting, checking, removing and giving them away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from foleycli.cli import console, fetched, options
from foleycli.errors import EXIT_FAILED, FoleyError
from foleycli.hub import places
from foleycli.hub.catalog import DEFAULT_MODEL, Entry, entries, find

app = typer.Typer(help="Models: list, fetch, check, remove, share.", no_args_is_help=False)
Name = Annotated[str, typer.Argument(metavar="NAME|FOLDER", help="A model's name or its folder.")]
Published = Annotated[str, typer.Argument(metavar="NAME", help="A name that `foley models list` shows.")]


@app.command("list")
def list_models(json: options.Json = False) -> None:
    """All models that foley knows by name, here or not."""
    facts = [_facts(entry) for entry in entries()] + [_imported(folder) for folder in _others()]
    if json:
        for each in facts:
            console.result_json(each)
        return
    columns = ("name", "kind", "", "size", "licence", "commercial use", "what")
    console.table(columns, [_row(each) for each in facts], right=(3,))


def _others() -> list[Path]:
    """Imported models that the catalogue does not know."""
    return [folder for folder in places.installed() if find(folder.name) is None]


def _row(facts: dict[str, object]) -> tuple[str, ...]:
    name = f"{facts['name']} *" if facts["is_default"] else str(facts["name"])
    use = {True: "yes", False: "no", None: "not stated"}[facts["is_commercial"]]  # type: ignore[index]
    state = "ready" if facts["is_here"] else "missing" if facts["is_shipped"] else "to fetch"
    return name, str(facts["kind"]), state, _size(facts["size_mb"]), str(facts["licence"]), use, str(facts["what"])  # type: ignore[arg-type]


def _size(size_mb: float) -> str:
    if not size_mb:
        return "?"
    return f"{size_mb / 1e3:.1f} GB" if size_mb >= 1000 else f"{size_mb:.0f} MB"


def _facts(entry: Entry) -> dict[str, object]:
    return {
        "name": entry.name,
        "kind": entry.kind,
        "what": entry.what,
        "folder": str(entry.folder),
        "is_default": entry.name == DEFAULT_MODEL,
        "is_shipped": entry.is_shipped,
        "is_here": entry.is_here,
        "size_mb": round(entry.size_mb, 1),
        "licence": entry.licence.name,
        "is_commercial": entry.licence.is_commercial,
        "parts": list(entry.parts),
        "files": [asdict(file) for file in entry.files],
    }


def _imported(folder: Path) -> dict[str, object]:
    from foleycli.weights.folder import read_config

    size_mb = round(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6, 1)
    return {
        "name": folder.name, "kind": read_config(folder).get("kind", "?"), "what": "imported", "folder": str(folder),
        "is_default": False, "is_shipped": False, "is_here": True, "size_mb": size_mb, "licence": "not stated",
        "is_commercial": None, "parts": [], "files": [],
    }  # fmt: skip


@app.command()
def show(name: Name = DEFAULT_MODEL, json: options.Json = False) -> None:
    """What a model's folder says about it: its configuration and its model card."""
    from foleycli.hub.resolve import resolve, verify
    from foleycli.weights.folder import CONFIG_NAME, read_config

    folder = resolve(name)
    config = read_config(folder)
    is_intact = verify(folder)
    weights = [file for file in folder.rglob("*") if file.is_file() and file.name not in (CONFIG_NAME, "README.md")]
    size_mb = sum(file.stat().st_size for file in weights) / 1e6
    if json:
        console.result_json({"folder": str(folder), "size_mb": size_mb, "is_intact": is_intact, **config})
        return
    for key in ("name", "kind", "family", "codec", "sync", "semantic", "text", "sha256"):
        if config.get(key):
            console.result(f"{key:8} {config[key]}")
    console.result(f"{'folder':8} {folder}")
    console.result(f"{'weights':8} {size_mb:.1f} MB, {'intact' if is_intact else 'DAMAGED OR MISSING'}")
    card = folder / "README.md"
    if card.is_file():
        console.result("\n" + card.read_text(encoding="utf-8").rstrip())


@app.command()
def path(name: Name = DEFAULT_MODEL) -> None:
    """The folder that holds a model."""
    from foleycli.hub.resolve import resolve

    console.result(str(resolve(name)))


@app.command()
def pull(name: Published, accept_license: options.AcceptLicense = False, quiet: options.Quiet = False) -> None:
    """Fetch a published model with its parts; an interrupted download goes on where it stopped."""
    from foleycli.hub.pull import published

    entry = published(name)
    fetched.ask_licence(entry, accept_license)
    console.result(str(fetched.fetch(entry, quiet)))


@app.command()
def remove(name: Published, quiet: options.Quiet = False) -> None:
    """Delete a fetched or imported model, and parts that no other model needs."""
    from foleycli.hub import pull as pulled

    freed_mb = pulled.remove(name)
    console.note(f"{name} removed, {_size(freed_mb)} freed", quiet)


@app.command()
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
    n_wrong = sum(not _told_intact(folder, check, json) for folder in folders)
    if n_wrong:
        raise typer.Exit(EXIT_FAILED)


def _told_intact(folder: Path, check: Callable[[Path], None], json: bool) -> bool:
    """Check one folder and say so."""
    try:
        check(folder)
        wrong = None
    except FoleyError as error:
        wrong = error
        console.show_error(error, about=folder.name)
    if json:
        console.result_json({"name": folder.name, "folder": str(folder), "is_intact": wrong is None})
    else:
        console.result(f"{folder.name}\t{'DAMAGED' if wrong else 'intact'}")
    return wrong is None


@app.command("import")
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


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A model folder of yours.")],
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository on the Hub.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ask the Hub, change nothing.")] = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Upload a model folder with its card to the Hub."""
    from foleycli.hub import push as pushed

    with console.progress(quiet) as report:
        plan = pushed.push(folder, repo, dry_run, report)
    if json:
        console.result_json(asdict(plan))
        return
    new = " (new)" if plan.is_new_repo else ""
    console.note(f"{'would upload' if dry_run else 'uploaded'} as {plan.user} to {plan.repo}{new}:", quiet)
    for upload in plan.uploads:
        console.result(f"{upload.name}\t{upload.size_bytes}\t{upload.sha256[:12]}\t{upload.state}")
    if plan.address:
        console.result(plan.address)
