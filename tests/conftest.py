"""Fixtures that every test folder shares.

The command runs in the test's own process with its model kept between calls; FOLEY_TEST_MODEL=FOLDER runs
everything on another model than the shipped one.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest
from clips import Clips

from foleycli.cli.app import main
from foleycli.hub.catalog import DEFAULT_MODEL
from foleycli.hub.resolve import resolve

if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as processors: one thread each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

hypothesis.settings.register_profile("steady", deadline=None, derandomize=True)
hypothesis.settings.load_profile("steady")  # busy machines are slow, and CI must not fail by chance


@pytest.fixture(scope="session", autouse=True)
def _a_home_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOLEY_HOME", str(tmp_path_factory.mktemp("foley_home")))
        yield


@pytest.fixture(autouse=True)
def _the_same_random_numbers_in_every_run() -> None:
    import torch  # after OMP_NUM_THREADS is set

    torch.manual_seed(0)


@dataclass(frozen=True)
class Told:
    """What a call of the command came to."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict]:
        """stdout as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> str:
        """The two lines of an error, checked to be two."""
        first, second = self.err.splitlines()
        assert first.startswith("error: ") and second.startswith("hint: ")
        return first + "\n" + second


@pytest.fixture
def foley(capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """`foley("render", clip, "-o", out)`: the real command, in this process."""

    def call(*args: object) -> Told:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(arg) for arg in args])
        told = capsys.readouterr()
        return Told(left.value.code, told.out, told.err)

    return call


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """`clips("portrait.mp4")`: the path of a clip made in this session; see tests/clips.py."""
    return Clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="session")
def model_name() -> str:
    """The model that tests of the whole path run: the shipped one."""
    return os.environ.get("FOLEY_TEST_MODEL", DEFAULT_MODEL)


@pytest.fixture(scope="session")
def kept_model(model_name: str):  # noqa: ANN201
    """The model, loaded once: every later call of the command in this process gets the same one."""
    from foleycli.models import model as models

    load = models.load_model
    models.load_model = functools.cache(load)
    yield models.load_model(Path(resolve(model_name)), "cpu", "auto")
    models.load_model = load


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    except OSError:
        pytest.skip("needs mount")
    if done.returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", folder], check=True)
