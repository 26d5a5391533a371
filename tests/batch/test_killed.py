"""A batch that is killed twice on the way and finished by calling it again."""

from __future__ import annotations

import csv
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from clips import flash_clip

from foleycli.batch.record import FOLDER
from foleycli.media.probe import probe, probe_audio

N_ROWS = 200
PROMPTS = ("glass breaking", "footsteps on gravel", "door slam", "rain", "dog barking", "metal hit", "wood knock", "")


def done(out: Path) -> dict[str, int]:
    """How often each row that is done was made, by the name of its record."""
    said = {path.name: json.loads(path.read_text()) for path in (out / FOLDER).glob("*.json")}
    return {name: one["n_made"] for name, one in said.items() if one["state"] == "done"}


def children(pid: int) -> list[int]:
    """A file descriptor for each process that another has started: it can be read when that process has ended."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    found = []
    for child in map(int, listed.split()):
        with suppress(ProcessLookupError):
            found.append(os.pidfd_open(child))
    return found


def has_ended(process: int) -> bool:
    """Whether a process, given by its file descriptor, ends within the time in which even a busy machine ends it."""
    ended, _, _ = select.select([process], [], [], 60)
    os.close(process)
    return bool(ended)


@pytest.mark.slow
def test_two_hundred_clips_are_finished_after_two_kills(tmp_path):
    with (tmp_path / "m.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "prompt", "seed"))
        for k in range(N_ROWS):
            clip = flash_clip(
                tmp_path / f"{k:03}.mp4", rate=("25", "30", "24000/1001")[k % 3], duration_s=0.5 + k % 5 / 10
            )
            writer.writerow((clip.name, PROMPTS[k % len(PROMPTS)], k))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "foleycli", "batch", tmp_path / "m.csv", "--out-dir", out, "--steps", "2"]
    made: dict[str, int] = {}
    for share in (0.3, 0.7):
        call = subprocess.Popen([*command, "--jobs", "2", "--quiet"], start_new_session=True, stdout=subprocess.DEVNULL)
        while len(done(out)) < share * N_ROWS:
            assert call.poll() is None
            time.sleep(0.2)
        workers = children(call.pid)
        call.send_signal(signal.SIGKILL)
        call.wait()
        assert workers and all(map(has_ended, workers)), "no worker outlives the call"
        before, made = made, done(out)
        assert before.items() <= made.items() and len(made) < N_ROWS, "what was done stays as it is"
    told = subprocess.run([*command, "--json", "--jobs", "2"], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    rows = [json.loads(line) for line in told.stdout.splitlines()]
    assert len(rows) == N_ROWS and sum(row["status"] == "skipped" for row in rows) == len(made)
    assert set(done(out).values()) == {1} and len(done(out)) == N_ROWS, "no row was made twice"
    for k in range(N_ROWS):
        result = out / f"{k:03}.foley.mp4"
        assert abs(probe_audio(result)[0] - probe(result).duration_s) < 0.1
    names = {path.name for path in out.iterdir() if path.name.startswith(".")}
    assert names == {FOLDER}, "nothing half-written is left"
    assert not [path for path in (out / FOLDER).iterdir() if path.suffix in (".part", ".lock")]
