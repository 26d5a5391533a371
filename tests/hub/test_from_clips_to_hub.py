"""From a CSV of clips to a trained model of each system, one table, and a push: the guide's commands in miniature."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from clips import run_ffmpeg
from server import TOKEN

RECIPES = Path(__file__).parents[2] / "presets" / "train"
STAGES = ["foleyflow-large-video", "foleyflow-large-audio", "foleyflow-large-align", "foleyflow-large"]
SYSTEMS = {"salsa-v": ["salsav-large"], "maskvat": ["maskvat-large"], "vaura": ["vaura-large"], "foley-flow": STAGES}
KINDS = {"bell ringing": 1800, "wood knocking": 220, "glass breaking": 3200}
FEW = ["--set", "steps=2", "--set", "validate_every=9", "--set", "save_every=9", "--set", "batch_size=2"]
# Enough to have learnt something, a third of the reduced recipes; Foley-Flow's stages before the last are left out.
MORE = ["--set", "steps=200", "--set", "validate_every=1000", "--set", "save_every=1000"]


def make_clips(folder: Path, n_clips: int) -> None:
    """Clips in which something flashes and sounds, up to sixty that differ, with their CSV: a quarter is for tests."""
    (folder / "video").mkdir()
    lines = []
    for number in range(n_clips):
        label = list(KINDS)[number % 3]
        times_s = [0.4 + 0.13 * (number % 12), 2.4 + 0.17 * (number % 5)]
        sound = "+".join(f"0.6*exp(-(t-{t:.2f})*12)*gte(t,{t:.2f})" for t in times_s)
        shown = "+".join(f"between(t,{t:.2f},{t + 0.12:.2f})" for t in times_s)
        picture = f"color=gray:s=64x48:r=25:d=5,drawbox=w=20:h=20:c=white:t=fill:enable='{shown}'"
        run_ffmpeg("-f", "lavfi", "-i", picture,
                   "-f", "lavfi", "-i", f"aevalsrc='({sound})*sin(2*PI*{KINDS[label]}*t)+0.003*random(0)':s=44100:d=5",
                   "-preset", "ultrafast", folder / "video" / f"clip{number:02d}_000000.mp4")  # fmt: skip
        lines.append(f"clip{number:02d},0,{label},{'test' if number >= n_clips * 3 // 4 else 'train'}\n")
    (folder / "clips.csv").write_text("".join(lines), encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("n_clips", [12, 60])
def test_the_guides_commands_lead_from_clips_to_the_hub(foley, here, hub, monkeypatch, n_clips):
    """With sixty the trainings are long enough for losses to fall: minutes of one core."""
    monkeypatch.chdir(here)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    is_long = n_clips == 60
    make_clips(here, n_clips)
    how = ["--duration", "5", "--size", "48", "--jobs", "1"]
    assert foley("data", "prepare", "clips.csv", "--videos", "video", "--out", "data", *how).code == 0
    assert foley("data", "curate", "data", "--sync", "-2", "--jobs", "1").code == 0
    data = ["--set", "data.shards=data", "--set", "data.kept=data/curation/kept.txt"]
    models = {}
    for system, recipes in SYSTEMS.items():
        for recipe in recipes[-1:] if is_long else recipes:
            length = MORE if is_long else FEW
            told = foley("train", system, "--config", RECIPES / f"{recipe}.yaml", "--reduced", *data, *length)
            assert told.code == 0, told.err
        models[system] = told.out.strip()
        losses = [line["loss"] for line in read_log(Path(models[system]).parent) if "loss" in line]
        assert losses[-1] < 0.8 * losses[0] if is_long else all(map(math.isfinite, losses))
    assert foley("data", "export", "data", "--split", "test", "--out", "held-out").code == 0
    held_out = sorted(Path("held-out").glob("*.mkv"))
    for system, model in models.items():
        words = ["--prompts", "held-out/words.csv"] if system != "vaura" else []  # which goes by the picture alone
        steps = [] if is_long else ["--steps", "2"]
        told = foley("render", *held_out, "--model", model, *words, *steps, "--room", "off",
                     "--name", "{stem}.wav", "--out-dir", system)  # fmt: skip
        assert told.code == 0, told.err
    told = foley("evaluate", "--benchmark", "held-out", *SYSTEMS, "--bootstrap", "20", "--out-dir", "table")
    assert told.code == 0 and [row.split("\t")[0] for row in told.out.splitlines()][0] == "figure"
    table = json.loads(Path("table/benchmark.json").read_text())
    assert table["clips"] == len(held_out) == n_clips // 4
    assert [one["name"] for one in table["systems"]] == ["real", *SYSTEMS]
    assert all({"envelope", "spectral_distance_db"} <= one["figures"].keys() for one in table["systems"][1:])
    for system, model in models.items():
        told = foley("models", "push", model, f"ada/{system}", "--license", "mit", "--benchmark",
                     "table/benchmark.json", "--system", system)  # fmt: skip
        assert told.code == 0 and re.search(f"/ada/{system}/commit/", told.out)
        card = hub.repos[f"ada/{system}"]["README.md"].decode()
        assert "spectrum dB ↓" in card and "license: mit" in card
        steps_taken = [line["step"] for line in read_log(Path(model).parent)][-1]
        assert f"| steps | {steps_taken} |" in card


def read_log(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
