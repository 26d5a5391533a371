"""`python -m pytest tests/fuzz --cases 2000`: not part of the default run, which has no --cases."""

from __future__ import annotations

import sys

import pytest

if not any(arg.split("=")[0] == "--cases" for arg in sys.argv):
    collect_ignore_glob = ["*"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cases", type=int, default=0, help="how many broken inputs to try")
    parser.addoption("--fuzz-seed", type=int, default=0, help="the seed of the first of them")
