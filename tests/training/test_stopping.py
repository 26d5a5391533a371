"""A training in a process of its own is stopped by a signal and goes on: exit codes, what is said, what is left."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

NETWORK = {"width": 16, "n_encoder": 1, "n_decoder": 1, "n_codebooks": 2, "codebook_size": 32, "phase_rounds": 2}


@pytest.fixture
def command(tmp_path) -> list[str]:
    """`foley train mel-codec` that would go on for a day, but for --set steps=N."""
    for name in "abc":
        path = tmp_path / "sounds" / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(22050), 44100)
    data = {"sounds": str(tmp_path / "sounds"), "crop_steps": 8, "first": 3, "pool": 6, "fresh_per_step": 1}
    recipe = {"name": "stopped", "steps": 10**7, "batch_size": 2, "lr": 1e-3, "log_every": 1, "save_every": 10**6,
              "validate_every": 10**6, "threads": 1, "network": NETWORK, "data": data}  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    arguments = ["train", "mel-codec", "--config", tmp_path / "recipe.yaml", "--out", tmp_path / "run"]
    return [sys.executable, "-m", "foleycli", *map(str, arguments), "--device", "cpu"]


def wait_for_steps(out: Path, process: subprocess.Popen, n: int) -> None:
    until = time.monotonic() + 240
    while time.monotonic() < until and process.poll() is None:
        log = out / "log.jsonl"
        if log.is_file() and len(log.read_text().splitlines()) >= n:
            return
        time.sleep(0.05)
    raise AssertionError(f"the training came to no step {n}: {process.poll()}")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_says_so_and_the_training_goes_on(command, tmp_path, number, code):
    out = tmp_path / "run"
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        wait_for_steps(out, process, 3)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code
    assert "stopped after step" in err and "--resume" in err and "Traceback" not in err
    assert sorted(path.name for path in out.iterdir()) == ["last.pt", "log.jsonl"]
    if number == signal.SIGINT:
        return
    last = json.loads((out / "log.jsonl").read_text().splitlines()[-1])["step"]
    resumed = subprocess.run(
        [*command, "--resume", "--set", f"steps={last + 2}"], capture_output=True, text=True, timeout=240
    )
    assert resumed.returncode == 0, resumed.stderr
    steps = [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert steps == [*range(1, last + 3), last + 2]  # each once; the last line is the validation's
    assert (out / "model" / "model.safetensors").is_file()


def test_a_killed_training_leaves_no_checkpoint_or_a_whole_one(command, tmp_path):
    out = tmp_path / "run"
    saving = [*command, "--set", "save_every=1"]
    for seed in range(3):
        process = subprocess.Popen([*saving, *["--resume"] * bool(seed)], stderr=subprocess.PIPE, text=True)
        wait_for_steps(out, process, 3 * seed + 2)
        time.sleep(0.07 * seed)
        process.kill()
        process.communicate()
    resumed = subprocess.run([*saving, "--resume", "--set", "steps=2"], capture_output=True, text=True, timeout=240)
    assert resumed.returncode == 0, resumed.stderr
    assert sorted(path.name for path in out.iterdir()) == ["last.pt", "log.jsonl", "model"]
