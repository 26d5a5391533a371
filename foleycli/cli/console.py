"""What people see: results on stdout; errors, notes and progress on stderr.

A terminal gets one display of progress bars, anything else gets plain lines, `--quiet` gets errors only.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from foleycli.errors import FoleyError
from foleycli.records import Report, silent

if TYPE_CHECKING:
    from rich.progress import Progress, Task, TaskID

# Typer's own usage errors (unknown option, not a number): what all of them derive from.  Typer
# carries click inside and exports only this child of the class.
TyperUsageError: type[Exception] = typer.BadParameter.__bases__[0]

REWORDED = (  # what Typer says, and what foley says
    ("Value error, ", ""),
    ("is not one of", "is none of"),
    ("Input should be a valid integer, unable to parse string as an integer", "it is no whole number"),
    ("Input should be a valid number, unable to parse string as a number", "it is no number"),
)

LINE_EVERY_S = 10.0  # between two plain lines about one stage
GAP = 2  # blanks between two columns of a table
LONGEST_WORD = 40  # cells; what is longer is a path, and may be broken


@dataclass
class _Bars:
    """The bars on the terminal, and which of them belong to the job at work."""

    progress: Progress
    of_job: dict[str, TaskID] = field(default_factory=dict)


_shown: _Bars | None = None  # a process has one terminal, so at most one display


def _stderr() -> Console:
    return _shown.progress.console if _shown else Console(stderr=True, highlight=False, soft_wrap=True)


def allow_undecodable_paths() -> None:
    """Let stdout pass file names that are not UTF-8 as the bytes they are."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def usage_message(error: Exception) -> str:
    """What a usage error of Typer's says, in our own form."""
    message = error.format_message().rstrip(".")  # type: ignore[attr-defined]  # TyperUsageError
    for theirs, ours in REWORDED:
        message = message.replace(theirs, ours)
    message = re.sub(r"is none of ('[^']*')$", r"is not \1", message)
    return message[:1].lower() + message[1:]


def wants_traceback() -> bool:
    """Whether FOLEY_DEBUG asks for tracebacks where a user gets two lines."""
    return os.environ.get("FOLEY_DEBUG", "") not in ("", "0")


def show_error(error: FoleyError, about: str = "") -> None:
    """Two lines on stderr: what is wrong, what to do; `about` names the input when there are several."""
    message = f"{about}: {error.message}" if about and about not in error.message else error.message
    _stderr().print(Text.assemble(("error: ", "bold red"), _one_line(message)), soft_wrap=True)
    if error.hint:
        _stderr().print(Text.assemble(("hint: ", "bold cyan"), _one_line(error.hint)), soft_wrap=True)


def show_row_error(row: str, source: str, message: str, hint: str) -> None:
    """One line on stderr about one of many: `row` says which ("line 17"), then what is wrong, and what to do."""
    about = source if source not in message else ""
    text = ": ".join(filter(None, (row, about, f"{message}{'. ' if hint else ''}{hint}")))
    _stderr().print(Text.assemble(("error: ", "bold red"), _one_line(text)), soft_wrap=True)


def show_interrupted(how: str = "interrupted") -> None:
    """One line after Ctrl-C or a signal that ends the process."""
    _stderr().print(f"{how}; nothing half-written is left", style="yellow")


def note(text: str, quiet: bool = False) -> None:
    """A line on stderr for whoever watches."""
    if not quiet:
        _stderr().print(Text(text, style="dim"), soft_wrap=True)


def result(text: str) -> None:
    """A line of the result on stdout; errors: FoleyError where stdout takes no more."""
    with _bars_hidden():
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except BrokenPipeError:  # the reader has seen enough: `foley models list | head`
            raise
        except OSError as error:
            raise output_error(error) from error


def output_error(error: OSError) -> FoleyError:
    """What to say when stdout cannot be written; what is still in its buffer is dropped."""
    with suppress(OSError, ValueError):  # where this stdout is a file, or Python would write it again at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FoleyError(
        f"the output cannot be written: {error.strerror}", "Make room there, or send the output to another place"
    )


@contextmanager
def _bars_hidden() -> Iterator[None]:
    """Take the bars off a terminal that also shows stdout, so that a line does not break them."""
    if _shown is None or not sys.stdout.isatty():
        yield
        return
    live = _shown.progress.live
    live.transient = True  # erase what is drawn when stopping
    live.stop()
    try:
        yield
    finally:
        live.transient = False
        live.start()


def result_json(value: object, indent: int | None = None) -> None:
    """The result as JSON on stdout."""
    result(json.dumps(value, indent=indent, ensure_ascii=False, default=str))


def count(n: int, noun: str, plural: str = "") -> str:
    """`1 window`, `2 windows`; `plural` for nouns that take more than an s."""
    return f"{n} {noun}" if n == 1 else f"{n} {plural or noun + 's'}"


