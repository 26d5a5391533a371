"""Runs the walk-through of `foley guide sessions`, command by command, and makes its pictures.

python -m foleycli.lab pictures
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from foleycli.cli import console
from foleycli.cli.bench import DEMO
from foleycli.cli.guide import FOLDER, read
from foleycli.errors import FoleyError
from foleycli.media.ffmpeg import find_ffmpeg

SECTION = re.compile(r"^## A walk-through\n(.*?)(?=^## )", re.DOTALL | re.MULTILINE)
PICTURES = FOLDER / "pictures"


def commands(page: str = "sessions") -> tuple[str, list[list[str]]]:
    """The cue sheet and the commands of a page's walk-through; errors: FoleyError where it has none."""
    found = SECTION.search(read(page))
    if found is None:
        raise FoleyError(f"the page {page} has no walk-through", "Head one so: ## A walk-through")
    lines = [line[4:] for line in found[1].splitlines() if line.startswith("    ")]
    sheet = [line for line in lines if not line.startswith("foley ")]
    return "\n".join(sheet) + "\n", [shlex.split(line) for line in lines if line.startswith("foley ")]


def main(
    out_dir: Annotated[Path, typer.Option(metavar="DIR", help="Where the pictures go.")] = PICTURES,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "cpu",
) -> None:
    """Run the walk-through of the guide on sessions in a folder that is gone afterwards, and keep its pictures."""
    sheet, asked = commands()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "cues.csv").write_text(sheet, encoding="utf-8")
        timecode = ["-c", "copy", "-timecode", "00:59:58:00", str(folder / "reel.mov")]
        subprocess.run([str(find_ffmpeg()), "-loglevel", "error", "-i", str(DEMO), *timecode], check=True)
        for words in asked:
            on = [] if words[1] == "draw" else ["--device", device]
            subprocess.run([sys.executable, "-m", "foleycli", *words[1:], *on], check=True, cwd=folder)
        out_dir.mkdir(parents=True, exist_ok=True)
        for picture in sorted(folder.glob("session-*.png")):
            shutil.copyfile(picture, out_dir / picture.name)
            console.result(f"{out_dir / picture.name}: {picture.stat().st_size / 1000:.0f} kB")
