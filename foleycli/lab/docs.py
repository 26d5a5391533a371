"""The tables of README, guide and model cards, generated from the code and from measured figures.

    python -m foleycli.lab docs            # write them
    python -m foleycli.lab docs --check    # only say which pages are not up to date; exit 1 if any is

A table is between `<!-- begin NAME ARGUMENT -->` and `<!-- end NAME ARGUMENT -->`; NAME is a key of `TABLES`.
A test fails when one drifts.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from foleycli.cli import app as cli
from foleycli.cli import console
from foleycli.cli.guide import FOLDER, PAGES, summary
from foleycli.errors import EXIT_FAILED, FoleyError
from foleycli.hub.catalog import DEFAULT_MODEL, Entry, entries, with_parts
from foleycli.lab import figures
from foleycli.lab.tables import text_table
from foleycli.settings import preset

README = Path(__file__).parents[2] / "README.md"
MARKED = re.compile(r"(<!-- begin (\S+) ?(.*?) -->\n).*?(<!-- end \2 ?\3 -->)", re.DOTALL)


def main(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 where a page is out of date.")] = False,
) -> None:
    """Write the generated tables of README, guide and model cards."""
    stale = [page for page in pages() if updated(text := page.read_text(encoding="utf-8")) != text]
    for page in stale:
        if not check:
            page.write_text(updated(page.read_text(encoding="utf-8")), encoding="utf-8")
        console.result(f"{page}\t{'out of date' if check else 'written'}")
    if check and stale:
        raise typer.Exit(EXIT_FAILED)


def pages() -> list[Path]:
    """The files that may hold generated tables; the README is only in a checkout."""
    cards = sorted(entry.folder / "README.md" for entry in entries() if entry.is_shipped)
    return [page for page in (README, *sorted(FOLDER.glob("*.md")), *cards) if page.is_file()]


def updated(text: str) -> str:
    """A page with its tables as they are today; errors: FoleyError for a table that is not known."""

    def fill(match: re.Match[str]) -> str:
        begin, name, argument, end = match.groups()
        if name not in TABLES:
            raise FoleyError(f"there is no generated table {name!r}", f"One of: {', '.join(TABLES)}")
        return f"{begin}{TABLES[name](argument)}\n{end}"

    return MARKED.sub(fill, text)


def leaf_commands() -> Iterator[tuple[str, Any]]:
    """Every command that does something, with its words: `models pull`."""
    for name, command in typer.main.get_command(cli.app).commands.items():  # type: ignore[attr-defined]
        if hasattr(command, "commands"):
            yield from ((f"{name} {inner}", each) for inner, each in command.commands.items())
        else:
            yield name, command


def commands_table(_: str) -> str:
    """All commands with the first sentence of their help."""
    rows = [(f"`foley {name}`", _first_sentence(command.help or "")) for name, command in leaf_commands()]
    return text_table(("command", "what it does"), rows)


def options_table(name: str) -> str:
    """The options of one command, as its `--help` has them."""
    command = dict(leaf_commands())[name]
    options = [param for param in command.params if param.opts[0].startswith("-")]
    panels = dict.fromkeys(param.rich_help_panel for param in options)  # in the order in which they are declared
    ordered = [param for panel in panels for param in options if param.rich_help_panel == panel]
    hints = get_type_hints(inspect.unwrap(command.callback))
    rows = [(_option(param), _option_help(param, _choices(hints[param.name]))) for param in ordered]
    return text_table(("option", "what it does"), rows)


def _option(param: Any) -> str:
    """`-o`, `--out` OUT."""
    names = ", ".join(f"`{name}`" for name in (*sorted(param.opts, key=len), *param.secondary_opts))
    return f"{names} {param.metavar}" if param.metavar else names


def _choices(hint: Any) -> tuple[str, ...]:
    """The words of a Literal inside a type hint."""
    return get_args(hint) if get_origin(hint) is Literal else tuple(c for arg in get_args(hint) for c in _choices(arg))


def _option_help(param: Any, choices: tuple[str, ...]) -> str:
    """Its sentence, its choices, and its default where that says something."""
    text = param.help.rstrip(".") + (f": {', '.join(choices)}" if choices else "")
    shown = param.show_default if isinstance(param.show_default, str) else param.default
    if param.show_default and shown is not None and not isinstance(shown, bool):
        text += f" (default: {shown:g})" if isinstance(shown, float) else f" (default: {shown})"
    return text


def presets_table(_: str) -> str:
    """The shipped presets with what they are for."""
    return text_table(
        ("preset", "for"),
        [(f"`{name}`", preset.describe(preset.find(name)).rstrip(".")) for name in preset.names()],
    )


def models_table(which: str) -> str:
    """The catalogue: `generators` for what makes sound, "" for everything."""
    chosen = entries("family") if which == "generators" else entries()
    rows = [(f"`{entry.name}`", entry.what, _download(entry), _terms(entry)) for entry in chosen]
    return text_table(("model", "what it is", "download", "licence"), rows)


def _download(entry: Entry) -> str:
    if entry.is_shipped:
        return "ships with foley" + (", default" if entry.name == DEFAULT_MODEL else "")
    size_mb = sum(file.size_mb for part in with_parts(entry) for file in part.files)
    if any(file.size_mb == 0 for file in entry.files):
        return "size not stated"
    return f"{size_mb / 1e3:.1f} GB" if size_mb >= 1000 else f"{size_mb:.0f} MB"


def _terms(entry: Entry) -> str:
    return f"{entry.licence.name}, not commercial" if entry.licence.is_commercial is False else entry.licence.name


def guide_table(_: str) -> str:
    """The pages of the guide, as links from the README."""
    return text_table(
        ("page", "what it is about"),
        [(f"[{name}](foleycli/guide/{name}.md)", summary(name)) for name in PAGES],
    )


def measurements_table(_: str) -> str:
    """The commands of `python -m foleycli.lab`."""
    from foleycli.lab.__main__ import MEASUREMENTS

    rows = [(f"`{name.replace('_', '-')}`", about) for name, about in MEASUREMENTS.items()]
    return text_table(("`python -m foleycli.lab …`", "what it measures or makes"), rows)


def _first_sentence(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split()).split(". ")[0].rstrip(".")


TABLES: dict[str, Callable[[str], str]] = {
    "commands": commands_table,
    "options": options_table,
    "presets": presets_table,
    "models": models_table,
    "guide": guide_table,
    "measurements": measurements_table,
    "figures": figures.block,
}
