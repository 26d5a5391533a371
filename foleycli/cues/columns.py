"""The columns of a cue sheet, by the words that the field uses for them: one row in, one `Cue` out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from foleycli.cues.check import fault
from foleycli.cues.cue import Cue, CueSheet
from foleycli.cues.times import FORMS, ReelClock
from foleycli.errors import FoleyError
from foleycli.settings.checking import did_you_mean, short_repr

# What a column is called, its own name first; case, units in brackets, _, - and . do not matter.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "number": ("number", "cue", "no", "nr", "num", "#", "id", "index", "cue number", "cue no", "cue id", "event"),
    "start": ("in", "start", "begin", "tc in", "timecode in", "in tc", "record in", "rec in", "start tc", "start time",
              "begins", "from", "start s"),
    "end": ("out", "end", "stop", "tc out", "timecode out", "out tc", "record out", "rec out", "end tc", "end time",
            "ends", "to", "end s"),
    "duration": ("duration", "length", "dur", "len", "duration s", "length s"),
    "name": ("name", "title", "cue name", "clip name", "clip", "label"),
    "prompt": ("prompt", "description", "sound", "sounds", "what is heard", "sfx", "fx", "text"),
    "negative_prompt": ("negative prompt", "negative", "not", "avoid", "without"),
    "preset": ("preset",),
    "model": ("model",),
    "reference": ("reference", "ref", "timbre", "reference file"),
    "seed": ("seed",),
    "takes": ("takes", "take count", "n takes"),
    "gain_db": ("gain", "gain db", "level", "volume", "db"),
    "hits": ("hits", "hit", "hits s", "sync points", "sync", "hit points"),
    "silent": ("silent", "silence", "mute", "muted"),
    "track": ("track", "layer", "bus"),
    "category": ("category", "ucs", "catid", "cat id", "ucs category"),
    "notes": ("notes", "note", "comment", "comments", "remarks", "remark"),
}  # fmt: skip
TOLD = ("events", "shot", "shots", "seen", "color", "colour")  # that `foley spot` writes for people: not read
BY_NAME = {name: column for column, names in SYNONYMS.items() for name in names}
YES, NO = ("yes", "true", "y", "1", "x", "on", "silent", "mute"), ("no", "false", "n", "0", "off", "-", "")
PLACEHOLDER = re.compile(r"^cue \S+$")  # of a cue that has no words: see `title_of`
ONE_SHOT_S = Fraction(2)  # how long a marker without a length is, whose time is a hit


class RowFault(ValueError):
    """What is wrong with a row, in words that follow its place: `cues.csv, row 3`."""

    hint = "Change it in the sheet"


class TimeFault(RowFault):
    """A time that cannot be read."""

    hint = f"Mend the sheet. {FORMS}"


@dataclass(frozen=True)
class Row:
    """One cue as a file has it: values by column, and where it stands."""

    values: Mapping[str, Any]  # by the columns of `SYNONYMS`
    where: str  # "row 3"


def column_of(name: str) -> str | None:
    """The column that a name means; None where it is not known."""
    plain = re.sub(r"[\s_.?!:\-]+", " ", re.sub(r"[\(\[].*?[\)\]]", "", name)).strip().lower()
    return BY_NAME.get(plain) or BY_NAME.get(plain.strip("# "))


def known_columns(names: Iterable[str], file: str) -> tuple[dict[str, str], list[str]]:
    """The columns by the names that a file has for them, and notes about those that are not known.

    Errors: FoleyError for two names of one column.
    """
    found: dict[str, str] = {}
    notes = []
    for name in names:
        column = column_of(name)
        if column is None:
            if name.strip().lower() not in TOLD and name.strip():
                near = did_you_mean(name.strip().lower(), BY_NAME)
                notes.append(f"{file}: the column {short_repr(name)} is not known and left out. {near}".strip())
        elif column in found.values():
            other = next(key for key, value in found.items() if value == column)
            raise FoleyError(f"{file}: the columns {short_repr(other)} and {short_repr(name)} are one", "Remove one")
        else:
            found[name] = column
    return found, notes


def sheet_of(
    rows: Iterable[Row], path: Path, clock: ReelClock, reel_s: Fraction, notes: Iterable[str] = ()
) -> CueSheet:
    """The sheet of a file's rows; every row is checked.

    Errors: FoleyError naming the first row that is wrong, and how many others are.
    """
    rows = [replace(row, values=_without_placeholders(row.values)) for row in rows]
    if not any(row.values.get("prompt") for row in rows):  # then names are what is heard
        rows = [replace(row, values={**row.values, "prompt": row.values.get("name", "")}) for row in rows]
    cues: list[Cue] = []
    faults: list[str] = []
    hints: list[str] = []
    numbers: dict[str, str] = {}
    for n, row in enumerate(rows, start=1):
        try:
            cue = cue_of(row.values, str(n), clock, path.parent)
            if wrong := fault(cue, clock, reel_s):
                raise RowFault(wrong)
            if cue.number in numbers:
                raise RowFault(f"has the number {short_repr(cue.number)}, as has {numbers[cue.number]}")
        except RowFault as error:
            faults.append(f"{row.where}, {error}")
            hints.append(error.hint)
            continue
        numbers[cue.number] = row.where
        cues.append(replace(cue, end_s=min(cue.end_s, reel_s)))
    if faults:
        more = f" ({len(faults) - 1} more rows are wrong)" if len(faults) > 2 else " (one more row is wrong)"
        raise FoleyError(f"{path.name}, {faults[0]}{more if len(faults) > 1 else ''}", hints[0])
    if not cues:
        raise FoleyError(f"{path.name} has no cues", "A cue has an in and an out, such as 1.5 and 3.2")
    return CueSheet(tuple(sorted(cues, key=lambda cue: cue.start_s)), tuple(notes))


def title_of(cue: Cue) -> str:
    """A cue's name, or what is heard, or its number: for formats that must have words."""
    return " ".join((cue.name or cue.prompt).split()) or f"cue {cue.number}"


