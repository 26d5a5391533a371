"""What people see: results on stdout; errors, notes and progress on stderr.

A terminal gets bars, anything else gets plain lines, `--quiet` gets errors only.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from foleycli.errors import FoleyError
from foleycli.records import Report, silent

LINE_EVERY_S = 10.0  # between two plain lines about one stage


def _stderr() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def allow_undecodable_paths() -> None:
    """Let stdout pass file names that are no UTF-8 as the bytes they are."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def wants_traceback() -> bool:
    """Whether FOLEY_DEBUG asks for tracebacks where a user gets two lines."""
    return os.environ.get("FOLEY_DEBUG", "") not in ("", "0")


def show_error(error: FoleyError, about: str = "") -> None:
    """Two lines on stderr: what is wrong, what to do; `about` names the input when there are several."""
    told = f"{about}: {error.message}" if about else error.message
    _stderr().print(Text.assemble(("error: ", "bold red"), _one_line(told)))
    if error.hint:
        _stderr().print(Text.assemble(("hint: ", "bold cyan"), _one_line(error.hint)))


def show_interrupted(how: str = "interrupted") -> None:
    """One line after Ctrl-C or a signal that ends the process."""
    _stderr().print(f"{how}; nothing half-written is left", style="yellow")


def note(text: str, quiet: bool = False) -> None:
    """A line on stderr for whoever watches."""
    if not quiet:
        _stderr().print(Text(text, style="dim"))


def result(text: str) -> None:
    """A line of the result on stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def result_json(value: object, indent: int | None = None) -> None:
    """The result as JSON on stdout."""
    result(json.dumps(value, indent=indent, ensure_ascii=False, default=str))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """A table on stdout: drawn on a terminal, tab-separated in a pipe; `right`: columns aligned right."""
    if not sys.stdout.isatty():
        for row in rows:
            result("\t".join(row))
        return
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        drawn.add_column(column, justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(drawn)


@contextmanager
def progress(quiet: bool = False) -> Iterator[Report]:
    """A `Report` that draws on stderr until the block ends."""
    if quiet:
        yield silent
    elif sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield _plain_lines()


@contextmanager
def _bars() -> Iterator[Report]:
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

    tasks: dict[str, TaskID] = {}
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=32),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=_stderr(), transient=False) as drawn:

        def report(stage: str, done: float, total: float) -> None:
            if stage not in tasks:
                tasks[stage] = drawn.add_task(stage, total=total or None)
            drawn.update(tasks[stage], completed=done, total=total or None)

        yield report


def _plain_lines() -> Report:
    """Lines for logs: when a stage begins, every few seconds, and when it is done."""
    begun_s: dict[str, float] = {}
    told_s: dict[str, float] = {}
    finished: set[str] = set()

    def report(stage: str, done: float, total: float) -> None:
        now_s = time.monotonic()
        is_done = total > 0 and done >= total
        if stage in finished and is_done:
            return
        begun_s.setdefault(stage, now_s)
        if is_done:
            finished.add(stage)
            note(f"{stage}: done in {now_s - begun_s[stage]:.1f} s")
        elif now_s - told_s.setdefault(stage, begun_s[stage]) >= LINE_EVERY_S:
            told_s[stage] = now_s
            note(f"{stage}: {100 * done / total:.0f} %" if total else f"{stage}: {done:g}")

    return report
