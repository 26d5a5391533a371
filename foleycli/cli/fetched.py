"""A model by name, fetched first when it has to be: its licence is shown once, its download drawn."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from foleycli.cli import console
from foleycli.errors import FoleyError
from foleycli.hub import licences
from foleycli.hub.catalog import Entry, find


def check_name(name: str) -> None:
    """Refuse a model that is neither here nor known; errors: FoleyError."""
    from foleycli.hub.resolve import resolve

    entry = find(name)
    if entry is None or entry.is_shipped:
        resolve(name)


def model_folder(name: str, accept_license: bool, quiet: bool, may_fetch: bool = True) -> Path:
    """The folder of a model; errors: FoleyError when it is unknown, refused or cannot be fetched."""
    from foleycli.hub.resolve import resolve

    entry = find(name)
    if entry is None or entry.is_shipped:
        return resolve(name)
    ask_licence(entry, accept_license)
    return fetch(entry, quiet) if may_fetch else resolve(name)


def fetch(entry: Entry, quiet: bool) -> Path:
    """Pull what is missing, with a bar per file."""
    from foleycli.hub.pull import missing, pull

    if not missing(entry):
        return entry.folder
    with console.progress(quiet) as report:
        return pull(entry.name, report)


def ask_licence(entry: Entry, is_accepted: bool) -> None:
    """Show what is not free for commercial use and remember the answer; errors: FoleyError without one."""
    questions = licences.open_questions(entry)
    if not questions:
        return
    for line in licences.text(questions).splitlines():
        console.note(line)
    if not is_accepted and sys.stdin.isatty() and sys.stderr.isatty():
        is_accepted = typer.confirm("Use these weights under these terms?", err=True)
    if not is_accepted:
        terms = ", ".join(dict.fromkeys(licence.name for licence in questions.values()))
        raise FoleyError(f"the licence of {entry.name} is not accepted yet: {terms}", "Accept with --accept-license")
    licences.accept(questions)
