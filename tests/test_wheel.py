"""What is built to be installed: all that ships is in it, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_BYTES = 95e6


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    [built] = folder.glob("*.whl")
    return built


def test_everything_that_ships_is_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    package = {p.relative_to(ROOT).as_posix() for p in (ROOT / "foleycli").rglob("*") if p.is_file()}
    package = {name for name in package if "__pycache__" not in name and not name.split("/")[-1].startswith(".")}
    presets = {f"foleycli/{p.relative_to(ROOT).as_posix()}" for p in (ROOT / "presets").rglob("*.yaml")}
    assert sum(name.endswith("model.safetensors") for name in package) >= 6 and len(presets) > 20
    assert package | presets <= names
    assert {"foleycli/py.typed", "foleycli/guide/architecture.md", "foleycli/shipped/demo.mp4"} <= names


def test_the_wheel_is_small_and_holds_the_package_alone(wheel):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"foleycli"}
    assert wheel.stat().st_size < MOST_BYTES
