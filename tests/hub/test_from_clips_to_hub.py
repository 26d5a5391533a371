"""From a CSV of clips to a trained model of each system, one table, and a push: the guide's commands in miniature."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from clips import run_ffmpeg
from server import TOKEN

RECIPES = Path(__file__).parents[2] / "presets" / "train"
SYSTEMS = {"salsa-v": ["salsav-large"], "maskvat": ["maskvat-large"], "vaura": ["vaura-large"],
           "foley-flow": ["foleyflow-large-video", "foleyflow-large-audio", "foleyflow-large-align", "foleyflow-large"],
           }  # fmt: skip
KINDS = {"bell ringing": 1800, "wood knocking": 220, "glass breaking": 3200}


@pytest.fixture
def clips_and_table(here, monkeypatch):
    """Twelve clips in which something flashes and sounds, their CSV, and the folder as the working directory."""
    monkeypatch.chdir(here)
    (here / "video").mkdir()
    lines = []
    for number in range(12):
        label = list(KINDS)[number % 3]
        times_s = [0.4 + 0.13 * number, 2.4 + 0.17 * (number % 5)]
        sound = "+".join(f"0.6*exp(-(t-{t:.2f})*12)*gte(t,{t:.2f})" for t in times_s)
        shown = "+".join(f"between(t,{t:.2f},{t + 0.12:.2f})" for t in times_s)
        picture = f"color=gray:s=64x48:r=25:d=5,drawbox=w=20:h=20:c=white:t=fill:enable='{shown}'"
        run_ffmpeg("-f", "lavfi", "-i", picture,
                   "-f", "lavfi", "-i", f"aevalsrc='({sound})*sin(2*PI*{KINDS[label]}*t)+0.003*random(0)':s=44100:d=5",
                   "-preset", "ultrafast", here / "video" / f"clip{number:02d}_000000.mp4")  # fmt: skip
        lines.append(f"clip{number:02d},0,{label},{'test' if number >= 9 else 'train'}\n")
    (here / "clips.csv").write_text("".join(lines), encoding="utf-8")


@pytest.mark.slow
def test_the_guides_commands_lead_from_clips_to_the_hub(clips_and_table, foley, here, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    how = ["--duration", "5", "--size", "48", "--jobs", "1"]
    assert foley("data", "prepare", "clips.csv", "--videos", "video", "--out", "data", *how).code == 0
    assert foley("data", "curate", "data", "--sync", "-2", "--jobs", "1").code == 0
    data = ["--set", "data.shards=data", "--set", "data.kept=data/curation/kept.txt"]
    few = ["--set", "steps=2", "--set", "validate_every=9", "--set", "save_every=9", "--set", "batch_size=2"]
    models = {}
    for system, recipes in SYSTEMS.items():
        for recipe in recipes:
            told = foley("train", system, "--config", RECIPES / f"{recipe}.yaml", "--reduced", *data, *few)
            assert told.code == 0, told.err
        models[system] = told.out.strip()
    assert foley("data", "export", "data", "--split", "test", "--out", "held-out").code == 0
    held_out = sorted(Path("held-out").glob("*.mkv"))
    for system, model in models.items():
        words = ["--prompts", "held-out/words.csv"] if system != "vaura" else []  # which goes by the picture alone
        told = foley("render", *held_out, "--model", model, *words, "--steps", "2", "--room", "off",
                     "--name", "{stem}.wav", "--out-dir", system)  # fmt: skip
        assert told.code == 0, told.err
    told = foley("evaluate", "--benchmark", "held-out", *SYSTEMS, "--bootstrap", "20", "--out-dir", "table")
    assert told.code == 0 and [row.split("\t")[0] for row in told.out.splitlines()][0] == "figure"
    table = json.loads(Path("table/benchmark.json").read_text())
    assert table["clips"] == len(held_out) == 3 and [one["name"] for one in table["systems"]] == ["real", *SYSTEMS]
    assert all({"envelope", "spectral_distance_db"} <= one["figures"].keys() for one in table["systems"][1:])
    told = foley("models", "push", models["salsa-v"], "ada/mine", "--license", "mit", "--benchmark",
                 "table/benchmark.json", "--system", "salsa-v")  # fmt: skip
    assert told.code == 0 and re.search("/ada/mine/commit/", told.out)
    card = hub.repos["ada/mine"]["README.md"].decode()
    assert "| steps | 2 |" in card and "spectrum dB ↓" in card and "license: mit" in card
