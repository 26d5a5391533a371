"""From videos to shards: what is usable is planned, then each shard is made as a whole, in any number of processes.

A run that was killed goes on with the shards that are missing; the bytes are those of a run at one go.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from foleycli import __version__
from foleycli.datasets import shards
from foleycli.datasets.encoders import encoder_hashes, load_encoders, picture_streams, sound_features
from foleycli.datasets.listing import Source, list_sources
from foleycli.datasets.shards import (
    INDEX_NAME,
    PLAN_NAME,
    DatasetIndex,
    PrepareSettings,
    array_bytes,
    example_key,
    facts_path,
    shard_path,
)
from foleycli.datasets.work import run_tasks
from foleycli.errors import FoleyError
from foleycli.features.tagger import labels_of
from foleycli.media.audio import read_audio
from foleycli.media.frames import read_frames
from foleycli.media.output import check_free_space, replacing
from foleycli.media.probe import probe
from foleycli.media.small_clip import encode_clip
from foleycli.records import Report, Video, silent
from foleycli.timebase import FEATURE_FPS

UNUSABLE_NAME, BROKEN_NAME = "unusable.jsonl", "broken.jsonl"
SHORT_S = 0.25  # a part that is so much too short is filled with silence and the last picture
PROBED_AT_ONCE = 64
BYTES_PER_S = 120_000  # of an example, about
FLOOR_DB = -120.0  # level of digital silence


@dataclass(frozen=True)
class Prepared:
    """What a run came to."""

    folder: Path
    examples: dict[str, int]  # by split
    shards: int
    made_now: int  # of the shards
    broken: list[dict[str, Any]]  # id, path and why


@dataclass(frozen=True)
class ShardTask:
    """One shard to make; `rows` are lines of the plan."""

    folder: Path
    split: str
    number: int
    rows: tuple[dict[str, Any], ...]
    settings: PrepareSettings
    device: str
    threads: int  # of torch; 0: as it is
    crashed: tuple[str, ...] = ()  # keys of examples whose reading ended a process

    @property
    def doing_path(self) -> Path:
        """Names the example at work, for whoever finds the process dead."""
        return self.folder / self.split / f"{self.number:06d}.doing"


def check(
    source: Path, out: Path, settings: PrepareSettings, videos: Path | None = None
) -> tuple[DatasetIndex, list[Source], list[str]]:
    """What a run would begin with: the index, the videos and the lines without a file; nothing is loaded or written.

    Errors: FoleyError for a source that cannot be used, encoders that are not here, and an output folder that holds
    something else, or a data set of another source or other settings.
    """
    if source.resolve() == out.resolve():
        raise FoleyError(f"{out} is the source itself", "Give another folder with --out")
    index = DatasetIndex(
        settings=asdict(settings),
        encoders=encoder_hashes(settings),
        foley=__version__,
        source=str(source.resolve()),
    )
    if (out / PLAN_NAME).exists():
        _check_same(shards.read_index(out), index, out)
    elif not (out / INDEX_NAME).exists() and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FoleyError(f"{out} is there and holds something else", "Give an empty or a new folder with --out")
    listing = list_sources(source, videos)
    return index, listing.sources, listing.without_file


def _check_same(found: DatasetIndex, wanted: DatasetIndex, out: Path) -> None:
    pairs: list[tuple[str, object, object]] = [("source", found.source, wanted.source)]
    pairs += [(key, found.settings.get(key), value) for key, value in wanted.settings.items()]
    pairs += [(f"weights of {role}", found.encoders.get(role), value) for role, value in wanted.encoders.items()]
    for what, before, now in pairs:
        if before != now:
            raise FoleyError(
                f"{out} holds a data set whose {what} is {before}, not {now}",
                "Go on with the same options, or give another --out",
            )


def prepare(
    source: Path,
    out: Path,
    settings: PrepareSettings,
    *,
    videos: Path | None = None,
    jobs: int = 1,
    scheduler: str = "",
    device: str = "cpu",
    report: Report = silent,
) -> Prepared:
    """Make a data set, or what is missing of one; see `shards` for its form.

    source     a CSV in VGGSound's form, or a folder of videos
    videos     where the files of the CSV are; None: beside it
    jobs       worker processes on this machine
    scheduler  address of a Dask scheduler whose workers see the same folders
    device     where the encoders run, in every process
    Errors: as `check`; a full disk.  Inputs that cannot be read are listed in `broken.jsonl` instead.
    """
    source, out, videos = source.absolute(), out.absolute(), videos and videos.absolute()  # for workers elsewhere
    index, sources, without_file = check(source, out, settings, videos)
    out.mkdir(parents=True, exist_ok=True)
    run = partial(run_tasks, jobs=jobs, scheduler=scheduler)
    if not (out / PLAN_NAME).exists():
        shards.write_json(out / INDEX_NAME, asdict(index))
        _write_plan(out, sources, without_file, settings, run=run, report=report)
    rows = shards.read_lines(out / PLAN_NAME)
    tasks = _tasks(out, rows, settings, device=device, threads=1 if jobs > 1 else 0)
    missing = [task for task in tasks if not facts_path(out, task.split, task.number).exists()]
    check_free_space({out: round(sum(len(task.rows) for task in missing) * settings.duration_s * BYTES_PER_S)})
    n_done = len(rows) - sum(len(task.rows) for task in missing)
    report("examples", n_done, len(rows))
    for n_made in run(make_shard, missing, after_crash=without_crashed):
        n_done += n_made
        report("examples", n_done, len(rows))
    return _finish(out, tasks, index, len(rows), len(missing))


def _write_plan(
    out: Path, sources: list[Source], without_file: list[str], settings: PrepareSettings, *, run: Any, report: Report
) -> None:
    """Probe every video and write which examples shall be made of it, and what cannot be used."""
    chunks = [
        (sources[first : first + PROBED_AT_ONCE], first, settings.duration_s)
        for first in range(0, len(sources), PROBED_AT_ONCE)
    ]
    found: dict[int, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {}
    for first, rows, unusable in run(plan_sources, chunks):
        found[first] = rows, unusable
        report("check", min(len(found) * PROBED_AT_ONCE, len(sources)), len(sources))
    unusable = [{"id": id, "path": "", "why": "there is no file of it"} for id in without_file]
    unusable += [row for first in sorted(found) for row in found[first][1]]
    shards.write_lines(out / UNUSABLE_NAME, unusable)
    rows = [row for first in sorted(found) for row in found[first][0]]
    if not rows:
        raise FoleyError(
            f"none of {len(sources)} videos can be used; the first: {unusable[0]['why'] if unusable else 'nothing'}",
            f"Read why in {out / UNUSABLE_NAME}; a shorter --duration may help",
        )
    shards.write_lines(out / PLAN_NAME, rows)


def plan_sources(
    chunk: tuple[Sequence[Source], int, float],
) -> tuple[int, list[dict[str, Any]], list[dict[str, Any]]]:
    """The examples of some videos, and why others cannot be used."""
    sources, first, duration_s = chunk
    rows: list[dict[str, Any]] = []
    unusable: list[dict[str, Any]] = []
    for source in sources:
        facts = {"id": source.id, "path": str(source.path)}
        try:
            starts_s = _starts_s(source, probe(source.path), duration_s)
        except Exception as error:  # whatever a damaged file causes: it must not end the others
            unusable.append({**facts, "why": _why(error)})
            continue
        for start_s in starts_s:
            key = example_key(source.id, start_s)
            rows.append({**facts, "key": key, "start_s": start_s, "label": source.label, "split": source.split})
    return first, rows, unusable


def _starts_s(source: Source, video: Video, duration_s: float) -> list[float]:
    """Where the examples of a video begin, side by side; errors: FoleyError where there is none."""
    if not video.has_audio:
        raise FoleyError("it has no sound")
    end_s = video.duration_s if source.duration_s is None else min(video.duration_s, source.start_s + source.duration_s)
    n = math.floor((end_s - source.start_s + SHORT_S) / duration_s)
    if n < 1:
        raise FoleyError(f"it has {max(0.0, end_s - source.start_s):.1f} s, {duration_s:g} s are needed")
    return [round(source.start_s + k * duration_s, 3) for k in range(n)]


def _why(error: Exception) -> str:
    return error.message if isinstance(error, FoleyError) else f"{type(error).__name__}: {error}"


def _tasks(
    out: Path, rows: Sequence[dict[str, Any]], settings: PrepareSettings, *, device: str, threads: int
) -> list[ShardTask]:
    """The plan in shards of one split each."""
    tasks = []
    for split in dict.fromkeys(row["split"] for row in rows):
        of_split = [row for row in rows if row["split"] == split]
        size = settings.examples_per_shard
        for number, first in enumerate(range(0, len(of_split), size)):
            tasks.append(
                ShardTask(
                    folder=out,
                    split=split,
                    number=number,
                    rows=tuple(of_split[first : first + size]),
                    settings=settings,
                    device=device,
                    threads=threads,
                )
            )
    return tasks


def make_shard(task: ShardTask) -> int:
    """Make both tars of a shard and its index; returns how many lines of the plan that were."""
    import torch

    if task.threads:
        torch.set_num_threads(task.threads)
    media_path, features_path = (
        shard_path(task.folder, task.split, task.number, "media"),
        shard_path(task.folder, task.split, task.number, "features"),
    )
    media_path.parent.mkdir(parents=True, exist_ok=True)
    examples: list[dict[str, Any]] = []
    broken: list[dict[str, Any]] = []
    with (
        replacing(media_path) as media_part,
        replacing(features_path) as features_part,
        shards.open_tar(media_part) as media_tar,
        shards.open_tar(features_part) as features_tar,
    ):
        for row in task.rows:
            task.doing_path.write_text(row["key"], encoding="utf-8")
            if row["key"] in task.crashed:
                broken.append({**_named(row), "why": "reading it ends the process"})
                continue
            try:
                facts, media, features = make_example(row, task.settings, task.device)
            except Exception as error:  # whatever a damaged file causes: it must not end the others
                broken.append({**_named(row), "why": _why(error)})
                continue
            examples.append(facts)
            as_json = shards.json_bytes(facts)
            shards.add_example(media_tar, row["key"], {**media, "json": as_json})
            shards.add_example(features_tar, row["key"], {**features, "json": as_json})
    shards.write_json(facts_path(task.folder, task.split, task.number), {"examples": examples, "broken": broken})
    task.doing_path.unlink(missing_ok=True)
    return len(task.rows)


def _named(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("id", "path", "key")}


def without_crashed(task: ShardTask) -> ShardTask:
    """The same shard without the example during which its process died."""
    try:
        return replace(task, crashed=(*task.crashed, task.doing_path.read_text(encoding="utf-8")))
    except OSError:
        return task


def make_example(
    row: dict[str, Any], settings: PrepareSettings, device: str
) -> tuple[dict[str, Any], dict[str, bytes], dict[str, bytes]]:
    """One example: what is known of it, its media and its features, each as files by their endings.

    Errors: FoleyError where picture or sound cannot be read.
    """
    encoders = load_encoders(settings, device)
    path, start_s, duration_s = Path(row["path"]), row["start_s"], settings.duration_s
    video = probe(path)
    samples = read_part(path, start_s, duration_s, settings.rate_hz)
    width_px, height_px = _kept_size(video, settings.size_px)
    frames = read_frames(video, FEATURE_FPS, width_px, height_px, start_s=start_s, duration_s=duration_s)
    media = {
        "mp4": encode_clip(frames, FEATURE_FPS, width_px, height_px),
        "flac": flac_bytes(samples, settings.rate_hz),
    }
    streams = picture_streams(video, start_s, duration_s, encoders)
    arrays = {name: stream.values.half().cpu().numpy() for name, stream in streams.items()}
    arrays |= sound_features(samples, settings.rate_hz, encoders)
    facts = {key: row[key] for key in ("key", "id", "start_s", "label", "split")}
    seen = labels_of(streams["semantic"]) if "semantic" in streams else []
    facts |= {
        "duration_s": duration_s,
        "file": path.name,
        "width_px": video.width_px,
        "height_px": video.height_px,
        "rms_db": _db(float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))),
        "peak_db": _db(float(np.abs(samples).max())),
        "seen": [[label, confidence] for label, confidence in seen],
        "sound_sha256": hashlib.sha256(_pcm(samples).tobytes()).hexdigest(),
    }
    return facts, media, {f"{name}.npy": array_bytes(array) for name, array in sorted(arrays.items())}


def read_part(path: Path, start_s: float, duration_s: float, rate_hz: int) -> np.ndarray:
    """Mono float32 [N] of exactly that length; what the file lacks is silence."""
    samples = np.zeros(round(duration_s * rate_hz), np.float32)
    found = read_audio(path, rate_hz=rate_hz, channels=1, start_s=start_s, duration_s=duration_s).samples[0]
    samples[: len(found)] = found[: len(samples)]
    return samples


def _kept_size(video: Video, side_px: int) -> tuple[int, int]:
    """Width and height, even, with the shorter side as wanted."""
    short_px = min(video.width_px, video.height_px)
    width_px, height_px = (max(2, round(px * side_px / short_px / 2) * 2) for px in (video.width_px, video.height_px))
    return width_px, height_px


def _pcm(samples: np.ndarray) -> np.ndarray:
    return np.clip(np.round(samples * 32767.0), -32768, 32767).astype("<i2")


def flac_bytes(samples: np.ndarray, rate_hz: int) -> bytes:
    """Mono float32 [N] as 16 bit FLAC."""
    buffer = io.BytesIO()
    soundfile.write(buffer, _pcm(samples), rate_hz, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _db(amplitude: float) -> float:
    return round(max(FLOOR_DB, 20 * math.log10(amplitude)), 2) if amplitude > 0 else FLOOR_DB


def _finish(out: Path, tasks: Sequence[ShardTask], index: DatasetIndex, n_planned: int, made_now: int) -> Prepared:
    """Count what there is, list what was broken, and mark the data set as complete."""
    broken = shards.read_lines(out / UNUSABLE_NAME)
    counts: Counter[str] = Counter()
    for task in tasks:
        facts = shards.read_json(facts_path(out, task.split, task.number))
        counts[task.split] += len(facts["examples"])
        broken += facts["broken"]
    shards.write_lines(out / BROKEN_NAME, broken)
    if not sum(counts.values()):
        raise FoleyError(
            f"none of {n_planned} examples could be made; the first: {broken[0]['why']}",
            f"Read why in {out / BROKEN_NAME}",
        )
    done = replace(index, n_planned=n_planned, is_complete=True, examples=dict(counts), broken=len(broken))
    shards.write_json(out / INDEX_NAME, asdict(done))
    return Prepared(out, dict(counts), len(tasks), made_now, broken)
