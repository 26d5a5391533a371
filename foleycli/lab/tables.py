"""Tables of figures in Markdown: what the measurements print and what the model cards show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NOT_MEASURED = "–"


@dataclass(frozen=True)
class Column:
    """One column of a table; its values are under `key` in every row."""

    key: str
    title: str
    digits: int | None = None  # after the point; None: as it is
    signed: bool = False  # "+" before what is not negative
    unit: str = ""

    @property
    def heading(self) -> str:
        """The heading of the column."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    def cell(self, value: Any) -> str:
        """The text for a value; None and nan are values that no clip gave."""
        if value is None and self.digits is None:
            return ""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return NOT_MEASURED
        if self.digits is None or isinstance(value, str):
            return str(value)
        return f"{value:{'+' if self.signed else ''}.{self.digits}f}"


def markdown(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]], keep_empty: bool = False) -> str:
    """The rows as a Markdown table; columns that no row has a value for are left out, unless kept."""
    shown = [column for column in columns if keep_empty or any(row.get(column.key) is not None for row in rows)]
    cells = [[column.cell(row.get(column.key)) for column in shown] for row in rows]
    return text_table([column.heading for column in shown], cells)


def text_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of text; `|` inside cells is escaped."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def without_nan(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row for JSON, which has no nan: None takes its place."""
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
