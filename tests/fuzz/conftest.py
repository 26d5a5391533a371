"""`python -m pytest tests/fuzz --cases 2000`: not part of the default run, which has no --cases."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

import pytest

if not any(arg.split("=")[0] == "--cases" for arg in sys.argv):
    collect_ignore_glob = ["*"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cases", type=int, default=0, help="how many broken inputs to try")
    parser.addoption("--fuzz-seed", type=int, default=0, help="the seed of the first of them")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Everything imported and the default model kept, before the first fork."""
    import torch

    import foleycli.evaluation.evaluate
    import foleycli.rendering.extend
    import foleycli.report.files  # noqa: F401
    from foleycli.hub.resolve import resolve
    from foleycli.models import model as models

    torch.set_num_threads(1)  # threads do not live through a fork
    os.environ["FOLEY_HOME"] = str(tmp_path_factory.mktemp("home"))
    load = functools.cache(models.load_model)
    load(Path(resolve("salsav-mini")), "auto", "auto")
    original, models.load_model = models.load_model, load
    yield
    models.load_model = original
