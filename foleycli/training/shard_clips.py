"""Clips for the synchronisation encoder out of prepared shards, which `foley data prepare` makes.

Where `data.shards` of a recipe names a data set, clips come in the order of `datasets.reader`: each once an epoch.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from torch.utils.data import IterableDataset

from foleycli.datasets.reader import Dataset, ShardStream, StoredExample
from foleycli.datasets.shards import Kind
from foleycli.dsp.onsets import loudness_envelope
from foleycli.errors import FoleyError
from foleycli.media.audio import resample
from foleycli.timebase import FEATURE_FPS
from foleycli.training.clips import FPS, ClipData, TrainingClip, to_grey
from foleycli.training.workers import Mapped

CLIP_RATE_HZ = 44100


def open_shards(shards: str, kept: str, duration_s: float, **encoders: str) -> Dataset:
    """The data set that a recipe names; errors: FoleyError where it does not fit the recipe.

    duration_s   of the windows that are cut out of its examples
    encoders     by role, the names that the recipe has
    """
    dataset = Dataset(Path(shards), Path(kept) if kept else None)
    own_s = dataset.index.prepare.duration_s
    if own_s + 0.5 / float(FEATURE_FPS) < duration_s:
        raise FoleyError(
            f"the examples in {shards} last {own_s:g} s, a window of the recipe {duration_s:.2f} s",
            f"Prepare them with --duration {np.ceil(duration_s):g} or more",
        )
    dataset.check_encoders(**encoders)
    return dataset


def held_out_stored(dataset: Dataset, n: int, kind: Kind) -> Iterator[StoredExample]:
    """The first n examples of what is not trained on, in the order in which they lie.

    Errors: FoleyError for a data set of training examples alone, or one whose list of kept ids names no others.
    """
    split = next((s for s in ("val", "test") if s in dataset.splits() and any(dataset.counts(s))), None)
    if split is None:
        raise FoleyError(
            f"{dataset.folder} has examples for training alone, or no others are kept",
            "Let some lines of the CSV be of the split test, prepare it again, and keep some of them",
        )
    stored = (example for number in dataset.numbers(split) for example in dataset.read(split, number, kind))
    return itertools.islice(stored, n)


def first_frame(stored: StoredExample, spare: int) -> int:
    """Where the window begins: even, since audio features have a step for two pictures."""
    rng = np.random.default_rng((stored.epoch, zlib.crc32(stored.key.encode())))
    return 2 * int(rng.integers(max(0, spare) // 2 + 1))


def shard_clip_stream(data: ClipData, seed: int, *, first: int, rank: int, n_ranks: int) -> IterableDataset:
    """Clips for the synchronisation encoder, out of media shards; part `rank` of `n_ranks` has had `first` of them."""
    dataset = open_shards(data.shards, data.kept, data.duration_s)
    stream = ShardStream(dataset, kind="media", seed=seed, first=first, part=rank, n_parts=n_ranks)
    return Mapped(stream, partial(to_clip, data=data))


def held_out_shard_clips(data: ClipData, n: int) -> list[TrainingClip]:
    """The first n clips of what is not trained on."""
    dataset = open_shards(data.shards, data.kept, data.duration_s)
    return [to_clip(stored, data) for stored in held_out_stored(dataset, n, "media")]


def to_clip(stored: StoredExample, data: ClipData) -> TrainingClip:
    """A cut of `data.duration_s` with grey pictures of `data.size_px`; its events are not known."""
    pictures = stored.pictures(data.size_px, data.size_px)
    n_frames = min(round(data.duration_s * FPS), len(pictures))
    first = first_frame(stored, len(pictures) - n_frames)
    sound, rate_hz = stored.sound()
    start, n = round(first / FPS * CLIP_RATE_HZ), round(data.duration_s * CLIP_RATE_HZ)
    samples = np.zeros(n, np.float32)
    found = resample(sound[None], rate_hz, CLIP_RATE_HZ)[0][start : start + n]
    samples[: len(found)] = found
    loudness_db = loudness_envelope(samples, CLIP_RATE_HZ, hop_s=1 / FPS, floor_db=-60.0)
    return TrainingClip(
        grey=to_grey(pictures[first : first + n_frames]),
        samples=samples,
        events_s=None,
        loudness_db=np.clip(loudness_db, -60, 0).astype(np.float32),
        words=(str(stored.facts["label"]),),
    )
