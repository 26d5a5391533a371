"""`python -m foleycli.lab`: the list of measurements, and refusals in two lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from foleycli import lab as room
from foleycli.lab.__main__ import MEASUREMENTS

HELPERS = {"__init__", "__main__", "mmaudio_part", "tables", "yamnet"}


def test_every_module_of_the_room_is_listed(lab):
    modules = {path.stem for path in Path(room.__file__).parent.glob("*.py")} - HELPERS
    assert modules == MEASUREMENTS.keys()
    told = lab("--help")
    assert told.code == 0 and all(f"\n  {name} " in told.out for name in MEASUREMENTS)


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_every_measurement_has_help(lab, name):
    told = lab(name.replace("_", "-"), "-h")
    assert told.code == 0 and "--help" in told.out


@pytest.mark.parametrize(
    ("args", "code", "error"),
    [
        (("sweeep",), 2, "error: there is no measurement 'sweeep'\nhint: Did you mean sweep?\n"),
        (("seams", "gone.mp4"), 1, "error: gone.mp4 does not exist"),
        (("encoder", "gone.mp4"), 1, "error: gone.mp4 does not exist"),
    ],
)
def test_refusals_are_two_lines(lab, args, code, error):
    told = lab(*args)
    assert told.code == code and told.out == ""
    assert told.err.startswith(error) and len(told.err.splitlines()) == 2
