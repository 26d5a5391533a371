"""Makes the examples of a family's recipe ahead of its training, into the recipe's cache.

python -m foleycli.lab examples --config presets/train/maskvat-mini.yaml --count 1600 --workers 2
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foleycli.cli import console
from foleycli.errors import FoleyError
from foleycli.training.clips import ClipData
from foleycli.training.examples import FamilyData, make_ahead
from foleycli.training.recipe import from_dict, read_recipe


def main(
    config: Annotated[Path, typer.Option(metavar="FILE", help="A family's recipe with data.cache.")],
    count: Annotated[int, typer.Option(help="How many examples.", min=1)] = 1000,
    workers: Annotated[int, typer.Option(help="Processes; 0: this one.", min=0)] = 0,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a line of the recipe.")
    ] = None,
) -> None:
    """Make the first examples of a recipe ahead of its training."""
    recipe = read_recipe(config, set_)
    data = from_dict(FamilyData, recipe.data, "recipe, data")
    if not data.cache:
        raise FoleyError(f"{config} keeps no examples", "Set data.cache to a folder, in the recipe or with --set")
    make_ahead(recipe, data, from_dict(ClipData, data.clips, "recipe, data.clips"), count, workers)
    console.result(f"{count} examples in {data.cache}")
