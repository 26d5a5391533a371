"""Recipes: what is unknown or missing is named, shipped ones are read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from foleycli.errors import FoleyError
from foleycli.settings import preset
from foleycli.training.recipe import Recipe, read_recipe

PLAIN = "name: x\nsteps: 3\nbatch_size: 2\nlr: 1.0e-3\n"


def recipe(folder: Path, text: str, *overrides: str) -> Recipe:
    path = folder / "r.yaml"
    path.write_text(text)
    return read_recipe(path, list(overrides))


def test_defaults_lists_and_overrides(tmp_path):
    read = recipe(tmp_path, PLAIN + "betas: [0.8, 0.99]\n", "steps=9", "data.sounds=../x", "network.width=32")
    assert (read.steps, read.betas, read.ema) == (9, (0.8, 0.99), Recipe("", 1, 1, 0.1).ema)
    assert (read.data, read.network) == ({"sounds": "../x"}, {"width": 32})


@pytest.mark.parametrize(
    ("text", "overrides", "named", "hint"),
    [
        (PLAIN + "warmup_step: 3\n", (), "'warmup_step'", "'warmup_steps'"),
        (PLAIN, ("batchsize=3",), "'batchsize'", "'batch_size'"),
        ("name: x\nsteps: 3\nlr: 0.1\n", (), "'batch_size' is missing", "presets/train"),
        (PLAIN, ("steps",), "'steps' has no '='", "--set steps=100"),
        (": [", (), "not valid YAML", "line"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, overrides, named, hint):
    with pytest.raises(FoleyError, match=named) as told:
        recipe(tmp_path, text, *overrides)
    assert hint in told.value.hint


def test_missing_file(tmp_path):
    with pytest.raises(FoleyError, match=r"gone\.yaml"):
        read_recipe(tmp_path / "gone.yaml")


@pytest.mark.parametrize("path", sorted((preset.folder() / "train").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_read_and_named_after_their_file(path):
    assert path.stem.startswith(read_recipe(path).name)  # one model can have a second recipe that goes on with it


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a: &a [1]\nb: *a", "alias"),
        ("lr: 2024-99-99", "timestamp"),
        ("steps: " + "9" * 5000, "cannot be read as int"),
        ("steps: 3\nsteps: 4", "is there twice"),
        ("[" * 500, "nested too deeply"),
    ],
)
def test_odd_yaml_is_one_plain_error(tmp_path, text, named):
    for given in ((text,), (PLAIN, "data.x=" + text)):
        with pytest.raises(FoleyError, match=named) as told:
            recipe(tmp_path, *given)
        assert len(told.value.message) < 600


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(FoleyError, match="there is no recipe"):
        read_recipe(tmp_path / "pipe.yaml")
