"""The figures of a card from the shipped model on a few held-out clips, by the command itself."""

from __future__ import annotations

import json

import numpy as np
import pytest

from foleycli.lab import held_out
from foleycli.lab.figures import read_metrics
from foleycli.lab.tables import markdown

SUMMARY = held_out.Summary(
    model="a", clips=2, steps=1, guidance=4.0, f1_60ms=0.834, f1_60ms_shifted=0.123, f1_60ms_encoder=0.8,
    onsets_per_s_without_events=float("nan"), envelope_correlation=0.5, prompt_distance_db=15.44,
    seed_distance_db=3.36, distance_to_reference_db=4.0, distance_without_reference_db=11.0, f1_by_scene={},
)  # fmt: skip


def test_every_figure_is_printed_once(lab):
    """One step and two clips: what is measured is the command, not the model."""
    told = lab("held_out", "--clips", 2, "--steps", 1, "--by-scene", "--json", "--device", "cpu")
    assert told.code == 0, told.err
    rows = [json.loads(line, parse_constant=pytest.fail) for line in told.out.splitlines()]
    values = {row["figure"]: row["value"] for row in rows}
    assert len(values) == len(rows) > 6
    assert -1 <= values["correlation of the loudness envelope"] <= 1
    known = read_metrics("salsav-mini")["held_out"].rows
    assert {row["figure"] for row in known} <= values.keys()  # what `figures` would put into the card


def test_figures_stand_beside_their_controls():
    lines = markdown(held_out.COLUMNS, held_out.rows_of(SUMMARY)).splitlines()
    assert lines[2] == "| onset F1 at ±60 ms | 0.83 |  | 0.12 | the same onsets shifted |"
    assert "| spectral distance of two prompts | 15.4 | dB | 3.4 | two seeds of one prompt |" in lines
    assert "| onsets in clips without events | – | per second |  |  |" in lines


def test_mean_is_of_numbers_alone():
    assert held_out.mean([1.0, float("nan"), 3.0]) == 2.0
    assert np.isnan(held_out.mean([float("nan")])) and np.isnan(held_out.mean([]))
