"""`foley render --cues`: what will be heard is told before, what is wrong is refused before a model is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

DEMO = Path(__file__).parents[2] / "foleycli" / "shipped" / "demo.mp4"  # 7 s at 25 pictures a second
SHEET = """number,in,out,prompt,takes,hits,silent,wetness,notes,gain,track
1,1.0,3,boots on gravel,,1.2 31f 00:00:02:00,,,,,FEET
2,2.5,00:00:05:00,dog bark,2,,,much,soft,-3,
3,125f,6.5,,,,yes,,,,
"""


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    path = tmp_path / "cues.csv"
    path.write_text(SHEET, encoding="utf-8")
    return path


def test_the_dry_run_shows_every_cue(foley, sheet: Path, tmp_path: Path) -> None:
    told = foley("render", DEMO, "--cues", sheet, "-o", tmp_path / "a.mp4", "--dry-run", "--json", "--device", "cpu")
    assert told.code == 0
    cues = told.lines[0]["cues"]
    assert [(one["number"], one["in"], one["out"], one["takes"], one["hits"]) for one in cues] == [
        ("1", "00:00:01:00", "00:00:03:00", 1, 3),
        ("2", "00:00:02:13", "00:00:05:00", 2, None),
        ("3", "00:00:05:00", "00:00:06:13", 1, None),
    ]
    assert "recordings of dog bark" in cues[1]["heard"] and cues[2]["heard"] == "silence"
    assert [(one["notes"], one["gain_db"], one["track"]) for one in cues] == [
        ("", 0, "FEET"),
        ("soft", -3, ""),
        ("", 0, ""),
    ]
    assert any("'wetness' is not known" in note for note in told.lines[0]["notes"])
    text = foley("render", DEMO, "--cues", sheet, "-o", tmp_path / "a.mp4", "--dry-run", "--device", "cpu").out
    assert "00:00:05:00 to 00:00:06:13  silence" in text


@pytest.mark.slow
def test_a_sheet_becomes_a_file_and_a_report(foley, kept_model, sheet: Path, tmp_path: Path, model_name: str) -> None:
    out = tmp_path / "a.wav"
    options = ("--steps", "1", "--device", "cpu", "--model", model_name, "--between", "silence", "--report", "--json")
    told = foley("render", DEMO, "--cues", sheet, "-o", out, *options)
    assert (told.code, told.lines[0]["output"]) == (0, str(out))
    assert any("it has recordings of" in note for note in told.lines[0]["notes"])
    report = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    assert [one["number"] for one in report["cues"]] == ["1", "2", "3"]
    assert report["cues"][0]["hits_s"] == ["6/5", "31/25", "2"] and len(report["cues"][1]["seeds"]) == 2


@pytest.mark.parametrize(
    ("row", "options", "why"),
    [
        ("1,2,1,,,,,", (), "row 5, ends at"),
        ("4,1,2,,,,,", ("--pick", "best", "--takes", "2"), "--pick is given beside --cues"),
        ("4,1,2,,,,,", ("--prompts", "x.csv"), "--cues and --prompts"),
        ("4,1,2,,,,,", (DEMO,), "--cues is of one reel, but 2 videos"),
        ("4,1,2,,,,,", ("--start", "6.6"), "no cue of the sheet lies in the part"),
        ("4,1,2,,,,,", ("--start", "01:00:00:00"), "--start is 3600"),
        ("4,1,2,,,,,", ("--start", "00:00:01;00"), "is drop-frame, which there is not at 25"),
        ("4,1,2,,,,,", ("--duration", "0f"), "--duration is 0"),
    ],
)
def test_what_is_wrong_is_told_before_any_work(foley, sheet: Path, tmp_path: Path, row, options, why) -> None:  # noqa: ANN001
    sheet.write_text(f"{SHEET}{row}\n", encoding="utf-8")
    told = foley("render", DEMO, "--cues", sheet, "-o", tmp_path / "a.wav", "--model", "salsav-mini", *options)
    assert told.code in (1, 2) and why in told.error


def test_columns_that_name_what_is_not_there(foley, tmp_path: Path) -> None:
    for column, value, why in (
        ("preset", "nothing", "cue 1: unknown preset"),
        ("model", "nothing", "cue 1: unknown model"),
        ("reference", "no.wav", "no.wav"),
    ):
        (tmp_path / "a.csv").write_text(f"in,out,{column}\n1,2,{value}\n", encoding="utf-8")
        told = foley("render", DEMO, "--cues", tmp_path / "a.csv", "-o", tmp_path / "a.wav")
        assert told.code in (1, 2) and why in told.error


def test_between_needs_cues(foley, tmp_path: Path) -> None:
    assert "Add --cues" in foley("render", DEMO, "-o", tmp_path / "a.wav", "--between", "room").error


@pytest.mark.parametrize(("sample", "words"), [(np.nan, "not finite"), (np.inf, "not finite"), (0.0, "is silent")])
def test_a_reference_that_is_no_sound_is_refused_before_a_model_is_loaded(
    foley, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: float, words: str
) -> None:
    monkeypatch.setattr("foleycli.batch.work.load", lambda *_: pytest.fail("a model is loaded"))
    soundfile.write(tmp_path / "ref.wav", np.full(48000, sample, np.float32), 48000, "FLOAT")
    (tmp_path / "a.csv").write_text("in,out,reference\n1,2,ref.wav\n", encoding="utf-8")
    for options in (("--cues", tmp_path / "a.csv"), ("--ref", tmp_path / "ref.wav")):
        told = foley("render", DEMO, *options, "-o", tmp_path / "a.wav")
        assert told.code == 1 and "ref.wav" in told.error and words in told.error


def test_room_for_stems_on_another_disk_is_asked_for(foley, sheet: Path, tmp_path: Path, tiny_disk: Path) -> None:
    options = ("--cues", sheet, "--stems", tiny_disk / "stems", "--model", "salsav-mini", "--takes", "3")
    told = foley("render", DEMO, "-o", tmp_path / "a.wav", *options)
    assert told.code == 1 and "stems has 1.0 MB of free space, about 2." in told.error
