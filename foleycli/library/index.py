"""A folder of recordings may say of each what it is: `index.jsonl`, a JSON object a line, with the file and more."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from foleycli.errors import FoleyError

INDEX_NAME = "index.jsonl"


def index_rows(folder: Path, needed: Sequence[str] = ("file",)) -> list[dict]:
    """The lines of a folder's index, in its order; none without an index.  A library's have `words` as well.

    Errors: FoleyError for a line that is no JSON object, or lacks one of the fields that are needed.
    """
    index = folder / INDEX_NAME
    lines = index.read_text(encoding="utf-8").splitlines() if index.is_file() else []
    return [_row(index, number, line, needed) for number, line in enumerate(lines, start=1) if line.strip()]


def _row(index: Path, number: int, line: str, needed: Sequence[str]) -> dict:
    try:
        row = json.loads(line)
        return {**row, **{name: row[name] for name in needed}}
    except (ValueError, TypeError, KeyError):
        example = json.dumps({**{name: "wood" for name in needed}, "file": "wood/a.wav", "words": ["wood hit"]})
        hint = f"Write lines like {example}, or remove {INDEX_NAME}"
        raise FoleyError(f"{index}, line {number}, does not name {' and '.join(needed)}", hint) from None
