"""Counts, pace and exit codes of a batch."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from foleycli.batch import summary
from foleycli.batch.page import write_pages
from foleycli.batch.summary import Tally, duration
from foleycli.batch.work import failure
from foleycli.errors import FoleyError

FAILED = failure(1, Path("a.mp4"), FoleyError("it broke"))
DONE = replace(FAILED, status="done", length_s=10.0)


@pytest.mark.parametrize(
    ("statuses", "code"),
    [("done done", 0), ("skipped", 0), ("failed failed", 1), ("failed done", 3), ("failed skipped", 3)],
)
def test_exit_codes_are_those_of_render(statuses, code):
    tally = Tally(n_rows=len(statuses.split()))
    for status in statuses.split():
        tally.add(replace(FAILED, status=status))
    assert tally.exit_code == code


def test_time_left_goes_by_the_length_of_what_is_left(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(summary.time, "monotonic", lambda: clock[0])
    tally = Tally(n_rows=4)
    tally.add(replace(FAILED, status="skipped"))  # which says nothing about the pace
    tally.expect(10.0 + 10.0 + 400.0)
    for _ in range(2):
        tally.add(DONE)
    clock[0] += 60.0
    assert tally.pace(1) == "2 rows/min, 0.33 x real time, 20 min left"  # 400 s at a third of real time
    tally.add(FAILED)
    assert tally.pace(0) == "2 rows/min, 0.33 x real time, 1 failed"
    assert tally.summary(75.0)["time"] == "75 s"


def test_the_table_and_the_page_hold_names_that_are_no_utf8(tmp_path):
    odd = replace(FAILED, source=Path(os.fsdecode(b"n\xff.mp4")))
    assert "n\\udcff.mp4" in summary.write_table(tmp_path, [odd]).read_text(encoding="utf-8")
    assert "n\\udcff.mp4" in write_pages(tmp_path, [odd], "title", {}).read_text(encoding="utf-8")


def test_durations_are_rounded_to_what_is_of_interest():
    assert [duration(time_s) for time_s in (0.4, 89, 90, 5000, 12_000)] == [
        "0 s",
        "89 s",
        "2 min",
        "83 min",
        "3 h 20 min",
    ]
