"""A CSV of clips, and the data set that is prepared of them once."""

from __future__ import annotations

from pathlib import Path

import pytest
from prepared import FILES, LINES, SETTINGS, Made, write_clip

from foleycli.datasets.prepare import prepare


@pytest.fixture(scope="session")
def filmed(tmp_path_factory) -> tuple[Path, Path]:
    """The CSV and the folder of its videos: six that are whole, one that is none, one that is missing."""
    root = tmp_path_factory.mktemp("vggsound")
    (root / "video" / "sub").mkdir(parents=True)
    for number, (id, *_) in enumerate(LINES):
        folder = root / "video" / ("sub" if number == 1 else "")
        write_clip(folder / f"{FILES[id]}.mp4", number, duration_s=7.2 if id == "whole" else 5.1)
    (root / "video" / "broken_000001.mp4").write_bytes(b"no film" * 100)
    rows = [f'{id},{start},"{label}",{split}' for id, start, label, split in LINES]
    rows += ["broken,1,rain,train", "missing,3,rain,train"]
    table = root / "vggsound.csv"
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return table, root / "video"


@pytest.fixture(scope="session")
def made(filmed, tmp_path_factory) -> Made:
    table, videos = filmed
    return Made(table, videos, prepare(table, tmp_path_factory.mktemp("shards") / "set", SETTINGS, videos=videos))