def examples(*lines: tuple[str, str]) -> str:
    """The end of a command's `--help`: what an example does, and below it the command to type."""
    blocks = [f"  {escape(does)}:\n    [bold]{escape(command)}[/bold]" for does, command in lines]
    return "\n".join(["Examples", *blocks])


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """A table with its headings on stdout; `right`: columns aligned right on a terminal.

    A terminal gets columns whose words stay whole, or, where even the longest words do not fit beside each other,
    a block of lines a row. Anything else gets a line a row, its cells separated by tabs.
    """
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            result("\t".join(map(_one_line, row)))
        return
    from rich.table import Table

    console = Console(highlight=False)
    widths = column_widths([columns, *rows], console.width)
    with _bars_hidden():
        if widths is None:
            for first, *others in rows:
                console.print(Text(first, style="bold"))
                block = Table.grid(padding=(0, GAP, 0, 0))
                for column, cell in zip(columns[1:], others, strict=True):
                    block.add_row(Text(f"  {column}"), Text(cell, overflow="fold"))
                console.print(block)
            return
        drawn = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
        for index, (column, width) in enumerate(zip(columns, widths, strict=True)):
            drawn.add_column(column, justify="right" if index in right else "left", width=width, overflow="fold")
        for row in rows:
            drawn.add_row(*(Text(cell) for cell in row))
        console.print(drawn)


def column_widths(rows: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """The widths of a table's columns on a terminal of `width` cells, or None where whole words do not fit.

    Every column is at least as wide as its longest word (paths may be broken); what is left goes to those that
    need least first.
    """
    columns = list(zip(*rows, strict=True))
    words = [[word for cell in column for word in cell.split()] or [""] for column in columns]
    widths = [min(max(map(cell_len, each)), LONGEST_WORD) for each in words]
    wanted = [max(map(cell_len, column)) for column in columns]
    left = width - sum(widths) - GAP * (len(columns) - 1)
    if left < 0:
        return None
    by_need = sorted(range(len(columns)), key=lambda index: wanted[index] - widths[index])
    for done, index in enumerate(by_need):
        given = min(wanted[index] - widths[index], left // (len(columns) - done))
        widths[index] += given
        left -= given
    return widths


@contextmanager
def progress(quiet: bool = False) -> Iterator[Report]:
    """A `Report` that draws on stderr until the block ends; a block inside another draws in the same display."""
    if quiet:
        yield silent
    elif sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield _plain_lines()


@contextmanager
def counting(what: str, total: int, quiet: bool = False) -> Iterator[Callable[[int, str], None]]:
    """Progress of many alike pieces on stderr: a function that is told how many are done, and what else to say.

    A terminal gets one bar, anything else a line every few seconds and at the end.
    """
    if quiet:
        yield lambda done, text: None
    elif sys.stderr.isatty() and _shown is None:
        with _counting_bar(what, total) as update:
            yield update
    else:
        shown_s = time.monotonic()

        def line(done: int, text: str) -> None:
            nonlocal shown_s
            if done == total or time.monotonic() - shown_s >= LINE_EVERY_S:
                shown_s = time.monotonic()
                note(f"{what}: {done} of {total}{', ' if text else ''}{text}")

        yield line


@contextmanager
def _counting_bar(what: str, total: int) -> Iterator[Callable[[int, str], None]]:
    global _shown
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*columns, console=_stderr(), redirect_stdout=False, redirect_stderr=False) as drawn:
        _shown = _Bars(drawn)
        task = drawn.add_task(what, total=total, text="")
        try:
            yield lambda done, text: drawn.update(task, completed=done, text=text)
        finally:
            _shown = None


@contextmanager
def _bars() -> Iterator[Report]:
    global _shown
    if _shown is not None:
        for task in _shown.of_job.values():  # of the job before this one
            _shown.progress.remove_task(task)
        _shown.of_job = {}
        yield _bar_report(_shown.progress, _shown.of_job)
        return
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn

    class Share(ProgressColumn):
        """Percent done; nothing while the amount of work is unknown."""

        def render(self, task: Task) -> Text:
            return Text("" if task.total is None else f"{task.percentage:.0f} %", justify="right")

    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=32),
        Share(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=_stderr(), redirect_stdout=False, redirect_stderr=False) as drawn:
        _shown = _Bars(drawn)
        try:
            yield _bar_report(drawn, {})
        finally:
            _shown = None


def _bar_report(drawn: Progress, tasks: dict[str, TaskID]) -> Report:
    """A bar a stage; one of a single unit, of which nothing is known before its end, moves to and fro."""

    def report(stage: str, done: float, total: float) -> None:
        is_unknown = total <= 0 or (total == 1 and done == 0)
        if stage not in tasks:
            tasks[stage] = drawn.add_task(stage, total=None)
        drawn.update(tasks[stage], completed=done, total=None if is_unknown else total)

    return report


def _plain_lines() -> Report:
    """Lines for logs: every few seconds, and when a stage is done."""
    begun_s: dict[str, float] = {}
    shown_s: dict[str, float] = {}
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
        elif now_s - shown_s.setdefault(stage, begun_s[stage]) >= LINE_EVERY_S:
            shown_s[stage] = now_s
            note(f"{stage}: {100 * done / total:.0f} %" if total else f"{stage}: {done:g}")

    return report
