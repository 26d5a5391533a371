"""Examples made ahead of a training: into the recipe's cache, where there is one."""

from __future__ import annotations

from pathlib import Path

import yaml

from foleycli.lab.__main__ import main

DATA = {"codec": "mel-mini", "sync": "sync-mini", "clips": {"duration_s": 1.0, "size_px": 32}, "sounds_per_clip": 1}


def recipe(folder: Path, **data: object) -> str:
    path = folder / "recipe.yaml"
    data = {**DATA, "validation_clips": 1, **data}
    path.write_text(yaml.safe_dump({"name": "few", "steps": 1, "batch_size": 1, "lr": 1e-3, "data": data}))
    return str(path)


def run(*args: str) -> int:
    try:
        return main(["examples", *args])
    except SystemExit as left:
        return int(left.code or 0)


def test_examples_are_made_into_the_cache(tmp_path, capsys):
    path = recipe(tmp_path, cache=str(tmp_path / "cache"))
    assert run("--config", path, "--count", "2") == 0
    assert capsys.readouterr().out == f"2 examples in {tmp_path / 'cache'}\n"
    folders = {file.parent for file in (tmp_path / "cache").rglob("*.npz")}
    assert sorted(len(list(folder.iterdir())) for folder in folders) == [1, 2]  # held out, and to train on


def test_a_recipe_that_keeps_none_is_refused(tmp_path, capsys):
    assert run("--config", recipe(tmp_path), "--count", "1") == 1
    assert "data.cache" in capsys.readouterr().err
