"""A manifest of a batch: CSV or JSON lines, one file and its options a row; columns are named as the options of render.

Reads text into rows; what a value means is for the command to say.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foleycli.errors import FoleyError
from foleycli.settings.checking import did_you_mean, short_repr

CSV_ENDINGS, JSON_ENDINGS = (".csv", ".tsv"), (".jsonl", ".ndjson")
FILE = "file"  # the column that every manifest has
COMMENT = "#"  # a column whose name begins so is the user's own
COLUMNS_HINT = "Columns are file and the options of foley render, such as prompt or loudness; # begins one of your own"


@dataclass(frozen=True)
class Row:
    """What stands in one line of a manifest, or one video of a folder."""

    number: int  # the line in the file, from 1
    file: str
    values: dict[str, Any]  # by column, as text or as JSON has it; what is empty is left out
    error: FoleyError | None = None  # why the line cannot be used at all


def read_manifest(path: Path, columns: Collection[str]) -> list[Row]:
    """The rows of a manifest.

    columns   the names that are known, beside `file`, with _ for -
    Errors: FoleyError for a file that cannot be read, has no column `file` or a column that is unknown, or no rows;
    what is wrong with a single row is in the row.
    """
    from foleycli.media.source import check_file

    check_file(path)  # a pipe would be waited for without end
    if path.suffix.lower() not in CSV_ENDINGS + JSON_ENDINGS:
        known = " ".join(CSV_ENDINGS + JSON_ENDINGS)
        raise FoleyError(
            f"{path} is no manifest: its ending is not known", f"Give a folder, or a file that ends in {known}"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FoleyError(f"the manifest {path} cannot be read: {error}", "Write it in UTF-8") from error
    is_csv = path.suffix.lower() in CSV_ENDINGS
    rows = list(_csv_rows(path, text, columns) if is_csv else _json_rows(path, text, columns))
    if not rows:
        raise FoleyError(f"the manifest {path} has no rows", "Write one row a video, with its file")
    return rows


def _column(name: str) -> str:
    """A column's name as options have it: Negative-Prompt is negative_prompt."""
    return name.strip().lower().lstrip("-").replace("-", "_").replace(" ", "_")


def _csv_rows(path: Path, text: str, columns: Collection[str]) -> Iterator[Row]:
    reader = csv.reader(
        text.splitlines(keepends=True), delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True
    )
    header: list[str] | None = None
    number = 1
    try:
        for cells in reader:
            first, number = number, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = _checked_header(path, cells, columns)
            elif len(cells) > len(header):
                message = f"it has {len(cells)} cells, the header has {len(header)}"
                error = FoleyError(message, 'A cell with a comma stands in quotes: "rain, then thunder"')
                yield Row(first, cells[0].strip(), {}, error)
            else:
                given = {name: cell.strip() for name, cell in zip(header, cells, strict=False)}
                yield _row(first, given)
    except csv.Error as error:
        raise FoleyError(f"{path}, line {number}, cannot be read: {error}", "Close every quote") from error


def _checked_header(path: Path, cells: list[str], columns: Collection[str]) -> list[str]:
    header = [_column(cell) or COMMENT for cell in cells]
    for name in header:
        if unknown := _unknown(name, columns):
            raise FoleyError(f"{path} has the unknown column {short_repr(name)}", unknown)
        if not name.startswith(COMMENT) and header.count(name) > 1:
            raise FoleyError(f"{path} has the column {name} twice", "Leave one of them out")
    if FILE not in header:
        raise FoleyError(f"{path} has no column {FILE}", f"The first line names the columns: {FILE},prompt")
    return header


def _json_rows(path: Path, text: str, columns: Collection[str]) -> Iterator[Row]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
            if not isinstance(found, dict):
                raise ValueError
        except (ValueError, RecursionError):
            hint = 'Such as {"file": "clip.mp4", "prompt": "rain"}'
            yield Row(number, "", {}, FoleyError("it is no JSON object", hint))
            continue
        given = {_column(name): value for name, value in found.items()}
        unknown = next(((name, hint) for name in given if (hint := _unknown(name, columns))), None)
        if unknown is not None:
            yield Row(
                number, str(given.get(FILE, "")), {}, FoleyError(f"{short_repr(unknown[0])} is unknown", unknown[1])
            )
            continue
        yield _row(number, given)


def _unknown(name: str, columns: Collection[str]) -> str:
    """What to do about a column that is not known; "" for one that is."""
    if name in columns or name == FILE or name.startswith(COMMENT):
        return ""
    return did_you_mean(name, [FILE, *columns]) + COLUMNS_HINT


def _row(number: int, given: dict[str, Any]) -> Row:
    values = {name: value for name, value in given.items() if value not in (None, "") and not name.startswith(COMMENT)}
    file = values.pop(FILE, "")
    if not isinstance(file, str) or not file:
        return Row(number, "", {}, FoleyError("it names no file", f"Write the video in the column {FILE}"))
    return Row(number, file, values)
