"""Which examples of a data set are worth learning from: V-AURA's recipe for VisualSound, and what lies near it.

VisualSound (Viertola et al., arXiv 2409.13689, section on data) keeps the clips of VGGSound whose ImageBind cosine of
sound and picture is 0.3 or more.  Here silent examples, duplicates, speech and music fall before that.  The result is
a list of keys with everything that decided it, so that others get the same one.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from foleycli import __version__
from foleycli.datasets import shards
from foleycli.datasets.measures import (
    SYNC_ENCODER,
    TAGGERS,
    Measures,
    label_words,
    load_networks,
    measure_shard,
    named_in,
)
from foleycli.datasets.reader import Dataset
from foleycli.datasets.shards import check_bounds
from foleycli.datasets.work import run_tasks
from foleycli.errors import FoleyError
from foleycli.hub.resolve import resolve
from foleycli.media.output import replacing
from foleycli.records import Report, silent
from foleycli.settings.checking import bounded
from foleycli.weights.folder import sha256_of

FOLDER = "curation"
KEPT_NAME, FALLEN_NAME, REPORT_NAME = "kept.txt", "fallen.jsonl", "report.json"
METHOD = 1  # one more when measures change
SPLIT_ORDER = ("test", "val", "train")  # of duplicates the first stays: nothing is trained on what is tested
BLOCK = 2048  # prints compared at once
USED = ("ImageBind", *TAGGERS)  # of the published networks
REASONS = ("silent", "duplicate", "speech", "music", "no match")


@dataclass(frozen=True)
class Thresholds:
    """What an example must reach; errors: FoleyError for a value that makes no sense."""

    imagebind: float = bounded(-1.0, 1.0, default=0.3)  # cosine; V-AURA's
    # Without ImageBind one of two is enough: the sound fits its picture better than others, or its label is seen.
    # The first is weak: of 48 filmed clips 0.05 keeps 52 %, and 38 % where the sounds are exchanged.
    sync: float = bounded(-2.0, 2.0, default=0.05)
    tags: float = bounded(-1.0, 1.0, default=0.5)
    speech: float = bounded(0.0, 1.0, default=0.5)  # probability from which on an example falls
    music: float = bounded(0.0, 1.0, default=0.5)
    silence_db: float = bounded(-120.0, 0.0, default=-50.0)  # root mean square
    duplicate: float = bounded(0.0, 1.0, default=0.98)  # cosine of two sounds' prints

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True)
class Fallen:
    """An example that is left out."""

    key: str
    reason: str  # one of REASONS
    value: float | None
    detail: str = ""  # the duplicate's other half, the word of the label


@dataclass(frozen=True)
class Curated:
    """What a run came to."""

    kept: dict[str, list[str]]  # keys by split, in the order of the shards
    fallen: list[Fallen]
    measures: list[Measures]
    report: dict[str, Any]
    folder: Path


@dataclass(frozen=True)
class MeasureTask:
    """One shard to measure."""

    folder: Path
    split: str
    number: int
    out: Path  # folder of what is measured
    files: tuple[tuple[str, Path], ...]
    device: str
    threads: int


def methods(files: Mapping[str, Path]) -> dict[str, str]:
    """What measures, with the hashes of the weights: two data sets with the same are measured alike."""
    by = {"version": str(METHOD)}
    if "ImageBind" in files:
        by["picture and sound"] = f"ImageBind {sha256_of(files['ImageBind'])}"
    else:
        by["picture and sound"] = (
            f"{SYNC_ENCODER} {sha256_of(resolve(SYNC_ENCODER) / 'model.safetensors')}, image tagger"
        )
    tagger = next((name for name in TAGGERS if name in files), None)
    by["speech and music"] = f"{tagger} {sha256_of(files[tagger])}" if tagger else "the words of the labels"
    return by


def curate(
    folder: Path,
    thresholds: Thresholds,
    files: Mapping[str, Path],
    *,
    jobs: int = 1,
    scheduler: str = "",
    device: str = "cpu",
    report: Report = silent,
) -> Curated:
    """Measure every example once, decide, and write list, report and pictures to DIR/curation.

    files   the published networks that are here, by name: see `evaluation.networks.find`
    Errors: FoleyError for a folder that is no complete data set.
    """
    folder = folder.absolute()  # for workers elsewhere
    dataset = Dataset(folder)
    by = methods(files)
    out = folder / FOLDER
    measured = out / ("measured-" + hashlib.sha256(json.dumps(by, sort_keys=True).encode()).hexdigest()[:12])
    measured.mkdir(parents=True, exist_ok=True)
    tasks = [
        MeasureTask(
            folder=folder,
            split=split,
            number=number,
            out=measured,
            files=tuple(files.items()),
            device=device,
            threads=1 if jobs > 1 else 0,
        )
        for split in sorted(dataset.splits(), key=SPLIT_ORDER.index)
        for number in dataset.numbers(split)
    ]
    missing = [task for task in tasks if not _measured_path(task).exists()]
    report("measure", len(tasks) - len(missing), len(tasks))
    for done, _ in enumerate(run_tasks(measure_to_file, missing, jobs=jobs, scheduler=scheduler), start=1):
        report("measure", len(tasks) - len(missing) + done, len(tasks))
    rows, prints = [], []
    for task in tasks:
        of_shard, of_prints = _read_measured(_measured_path(task))
        rows += [(task.split, one) for one in of_shard]
        prints.append(of_prints)
    labels = {facts["key"]: str(facts["label"]) for facts in dataset.facts()}
    duplicates = find_duplicates([one.key for _, one in rows], np.concatenate(prints), thresholds.duplicate)
    fallen = [one for _, row in rows if (one := decide(row, labels[row.key], duplicates, thresholds)) is not None]
    return _write(dataset, rows, fallen, thresholds, by, out)


@lru_cache(maxsize=1)
def _networks(files: tuple[tuple[str, Path], ...], device: str) -> Any:
    import torch

    return load_networks(dict(files), torch.device(device))


def measure_to_file(task: MeasureTask) -> str:
    """Measure a shard; the file is written when all of it is done."""
    import torch

    if task.threads:
        torch.set_num_threads(task.threads)
    found, prints = measure_shard(Dataset(task.folder), task.split, task.number, _networks(task.files, task.device))
    with replacing(_measured_path(task)) as part, part.open("wb") as file:
        rows = np.array(json.dumps([asdict(one) for one in found]))
        np.savez(file, rows=rows, prints=prints.astype(np.float16))
    return task.split


def _measured_path(task: MeasureTask) -> Path:
    return task.out / f"{task.split}-{task.number:06d}.npz"


def _read_measured(path: Path) -> tuple[list[Measures], np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as held:
            return [Measures(**row) for row in json.loads(str(held["rows"]))], held["prints"].astype(np.float32)
    except Exception as error:  # zip and numpy each raise their own kinds for a damaged file
        raise FoleyError(f"{path} is damaged: {error}", "Remove it, and run foley data curate again") from error


def find_duplicates(keys: Sequence[str], prints: np.ndarray, threshold: float) -> dict[str, tuple[str, float]]:
    """Examples whose print is nearly that of an earlier one that stays, with its key and the cosine.

    prints  float32 [n, D], of unit length, or 0 for sounds that do not change
    """
    found: dict[str, tuple[str, float]] = {}
    stays = np.ones(len(keys), bool)
    for first in range(0, len(keys), BLOCK):
        block = prints[first : first + BLOCK]
        cosines = np.round(block @ prints[: first + len(block)].T, 4)  # [b, n]; alike on every machine
        for row in range(len(block)):
            place = first + row
            before = np.flatnonzero((cosines[row, :place] >= threshold) & stays[:place])
            if len(before):
                stays[place] = False
                found[keys[place]] = keys[before[0]], float(cosines[row, before[0]])
    return found


def decide(
    row: Measures, label: str, duplicates: Mapping[str, tuple[str, float]], thresholds: Thresholds
) -> Fallen | None:
    """The first reason for which an example falls; None: it stays."""
    if row.rms_db < thresholds.silence_db:
        return Fallen(row.key, "silent", row.rms_db)
    if row.key in duplicates:
        other, cosine = duplicates[row.key]
        return Fallen(row.key, "duplicate", cosine, other)
    for reason, probability, limit in (
        ("speech", row.speech, thresholds.speech),
        ("music", row.music, thresholds.music),
    ):
        if probability is not None and probability >= limit:
            return Fallen(row.key, reason, round(probability, 4))
        if probability is None and (word := named_in(label, label_words()[reason])):
            return Fallen(row.key, reason, None, word)
    if row.imagebind is not None:
        return Fallen(row.key, "no match", round(row.imagebind, 4)) if row.imagebind < thresholds.imagebind else None
    fits = row.sync is None or row.sync >= thresholds.sync
    is_seen = row.tags is not None and row.tags >= thresholds.tags
    return None if fits or is_seen else Fallen(row.key, "no match", round(row.sync or 0.0, 4))


def _write(
    dataset: Dataset,
    rows: Sequence[tuple[str, Measures]],
    fallen: list[Fallen],
    thresholds: Thresholds,
    by: Mapping[str, str],
    out: Path,
) -> Curated:
    """The list, what fell, and the numbers; pictures are `curation_report`'s."""
    out_of = {one.key for one in fallen}
    kept: dict[str, list[str]] = {split: [] for split in dataset.splits()}
    for split, row in rows:
        if row.key not in out_of:
            kept[split].append(row.key)
    split_of = {row.key: split for split, row in rows}
    counts = Counter((split_of[one.key], one.reason) for one in fallen)
    numbers = {
        "foley": __version__,
        "measured_by": dict(by),
        "thresholds": asdict(thresholds),
        "examples": {split: sum(one == split for one, _ in rows) for split in kept},
        "kept": {split: len(keys) for split, keys in kept.items()},
        "fallen": {split: {reason: counts[split, reason] for reason in REASONS} for split in kept},
        "dataset": {"settings": dataset.index.settings, "encoders": dataset.index.encoders},
    }
    head = [f"foley {__version__}, foley data curate", *(f"{what}: {how}" for what, how in by.items())]
    head += [f"{field.name}: {getattr(thresholds, field.name):g}" for field in fields(thresholds)]
    head += [f"{sum(map(len, kept.values()))} of {len(rows)} examples are kept"]
    lines = [f"# {line}" for line in head] + sorted(key for keys in kept.values() for key in keys)
    shards.write_text(out / KEPT_NAME, "\n".join(lines) + "\n")
    shards.write_lines(out / FALLEN_NAME, [asdict(one) for one in fallen])
    shards.write_json(out / REPORT_NAME, numbers)
    return Curated(kept, fallen, [row for _, row in rows], numbers, out)
