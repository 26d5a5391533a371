"""The clips of a prepared data set as files that play: what a benchmark renders and compares with."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from foleycli.datasets.reader import Dataset, StoredExample
from foleycli.datasets.shards import write_text
from foleycli.errors import FoleyError
from foleycli.media import ffmpeg
from foleycli.media.output import replacing, temporary_beside
from foleycli.media.source import open_input
from foleycli.records import Report, silent

WORDS_NAME = "words.csv"


def export_split(dataset: Dataset, split: str, out: Path, report: Report = silent) -> list[Path]:
    """Every kept example of a split as a Matroska file, picture and sound as they are stored, and words.csv.

    Errors: FoleyError for a split that is not there, and a folder that is not empty.
    """
    if split not in dataset.splits():
        raise FoleyError(
            f"{dataset.folder} has no examples of the split {split}", f"It has {', '.join(dataset.splits())}"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FoleyError(f"{out} is there and not empty", "Give an empty or a new folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    n, written, words = sum(dataset.counts(split)), [], io.StringIO()
    table = csv.writer(words, lineterminator="\n")
    report("clips", 0, n)
    for number in dataset.numbers(split):
        for example in dataset.read(split, number, "media"):
            path = out / f"{example.key}.mkv"
            write_clip(example, path)
            written.append(path)
            if label := str(example.facts["label"]):
                table.writerow((path.name, label))
            report("clips", len(written), n)
    if words.getvalue():
        write_text(out / WORDS_NAME, words.getvalue())
    return written


def write_clip(example: StoredExample, path: Path) -> None:
    """Picture and sound of an example in one file, not encoded again."""
    with replacing(path) as part, temporary_beside(path, ".mp4") as picture, temporary_beside(path, ".flac") as sound:
        picture.write_bytes(example.files["mp4"])
        sound.write_bytes(example.files["flac"])
        streams = [open_input(picture)["v:0"], open_input(sound)["a:0"]]
        output = ffmpeg.output_of(streams, part, c="copy", fflags="+bitexact")
        ffmpeg.run(ffmpeg.command(output), f"writing {path}")
