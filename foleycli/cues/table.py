"""Cue sheets as tables: CSV (and tabs, and REAPER's regions), Audacity's labels, and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from foleycli.cues.columns import Row, known_columns, marker_values, sheet_of, words_of
from foleycli.cues.cue import Cue, CueSheet, Event
from foleycli.cues.text import read_text
from foleycli.cues.times import ReelClock, nearest, shown
from foleycli.errors import FoleyError

DELIMITERS = ",;\t"
CSV_HINT = "The first row names the columns, such as number,in,out,prompt"
WRITTEN = (
    "number", "in", "out", "name", "prompt", "negative prompt", "preset", "model", "reference", "seed", "takes", "gain",
    "hits", "silent", "track", "category", "notes",
)  # fmt: skip


def read_csv(path: Path, clock: ReelClock, reel_s: Fraction) -> CueSheet:
    """A table whose first row names the columns; commas, semicolons or tabs between them."""
    text = read_text(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(DELIMITERS, key=first.count)
    try:
        table = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise FoleyError(f"{path.name} cannot be read as CSV: {error}", CSV_HINT) from error
    lines = [(n, cells) for n, cells in enumerate(table, start=1) if any(cell.strip() for cell in cells)]
    if not lines:
        raise FoleyError(f"{path.name} is empty", CSV_HINT)
    head = lines[0][1]
    columns, notes = known_columns(head, path.name)
    if "start" not in columns.values():
        raise FoleyError(f"{path.name} has no column for where cues begin", CSV_HINT)

    def rows() -> Iterator[Row]:
        for n, cells in lines[1:]:
            if len(cells) > len(head) and any(cell.strip() for cell in cells[len(head) :]):
                raise FoleyError(
                    f"{path.name}, row {n}, has {len(cells)} cells, but there are {len(head)} columns",
                    "A text with a comma in it stands in quotes",
                )
            named = zip(head, cells, strict=False)
            yield Row({columns[name]: cell.strip() for name, cell in named if name in columns}, f"row {n}")

    return sheet_of(rows(), path, clock, reel_s, notes)


def read_labels(path: Path, clock: ReelClock, reel_s: Fraction) -> CueSheet:
    """Audacity's labels: start, end and words on each line, with tabs between; a label without a length is a hit."""
    rows = []
    for n, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip() or line.startswith("\\"):  # a label's own frequencies
            continue
        cells = line.split("\t")
        if len(cells) < 2:
            raise FoleyError(f"{path.name}, line {n}, is no label", "Each line is start, end and words, between tabs")
        name = cells[2] if len(cells) > 2 else ""
        rows.append(Row(marker_values(cells[0], cells[1], name, clock, reel_s), f"line {n}"))
    return sheet_of(rows, path, clock, reel_s)


def read_json(path: Path, clock: ReelClock, reel_s: Fraction) -> CueSheet:
    """A list of cues, or {"cues": [...]}, with the columns of a CSV; times as text or in seconds, hits as a list."""
    hint = 'Such as [{"in": 1.5, "out": 3.2, "prompt": "boots on gravel"}]'
    try:
        found = json.loads(read_text(path), parse_float=str)
    except (ValueError, RecursionError) as error:
        raise FoleyError(f"{path.name} is no JSON: {error}", hint) from error
    items = found.get("cues") if isinstance(found, dict) else found
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise FoleyError(f"{path.name} holds no list of cues", hint)
    columns, notes = known_columns(dict.fromkeys(name for item in items for name in item), path.name)
    rows = [
        Row({columns[name]: value for name, value in item.items() if name in columns}, f"cue {n}")
        for n, item in enumerate(items, start=1)
    ]
    return sheet_of(rows, path, clock, reel_s, notes)


def values_of(cue: Cue, clock: ReelClock, events: tuple[Event, ...] = ()) -> dict[str, Any]:
    """A cue's columns as text, empty ones too, by the names of `WRITTEN`, and the events that were seen."""
    hits = "" if cue.hits_s is None else " ".join(written(time_s, clock) for time_s in cue.hits_s)
    values = (
        cue.number,
        written(cue.start_s, clock),
        written(cue.end_s, clock),
        cue.name,
        cue.prompt,
        cue.negative_prompt,
        cue.preset or "",
        cue.model or "",
        "" if cue.reference is None else str(cue.reference),
        "" if cue.seed is None else str(cue.seed),
        "" if cue.takes is None else str(cue.takes),
        f"{cue.gain_db:g}" if cue.gain_db else "",
        hits,
        "yes" if cue.silent else "",
        cue.track,
        cue.category,
        cue.notes,
    )
    told = {"events": " ".join(f"{shown(event.time_s)}@{event.strength:.2f}" for event in events)} if events else {}
    return {**dict(zip(WRITTEN, values, strict=True)), **told}


def written(time_s: Fraction, clock: ReelClock) -> str:
    """A time that reads back as it is: time code at a picture's edge, else seconds, to the microsecond."""
    if (time_s * clock.fps).denominator == 1:
        return clock.timecode(time_s)
    return shown(time_s, n_digits=6)


def csv_text(sheet: CueSheet, clock: ReelClock) -> str:
    """The sheet as CSV: the columns that some cue uses, and number, in, out, name and prompt."""
    rows = [values_of(cue, clock, sheet.events.get(cue.number, ())) for cue in sheet.cues]
    used = [name for name in (*WRITTEN, "events") if name in WRITTEN[:5] or any(row.get(name) for row in rows)]
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, used, extrasaction="ignore", restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def json_text(sheet: CueSheet, clock: ReelClock, reel: str) -> str:
    """The sheet as JSON, with what is known of the reel beside it."""
    cues = []
    for cue in sheet.cues:
        row = {name: value for name, value in values_of(cue, clock).items() if value or name in WRITTEN[:5]}
        if cue.hits_s is not None:
            row["hits"] = [written(time_s, clock) for time_s in cue.hits_s]
        if events := sheet.events.get(cue.number):
            row["events"] = [{"s": float(shown(one.time_s)), "strength": round(one.strength, 3)} for one in events]
        cues.append(row)
    facts = {"reel": reel, "fps": str(clock.fps), "start": clock.timecode(Fraction(0)), "cues": cues}
    return json.dumps(facts, indent=1, ensure_ascii=False) + "\n"


def reaper_text(sheet: CueSheet, clock: ReelClock) -> str:
    """REAPER's table of regions; times in minutes and seconds from the first picture."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["#", "Name", "Start", "End", "Length"])
    for n, cue in enumerate(sheet.cues, start=1):
        times = (cue.start_s, cue.end_s, cue.end_s - cue.start_s)
        writer.writerow([f"R{n}", words_of(cue), *(_minutes(time_s) for time_s in times)])
    return out.getvalue()


def _minutes(time_s: Fraction) -> str:
    thousandths = nearest(time_s * 1000)
    return f"{thousandths // 60000}:{thousandths // 1000 % 60:02}.{thousandths % 1000:03}"


def labels_text(sheet: CueSheet) -> str:
    """Audacity's labels, in seconds from the first picture."""
    lines = [f"{float(cue.start_s):.6f}\t{float(cue.end_s):.6f}\t{words_of(cue)}" for cue in sheet.cues]
    return "\n".join(lines) + "\n"
