"""CPU and wall seconds of the same commands in two checkouts, run in turn.

    python -m foleycli.lab compare-builds OLD NEW --command "render clip.mp4 -o {out}.wav -q" --pairs 5 --busy 2

Each pair runs OLD and then NEW as processes of their own, so that whatever else the machine does falls on both alike.
"CPU" is user and system time of the process and of those it started (ffmpeg).  The first pair is a warm-up that counts
for nothing; the table shows medians and the median of the ratios within pairs.
"""

from __future__ import annotations

import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from foleycli.cli import console
from foleycli.errors import FoleyError, UsageError

BUSY_LOOP = "while True: pass"


@dataclass(frozen=True)
class Cost:
    """What one run of a command took."""

    cpu_s: float
    wall_s: float


@dataclass(frozen=True)
class BuildComparison:
    """One command in both checkouts: the runs of each pair, without the warm-up."""

    command: str
    old: list[Cost]
    new: list[Cost]

    def ratio(self, name: str) -> float:
        """Median over the pairs of new / old, of "cpu_s" or "wall_s"."""
        return median(getattr(new, name) / getattr(old, name) for old, new in zip(self.old, self.new, strict=True))


def main(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A checkout, the base of the ratios.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The checkout compared with it; may be the same.")],
    command: Annotated[
        list[str], typer.Option("--command", help="Arguments of foley; {out} is a new path. May be repeated.")
    ],
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of runs that count.")] = 5,
    busy: Annotated[int, typer.Option(min=0, help="Endless loops that run beside them.")] = 0,
    old_env: Annotated[list[str], typer.Option("--old-env", metavar="NAME=VALUE", help="For OLD's runs.")] = [],  # noqa: B006
    new_env: Annotated[list[str], typer.Option("--new-env", metavar="NAME=VALUE", help="For NEW's runs.")] = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="Every run, as JSON, a line for each command.")] = False,
) -> None:
    """Run foley's commands in two checkouts in turn; CPU seconds, wall seconds and their ratios."""
    for folder in (old, new):
        if not (folder / "foleycli" / "__main__.py").is_file():
            raise UsageError(f"{folder} is no checkout of foley", "Name the folder that contains foleycli/")
    environments = environment(old_env), environment(new_env)
    rows = []
    with busy_loops(busy):
        for text in command:
            compared = compare((old, new), environments, text, pairs)
            if as_json:
                ratios = {"cpu_ratio": compared.ratio("cpu_s"), "wall_ratio": compared.ratio("wall_s")}
                console.result_json({**asdict(compared), "busy": busy, **ratios})
            rows.append(row(compared))
    if not as_json:
        columns = ("command", "old CPU s", "new CPU s", "CPU ratio", "old wall s", "new wall s", "wall ratio")
        console.table(columns, rows, right=range(1, len(columns)))


def environment(given: Sequence[str]) -> dict[str, str]:
    """This process's environment with NAME=VALUE added; errors: UsageError for anything else."""
    for text in given:
        if "=" not in text:
            raise UsageError(f"{text!r} sets no variable", "Write NAME=VALUE")
    return {**os.environ, **dict(text.split("=", 1) for text in given)}


@contextmanager
def busy_loops(n: int) -> Iterator[None]:
    """`n` processes that do nothing as fast as they can."""
    loops = [subprocess.Popen([sys.executable, "-c", BUSY_LOOP]) for _ in range(n)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def compare(
    checkouts: tuple[Path, Path], environments: tuple[dict[str, str], dict[str, str]], command: str, pairs: int
) -> BuildComparison:
    """Run one command `pairs` times in each checkout, and once before that counts for nothing."""
    costs: tuple[list[Cost], list[Cost]] = ([], [])
    for _ in range(pairs + 1):
        for checkout, variables, each in zip(checkouts, environments, costs, strict=True):
            each.append(run_once(checkout, variables, command))
    return BuildComparison(command, costs[0][1:], costs[1][1:])


def run_once(checkout: Path, variables: dict[str, str], command: str) -> Cost:
    """One run in a checkout; errors: FoleyError when the command fails."""
    with tempfile.TemporaryDirectory(prefix="foley-compare-") as scratch:
        words = [word.replace("{out}", f"{scratch}/out") for word in shlex.split(command)]
        words = [str(Path(word).absolute()) if Path(word).exists() else word for word in words]
        before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "foleycli", *words], cwd=checkout, env=variables, capture_output=True, text=True
        )
        wall_s, after = time.perf_counter() - began_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise FoleyError(f"foley {command} failed in {checkout}: {done.stderr.strip()[-300:]}", "Try it by hand there")
    # Busy loops are waited for at the very end, so they are not among the children counted here.
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu_s=round(spent_s, 3), wall_s=round(wall_s, 3))


def row(compared: BuildComparison) -> tuple[str, ...]:
    """A line of the table."""
    return (
        compared.command,
        *(f"{median(cost.cpu_s for cost in costs):.2f}" for costs in (compared.old, compared.new)),
        f"{compared.ratio('cpu_s'):.2f}",
        *(f"{median(cost.wall_s for cost in costs):.2f}" for costs in (compared.old, compared.new)),
        f"{compared.ratio('wall_s'):.2f}",
    )
