"""Streams of training clips over worker processes, and the fixed held-out ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import IterableDataset

from foleycli.soundset.kinds import Split
from foleycli.synthetic import SoundBank, Track
from foleycli.synthetic.variants import make_clip_and_track
from foleycli.training.clips import (
    ClipData,
    TrainingClip,
    bank_of,
    cached_clips,
    filmed_clips,
    from_world,
    world_clips,
    world_config,
)
from foleycli.training.film import film_clips
from foleycli.training.pool import Pool
from foleycli.training.recipe import Recipe
from foleycli.training.shard_clips import held_out_shard_clips, open_shards, shard_clip_stream
from foleycli.training.workers import iterate_in_workers

HELD_OUT_SEED = 1_000_000_007


class _ClipStream(IterableDataset):
    """One endless stream per worker; worker w of W makes every W-th clip."""

    def __init__(self, data: ClipData, first: int, stride: int) -> None:
        self.data, self.first, self.stride = data, first, stride

    def __iter__(self) -> Iterator[TrainingClip]:
        info = torch.utils.data.get_worker_info()
        index, n_workers = (info.id, info.num_workers) if info else (0, 1)
        if info:  # a worker's cores are few; in the process that trains, torch keeps its threads
            torch.set_num_threads(1)
        return _stream(self.data, self.first + index * self.stride, self.stride * n_workers)


def _stream(data: ClipData, first: int, stride: int) -> Iterator[TrainingClip]:
    if data.videos:
        return filmed_clips(data, seed=first)
    worlds = (cached_clips if data.cache else world_clips)(data, first, stride)
    return _mixed(worlds, film_clips(data, seed=first), data.p_film, first) if data.film else worlds


def _mixed(
    worlds: Iterator[TrainingClip], film: Iterator[TrainingClip], p_film: float, seed: int
) -> Iterator[TrainingClip]:
    """Clips of both, in an order that the seed gives."""
    rng = np.random.default_rng((seed, 6))
    while True:
        yield next(film if rng.random() < p_film else worlds)


def clip_stream(data: ClipData, recipe: Recipe, first_clip: int, rank: int, world_size: int) -> Iterator[TrainingClip]:
    """Clips from `first_clip` on, made by `recipe.workers` processes (0: in this one), in a fixed order."""
    if data.shards:
        shard_clips = shard_clip_stream(data, recipe.seed, first=first_clip, rank=rank, n_ranks=world_size)
        return iterate_in_workers(shard_clips, recipe.workers, prefetch=8)
    first = recipe.seed * 10_000_000 + first_clip * world_size + rank
    return iterate_in_workers(_ClipStream(data, first, world_size), recipe.workers, prefetch=8)


def clip_pool(data: ClipData, recipe: Recipe, step: int, rank: int, world_size: int) -> Pool[TrainingClip]:
    """What batches are drawn from at a step; it is refreshed at every step by `data.fresh_per_step` clips.

    Where clips are kept (`data.cache`, `data.shards`) a resumed training has exactly those of one that was never
    stopped.  Else they would have to be made again, and it begins with a few new ones.
    """
    n_first, n_fresh = 4 * recipe.batch_size, step * data.fresh_per_step

    def clips_from(number: int) -> Iterator[TrainingClip]:
        return clip_stream(data, recipe, first_clip=number, rank=rank, world_size=world_size)

    if data.cache or data.shards:
        return Pool.after(clips_from, data.pool, n_first + n_fresh)
    pool = Pool(clips_from(n_fresh), data.pool)
    pool.take(n_first)
    return pool


def held_out_clips(data: ClipData, n: int) -> list[TrainingClip]:
    """The same `n` clips every time, of takes, textures and scenes that are never trained on."""
    if data.shards:
        return held_out_shard_clips(data, n)
    if data.videos:
        return list(itertools.islice(filmed_clips(data, HELD_OUT_SEED, held_out=True), n))
    return list(itertools.islice(world_clips(data, HELD_OUT_SEED, split="test"), n))


def check_sounds(data: ClipData) -> None:
    """Errors: FoleyError for a folder of sounds that the worlds can use nothing of, or a data set that does not fit."""
    if data.shards:
        open_shards(data.shards, data.kept, data.duration_s)
    elif data.sounds and not data.videos:
        bank_of(data)


def world_clips_with_tracks(
    data: ClipData, first: int, stride: int, split: Split
) -> Iterator[tuple[TrainingClip, Track, SoundBank]]:
    """Endless synthetic clips, each with the track and the bank from which more sounds for it can be drawn."""
    bank = bank_of(data)
    config = world_config(data, split)
    for seed in itertools.count(first, stride):
        clip, track = make_clip_and_track(seed, config, bank)
        yield from_world(clip), track, bank
