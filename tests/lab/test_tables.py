"""Tables in Markdown."""

from __future__ import annotations

import json

import pytest

from foleycli.lab.tables import Column, markdown, without_nan

COLUMNS = (Column("name", "model"), Column("f1", "F1", 2), Column("level_db", "level, dB", 1, signed=True))


def test_values_are_rounded_and_missing_ones_are_dashes():
    rows = [{"name": "a", "f1": 0.126, "level_db": 0.0}, {"name": "b", "f1": float("nan"), "level_db": None}]
    assert markdown(COLUMNS, rows).splitlines() == [
        "| model | F1 | level, dB |", "| --- | --- | --- |", "| a | 0.13 | +0.0 |", "| b | – | – |",
    ]  # fmt: skip


def test_columns_without_a_value_are_left_out():
    assert markdown(COLUMNS, [{"name": "a", "f1": 1}]).splitlines()[0] == "| model | F1 |"


def test_json_has_no_nan():
    told = json.dumps(without_nan({"f1": float("nan"), "n": 2}))
    assert json.loads(told, parse_constant=pytest.fail) == {"f1": None, "n": 2}
