"""`foley guide`: pages that can be read anywhere, with examples that work and paths that exist."""

import io
import re
import sys
from pathlib import Path

import pytest
from commands import foley_lines, parse_example
from rich.console import Console
from rich.text import Text

from foleycli.cli import guide
from foleycli.lab import pictures
from foleycli.lab.__main__ import MEASUREMENTS
from foleycli.lab.pictures import commands

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "foleycli"


def test_pages_are_listed_with_what_they_are_about(foley):
    headings, *rows = (line.split("\t") for line in foley("guide").out.splitlines())
    assert headings == ["page", "what it is about"]
    assert [name for name, _ in rows] == list(guide.PAGES) and all(len(about) > 20 for _, about in rows)
    assert {page.stem for page in guide.FOLDER.glob("*.md")} == set(guide.PAGES)


def test_pictures_are_shown_and_small_and_made_by_the_walk_through(foley):
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", foley("guide", "sessions").out)
    assert [Path(path).parent for path in shown] == [guide.FOLDER / "pictures"] * 3
    assert {path.name for path in (guide.FOLDER / "pictures").iterdir()} == {Path(path).name for path in shown}
    assert all(Path(path).stat().st_size < 60_000 for path in shown)
    sheet, asked = commands()
    assert sheet.startswith("number,in,out,") and len(sheet.splitlines()) == 4
    assert [words[words.index("-o") + 1] for words in asked if words[1] == "draw"] == [
        Path(path).name for path in shown
    ]


@pytest.mark.slow
def test_the_walk_through_runs_as_it_is_written(tmp_path):
    pictures.main(tmp_path, "cpu")
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in (guide.FOLDER / "pictures").iterdir()}


def test_every_room_is_in_the_architecture():
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    text = guide.read("architecture")
    assert [room for room in rooms if f"| `{room}/`" not in text and f", `{room}/`" not in text] == []
    assert [module for module in modules if f"`{module}`" not in text] == []


def test_a_piped_page_is_plain_markdown(foley):
    told = foley("guide", "usage")
    assert told.code == 0 and told.out.startswith("# Usage\n")
    assert "| `--prompt` |" in told.out and "<!--" not in told.out and "\x1b" not in told.out


def test_an_unknown_page_names_the_nearest(foley):
    told = foley("guide", "arkitecture")
    assert told.code == 1 and "Did you mean 'architecture'?" in told.error


@pytest.mark.parametrize("page", guide.PAGES)
@pytest.mark.parametrize("width", [80, 100])
def test_a_drawn_page_keeps_words_whole(page, width):
    drawn = io.StringIO()
    Console(file=drawn, width=width, force_terminal=True).print(guide.markdown(guide.read(page)))
    plain = Text.from_ansi(drawn.getvalue()).plain
    assert max(map(len, plain.splitlines())) <= width
    named = re.findall(r"`([^`\s|]+)`", guide.read(page))
    assert [word for word in named if word not in plain] == []


def test_a_terminal_gets_the_page_through_the_pager(foley, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = []
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr("pydoc.pager", shown.append)
    guide.guide("glossary")
    assert "gain riding" in Text.from_ansi(shown[0]).plain and "\x1b[1m" in shown[0]


DOCUMENTS = [*sorted(guide.FOLDER.glob("*.md")), ROOT / "README.md"]


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.stem)
def test_examples_could_be_typed(page):
    text = page.read_text(encoding="utf-8")
    for line in foley_lines(text):
        parse_example(line)
    assert {name for name in re.findall(r"foley guide ([a-z-]+)", text)} <= set(guide.PAGES)
    assert {name.replace("-", "_") for name in re.findall(r"foleycli\.lab ([a-z-]+)", text)} <= set(MEASUREMENTS)


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.stem)
def test_paths_exist(page):
    text = page.read_text(encoding="utf-8")
    links = [page.parent / link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    named = re.findall(r"`((?:[a-z_]+/)+(?:[\w-]+\.\w+)?)[`:]", text)  # rendering/, presets/default.yaml
    assert [path for path in links if not path.exists()] == []
    assert [path for path in named if not any((root / path).exists() for root in (ROOT, PACKAGE))] == []
