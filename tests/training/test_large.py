"""The full-size recipes: what they build on the meta device, and what their plans say."""

from __future__ import annotations

import json

import pytest
import torch

from foleycli.settings import preset
from foleycli.training.plan import GPUS, OTHER_GIB
from foleycli.training.recipe import read_recipe
from foleycli.training.run import plan_training, task_class

RECIPES = preset.folder() / "train"
# Kind, and millions of parameters: those of the paper where it states them.
LARGE = {
    "salsav-small": ("salsa-v", 347),
    "salsav-large": ("salsa-v", 643),
    "maskvat-large": ("maskvat", 540),
    "foleyflow-large-video": ("foley-flow", 85),
    "foleyflow-large-audio": ("foley-flow", 85),
    "foleyflow-large-align": ("foley-flow", 248),
    "foleyflow-large": ("foley-flow", 483),
    "vaura-large": ("vaura", 695),
    "sync-large": ("sync-large", 250),
    "codec-large": ("codec", 50.5),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name == "codec-large" else []) for name in LARGE]
)
def test_a_recipe_is_of_the_size_that_it_says_and_can_be_reduced(name):
    kind, millions = LARGE[name]
    recipe = read_recipe(RECIPES / f"{name}.yaml")
    with torch.device("meta"):
        network = task_class(kind, recipe).without_data(recipe).network
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(millions, rel=0.02)
    assert recipe.tensorboard and recipe.total_batch > recipe.batch_size
    reduced = read_recipe(RECIPES / f"{name}.yaml", is_reduced=True)
    small = task_class(kind, reduced).without_data(reduced).network
    assert sum(parameter.numel() for parameter in small.parameters()) < 6e6
    assert reduced.total_batch == 0 and reduced.data != recipe.data


def test_a_plan_says_what_a_training_needs_and_what_checkpointing_saves():
    path = RECIPES / "salsav-large.yaml"
    made = plan_training("salsa-v", path, overrides=["reduced={}"], n_gpus=8)
    assert (made.rows, made.n_passes, made.clips_per_step) == (38, 1, 304)  # 300, rounded up to eight alike
    none, half, all_ = (costs.memory for costs in made.costs)
    gib = made.parameters * 4 / 2**30
    assert none.average == pytest.approx(gib) and none.optimizer == pytest.approx(2 * gib / 8)  # cut by FSDP
    assert none.activations > 1.4 * half.activations > 1.4 * 1.4 * all_.activations
    assert none.total < GPUS["h100"].memory_gib and none.total > none.activations + OTHER_GIB
    # Six operations a weight and token; semantic tokens are a fifth of the audio's, teachers add, embeddings take away.
    by_hand = 6 * made.parameters * 431 / 1e12
    assert 0.7 * by_hand < made.costs[0].tflop_per_clip < 1.1 * by_hand
    assert made.costs[2].tflop_per_clip > 1.2 * made.costs[0].tflop_per_clip
    seconds = 304 * 10**6 * made.costs[0].tflop_per_clip / (8 * 989 * 0.4)
    assert made.days == pytest.approx(seconds / 86400)
    assert made.measured is None  # too large for a CPU, and without a reduced recipe to measure


def test_the_plan_of_a_small_recipe_measures_steps_here(foley):
    config = RECIPES / "salsav-mini.yaml"
    small = ["--set", "network.width=64", "--set", "network.n_single=1", "--set", "batch_size=2", "--device", "cpu"]
    told = foley("train", "salsa-v", "--config", config, *small, "--plan", "--gpu", "a100", "--gpus", 2, "--json")
    assert told.code == 0, told.err
    plan = json.loads(told.out)
    assert plan["gpus"] == 2 and plan["clips_per_step"] == 4 and plan["days"] > 0
    assert plan["measured"]["clips_per_s"] > 0 and plan["measured"]["network"] == "as planned"
    assert set(plan["memory_gib"]) == {"none", "half", "all"}


def test_a_plan_is_refused_where_it_makes_no_sense(foley, tmp_path):
    config = RECIPES / "salsav-mini.yaml"
    told = foley("train", "salsa-v", "--config", config, "--plan", "--gpu", "h10")
    assert told.code == 1 and "'h10'" in told.error and "h100" in told.error
    told = foley("train", "salsa-v", "--config", config, "--plan", "--out", tmp_path)
    assert told.code == 2 and "--plan trains nothing" in told.error
    told = foley("train", "salsa-v", "--config", config, "--reduced", "--out", tmp_path / "run")
    assert told.code == 1 and "--reduced" in told.error and not (tmp_path / "run").exists()
