"""Progress, tables and errors as a terminal and a log see them."""

import io
import sys

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from foleycli.cli import console
from foleycli.errors import FoleyError


class Terminal(io.StringIO):
    """Text that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


def test_error_is_two_lines_whatever_it_says(capsys):
    console.show_error(FoleyError("[red]it\nbroke[/red]", "mend\nit"), about="a.mp4")
    assert capsys.readouterr().err == "error: a.mp4: [red]it broke[/red]\nhint: mend it\n"


def test_an_error_names_its_file_once(capsys):
    console.show_error(FoleyError("there is no file a.mp4"), about="a.mp4")
    assert capsys.readouterr().err == "error: there is no file a.mp4\n"


def test_long_errors_are_not_broken(capsys):
    console.show_error(FoleyError("x" * 500))
    assert capsys.readouterr().err == f"error: {'x' * 500}\n"


def test_quiet_tells_nothing(capsys):
    with console.progress(quiet=True) as report:
        report("sampler", 1, 1)
    console.note("a note", quiet=True)
    assert capsys.readouterr() == ("", "")


def test_plain_lines_where_there_is_no_terminal(capsys):
    with console.progress() as report:
        for done in range(5):
            report("sampler", done, 4)
        report("sampler", 4, 4)
    told = capsys.readouterr()
    assert told.out == ""
    assert [line.split(" in ")[0] for line in told.err.splitlines()] == ["sampler: done"]


def test_a_stage_of_unknown_length_moves_until_it_is_done():
    with Progress(console=Console(file=Terminal(), force_terminal=True)) as drawn:
        report = console._bar_report(drawn, {})
        report("load", 0, 1)
        report("sampler", 2, 8)
        load, sampler = drawn.tasks
        assert load.total is None and not load.finished  # drawn as a bar that moves to and fro
        assert sampler.percentage == 25
        report("load", 1, 1)
        assert load.finished


def test_one_display_for_all_jobs_and_results_beside_it(monkeypatch):
    err, out = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(sys, "stdout", out)
    with console.progress() as report:
        report("load", 1, 1)
        for name in ("first", "second"):
            with console.progress() as of_job:
                of_job(name, 1, 1)
                shown = [task.description for task in console._shown.progress.tasks]
                assert shown == ["load", name]  # the bars of the job before are gone
            console.result(f"{name}.mp4")
    assert out.getvalue() == "first.mp4\nsecond.mp4\n"
    assert "first.mp4" not in err.getvalue() and console._shown is None


def test_many_pieces_are_counted_in_one_bar_or_in_few_lines(monkeypatch, capsys):
    with console.counting("rows", 100) as update:
        for done in range(1, 101):
            update(done, f"{100 - done} s left" if done < 100 else "")
    assert capsys.readouterr() == ("", "rows: 100 of 100\n")
    with console.counting("rows", 1, quiet=True) as update:
        update(1, "")
    assert capsys.readouterr() == ("", "")
    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("COLUMNS", "100")
    with console.counting("rows", 3) as update:
        update(2, "31 rows/min, 2 s left")
        console.show_row_error("line 3", "a.mp4", "it broke", "Mend it")
        shown = console._shown.progress.tasks[0]
        assert (shown.completed, shown.total, shown.fields["text"]) == (2, 3, "31 rows/min, 2 s left")
    plain = Text.from_ansi(err.getvalue()).plain
    assert "error: line 3: a.mp4: it broke. Mend it" in plain and "2/3 31 rows/min" in plain and console._shown is None


def test_json_keeps_letters(capsys):
    console.result_json({"prompt": "Glöckchen"})
    assert capsys.readouterr().out == '{"prompt": "Glöckchen"}\n'


COLUMNS = ("name", "state", "what it is")
ROWS = [("mmaudio-large-44k-v2", "to fetch", "an audio-visual synchronisation encoder: " * 4), ("mel", "ready", "x\ty")]


def test_a_piped_table_is_tab_separated_below_one_line_of_headings(capsys):
    console.table(COLUMNS, ROWS)
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == list(COLUMNS) and lines[2] == ["mel", "ready", "x y"]
    assert {len(line) for line in lines} == {3}


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_table_on_a_terminal_keeps_words_whole(monkeypatch, width):
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("COLUMNS", str(width))
    console.table(COLUMNS, ROWS)
    plain = Text.from_ansi(out.getvalue()).plain
    assert max(map(cell_len, plain.splitlines())) <= width
    words = {word for row in (COLUMNS[1:], *ROWS) for cell in row for word in cell.split()}
    assert words <= set(plain.split())
    assert (console.column_widths([COLUMNS, *ROWS], width) is None) == (width == 40)  # then a block of lines a row


def test_numbers_go_with_their_nouns():
    assert [console.count(n, "window") for n in (0, 1, 2)] == ["0 windows", "1 window", "2 windows"]
