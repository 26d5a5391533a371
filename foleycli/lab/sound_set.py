"""`python -m foleycli.lab sound_set --out DIR`: the recorded sounds that the shipped weights were trained on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from foleycli.cli import console, options
from foleycli.errors import EXIT_SOME_FAILED, FoleyError
from foleycli.soundset.debian.build import Missing, build, check_folder, still_needed
from foleycli.soundset.debian.mirrors import MIRROR, SNAPSHOT, Sources
from foleycli.soundset.debian.origins import Package, read_packages


def main(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the set; sounds that it has are left as they are.")
    ],
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="CATEGORY", help="Only these sounds; may be repeated.")
    ] = None,
    debs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of Debian packages; those fetched stay in it.")
    ] = None,
    mirror: Annotated[str, typer.Option(metavar="URL", help="A Debian mirror.")] = MIRROR,
    snapshot: Annotated[
        str, typer.Option(metavar="URL", help="Where versions are looked for that the mirror no longer has.")
    ] = SNAPSHOT,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be fetched, and fetch nothing.")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Fetch the Debian packages that the recorded sounds come from, and make the set as it was made.

    The folder goes into a recipe as data.sounds. Exit code 3: some sounds could not be made.
    """
    sources = Sources(debs or out / "debs", mirror, snapshot)
    check_folder(out)
    packages = still_needed(read_packages(only), out)
    if dry_run:
        _show_plan(packages, sources)
        return
    with console.progress(quiet) as report:
        missing = build(packages, out, sources, debs is not None, report)
    _show_missing(missing)
    console.result(str(out))
    raise typer.Exit(EXIT_SOME_FAILED if missing else 0)


def _show_plan(packages: list[Package], sources: Sources) -> None:
    rows = [
        (package.name, package.version, f"{package.size_mb:.1f}", str(len(package.sounds)),
         "on this disk" if (sources.debs / package.deb_name).is_file() else "to fetch")
        for package in packages
    ]  # fmt: skip
    console.table(("package", "version", "MB", "sounds", "where"), rows, right=(2, 3))
    to_fetch_mb = sum(package.size_mb for package, row in zip(packages, rows, strict=True) if row[-1] == "to fetch")
    n_sounds = sum(len(package.sounds) for package in packages)
    console.note(f"{n_sounds} sounds to make from {len(packages)} packages; {to_fetch_mb:.0f} MB to fetch")


def _show_missing(missing: list[Missing]) -> None:
    """One error for the sounds of a package that are missing for the same reason."""
    n_by_reason = Counter((each.package.name, each.error.message, each.error.hint) for each in missing)
    for (name, message, hint), n in n_by_reason.items():
        console.show_error(FoleyError(f"{n} sound{'s' if n > 1 else ''} missing: {message}", hint), name)
