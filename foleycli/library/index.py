"""A folder of recordings may say of each what it is: `index.jsonl`, a JSON object a line, with the file and more."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from foleycli.errors import FoleyError

INDEX_NAME = "index.jsonl"
TEXTS = ("file", "category", "repo")  # fields that are text in every index


def index_rows(folder: Path, needed: Sequence[str] = ("file",)) -> list[dict]:
    """The lines of a folder's index, in its order; none without an index.  A library's have `words` as well.

    Errors: FoleyError for an index that is not UTF-8, and for a line that is no JSON object, lacks one of the fields
    that are needed, or has something else where text is meant.
    """
    index = folder / INDEX_NAME
    if not index.is_file():
        return []
    try:
        lines = index.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        hint = f"Save it as UTF-8, or remove {INDEX_NAME}"
        raise FoleyError(f"{index} cannot be read as UTF-8: {type(error).__name__}", hint) from error
    return [_row(index, number, line, needed) for number, line in enumerate(lines, start=1) if line.strip()]


def _row(index: Path, number: int, line: str, needed: Sequence[str]) -> dict:
    example = json.dumps({**{name: "wood" for name in needed}, "file": "wood/a.wav", "words": ["wood hit"]})
    hint = f"Write lines like {example}, or remove {INDEX_NAME}"
    try:
        row = json.loads(line)
        found = {**row, **{name: row[name] for name in needed}}
    except (ValueError, TypeError, KeyError, RecursionError):
        raise FoleyError(f"{index}, line {number}, does not name {' and '.join(needed)}", hint) from None
    texts = [found[name] for name in TEXTS if name in found]
    words = found.get("words", [])
    texts += words if isinstance(words, list) else [words]
    if not all(isinstance(text, str) and text for text in texts):
        names = ", ".join((*TEXTS, "words"))
        raise FoleyError(f"{index}, line {number}: {names} are text that is not empty", hint)
    return found
