"""Processor time of MMAudio's parts in two checkouts, run in turn, and how far their outputs differ.

    python -m foleycli.lab mmaudio-speed OLD NEW --pairs 5

Networks of the published sizes with random weights, on one thread: a step of the large network's sampler for 8 s with
both guidance passes (in bfloat16 beside OLD's in float32 too), two segments of Synchformer, 8 s of VAE and vocoder.
Nothing is downloaded; 5 GB of memory are needed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import torch
import typer

from foleycli.cli import console
from foleycli.errors import FoleyError, UsageError

# What is measured, with OLD's and NEW's dtype.
ROWS = {
    "large network, one step": ("step", "float32", "float32"),
    "large network, one step, NEW in bfloat16": ("step", "float32", "bfloat16"),
    "Synchformer, two segments": ("synchformer", "float32", "float32"),
    "VAE and vocoder, 8 s": ("codec", "float32", "float32"),
}
PROGRAM = Path(__file__).with_name("mmaudio_part.py")


@dataclass(frozen=True)
class PartComparison:
    """One part in both checkouts: processor seconds of each pair, and the largest difference in parts of the largest
    number."""

    part: str
    old_s: list[float]
    new_s: list[float]
    difference: float

    @property
    def ratio(self) -> float:
        """Median over the pairs of new / old."""
        return median(new / old for old, new in zip(self.old_s, self.new_s, strict=True))


def main(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A checkout, the base of the ratios.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The checkout compared with it; may be the same.")],
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of runs.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Every run, as JSON, a line for each part.")] = False,
) -> None:
    """MMAudio's parts in two checkouts in turn: processor seconds, their ratio, and how far outputs differ."""
    for folder in (old, new):
        if not (folder / "foleycli" / "families" / "mmaudio").is_dir():
            raise UsageError(
                f"{folder} is no checkout of foley with MMAudio", "Name the folder that contains foleycli/"
            )
    rows = []
    for name, (part, old_dtype, new_dtype) in ROWS.items():
        compared = compare(name, part, (old, old_dtype), (new, new_dtype), pairs)
        if as_json:
            console.result_json({**asdict(compared), "ratio": compared.ratio})
        rows.append((name, f"{median(compared.old_s):.2f}", f"{median(compared.new_s):.2f}", f"{compared.ratio:.2f}",
                     f"{compared.difference:.0e}"))  # fmt: skip
    if not as_json:
        columns = ("part", "old CPU s", "new CPU s", "ratio", "difference")
        console.table(columns, rows, right=range(1, len(columns)))


def compare(name: str, part: str, old: tuple[Path, str], new: tuple[Path, str], pairs: int) -> PartComparison:
    """Run a part `pairs` times in each checkout, in its dtype."""
    spent_s: tuple[list[float], list[float]] = ([], [])
    with tempfile.TemporaryDirectory(prefix="foley-compare-") as scratch:
        outputs = Path(scratch) / "old.pt", Path(scratch) / "new.pt"
        for _ in range(pairs):
            for (checkout, dtype), output, each in zip((old, new), outputs, spent_s, strict=True):
                each.append(run_once(checkout, part, dtype, output))
        before, after = (torch.load(output, weights_only=True) for output in outputs)
    return PartComparison(name, *spent_s, float((after - before).abs().max() / before.abs().max()))


def run_once(checkout: Path, part: str, dtype: str, output: Path) -> float:
    """Processor seconds of a part in a checkout, on one thread; errors: FoleyError when it fails."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.read_text(), part, dtype, str(output)],
        cwd=checkout,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise FoleyError(f"{part} failed in {checkout}: {done.stderr.strip()[-300:]}", "Try its program by hand there")
    return float(json.loads(done.stdout.splitlines()[-1])["cpu_s"])
