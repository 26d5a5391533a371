"""The command as a process of its own: what its terminal shows, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from clips import run_ffmpeg


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "foleycli", *map(str, args)]


def test_a_terminal_sees_results_progress_and_no_warnings(clips, model_name, tmp_path):
    args = ("render", clips("short.mp4"), "-o", tmp_path / "out.mp4", "--model", model_name, "--steps", "1")
    told = subprocess.run(command(*args), capture_output=True, text=True, timeout=600)
    assert (told.returncode, told.stdout) == (0, f"{tmp_path / 'out.mp4'}\n")
    stages = [line.partition(":")[0] for line in told.stderr.splitlines()]
    assert stages[:4] == ["load", "features", "sampler", "codec"]
    assert "Warning" not in told.stderr


def _hear_ctrl_c() -> None:
    """Shells start background jobs deaf to it, and a test run may be one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_leaves_nothing_half_written(clips, model_name, tmp_path):
    source, folder = tmp_path / "long.mp4", tmp_path / "out"
    folder.mkdir()
    run_ffmpeg("-stream_loop", 40, "-i", clips("silent.mp4"), "-c", "copy", source)
    (folder / "out.mp4").write_bytes(b"mine")
    args = ("render", source, "-o", folder / "out.mp4", "--force", "--model", model_name, "--steps", "64")
    child = subprocess.Popen(
        command(*args), stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=_hear_ctrl_c
    )
    _wait_for(child, "load: done")
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to ffmpeg as well
    said = child.communicate(timeout=600)[1]
    assert child.returncode == 130
    assert "interrupted" in said and "Traceback" not in said
    assert [path.name for path in folder.iterdir()] == ["out.mp4"]
    assert (folder / "out.mp4").read_bytes() == b"mine"


def _wait_for(child: subprocess.Popen, words: str) -> None:
    for line in child.stderr:
        if words in line:
            return
    raise AssertionError(f"the command ended before it said {words!r}: {child.wait()}")


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_while_writing_leaves_nothing_half_written(clips, model_name, tmp_path):
    """The sound is decoded and a temporary file lies beside the output: it goes too."""
    out = tmp_path / "out.wav"
    code = (
        "import os, signal, sys\n"
        "from foleycli.media import finish\n"
        "write = finish._write\n"
        "def interrupted(*args):\n"
        "    write(*args)\n"
        "    assert len(os.listdir(sys.argv[1])) == 2\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "finish._write = interrupted\n"
        "from foleycli.cli.app import main\n"
        "main(sys.argv[2:])"
    )
    args = ("render", clips("short.mp4"), "-o", out, "--model", model_name, "--steps", "1")
    called = [sys.executable, "-c", code, str(tmp_path), *map(str, args)]
    told = subprocess.run(called, capture_output=True, text=True, preexec_fn=_hear_ctrl_c)
    assert told.returncode == 130, told.stderr
    assert list(tmp_path.iterdir()) == []
