"""--compile: the same sound from a compiled network, and a clear error where nothing can be compiled."""

import os
import shutil
import subprocess
import sys

import pytest
import soundfile
import torch
from mmaudio_parts import write_miniature
from vaura_parts import NETWORK

from foleycli.errors import FoleyError
from foleycli.families.vaura.family import VAuraFamily
from foleycli.families.vaura.network import VAura
from foleycli.models.compile import compile_network


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="compiles C++")
def test_a_compiled_network_makes_the_same_sound(foley, clips, tmp_path):
    folder = write_miniature(tmp_path / "models")
    heard = []
    for name, options in (("plain", ()), ("compiled", ("--compile",))):
        out = tmp_path / f"{name}.wav"
        told = foley("render", clips("short.mp4"), "-o", out, "--model", folder, "--device", "cpu", "--steps", "2",
                     *options)  # fmt: skip
        assert told.code == 0, told.err
        heard.append(soundfile.read(out)[0])
    assert abs(heard[0] - heard[1]).max() < 1e-3 < heard[0].std()


@pytest.mark.slow
def test_a_missing_compiler_is_told(clips, tmp_path):
    """In a process of its own: torch finds its compiler once."""
    folder = write_miniature(tmp_path / "models")
    env = {**os.environ, "CXX": "/nowhere/g++", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    call = [sys.executable, "-m", "foleycli", "render", str(clips("short.mp4")), "-o", str(tmp_path / "out.wav"),
            "--model", str(folder), "--device", "cpu", "--compile"]  # fmt: skip
    told = subprocess.run(call, env=env, capture_output=True, text=True)
    assert told.returncode == 1
    first, second = [line for line in told.stderr.splitlines() if line.startswith(("error: ", "hint: "))]
    assert "torch cannot compile here" in first and "C++ compiler" in second


def test_families_that_go_token_by_token_are_refused():
    from foleycli.models.model import Model

    family = VAuraFamily(VAura(NETWORK))
    cpu = torch.device("cpu")
    model = Model("vaura", "", family, None, None, None, None, cpu, torch.float32)  # only the family is asked
    with pytest.raises(FoleyError, match="token by token"):
        compile_network(model)
