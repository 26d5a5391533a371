"""Which videos a data set is made of: a CSV in VGGSound's form, or a folder of videos.

VGGSound (Chen et al., arXiv 2004.14368) publishes lines of `YouTube id, start in seconds, label, split`.  The files
that people have of it are named by id and start: `ID_000030.mp4`, `ID_30.mp4`, `ID_30000_40000.mp4`, each ten seconds
from the start on, or `ID.mp4`, the whole video.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from foleycli.errors import FoleyError
from foleycli.soundset.held_out import held_out_of

VIDEO_ENDINGS = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v"}
SPLITS = {"train": "train", "training": "train", "test": "test", "eval": "test",
          "val": "val", "valid": "val", "validation": "val", "": "train"}  # fmt: skip
PART_S = 10.0  # of a line of VGGSound
LONGEST_CSV_BYTES = 1 << 30


@dataclass(frozen=True)
class Source:
    """One line of the CSV with its file, or one video of the folder."""

    id: str  # of the line with its start, or the path in the folder without its ending
    path: Path
    start_s: float  # in the file
    duration_s: float | None  # None: to the end of the file
    label: str
    split: str  # train, val or test


@dataclass(frozen=True)
class Listing:
    """What was found, in a fixed order, and the lines whose file is not there."""

    sources: list[Source]
    without_file: list[str]


def list_sources(source: Path, videos: Path | None = None) -> Listing:
    """The videos of a folder, or of a CSV whose files are in `videos` (by default beside it).

    Errors: FoleyError for what is neither, a CSV of another form, or nothing that could be used.
    """
    if source.is_dir():
        return Listing(_of_folder(source), [])
    if not source.is_file():
        raise FoleyError(f"{source} does not exist", "Give a folder of videos, or a CSV of id, start, label, split")
    listing = _of_csv(source, videos or source.parent)
    if not listing.sources:
        raise FoleyError(
            f"none of the {len(listing.without_file)} lines of {source} has a file in {videos or source.parent}",
            "Name the folder with --videos; files are called ID_000030.mp4, ID_30.mp4, ID_30000_40000.mp4 or ID.mp4",
        )
    return listing


def _of_folder(folder: Path) -> list[Source]:
    """Every video; its sub-folder is the label, and a tenth by their names is held out for testing."""
    paths = {path.relative_to(folder).as_posix(): path for path in videos_in(folder)}
    if not paths:
        raise FoleyError(f"{folder} holds no video", f"It may hold {' '.join(sorted(VIDEO_ENDINGS))}")
    held_out = held_out_of(paths)
    return [
        Source(
            id=name[: -len(path.suffix)],
            path=path,
            start_s=0.0,
            duration_s=None,
            label=path.parent.name.replace("_", " ") if path.parent != folder else "",
            split="test" if name in held_out else "train",
        )
        for name, path in paths.items()
    ]


def videos_in(folder: Path) -> list[Path]:
    """The video files of a folder and its sub-folders, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_ENDINGS and path.is_file())


def _of_csv(table: Path, folder: Path) -> Listing:
    if not folder.is_dir():
        raise FoleyError(f"there is no folder {folder}", "Name the folder of the videos with --videos")
    by_stem: dict[str, Path] = {}
    for path in videos_in(folder):
        by_stem.setdefault(path.stem, path)
    by_id = _longer_names(by_stem)
    sources, without_file = [], []
    for id, start_s, label, split in _rows(table):
        found = _file_of(id, start_s, by_stem, by_id)
        if found is None:
            without_file.append(f"{id}_{round(start_s):06d}")
            continue
        path, is_whole_video = found
        sources.append(
            Source(f"{id}_{round(start_s):06d}", path, start_s if is_whole_video else 0.0, PART_S, label, split)
        )
    return Listing(sources, without_file)


def _rows(table: Path) -> Iterator[tuple[str, float, str, str]]:
    """Lines of id, start, label, split; a first line of column names is passed over."""
    try:
        if table.stat().st_size > LONGEST_CSV_BYTES:
            raise ValueError("it is too large")
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise FoleyError(f"{table} cannot be read: {error}", "Give a CSV of id, start, label, split") from error
    seen: set[tuple[str, float]] = set()
    for number, row in enumerate((row for row in rows if any(cell.strip() for cell in row)), start=1):
        id, start, label, split, *_ = [*(cell.strip() for cell in row), "", "", "", ""]
        try:
            start_s, split = float(start), SPLITS[split.lower()]
            if not id or not 0 <= start_s < 1e6:
                raise ValueError
        except (ValueError, KeyError):
            if number == 1:  # column names
                continue
            raise FoleyError(
                f"{table}, line {number}, is not of the form id, start, label, split: {','.join(row)[:80]}",
                "Start is in seconds, split is train, val or test",
            ) from None
        if (id, start_s) not in seen:
            seen.add((id, start_s))
            yield id, start_s, label, split


def _longer_names(stems: Iterable[str]) -> dict[str, list[str]]:
    """Stems of the form ID_START or ID_START_END in milliseconds, by ID; an ID may itself hold underscores."""
    found: dict[str, list[str]] = {}
    for stem in stems:
        if match := re.fullmatch(r"(.+?)_(\d+)(?:_(\d+))?", stem):
            found.setdefault(match[1], []).append(stem)
    return found


def _file_of(
    id: str, start_s: float, by_stem: Mapping[str, Path], by_id: Mapping[str, list[str]]
) -> tuple[Path, bool] | None:
    """The file of a line, and whether it is the whole video rather than the part that the line names."""
    whole = round(start_s)
    for stem in (f"{id}_{whole:06d}", f"{id}_{whole}", f"{id}_{start_s:g}"):
        if stem in by_stem:
            return by_stem[stem], False
    for stem in by_id.get(id, ()):
        if re.fullmatch(rf"{re.escape(id)}_{round(1000 * start_s)}_\d+", stem):
            return by_stem[stem], False
    return (by_stem[id], True) if id in by_stem else None
