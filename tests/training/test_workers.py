"""What worker processes make is what this process makes, and their errors stay what they were."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from foleycli.errors import FoleyError
from foleycli.training.clips import ClipData
from foleycli.training.examples import ExamplePool, FamilyData
from foleycli.training.recipe import Recipe
from foleycli.training.sources import clip_stream


def _recipe(workers: int) -> Recipe:
    return Recipe("small", steps=1, batch_size=1, lr=1e-3, workers=workers)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_a_worker_keeps_its_words_and_its_hint(tmp_path, workers):
    data = ClipData(videos=str(tmp_path / "nowhere"))
    with pytest.raises(FoleyError) as told:
        next(clip_stream(data, _recipe(workers), 0, 0, 1))
    assert told.value.message == f"there is no folder {tmp_path / 'nowhere'}"
    assert told.value.hint == "Set data.videos in the recipe to a folder of videos"


def test_an_error_of_a_worker_that_makes_examples_too(tmp_path):
    data = FamilyData("mel-mini", "sync-mini", {})
    with pytest.raises(FoleyError) as told:
        ExamplePool(_recipe(1), data, ClipData(videos=str(tmp_path / "nowhere")), step=0, rank=0, n_ranks=1)
    assert told.value.message == f"there is no folder {tmp_path / 'nowhere'}" and "data.videos" in told.value.hint


def test_workers_make_the_same_clips():
    data = ClipData(duration_s=1.0, size_px=32)
    here, there = (islice(clip_stream(data, _recipe(workers), 0, 0, 1), 3) for workers in (0, 2))
    for one, same in zip(here, there, strict=True):
        assert np.array_equal(one.grey, same.grey) and np.array_equal(one.samples, same.samples)