def words_of(cue: Cue) -> str:
    """What is heard, or the cue's name, or its number."""
    return " ".join((cue.prompt or cue.name).split()) or f"cue {cue.number}"


def _without_placeholders(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        column: value
        for column, value in values.items()
        if not (column in ("name", "prompt") and isinstance(value, str) and PLACEHOLDER.match(value))
    }


def marker_values(
    start: Any, end: Any, name: str, clock: ReelClock, reel_s: Fraction, comment: str = ""
) -> dict[str, Any]:
    """The row of a marker, with what its comment says; one without a length is a hit, and its cue lasts ONE_SHOT_S."""
    values, others = comment_values(comment.splitlines())
    heard = {"prompt": " ".join(others)} if others else {}
    return {**_marker_place(start, end, clock, reel_s), "name": name, **heard, **values}


def _marker_place(start: Any, end: Any, clock: ReelClock, reel_s: Fraction) -> dict[str, Any]:
    try:
        start_s, end_s = _parsed(start, "start", clock), _parsed(end, "end", clock)
    except RowFault:  # told with the row's place, later
        return {"start": start, "end": end}
    if end_s < start_s or end_s - start_s > 1 / clock.fps:
        return {"start": start_s, "end": end_s}
    stop_s = min(start_s + ONE_SHOT_S, max(reel_s, start_s + 1 / clock.fps))
    return {"start": start_s, "end": stop_s, "hits": [start_s]}


