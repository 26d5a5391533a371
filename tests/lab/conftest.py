"""`lab("sweep", "--clips", 2)`: the real command of a measurement, in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from foleycli.lab.__main__ import main


@dataclass(frozen=True)
class Told:
    """What a call came to."""

    code: int
    out: str
    err: str


@pytest.fixture
def lab(capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    def call(*args: object) -> Told:
        capsys.readouterr()
        try:
            code = main([str(arg) for arg in args])
        except SystemExit as left:  # typer leaves the process when a command is done
            code = int(left.code or 0)
        told = capsys.readouterr()
        return Told(code, told.out, told.err)

    return call
