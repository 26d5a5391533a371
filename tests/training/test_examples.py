"""Examples are made ahead only where they are kept."""

from __future__ import annotations

import pytest
import typer
import yaml

from foleycli.training.examples import main


def test_a_recipe_that_keeps_none_is_refused(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    data = {"codec": "mel-mini", "sync": "sync-mini", "clips": {"duration_s": 2.0}}
    recipe.write_text(yaml.safe_dump({"name": "none", "steps": 1, "batch_size": 1, "lr": 1e-3, "data": data}))
    with pytest.raises(typer.BadParameter, match=r"data\.kept"):
        main(recipe, count=1)