def comment_values(lines: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """The columns that lines like `prompt: boots on gravel` set, and the other lines."""
    values: dict[str, str] = {}
    others = []
    for line in lines:
        name, colon, value = line.partition(":")
        column = column_of(name) if colon else None
        if column is None or column in ("start", "end", "duration", "number") or not value.strip():
            others.append(line.strip())
        else:
            values[column] = value.strip()
    return values, [line for line in others if line]


def comments_of(values: Mapping[str, str]) -> list[str]:
    """The lines that `comment_values` reads back: what a cue has beside its place, its number and its name."""
    left_out = ("number", "in", "out", "name")
    return [f"{name}: {value}" for name, value in values.items() if value and name not in left_out and name != "events"]


def cue_of(values: Mapping[str, Any], number: str, clock: ReelClock, folder: Path) -> Cue:
    """The cue of one row; errors: RowFault.

    number   that it gets where it has none
    folder   that files are named from
    """
    given = {column: value for column, value in values.items() if value is not None and value != ""}
    start_s = _time(given, "start", clock)
    if start_s is None:
        raise RowFault("has no in")
    end_s, length_s = _time(given, "end", clock), _length(given, clock)
    if end_s is None and length_s is None:
        raise RowFault("has neither an out nor a duration")
    if end_s is None:
        end_s = start_s + (length_s or 0)
    elif length_s is not None and abs(end_s - start_s - length_s) > 1 / clock.fps:
        raise RowFault("has an out and a duration that do not agree")
    reference = _text(given, "reference")
    return Cue(
        number=_text(given, "number") or number,
        start_s=start_s,
        end_s=end_s,
        name=_text(given, "name"),
        prompt=_text(given, "prompt"),
        negative_prompt=_text(given, "negative_prompt"),
        preset=_text(given, "preset") or None,
        model=_text(given, "model") or None,
        reference=folder / reference if reference else None,
        seed=_number(given, "seed", int),
        takes=_number(given, "takes", int),
        gain_db=_number(given, "gain_db", float) or 0.0,
        hits_s=_hits(given.get("hits"), clock),
        silent=_yes(given.get("silent", "")),
        track=_text(given, "track"),
        category=_text(given, "category"),
        notes=_text(given, "notes"),
    )


def _text(given: Mapping[str, Any], column: str) -> str:
    value = given.get(column, "")
    if isinstance(value, (dict, list, bool)):
        raise RowFault(f"has {short_repr(value)} as its {column.replace('_', ' ')}, which is no text")
    return " ".join(str(value).split())


def _time(given: Mapping[str, Any], column: str, clock: ReelClock) -> Fraction | None:
    if column not in given:
        return None
    return _parsed(given[column], {"start": "in", "end": "out"}[column], clock)


def _parsed(value: Any, what: str, clock: ReelClock) -> Fraction:
    """A time as text, or a number of seconds."""
    try:
        if isinstance(value, Fraction):
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            return Fraction(str(value))
        return clock.parse(str(value))
    except ValueError as error:
        why = str(error) if str(error).startswith(("is ", "has ")) else "is no time"
        raise TimeFault(f"{what}: {short_repr(value)} {why}") from None


def _length(given: Mapping[str, Any], clock: ReelClock) -> Fraction | None:
    if "duration" not in given:
        return None
    return _parsed(given["duration"], "duration", clock.of_lengths())


def _hits(value: Any, clock: ReelClock) -> tuple[Fraction, ...] | None:
    """Times that are separated by spaces, commas, | or (where no time code has it) ;."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        tokens = [token.strip(";") for token in re.split(r"[\s,|]+", value)]
        items: list[Any] = [part for token in tokens for part in ([token] if ":" in token else token.split(";"))]
        items = [item for item in items if item]
    else:
        items = list(value) if isinstance(value, (list, tuple)) else [value]
    times_s = [_parsed(item, "hits", clock) for item in items]
    return tuple(sorted(set(times_s)))


def _number(given: Mapping[str, Any], column: str, kind: Callable[[str], Any]) -> Any:
    if column not in given:
        return None
    value = given[column]
    text = str(value).strip().replace("−", "-")
    if column == "gain_db":
        text = re.sub(r"(?i)\s*db$", "", text).replace(",", ".")
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    try:
        if isinstance(value, bool) or not re.fullmatch(r"[+-]?(\d{1,19}(\.\d{0,12})?|\.\d{1,12})", text):
            raise ValueError
        return kind(text)
    except ValueError:
        whole = "whole number" if kind is int else "number"
        raise RowFault(f"{column.removesuffix('_db')}: {short_repr(value)} is no {whole}") from None


def _yes(value: Any) -> bool:
    text = str(value).strip().lower()
    if text not in YES + NO:
        raise RowFault(f"silent: {short_repr(value)} is neither yes nor no")
    return text in YES
