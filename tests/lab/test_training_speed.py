"""The script for a GPU, in miniature on the CPU: steps are timed, a training follows, the figures are kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foleycli.lab.__main__ import main
from foleycli.lab.training_speed import peak_tflops
from foleycli.settings import preset

RECIPES = preset.folder() / "train"


def test_steps_are_timed_and_a_training_follows(tmp_path, capsys):
    network = ["network.width=16", "network.n_heads=2", "network.n_joint=1", "network.n_single=1",
               "network.window_steps=43"]  # fmt: skip
    lines = [f"--set={line}" for line in (*network, "batch_size=2")]
    data = [
        "data.clips={duration_s: 1.0}",
        "data.sounds_per_clip=1",
        "data.first=2",
        "data.fresh_per_step=0",
        "data.validation_clips=1",
        f"data.cache={tmp_path / 'examples'}",
        "batch_size=2",
        "log_every=1",
    ]
    then = [f"--then-set={line}" for line in (*network, *data)]
    args = ["training-speed", "--config", str(RECIPES / "salsav-large.yaml"), "--reduced", "--seconds", "0.2", *lines]
    args += ["--then", str(RECIPES / "salsav-mini.yaml"), "--minutes", "0.003", *then, "--device", "cpu"]
    with pytest.raises(SystemExit) as left:
        main([*args, "--out", str(tmp_path / "out")])
    assert left.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((tmp_path / "out" / "training-speed.json").read_text())
    assert told["clips_per_s"] > 0 and told["steps"] >= 1 and told["clips_at_once"] == 2
    assert told["tflops"] == pytest.approx(told["clips_per_s"] * told["tflop_per_clip"])
    assert told["trained"]["steps"] >= 1 and Path(told["trained"]["model"], "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("name", "peak"),
    [("NVIDIA H100 80GB HBM3", 989), ("NVIDIA H100 PCIe", 756), ("NVIDIA A100-SXM4-80GB", 312), ("Tesla T4", None)],
)
def test_a_gpu_is_known_by_what_it_calls_itself(name, peak):
    assert peak_tflops(name) == peak
