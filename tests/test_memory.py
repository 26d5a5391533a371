"""Peak memory of a long video against a short one, through the real command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from clips import flash_clip, run_ffmpeg

MEASURED = (
    "import resource, sys\n"
    "from foleycli.cli.app import main\n"
    "try: main(sys.argv[1:])\n"
    "except SystemExit as left: assert not left.code\n"
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)"
)


def looped(folder: Path, minutes: int) -> Path:
    """A 720p video of so many minutes: 4 s of picture, repeated by stream copy."""
    source, out = folder / "source.mp4", folder / f"{minutes}min.mp4"
    if not source.exists():
        flash_clip(source, duration_s=4.0, size="1280x720")
    run_ffmpeg("-stream_loop", 15 * minutes - 1, "-i", source, "-c", "copy", out)
    return out


def peak_mb(video: Path, *options: str) -> float:
    """The most memory that a render of the whole video takes."""
    args = [sys.executable, "-c", MEASURED, "render", video, "-o", video.with_suffix(".wav"), "--steps", "1", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    told = subprocess.run(list(map(str, args)), capture_output=True, text=True, env=environment)
    assert told.returncode == 0, told.stderr
    return float(told.stdout.splitlines()[-1])


@pytest.mark.slow
def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    short_mb, long_mb = peak_mb(looped(tmp_path, 1)), peak_mb(looped(tmp_path, 30))
    assert long_mb < 1.3 * short_mb
