"""The sounds that a codec learns from: a folder of recordings, all in memory, or those of prepared shards."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from foleycli.datasets.reader import ShardStream, StoredExample
from foleycli.errors import FoleyError
from foleycli.media.audio import resample
from foleycli.soundset.kinds import RATE_HZ
from foleycli.soundset.sounds import Sound, read_sounds
from foleycli.training.recipe import Recipe
from foleycli.training.shard_clips import held_out_stored, open_shards
from foleycli.training.workers import Mapped, iterate_in_workers

SOUNDS_AT_ONCE = 64  # of shards, mixed with one another: 56 MB where they last 10 s
HELD_OUT_SOUNDS = 64  # of shards, for validation
SOUNDS_FOR_LEVELS = 200  # of shards, whose levels are measured


class CodecSounds(Protocol):
    """Where crops are drawn from."""

    held_out: list[Sound]  # never trained on

    def choices(self, first: int, rank: int, n_ranks: int) -> Iterator[Sequence[Sound]]:
        """For every crop of a process, from number `first` on, what it may be drawn from; never ending."""
        ...

    def some(self) -> list[Sound]:
        """Sounds of the training set to measure levels with."""
        ...


class FolderSounds:
    """A folder of labelled sounds: every crop may be drawn from all of them."""

    def __init__(self, folder: Path) -> None:
        self._sounds = read_sounds(folder, held_out=False)
        self.held_out = read_sounds(folder, held_out=True)

    def choices(self, first: int, rank: int, n_ranks: int) -> Iterator[Sequence[Sound]]:
        return itertools.repeat(self._sounds)

    def some(self) -> list[Sound]:
        return self._sounds


class ShardSounds:
    """The sound of prepared clips: crop n may be drawn from clip n of the shards' order and the next few.

    So each clip is read once an epoch, and a training that goes on reads what one that was never stopped would have.
    """

    def __init__(self, shards: str, kept: str, recipe: Recipe) -> None:
        """Errors: FoleyError for a folder that holds no complete data set, or nothing that is held out."""
        self._dataset, self._recipe = open_shards(shards, kept, duration_s=0.0), recipe
        self.held_out = [to_sound(stored) for stored in held_out_stored(self._dataset, HELD_OUT_SOUNDS, "media")]

    def choices(self, first: int, rank: int, n_ranks: int) -> Iterator[Sequence[Sound]]:
        sounds = self._sounds(first, rank, n_ranks)
        latest = deque(itertools.islice(sounds, SOUNDS_AT_ONCE), SOUNDS_AT_ONCE)
        while True:
            yield tuple(latest)
            latest.append(next(sounds))

    def some(self) -> list[Sound]:
        n = min(SOUNDS_FOR_LEVELS, sum(self._dataset.counts("train")))
        return list(itertools.islice(self._sounds(0, 0, 1), n))

    def _sounds(self, first: int, rank: int, n_ranks: int) -> Iterator[Sound]:
        stream = ShardStream(
            self._dataset, kind="media", seed=self._recipe.seed, first=first, part=rank, n_parts=n_ranks
        )
        return iterate_in_workers(Mapped(stream, to_sound), self._recipe.workers, prefetch=16)


def open_sounds(sounds: str, shards: str, kept: str, recipe: Recipe) -> CodecSounds:
    """What the `data` part of a codec's recipe names; shards take the place of a folder."""
    if shards:
        return ShardSounds(shards, kept, recipe)
    if not sounds:
        raise FoleyError(
            "recipe, data: there is nothing to learn from",
            "Set data.sounds to a folder of recorded sounds, or data.shards to what foley data prepare made",
        )
    return FolderSounds(Path(sounds))


def to_sound(stored: StoredExample) -> Sound:
    """The sound of a prepared clip; its label is its category."""
    samples, rate_hz = stored.sound()
    mono = resample(samples[None], rate_hz, RATE_HZ)[0]
    label = str(stored.facts["label"])
    return Sound(stored.key, label, label, (np.clip(mono, -1, 1 - 2**-15) * 32768).astype(np.int16))
