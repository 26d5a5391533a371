"""`foley guide`: the pages about foley, drawn and paged on a terminal, plain Markdown anywhere else."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foleycli.cli import console
from foleycli.cli.console import column_widths
from foleycli.errors import FoleyError
from foleycli.settings.checking import did_you_mean

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.markdown import Markdown

FOLDER = Path(__file__).parents[1] / "guide"
PAGES = (  # in the order in which to read them
    "usage", "sessions", "batches", "prompts-and-sound-quality", "models", "speed", "training", "evaluation",
    "architecture", "contributing", "glossary", "papers",
)  # fmt: skip
WIDEST = 100  # cells of a line of text that is still easy to read


def _complete(begun: str) -> list[str]:
    return [name for name in PAGES if name.startswith(begun)]


def guide(
    page: Annotated[
        str | None, typer.Argument(metavar="PAGE", help="Its name; without: which there are.", autocompletion=_complete)
    ] = None,
) -> None:
    """Read about foley: how to use it, what is inside, how to change it."""
    if page is None:
        console.table(("page", "what it is about"), [(name, summary(name)) for name in PAGES])
        return
    if page not in PAGES:
        raise FoleyError(f"there is no page {page!r}", did_you_mean(page, PAGES) + "List the pages: foley guide")
    text = read(page)
    if not sys.stdout.isatty():
        console.result(text)
        return
    from rich.console import Console

    os.environ.setdefault("LESS", "-FRX")  # colours stay, and what fits on the screen is not paged
    drawn = Console(highlight=False)
    drawn.width = min(drawn.width, WIDEST)
    with drawn.pager(styles=True):
        drawn.print(markdown(text))


def markdown(text: str) -> Markdown:
    """A page as rich draws it, with tables that keep words whole."""
    from rich.markdown import Markdown, TableElement
    from rich.table import Table

    class Whole(TableElement):
        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for table in super().__rich_console__(console, options):
                assert isinstance(table, Table)
                rows = zip(*([str(column.header), *map(str, column.cells)] for column in table.columns), strict=True)
                if widths := column_widths(list(rows), options.max_width - 2):  # a blank at either edge
                    for column, width in zip(table.columns, widths, strict=True):
                        column.width = width
                yield table

    class Page(Markdown):
        elements = {**Markdown.elements, "table_open": Whole}

    return Page(text)


def read(page: str) -> str:
    """The Markdown of a page, without the marks of its generated tables; pictures are named by where they are here."""
    text = without_marks((FOLDER / f"{page}.md").read_text(encoding="utf-8"))
    return text.replace("](pictures/", f"]({FOLDER.as_posix()}/pictures/")


def without_marks(text: str) -> str:
    """Markdown without the marks of generated tables."""
    return re.sub(r"^<!--.*-->\n", "", text, flags=re.MULTILINE).rstrip()


def summary(page: str) -> str:
    """What a page is about: the first sentence below its title."""
    paragraph = read(page).split("\n\n")[1]
    return " ".join(paragraph.split()).split(". ")[0].rstrip(".")
