"""Two checkouts side by side: what is counted, and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foleycli.lab.compare_builds import BuildComparison, Cost

ROOT = Path(__file__).parents[2]


def checkout(folder: Path, code: str) -> Path:
    """A folder that looks like a checkout, whose command runs `code`."""
    (folder / "foleycli").mkdir(parents=True)
    (folder / "foleycli" / "__init__.py").touch()
    (folder / "foleycli" / "__main__.py").write_text(code)
    return folder


def test_time_in_the_process_and_in_its_children_is_counted(lab, tmp_path):
    old = checkout(tmp_path / "old", "import time; time.sleep(0.6)")
    loop = "import time\nwhile time.process_time() < 0.4: pass"
    new = checkout(tmp_path / "new", f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {loop!r}])")
    told = lab("compare-builds", old, new, "--command", "render x", "--pairs", 2, "--json")
    [measured] = [json.loads(line) for line in told.out.splitlines()]
    assert len(measured["old"]) == len(measured["new"]) == 2, "the warm-up does not count"
    assert all(cost["cpu_s"] < 0.3 and cost["wall_s"] >= 0.6 for cost in measured["old"])
    assert all(cost["cpu_s"] >= 0.4 for cost in measured["new"])
    assert measured["cpu_ratio"] > 1


def test_commands_get_a_new_path_to_write_and_variables(lab, tmp_path):
    code = "import os, sys\nassert os.environ.get('GIVEN') == '1'\nopen(sys.argv[2], 'x').close()"
    build = checkout(tmp_path, code)
    given = ("--old-env", "GIVEN=1", "--new-env", "GIVEN=1")
    told = lab("compare-builds", build, build, "--command", "render {out}.wav", "--pairs", 1, *given)
    assert told.code == 0 and "render {out}.wav" in told.out
    refused = lab("compare-builds", build, build, "--command", "render {out}.wav", "--pairs", 1)
    assert refused.code == 1 and "AssertionError" in refused.err


@pytest.mark.parametrize("option", ["--old-env", "--new-env"])
def test_refusals(lab, tmp_path, option):
    told = lab("compare-builds", ROOT, tmp_path, "--command", "--version")
    assert told.code == 2 and f"{tmp_path} is no checkout" in told.err
    told = lab("compare-builds", ROOT, ROOT, "--command", "--version", option, "GIVEN")
    assert told.code == 2 and "sets no variable" in told.err


def test_ratios_are_those_within_pairs():
    old, new = [Cost(1, 1), Cost(10, 2), Cost(2, 4)], [Cost(2, 1), Cost(5, 1), Cost(1, 1)]
    compared = BuildComparison("render", old, new)
    assert (compared.ratio("cpu_s"), compared.ratio("wall_s")) == (0.5, 0.5)
