"""The estimate of a dry run comes from what a bench measured."""

from dataclasses import astuple, replace

import pytest

from foleycli.rendering import cost as speed


def test_a_fitted_line_gives_back_what_was_measured():
    rows = [
        (steps, {"decode": 1.0, "features": 2.0, "sampler": 0.5 + 0.25 * steps, "codec": 1.0, "mux": 0.2}, 10.0)
        for steps in (4, 8, 32)
    ]
    line = speed.fit(3.0, rows, 900.0)
    expected = speed.Speed(load_s=3.0, picture=0.32, per_step=0.025, codec=0.1, memory_mb=900.0)
    assert line.take_mb is None
    assert astuple(line)[:-1] == pytest.approx(astuple(expected)[:-1])


def test_what_was_never_measured_has_no_estimate():
    assert speed.measured("salsa-v", 256, "cpu") is not None
    unknown = [("salsa-v", 256, "cuda"), ("salsa-v", 1344, "cpu"), ("mmaudio", None, "cpu"), ("vaura", 1536, "cpu")]
    assert [speed.measured(*each) for each in unknown] == [None] * 4


def test_memory_grows_with_the_takes_that_are_made_together():
    line = speed.Speed(load_s=3.0, picture=0.3, per_step=0.02, codec=0.1, memory_mb=900.0, take_mb=10.0)
    assert [speed.peak_mb(line, takes) for takes in (1, 2, 8, 9, 32)] == [900, 910, 970, 970, 970]
    unmeasured = replace(line, take_mb=None)
    assert (speed.peak_mb(unmeasured, 1), speed.peak_mb(unmeasured, 2)) == (900, None)
