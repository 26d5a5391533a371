"""Reading a prepared data set: shards in an order that a seed gives, at the speed of the disk, from any place on.

The order is a function of seed and place alone, so a training that stopped goes on in the middle of an epoch by
naming how many examples it has had.  A few shards at a time are in memory and mixed with one another; which ones, and
in which order, changes from epoch to epoch.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch.utils.data import IterableDataset, get_worker_info

from foleycli.datasets import shards
from foleycli.datasets.encoders import encoder_hash
from foleycli.datasets.shards import AGAIN, DatasetIndex, Kind, facts_path, read_index, read_shard, shard_path
from foleycli.errors import FoleyError
from foleycli.media.small_clip import decode_clip

SHARDS_AT_ONCE = 4  # mixed with one another: 1000 examples, 150 MB of features


@dataclass(frozen=True)
class StoredExample:
    """One example as a shard holds it."""

    key: str
    files: dict[str, bytes]  # by ending
    epoch: int = 0  # the how manieth time it is read, from 0

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What is known of it: id, label, start_s, and so on."""
        return shards.parse_json(self.files["json"])

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Its features by name, as they were written (float16, codes int16)."""
        endings = [ending for ending in self.files if ending.endswith(".npy")]
        return {ending.removesuffix(".npy"): shards.read_array(self.files[ending]) for ending in endings}

    def pictures(self, width_px: int = 0, height_px: int = 0) -> np.ndarray:
        """uint8 [T, H, W, 3] at 25 fps; media shards only."""
        return decode_clip(self.files["mp4"], width_px, height_px)

    def sound(self) -> tuple[np.ndarray, int]:
        """Mono float32 [N] and its rate; media shards only."""
        samples, rate_hz = soundfile.read(io.BytesIO(self.files["flac"]), dtype="float32")
        return samples, rate_hz


class Dataset:
    """A complete data set, or the part of it that a list of kept ids leaves."""

    def __init__(self, folder: Path, kept: Path | None = None) -> None:
        """`kept`: a file of keys, a line each, as `foley data curate` writes it.

        Errors: FoleyError for a folder that is none, one that is not complete, and keys that are not in it.
        """
        self.folder = folder
        self.index: DatasetIndex = read_index(folder)
        if not self.index.is_complete:
            raise FoleyError(f"{folder} is not complete", "Run foley data prepare again: it goes on where it stopped")
        self.kept = None if kept is None else read_kept(kept)
        if self.kept is not None and (strange := self.kept - {facts["key"] for facts in self.facts()}):
            raise FoleyError(
                f"{kept} names {len(strange)} examples that {folder} has not, for instance {min(strange)}",
                "Give the list that was made for this data set, or one for the same videos and duration",
            )

    def splits(self) -> list[str]:
        return [split for split, n in self.index.examples.items() if n]

    def numbers(self, split: str) -> list[int]:
        """The numbers of a split's shards."""
        return sorted(int(path.stem) for path in (self.folder / split).glob("[0-9]*.json"))

    def facts(self, split: str | None = None) -> Iterator[dict[str, Any]]:
        """What is known of every example, in the order of the shards."""
        for each in [split] if split is not None else self.splits():
            for number in self.numbers(each):
                yield from shards.read_json(facts_path(self.folder, each, number))["examples"]

    def counts(self, split: str) -> list[int]:
        """How many examples each shard of a split holds that are kept."""
        kept = self.kept
        found = []
        for number in self.numbers(split):
            keys = [facts["key"] for facts in shards.read_json(facts_path(self.folder, split, number))["examples"]]
            found.append(len(keys) if kept is None else sum(key in kept for key in keys))
        return found

    def read(self, split: str, number: int, kind: Kind = "features") -> Iterator[StoredExample]:
        """The kept examples of one shard in its order."""
        for key, files in read_shard(shard_path(self.folder, split, number, kind)):
            if self.kept is None or key in self.kept:
                yield StoredExample(key, files)

    def check_encoders(self, **names: str) -> None:
        """Errors: FoleyError where the features were not made by these encoders (`codec="mel-mini"`)."""
        for role, name in names.items():
            made_by = self.index.settings.get(role) or "nothing"
            if self.index.encoders.get(role) != encoder_hash(name):
                raise FoleyError(
                    f"the features in {self.folder} were made with the {role} {made_by}, the recipe names {name}",
                    f"Set data.{role} to {made_by}, or prepare the videos again with --{role} {name}",
                )


def read_kept(path: Path) -> set[str]:
    """The keys of a list of kept examples; lines that begin with # are comments."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise FoleyError(f"{path} cannot be read: {error}", "Give the kept.txt of foley data curate") from error
    keys = {line for line in lines if line and not line.startswith("#")}
    if not keys:
        raise FoleyError(f"{path} names no example", "Give the kept.txt of foley data curate")
    return keys


class ShardStream(IterableDataset):
    """Endless examples of one split, mixed anew in every epoch.

    Groups of shards are dealt to the parts in turn: process p of P reads groups p, P + p, and so on, over the ends of
    epochs, so that each example is read once an epoch by one of them.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: str = "train",
        *,
        kind: Kind = "features",
        seed: int = 0,
        part: int = 0,
        n_parts: int = 1,
        first: int = 0,
        shards_at_once: int = SHARDS_AT_ONCE,
    ) -> None:
        """`first`: how many examples this part (with all its worker processes) has had already."""
        self.dataset, self.split, self.kind = dataset, split, kind
        self.seed, self.part, self.n_parts, self.first = seed, part, n_parts, first
        self.numbers, self._counts = dataset.numbers(split), dataset.counts(split)
        if not sum(self._counts):
            raise FoleyError(f"{dataset.folder} has no example for {split}", AGAIN)
        # Fewer shards than parts times that many: every part must have a group in every epoch.
        self.shards_at_once = max(1, min(shards_at_once, len(self.numbers) // max(1, n_parts)))

    def __iter__(self) -> Iterator[StoredExample]:
        info = get_worker_info()
        worker, n_workers = (info.id, info.num_workers) if info else (0, 1)
        if info:
            torch.set_num_threads(1)
        # Workers are asked in turn, from 0 on: each takes the place of the one whose turn it was at the stop.
        place = (worker + self.first) % n_workers
        had = (self.first - place + n_workers - 1) // n_workers  # of that one
        return self._examples(self.part * n_workers + place, self.n_parts * n_workers, had)

    def _examples(self, part: int, n_parts: int, had: int) -> Iterator[StoredExample]:
        n_groups = -(-len(self.numbers) // self.shards_at_once)
        turn = part
        while True:
            epoch, group = divmod(turn, n_groups)
            places = self._shards_of(epoch)[group * self.shards_at_once : (group + 1) * self.shards_at_once]
            n = sum(self._counts[place] for place in places)
            if had >= n:
                had -= n  # nothing of it is read
            else:
                yield from self._group(places, epoch, group)[had:]
                had = 0
            turn += n_parts

    def _shards_of(self, epoch: int) -> Sequence[int]:
        """The shards' places in the order of an epoch."""
        return np.random.default_rng((self.seed, 11, epoch)).permutation(len(self.numbers)).tolist()

    def _group(self, places: Sequence[int], epoch: int, group: int) -> list[StoredExample]:
        """The examples of some shards, mixed."""
        found = [
            example for place in places for example in self.dataset.read(self.split, self.numbers[place], self.kind)
        ]
        order = np.random.default_rng((self.seed, 12, epoch, group)).permutation(len(found))
        return [replace(found[k], epoch=epoch) for k in order]
