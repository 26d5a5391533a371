"""The kit of a short training: sounds of every name alike, within its size, with their licences."""

from __future__ import annotations

import json
from pathlib import Path

import train_kit

from foleycli.training.recipe import read_recipe


def made_sounds(folder: Path) -> Path:
    """Three knocks of 30 kB and one rain of 30 kB, as an index says."""
    rows = [("impact/1.ogg", "knock"), ("impact/2.ogg", "knock"), ("impact/3.ogg", "knock"), ("ambience/1.ogg", "rain")]
    for file, _ in rows:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(bytes(30_000))
    described = [
        {"file": file, "category": file.split("/")[0], "name": name, "licence": "CC0-1.0"} for file, name in rows
    ]
    (folder / "index.jsonl").write_text("\n".join(map(json.dumps, described)) + "\n")
    (folder / "licences").mkdir()
    (folder / "licences" / "CC0.txt").write_text("no rights reserved")
    return folder


def test_a_small_kit_has_every_name_and_the_licences(tmp_path: Path) -> None:
    train_kit.make(made_sounds(tmp_path / "sounds"), tmp_path / "kit", megabytes=0.07)
    rows = train_kit.read_index(tmp_path / "kit" / "sounds")
    assert [row["file"] for row in rows] == ["impact/1.ogg", "ambience/1.ogg"]
    assert all((tmp_path / "kit" / "sounds" / row["file"]).stat().st_size == 30_000 for row in rows)
    assert (tmp_path / "kit" / "sounds" / "licences" / "CC0.txt").is_file()


def test_changes_are_lines_of_the_recipe(tmp_path: Path) -> None:
    train_kit.make(made_sounds(tmp_path / "sounds"), tmp_path / "kit", megabytes=1.0)
    for miniature in (False, True):
        changed = train_kit.changes(tmp_path / "kit", tmp_path / "out", 8.0, miniature)
        recipe = read_recipe(tmp_path / "kit" / "recipe.yaml", changed)
        assert recipe.minutes == 8.0 and recipe.data["clips"]["sounds"] == str(tmp_path / "kit" / "sounds")
        assert recipe.steps == (2 if miniature else 100000)
