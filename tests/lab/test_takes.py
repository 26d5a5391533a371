"""The measurement of takes: what a scorer's choice gains, and the real command on a clip."""

from __future__ import annotations

import json

import numpy as np
import pytest
from clips import flash_clip

from foleycli.lab import takes
from foleycli.lab.takes import ClipTakes, Figures


def clip(name: str, onsets: list[float], scores: list[float], real: float = 0.5) -> ClipTakes:
    figures = [Figures(onsets=one, loudness=0.1, spectrum_db=-one, cosine=np.nan) for one in onsets]
    return ClipTakes(name, figures, {"judge": scores}, {"judge": real})


def test_the_gain_is_that_of_the_take_with_the_highest_score():
    clips = [
        clip("a", [0.1, 0.5, 0.3], [0, 2, 1]),
        clip("b", [0.2, 0.0, 0.4], [1, 0, 2]),
        clip("c", [0.3] * 3, [2, 1, 0]),
    ]
    row = takes.gains(clips, "judge", "onsets")
    assert row is not None
    assert (row.first, row.best) == pytest.approx((0.2, 0.4))
    assert row.gain == pytest.approx(0.2) and row.gain_error == pytest.approx(np.std([0.4, 0.2, 0], ddof=1) / 3**0.5)
    assert row.gain_over_mean == pytest.approx((0.2 + 0.2 + 0) / 3) == pytest.approx(row.possible)
    worst = takes.gains(clips, "judge", "spectrum_db")
    assert worst is not None and worst.gain == pytest.approx(-0.2) and worst.possible > 0 > worst.gain_over_mean
    assert takes.gains(clips, "judge", "cosine") is None  # no clip has one
    assert takes.gains(clips[:1], "judge", "onsets") is None  # of one clip nothing is known about the scatter


def test_how_often_the_real_sound_is_preferred():
    clips = [clip("a", [0, 0], [0.4, 0.6]), clip("b", [0, 0], [0.1, 0.2])]
    assert takes.share_of_real_preferred(clips, "judge") == 0.75


def test_the_real_command_keeps_its_takes(lab, tmp_path):
    (tmp_path / "clips").mkdir()
    for k in range(2):
        flash_clip(tmp_path / "clips" / f"{k}.mp4", duration_s=0.8, sound_s=0.8, rate=("25", "24")[k])
    call = ("takes", tmp_path / "clips", "--takes", 2, "--keep", tmp_path / "kept", "--json", "--scorer", "sync-scorer")
    told = lab(*call, "--scorer", "sync-mini")
    assert told.code == 0, told.err
    rows = [json.loads(line) for line in told.out.splitlines()]
    assert {row["figure"] for row in rows if "figure" in row} == {"loudness", "spectrum_db"}  # one onset is too few
    assert {row["scorer"] for row in rows} == {"sync-scorer", "sync-mini"}
    kept = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert kept == ["0.seed0.mp4", "0.seed1.mp4", "1.seed0.mp4", "1.seed1.mp4"]
    times = [path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()]
    assert [json.loads(line) for line in lab(*call).out.splitlines()] == [r for r in rows if r["scorer"] != "sync-mini"]
    assert times == [path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()]


def test_an_empty_folder_is_told(lab, tmp_path):
    told = lab("takes", tmp_path)
    assert told.code == 1 and "has no clip to measure on" in told.err
