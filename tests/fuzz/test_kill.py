"""Signals at random moments: final names are absent, old or complete, and what a dead run left is gone after the next.

python -m pytest tests/fuzz/test_kill.py --cases 60        (moments for each command and signal)
"""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from forked import start
from vaura_parts import save_checkpoint

from foleycli.errors import FoleyError
from foleycli.hub import places
from foleycli.hub.resolve import check
from foleycli.media.probe import probe, probe_audio

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
OLD = b"what was there before"
CODES = {signal.SIGKILL: {-9}, signal.SIGTERM: {143}, signal.SIGINT: {130}}
RECIPE = """name: tiny
steps: 40
batch_size: 2
lr: 1.0e-3
save_every: 5
log_every: 5
validate_every: 1000
threads: 1
network: {width: 8, video_channels: [8, 8, 8], audio_channels: [8, 8, 8], n_mels: 16, size_px: 32}
objective: {validation_clips: 1}
data: {duration_s: 1.0, size_px: 36, pool: 2, fresh_per_step: 0}
"""


def render_args(at: Path, clip: Path) -> list[object]:
    return ["render", clip, "-o", at / "out.mp4", "--steps", 1, "--force", "--report"]


def takes_args(at: Path, clip: Path) -> list[object]:
    return ["render", clip, "-o", at / "out.mp4", "--steps", 1, "--takes", 3, "--force"]


def extend_args(at: Path, clip: Path) -> list[object]:
    return ["extend", "--ref", at / "take.wav", "-o", at / "out.wav", "--duration", 3, "--steps", 1, "--force"]


def import_args(at: Path, clip: Path) -> list[object]:
    return ["models", "import", at / "vaura.ckpt", "--family", "vaura", "--name", "mine", "--force"]


def train_args(at: Path, clip: Path) -> list[object]:
    return ["train", "sync", "--config", at / "recipe.yaml", "--out", at / "run"]


COMMANDS = {
    "render": render_args,
    "takes": takes_args,
    "extend": extend_args,
    "import": import_args,
    "train": train_args,
}


def is_complete(path: Path) -> bool:
    """Whether a file under its final name is whole, or what was there before."""
    if path.read_bytes() == OLD:
        return True
    try:
        if path.suffix == ".mp4":
            return abs(probe_audio(path)[0] - probe(path).duration_s) < 0.1
        if path.suffix == ".wav":
            return soundfile.info(path).frames == 3 * 44100
        if path.suffix == ".json":
            return bool(json.loads(path.read_text()))
        if path.suffix == ".jsonl":
            return all(json.loads(line) for line in path.read_text().splitlines()[:-1])
    except (FoleyError, ValueError, soundfile.LibsndfileError):
        return False
    return path.stat().st_size > 0


def leftovers(folder: Path) -> list[str]:
    """Temporary files and folders beside the results, and among the imported models."""
    places_ = [folder, *([places.models_folder()] if places.models_folder().exists() else [])]
    return [path.name for place in places_ for path in place.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("command", COMMANDS)
def test_signals_at_random_moments(request, loaded, clips, tmp_path, command, number):
    n_moments, rng = request.config.getoption("--cases"), np.random.default_rng(int(number))
    clip = clips("short.mp4")
    soundfile.write(tmp_path / "take.wav", rng.uniform(-0.1, 0.1, 44100), 44100)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    save_checkpoint(tmp_path / "vaura.ckpt")
    given = {path.name for path in tmp_path.iterdir()}
    args = [str(arg) for arg in COMMANDS[command](tmp_path, clip)]
    out, err = tmp_path.with_name("out"), tmp_path.with_name("err")
    began_s = time.monotonic()
    assert start(args, out, err).wait(300)[0] in (0, 1), err.read_text()  # 1: a refusal is over in no time, too
    whole_s = time.monotonic() - began_s
    for moment_s in rng.uniform(0, 1.1 * whole_s, n_moments):
        for old in tmp_path.glob("out*"):
            old.write_bytes(OLD)
        call = start(args, out, err)
        time.sleep(moment_s)
        call.kill(number)
        code, _ = call.wait(60)
        assert code in CODES[number] | {0, 1, -int(number)}, (moment_s, call.stderr)
        assert "Traceback" not in call.stderr, call.stderr
        files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in given]
        finals = [path for path in files if not any(part.startswith(".") for part in path.relative_to(tmp_path).parts)]
        broken = [path for path in finals if not is_complete(path)]
        assert not broken, (moment_s, broken)
        if (places.models_folder() / "mine").exists():
            check(places.models_folder() / "mine")  # every file is there, with its hash
        hidden = leftovers(tmp_path)
        if number != signal.SIGKILL:
            assert not hidden, (moment_s, hidden, call.stderr)
    assert start(args, out, err).wait(300)[0] in (0, 1)
    assert not leftovers(tmp_path), "a dead run's files are still there after the next"
