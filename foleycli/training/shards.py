"""Examples for the families out of prepared shards (`foley data prepare`).

Where `data.shards` of a recipe names a data set, nothing is drawn, cached or pooled: examples come in the order of
`datasets.reader`, each once an epoch, so that a resumed training goes on in the middle of an epoch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from functools import partial

import numpy as np
import torch
from torch import Tensor

from foleycli.datasets.reader import Dataset, ShardStream, StoredExample
from foleycli.errors import FoleyError
from foleycli.timebase import FEATURE_FPS
from foleycli.training.examples import EncodedSounds, Example, FamilyData
from foleycli.training.recipe import Recipe
from foleycli.training.shard_clips import first_frame, held_out_stored
from foleycli.training.workers import Mapped, iterate_in_workers

NEEDED = ("sync", "latents", "codes")  # of the features, by every family


class ShardPool:
    """Examples in the order of the shards; the counterpart of `examples.ExamplePool`."""

    def __init__(
        self, dataset: Dataset, recipe: Recipe, duration_s: Fraction, *, step: int, rank: int, n_ranks: int
    ) -> None:
        stream = ShardStream(dataset, seed=recipe.seed, part=rank, n_parts=n_ranks, first=step * recipe.batch_size)
        cut = partial(to_example, dataset=dataset, duration_s=duration_s)
        self._examples: Iterator[Example] = iterate_in_workers(Mapped(stream, cut), recipe.workers, prefetch=64)

    def refresh(self) -> None:
        """Nothing to do: every batch is new."""

    def draw(self, n: int, rng: np.random.Generator) -> list[Example]:
        """The next n."""
        return list(itertools.islice(self._examples, n))


def held_out_shard_examples(dataset: Dataset, data: FamilyData, duration_s: Fraction) -> list[Example]:
    """The first few examples of what is not trained on, in the order in which they lie."""
    stored = held_out_stored(dataset, data.validation_clips, "features")
    return [to_example(one, dataset, duration_s) for one in stored]


def to_example(stored: StoredExample, dataset: Dataset, duration_s: Fraction) -> Example:
    """A window of a stored example, from a moment that differs from epoch to epoch."""
    arrays = {name: torch.from_numpy(array) for name, array in stored.arrays.items()}
    if missing := [name for name in NEEDED if name not in arrays]:
        raise FoleyError(
            f"{dataset.folder} has no {missing[0]} features, which the families learn from",
            "Prepare the videos again with a --codec that has codes, and a --sync",
        )
    own_s = Fraction(dataset.index.prepare.duration_s).limit_denominator(1000)
    n_frames = min(round(duration_s * FEATURE_FPS), len(arrays["sync"]))
    first = first_frame(stored, len(arrays["sync"]) - n_frames)

    def part(name: str) -> Tensor:
        """The part of a stream that the window has; streams of one example last equally long."""
        whole = arrays[name]
        start = round(Fraction(first) / FEATURE_FPS / own_s * len(whole))
        return whole[start : start + max(1, round(min(duration_s / own_s, Fraction(1)) * len(whole)))]

    latents, codes = part("latents"), part("codes")
    audio = part("audio_features") if "audio_features" in arrays else torch.zeros(n_frames // 2, 1).half()
    sounds = EncodedSounds(latents[None], codes[None], audio[None, : n_frames // 2])
    nothing = EncodedSounds(*(torch.zeros_like(part) for part in (sounds.latents, sounds.codes, sounds.audio_features)))
    return Example(
        sync=arrays["sync"][first : first + n_frames],
        sounds=sounds,
        library_sounds=nothing,
        has_library_sound=torch.tensor([False]),
        words=((str(stored.facts["label"]),),),
        events_s=None,
        semantic=part("semantic") if "semantic" in arrays else None,
    )
