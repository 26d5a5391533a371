"""The figures of the model cards: `metrics.json` of every shipped model, and the tables made from it.

    python -m foleycli.lab sweep --json > ROWS.jsonl
    python -m foleycli.lab figures salsav-mini/sweep ROWS.jsonl --commit COMMIT     # new rows
    python -m foleycli.lab docs                                                     # then write the cards

`metrics.json` is an object of tables by name.  A table has `about` (a sentence or two: what was measured on what),
`columns` and `rows` of figures, `date` and `commit`, and either the `command` that gives the figures again or the
`source` that they came from.  Between `<!-- begin figures MODEL/TABLE -->` and `<!-- end figures MODEL/TABLE -->` a
card or a page of the guide shows it.
"""

from __future__ import annotations

import datetime
import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from foleycli.errors import FoleyError
from foleycli.hub.catalog import entries
from foleycli.lab.tables import Column, markdown

METRICS_NAME = "metrics.json"
WIDTH = 140  # of the cards' lines
HINT = "A table has about, columns, rows, date, commit, and a command or a source"


@dataclass(frozen=True, kw_only=True)
class FigureTable:
    """One table of figures and where they came from."""

    about: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Any], ...]
    date: str
    commit: str
    command: str = ""  # that gives the figures again
    source: str = ""  # where there is no such command

    @property
    def text(self) -> str:
        """What it is about, the figures, and how they were measured, in Markdown."""
        about = textwrap.fill(self.about, WIDTH, break_long_words=False, break_on_hyphens=False)
        how = f"Command: `{self.command}`" if self.command else f"Source: {self.source}"
        return f"{about}\n\n{markdown(self.columns, self.rows)}\n\n{how} ({self.date}, commit {self.commit})."


def metrics_path(model: str) -> Path:
    """Where a shipped model's figures are; errors: FoleyError for a model that does not ship."""
    shipped = {entry.name: entry.folder for entry in entries() if entry.is_shipped}
    if model not in shipped:
        raise FoleyError(f"{model!r} is no shipped model", f"One of: {', '.join(shipped)}")
    return shipped[model] / METRICS_NAME


def read_metrics(model: str) -> dict[str, FigureTable]:
    """All tables of a shipped model; errors: FoleyError for one that is not complete."""
    path = metrics_path(model)
    tables = {}
    for name, table in json.loads(path.read_text(encoding="utf-8")).items():
        try:
            columns = tuple(Column(**column) for column in table["columns"])
            tables[name] = FigureTable(**{**table, "columns": columns, "rows": tuple(table["rows"])})
        except (KeyError, TypeError) as error:
            raise FoleyError(f"{path} has an incomplete table {name!r}: {error}", HINT) from error
        unknown = {key for row in table["rows"] for key in row} - {column.key for column in columns}
        if unknown or bool(tables[name].command) == bool(tables[name].source):
            raise FoleyError(f"{path} has figures in {name!r} without a column, or neither command nor source", HINT)
    return tables


def block(argument: str) -> str:
    """The text of `MODEL/TABLE`, for `docs`; errors: FoleyError where there is no such table."""
    model, _, name = argument.partition("/")
    tables = read_metrics(model)
    if name not in tables:
        raise FoleyError(f"{model} has no figures {name!r}", f"One of: {', '.join(tables)}")
    return tables[name].text


def to_json(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """The tables as JSON with a line for each column and row, so that changes of figures can be read."""

    def lines(table: Mapping[str, Any]) -> str:
        parts = []
        for key, value in table.items():
            if isinstance(value, list):
                items = ",\n".join(f"      {json.dumps(item, ensure_ascii=False)}" for item in value)
                parts.append(f"    {json.dumps(key)}: [\n{items}\n    ]")
            else:
                parts.append(f"    {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
        return ",\n".join(parts)

    return (
        "{\n"
        + ",\n".join(f"  {json.dumps(name)}: {{\n{lines(table)}\n  }}" for name, table in tables.items())
        + "\n}\n"
    )


def main(
    table: Annotated[str, typer.Argument(metavar="MODEL/TABLE", help="Which figures.")],
    rows: Annotated[Path, typer.Argument(metavar="ROWS", help="JSON lines, as the measurement prints them.")],
    commit: Annotated[str, typer.Option(help="The commit that was measured.")],
    command: Annotated[str | None, typer.Option(help="The command; without: as it was.")] = None,
    about: Annotated[str | None, typer.Option(help="What was measured on what; without: as it was.")] = None,
) -> None:
    """Put newly measured rows into a model's metrics.json; values without a column are left out."""
    model, _, name = table.partition("/")
    if name not in read_metrics(model):
        raise FoleyError(f"{model} has no figures {name!r}", f"One of: {', '.join(read_metrics(model))}")
    path = metrics_path(model)
    tables = json.loads(path.read_text(encoding="utf-8"))
    keys = [column["key"] for column in tables[name]["columns"]]
    try:
        measured = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise FoleyError(f"{rows} cannot be read: {error}", "Give a file of JSON lines") from error
    if not measured or not all(isinstance(row, dict) and keys[0] in row for row in measured):
        raise FoleyError(f"{rows} holds no rows with {keys[0]!r}", "Give the JSON lines of the measurement")
    tables[name]["rows"] = [{key: row[key] for key in keys if row.get(key) is not None} for row in measured]
    tables[name] |= {"date": datetime.date.today().isoformat(), "commit": commit}
    tables[name] |= {key: value for key, value in (("command", command), ("about", about)) if value is not None}
    path.write_text(to_json(tables), encoding="utf-8")
