"""A benchmark's table as Markdown, LaTeX and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foleycli import __version__
from foleycli.evaluation.benchmark import REAL, SET_DRAWS, Figure, Table
from foleycli.evaluation.metrics.bootstrap import CONFIDENCE, Interval
from foleycli.media.output import replacing

NAMES = ("benchmark.json", "benchmark.md", "benchmark.tex")
ARROWS = {"less": "↓", "more": "↑", "near 0": "→ 0"}
FORMAT = 1


def write_files(table: Table, folder: Path, n_draws: int, weights: Mapping[str, Path]) -> None:
    """The three files of NAMES; `weights` are the files of the networks that measured."""
    values = {**to_dict(table), "draws": n_draws, "weights": {name: path.name for name, path in weights.items()}}
    texts = (json.dumps(values, indent=1, ensure_ascii=False) + "\n", markdown(table, n_draws), latex(table))
    for name, text in zip(NAMES, texts, strict=True):
        with replacing(folder / name) as part:
            part.write_text(text, encoding="utf-8")


def to_dict(table: Table) -> dict[str, Any]:
    """Plain values for JSON: figures as they are, with the ends of their intervals."""
    return {
        "format": FORMAT,
        "foley": __version__,
        "clips": len(table.clips),
        "systems": [
            {
                "name": row.name,
                "is_real": row.name == REAL,
                "figures": {
                    key: {"value": _rounded(found.value), "low": _rounded(found.low), "high": _rounded(found.high)}
                    for key, found in row.figures.items()
                },
            }
            for row in table.rows
        ],
        "titles": {figure.key: f"{figure.title} {ARROWS[figure.better]}" for figure in table.figures},
        "not_measured": table.not_measured,
        "left_out": table.left_out,
        "names": table.clips,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def cell(figure: Figure, found: Interval | None, with_interval: bool = True) -> str:
    """`17.2 [15.1, 19.0]`; a dash where there is no figure."""
    if found is None:
        return "–"
    value, low, high = (None if one is None else f"{figure.scale * one:.{figure.digits}f}"
                        for one in (found.value, found.low, found.high))  # fmt: skip
    return f"{value} [{low}, {high}]" if with_interval and low is not None else str(value)


def title(figure: Figure) -> str:
    """`IB ×100 ↑`."""
    scale = f" ×{figure.scale:g}" if figure.scale != 1 else ""
    return f"{figure.title}{scale} {ARROWS[figure.better]}"


def best_of(figure: Figure, table: Table) -> str | None:
    """The system whose figure is best, of two or more that have one."""
    having = [row for row in table.rows if row.name != REAL and figure.key in row.figures]
    if len(having) < 2:
        return None
    sign = {"less": 1, "more": -1, "near 0": 1}[figure.better]
    return min(having, key=lambda row: sign * row.figures[figure.key].value).name


def markdown(table: Table, n_draws: int) -> str:
    """A line a system; the best of each column in bold."""
    titles = ["system", *(title(figure) for figure in table.figures)]
    lines = [titles, ["---"] + ["---:"] * len(table.figures)]
    best = {figure.key: best_of(figure, table) for figure in table.figures}
    for row in table.rows:
        cells = []
        for figure in table.figures:
            text = cell(figure, row.figures.get(figure.key))
            cells.append(f"**{text}**" if best[figure.key] == row.name else text)
        lines.append([row.name.replace("|", "\\|"), *cells])
    drawn = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{drawn}\n\n{about(table, n_draws)}\n"


def about(table: Table, n_draws: int) -> str:
    """What the table holds, in a few sentences."""
    text = f"{len(table.clips)} clips, foley {__version__}."
    if n_draws:
        text += (
            f" In brackets: {100 * CONFIDENCE:.0f} % intervals over clips drawn again {n_draws} times"
            f" ({min(n_draws, SET_DRAWS)} for distances between sets, about the figure)."
        )
    if table.not_measured:
        text += "\n\nNot measured:\n\n" + "\n".join(f"- {key}: {why}" for key, why in table.not_measured.items())
    return text


def latex(table: Table) -> str:
    """A tabular for booktabs, intervals left out; the best of each column in bold."""
    arrows = {"less": "$\\downarrow$", "more": "$\\uparrow$", "near 0": "$\\to 0$"}
    titles = [
        _escaped(figure.title + (f" ×{figure.scale:g}" if figure.scale != 1 else "")) + f" {arrows[figure.better]}"
        for figure in table.figures
    ]
    lines = [f"% {len(table.clips)} clips, foley {__version__}; needs the package booktabs",
             "\\begin{tabular}{l" + "r" * len(titles) + "}", "\\toprule",
             " & ".join(["System", *titles]) + " \\\\", "\\midrule"]  # fmt: skip
    best = {figure.key: best_of(figure, table) for figure in table.figures}
    for row in table.rows:
        cells = []
        for figure in table.figures:
            text = cell(figure, row.figures.get(figure.key), with_interval=False).replace("–", "--")
            cells.append(f"\\textbf{{{text}}}" if best[figure.key] == row.name else text)
        lines.append(" & ".join([_escaped(row.name), *cells]) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def _escaped(text: str) -> str:
    for sign in "&%$#_{}":
        text = text.replace(sign, "\\" + sign)
    return text.replace("×", "$\\times$")
