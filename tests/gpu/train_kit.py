"""A training of the shipped generator that fits in a small kit: made where the sounds are, run where a GPU is.

    python tests/gpu/train_kit.py make SOUNDS KIT                    # at most 56 MB of sounds, and a recipe
    python tests/gpu/train_kit.py train KIT OUT --minutes 8          # on the machine with the GPU
    python tests/gpu/train_kit.py train KIT OUT --miniature          # a few steps on a CPU, to try the kit

Examples are made on the way, by all processors but one: encoded they would take thirty times the room of the sounds.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import typer

from foleycli.library.index import INDEX_NAME
from foleycli.threads import usable_cpus

RECIPE = Path(__file__).parents[2] / "presets" / "train" / "salsav-mini.yaml"
LICENCES = "licences"
MINIATURE = ("steps=2", "batch_size=2", "workers=0", "data.first=2", "data.pool=4", "data.sounds_per_clip=2",
             "data.validation_clips=2", "validate_every=2", "save_every=2")  # fmt: skip
app = typer.Typer(add_completion=False)


@app.command()
def make(
    sounds: Annotated[Path, typer.Argument(help="A folder of sounds with an index, as the trainings use it.")],
    kit: Annotated[Path, typer.Argument(help="The folder that is written.")],
    megabytes: Annotated[float, typer.Option(help="Sounds are taken up to this size.")] = 56.0,
) -> None:
    """Copy as many sounds as fit, of every name alike, with their licences and a recipe for them."""
    folder = kit / "sounds"
    folder.mkdir(parents=True)
    if (sounds / LICENCES).is_dir():
        shutil.copytree(sounds / LICENCES, folder / LICENCES)
    left = megabytes * 1e6 - sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    rows = []
    for row in in_turn(read_index(sounds)):
        size = (sounds / row["file"]).stat().st_size
        if size > left:
            continue
        left -= size
        (folder / row["file"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(sounds / row["file"], folder / row["file"])
        rows.append(row)
    (folder / INDEX_NAME).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    shutil.copyfile(RECIPE, kit / "recipe.yaml")
    typer.echo(f"{len(rows)} sounds, {megabytes - left / 1e6:.1f} MB")


@app.command()
def train(
    kit: Path,
    out: Path,
    minutes: Annotated[float, typer.Option(help="Of training.")] = 8.0,
    device: str = "auto",
    miniature: Annotated[bool, typer.Option("--miniature", help="A few steps, to try the kit.")] = False,
) -> None:
    """Train from a kit; the model is in OUT, as `foley train` leaves it."""
    args = ["train", "salsa-v", "--config", str(kit / "recipe.yaml"), "--out", str(out), "--device", device]
    for change in changes(kit, out, minutes, miniature):
        args += ["--set", change]
    raise typer.Exit(subprocess.run([sys.executable, "-m", "foleycli", *args]).returncode)


def changes(kit: Path, out: Path, minutes: float, miniature: bool) -> list[str]:
    """What is otherwise than in the recipe: where things are, how long, and by how many processes."""
    given = [
        f"data.clips.sounds={kit / 'sounds'}",
        f"data.cache={out}-examples",
        f"minutes={minutes}",
        f"workers={max(1, usable_cpus() - 1)}",
        "data.first=200",
    ]
    return given + (list(MINIATURE) if miniature else [])


def read_index(sounds: Path) -> list[dict[str, str]]:
    """The rows of a folder's index."""
    return [json.loads(line) for line in (sounds / INDEX_NAME).read_text(encoding="utf-8").splitlines() if line.strip()]


def in_turn(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The first row of each name, then the second of each, and so on."""
    by_name: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        by_name[row.get("category", ""), row.get("name", "")].append(row)
    longest = max(map(len, by_name.values()), default=0)
    return [alike[k] for k in range(longest) for alike in by_name.values() if k < len(alike)]


if __name__ == "__main__":
    app()
