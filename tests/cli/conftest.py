"""Clips made by the real ffmpeg, and a model folder without weights."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from foleycli.families.salsav.config import SIZES
from foleycli.media.ffmpeg import find_ffmpeg


def make(path: Path, *args: str) -> Path:
    """Run ffmpeg to make a file."""
    subprocess.run([str(find_ffmpeg()), "-loglevel", "error", "-y", *args, str(path)], check=True)
    return path


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clip.mp4 (6 s, silent), second.mp4 (2 s) and take.wav (3 s); tests copy nothing into it."""
    folder = tmp_path_factory.mktemp("made")
    picture = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25", "-pix_fmt", "yuv420p")
    make(folder / "clip.mp4", *picture, "-t", "6")
    make(folder / "second.mp4", *picture, "-t", "2")
    make(folder / "take.wav", "-f", "lavfi", "-i", "sine=frequency=300:sample_rate=44100", "-t", "3")
    (folder / "broken.mp4").write_bytes(b"this is no video" * 100)
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with a configuration alone: enough for everything before a model is loaded."""
    folder = tmp_path_factory.mktemp("model")
    network = SIZES["mini"].to_dict()
    config = {"name": "bare", "kind": "family", "family": "salsa-v", "network": network}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder
