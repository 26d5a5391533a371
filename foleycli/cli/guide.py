"""`foley guide`: the pages about foley, drawn and paged on a terminal, plain Markdown anywhere else."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from foleycli.cli import console
from foleycli.errors import FoleyError
from foleycli.settings.checking import did_you_mean

FOLDER = Path(__file__).parents[1] / "guide"
PAGES = (  # in the order in which to read them
    "usage", "prompts-and-sound-quality", "models", "speed", "training", "evaluation", "architecture",
    "contributing", "glossary", "papers",
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
    from rich.markdown import Markdown

    os.environ.setdefault("LESS", "-FRX")  # colours stay, and what fits on the screen is not paged
    drawn = Console(highlight=False)
    drawn.width = min(drawn.width, WIDEST)
    with drawn.pager(styles=True):
        drawn.print(Markdown(text))


def read(page: str) -> str:
    """The Markdown of a page, without the marks of its generated tables."""
    text = (FOLDER / f"{page}.md").read_text(encoding="utf-8")
    return re.sub(r"^<!--.*-->\n", "", text, flags=re.MULTILINE).rstrip()


def summary(page: str) -> str:
    """What a page is about: the first sentence below its title."""
    paragraph = read(page).split("\n\n")[1]
    return " ".join(paragraph.split()).split(". ")[0].rstrip(".")
