"""`foley evaluate` on files made here, with the shipped model and encoder."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest
import soundfile
import torch
from clips import run_ffmpeg
from madeup import made_up_state

from foleycli.evaluation.embedders.aisfx import Aisfx

RATE_HZ = 44100
STRIKES_S = (0.5, 1.13, 1.9, 2.4, 3.31)


def strikes(times_s: tuple[float, ...], duration_s: float = 4.2) -> np.ndarray:
    """Bursts of noise that die out, mono [N]."""
    rng, sound = np.random.default_rng(0), np.zeros(round(duration_s * RATE_HZ))
    for time_s in times_s:
        first = round(time_s * RATE_HZ)
        n = min(RATE_HZ // 4, len(sound) - first)
        sound[first : first + n] += 0.3 * rng.standard_normal(n) * np.exp(-np.arange(n) / 2000)
    return sound


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """real/: hit.mp4 and drum/roll.wav, alone.wav; generated/: one in time, one half a second late."""
    root = tmp_path_factory.mktemp("evaluate")
    for folder in ("real/drum", "generated/drum"):
        (root / folder).mkdir(parents=True)
    soundfile.write(root / "real/drum/roll.wav", strikes(STRIKES_S), RATE_HZ)
    soundfile.write(root / "real/alone.wav", strikes(STRIKES_S), RATE_HZ)
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=4.2", "-i", root / "real/drum/roll.wav",
               "-shortest", root / "real/hit.mp4")  # fmt: skip
    soundfile.write(root / "generated/hit.foley.wav", 0.5 * strikes(STRIKES_S), RATE_HZ)
    late = tuple(time_s + 0.25 for time_s in STRIKES_S)
    soundfile.write(root / "generated/drum/roll.flac", strikes(late), RATE_HZ)
    return root


def test_two_folders(foley, folders):
    told = foley("evaluate", folders / "real", folders / "generated", "--json")
    assert told.code == 0
    late, in_time, summary = (json.loads(line, parse_constant=pytest.fail) for line in told.out.splitlines())
    assert [late["name"], in_time["name"]] == ["drum/roll", "hit"]
    assert in_time["f1_60ms"] == 1 and in_time["above_60ms"] > 0.5 and in_time["envelope"] > 0.95
    assert in_time["spectral_distance_db"] < 1.5  # AAC alone
    assert late["f1_100ms"] < 0.5 and late["sync"] is None and late["offset_s"] is None
    assert -1 <= in_time["sync"] <= 1 and in_time["sync"] == pytest.approx(in_time["real_sync"], abs=0.1)
    assert summary["files"] == summary["files_with_onsets"] == 2
    assert summary["means"]["f1_60ms"] == pytest.approx((late["f1_60ms"] + in_time["f1_60ms"]) / 2, abs=1e-3)
    assert summary["unpaired"] == [str(folders / "real" / "alone.wav")]
    assert "pip download aisfx" in summary["not_measured"]["fad_aisfx"] and summary["metrics"] == {}
    assert "alone.wav" in told.err


def test_table_has_a_line_a_file_and_two_of_means(foley, folders):
    told = foley("evaluate", folders / "real", folders / "generated")
    rows = [line.split("\t") for line in told.out.splitlines()]
    assert [row[0] for row in rows] == ["file", "drum/roll", "hit", "mean of 2", "mean of 2 with onsets"]
    assert {len(row) for row in rows} == {12}
    assert told.err.count("not measured") == 1 and "fad_aisfx, fad_vggish, fd_panns" in told.err
    assert "favours their sound" in told.err


def test_no_means_over_no_files(foley, tmp_path):
    for folder in ("real", "generated"):
        (tmp_path / folder).mkdir()
        soundfile.write(tmp_path / folder / "a.wav", np.zeros(RATE_HZ), RATE_HZ)
    told = foley("evaluate", tmp_path / "real", tmp_path / "generated")
    assert [line.split("\t")[0] for line in told.out.splitlines()] == ["file", "a", "mean of 1"]


def test_a_terminal_of_80_columns_gets_two_tables_with_whole_words(foley, folders, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", foley("evaluate", folders / "real", folders / "generated").out).splitlines()
    assert max(map(len, lines)) <= 80
    names = [" ".join(line.split()[:3]) for line in lines]
    assert names.count("mean of 2") == 4
    for word in ("onsets/s", "correlation", "spectrum", "drum/roll"):
        assert any(word in line.split() for line in lines)


def test_aisfx_hears_the_set_and_names_it(foley, folders, tmp_path, monkeypatch):
    """With made-up weights: a sound is nearest to itself all the same."""
    monkeypatch.setenv("FOLEY_HOME", str(tmp_path))
    shapes = {key: value.shape for key, value in Aisfx().state_dict().items()}
    state = {f"embedding_net.{key}": value for key, value in made_up_state(shapes, prefix="aisfx.").items()}
    (tmp_path / "metrics").mkdir()
    torch.save(state, tmp_path / "metrics" / "aisfx.pth")
    for label, sound in {"drum": strikes(STRIKES_S), "tone": np.sin(np.arange(2 * RATE_HZ) / 9)}.items():
        (tmp_path / "labels" / label).mkdir(parents=True)
        soundfile.write(tmp_path / "labels" / label / "one.wav", sound, RATE_HZ)
    summary = foley(
        "evaluate", folders / "real", folders / "generated", "--labels", tmp_path / "labels", "--json"
    ).lines[-1]
    measured = summary["metrics"]
    assert 0 < measured["fad_aisfx"] < 100
    assert (measured["labelled_files"], measured["label_accuracy_aisfx_of_real"]) == (1, 1)  # drum/roll
    assert measured["label_accuracy_aisfx"] in (0, 1)
    assert not {"fad_aisfx", "label_accuracy_aisfx"} & summary["not_measured"].keys()


def test_a_model_on_clips_and_a_broken_one_among_them(foley, kept_model, model_name, folders, tmp_path):
    clip, broken, prompts = folders / "real/hit.mp4", tmp_path / "broken.mp4", tmp_path / "prompts.yaml"
    broken.write_bytes(b"no video" * 100)
    prompts.write_text("hit: glass breaking\n", encoding="utf-8")
    told = foley("evaluate", "--model", model_name, clip, broken, "--steps", "1", "--device", "cpu",
                 "--prompts", prompts, "--out-dir", tmp_path / "kept", "--json")  # fmt: skip
    assert told.code == 3
    failed, row, summary = told.lines
    assert failed["input"] == str(broken) and "broken.mp4" in told.err
    assert row["prompt"] == "glass breaking" and row["duration_s"] == pytest.approx(4.2, abs=0.1)
    assert (summary["files"], summary["failed"], summary["model"]) == (1, 1, model_name)
    generated = soundfile.info(tmp_path / "kept" / "hit.foley.wav")
    assert generated.duration == pytest.approx(4.2, abs=0.05)
    again = foley("evaluate", folders / "real", tmp_path / "kept", "--json").lines
    assert [again[0][key] for key in ("f1_60ms", "envelope", "sync")] == [
        row[key] for key in ("f1_60ms", "envelope", "sync")
    ]


@pytest.mark.parametrize(
    ("args", "code", "named"),
    [
        (("{real}",), 2, "1 paths are given"),
        (("{real}", "nowhere"), 1, "nowhere does not exist"),
        (("{real}", "{generated}", "--steps", "4"), 2, "--steps is for rendering"),
        (("{real}", "{generated}", "--ride", "0"), 2, "--ride is for rendering"),
        (("{real}", "{generated}", "--prompts", "x"), 2, "--prompts is for rendering"),
        (("{real}", "{generated}", "--aisfx", "gone.whl"), 1, "gone.whl"),
        (("{real}", "{generated}", "--labels", "{real}"), 2, "--labels needs aisfx"),
        (("--model", "nothing-like-it", "{real}/hit.mp4"), 1, "unknown model"),
        (("--model", "salsav-mini", "{real}/alone.wav"), 1, "no video stream"),
        (("--model", "salsav-mini", "{real}/hit.mp4", "{generated}/hit.mp4"), 2, "two clips are called hit"),
        (("--model", "salsav-mini", "{real}/hit.mp4", "--prompts", "gone.yaml"), 1, "gone.yaml does not exist"),
        (("--model", "salsav-mini", "{real}/hit.mp4", "--out-dir", "{real}/hit.mp4"), 2, "cannot be made"),
    ],
)
def test_bad_input_is_refused_before_a_model_is_loaded(foley, folders, monkeypatch, args, code, named):
    def load(*_, **__):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("foleycli.models.model.load_model", load)
    monkeypatch.setattr("foleycli.evaluation.evaluate.load_extractor", load)
    told = foley("evaluate", *(arg.format(real=folders / "real", generated=folders / "generated") for arg in args))
    assert told.code == code
    assert named in told.error
    assert told.out == ""


def test_a_clip_without_sound_has_nothing_to_be_compared_with(foley, made, model):
    told = foley("evaluate", "--model", model, made / "clip.mp4")
    assert told.code == 1 and "has no sound" in told.error
