"""`foley train` and `foley bench` up to their work."""

from __future__ import annotations

from typing import get_args


def test_missing_recipe(foley, tmp_path):
    told = foley("train", "codec", "--config", tmp_path / "gone.yaml", "--out", tmp_path / "run")
    assert told.code == 1
    assert "gone.yaml" in told.error
    assert list(tmp_path.iterdir()) == []


def test_override_without_value(foley, tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: x\nsteps: 1\nbatch_size: 1\nlr: 0.1\n")
    told = foley("train", "codec", "--config", recipe, "--out", tmp_path / "run", "--set", "steps")
    assert told.code == 1
    assert "steps" in told.error


def test_resume_without_a_training(foley, tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: x\nsteps: 1\nbatch_size: 1\nlr: 0.1\n")
    told = foley("train", "codec", "--config", recipe, "--out", tmp_path / "run", "--resume")
    assert told.code == 1
    assert "nothing to resume" in told.error
    assert not (tmp_path / "run").exists()


def test_the_kinds_of_the_command_are_those_that_can_be_trained():
    from foleycli.cli.train import Kind
    from foleycli.training.run import TASKS

    assert set(get_args(Kind)) == set(TASKS)


def test_bench_refuses_before_it_loads(foley, made, model):
    assert foley("bench", made / "clip.mp4", "--model", model, "--steps", "65").code == 2
    told = foley("bench", made / "gone.mp4", "--model", model)
    assert told.code == 1
    assert "gone.mp4" in told.error
