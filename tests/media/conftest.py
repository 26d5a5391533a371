"""Every test of this folder runs with each ffmpeg at hand: imageio-ffmpeg's, and the one on PATH where there is one."""

from __future__ import annotations

import shutil

import imageio_ffmpeg
import pytest

FFMPEGS = {"carried": imageio_ffmpeg.get_ffmpeg_exe(), "system": shutil.which("ffmpeg")}


@pytest.fixture(autouse=True, params=[name for name, binary in FFMPEGS.items() if binary])
def ffmpeg_binary(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The ffmpeg that the package finds during the test."""
    binary = FFMPEGS[request.param]
    assert binary is not None
    monkeypatch.setenv("FOLEY_FFMPEG", binary)
    return binary
