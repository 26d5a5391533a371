"""A Hub for one test, a catalogue whose files lie there, and `foley` as a process that uses both."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import server
from offered import BIG, EYES, REPO, VAE, VOCODER, made_up

from foleycli.hub import catalog


@pytest.fixture
def hub():
    """A Hub that holds the files of `made_up`."""
    made, running = server.start()
    files = {"weights/net.pth": BIG, "weights/b.pth": BIG[::-1], "vocoder.pt": VOCODER, "eyes.bin": EYES}
    made.repos[REPO] = {**files, "small.json": b"{}"}
    made.plain["vae.pth"] = VAE
    yield made
    running.shutdown()
    running.server_close()


@pytest.fixture
def here(hub, tmp_path, monkeypatch):
    """This process as a user of that Hub, with folders of its own; returns the folder that holds both."""
    from huggingface_hub import constants

    monkeypatch.setattr(catalog, "ENTRIES", catalog.ENTRIES + made_up(hub.url))
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)  # older clients have no Xet
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("FOLEY_HOME", str(tmp_path / "foley"))
    return tmp_path


@dataclass(frozen=True)
class Told:
    """What a process came to."""

    code: int
    out: str
    err: str


RUN = """
import os, resource, signal, sys
if limit := os.environ.get("FOLEY_TEST_LIMIT"):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
sys.path[:0] = [{tests!r}]
from foleycli.hub import catalog
from offered import made_up
catalog.ENTRIES += made_up({url!r})
from foleycli.cli.app import main
main(sys.argv[1:])
"""


@pytest.fixture
def start_foley(hub, tmp_path) -> Callable[..., subprocess.Popen]:
    """`foley ARGS` as a process of its own, which knows the Hub only through its environment."""
    script = RUN.format(tests=str(Path(__file__).parent), url=hub.url)

    def begin(*args: object, **more: str) -> subprocess.Popen:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "FOLEY_"))}
        environment |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "FOLEY_HOME": str(tmp_path / "foley")}
        environment |= {"HF_HUB_DISABLE_XET": "1", **more}
        command = [sys.executable, "-c", script, *map(str, args)]
        return subprocess.Popen(
            command,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return begin


@pytest.fixture
def run_foley(start_foley) -> Callable[..., Told]:
    def run(*args: object, **more: str) -> Told:
        process = start_foley(*args, **more)
        out, err = process.communicate(timeout=120)
        return Told(process.returncode, out, err)

    return run
