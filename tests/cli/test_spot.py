"""`foley spot`: shots to the picture, events with their strength, and sheets that a render reads again."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import mido
import pytest
from clips import X264, run_ffmpeg

from foleycli.cli.spot import write_sheets
from foleycli.cues.cue import Cue, CueSheet
from foleycli.cues.files import WRITERS
from foleycli.cues.times import ReelClock
from foleycli.media.probe import probe

DEMO = Path(__file__).parents[2] / "foleycli" / "shipped" / "demo.mp4"
FILM = Fraction(24000, 1001)
CUT_FRAME = 50


@pytest.fixture(scope="module")
def reel(tmp_path_factory) -> Path:  # noqa: ANN001
    """Things that fall (the demo clip), then bars, at 23.976 from 00:59:58:00 on."""
    path = tmp_path_factory.mktemp("reel") / "reel.mov"
    shown = f"[0]fps=24000/1001,scale=160:120,setsar=1,trim=end_frame={CUT_FRAME},setpts=N/(24000/1001)/TB[a]"
    bars = "[1]setsar=1,trim=end_frame=40,setpts=N/(24000/1001)/TB[b]"
    run_ffmpeg("-i", DEMO, "-f", "lavfi", "-i", "smptebars=s=160x120:r=24000/1001:d=3", "-filter_complex",
               f"{shown};{bars};[a][b]concat=n=2", "-an", *X264, "-timecode", "00:59:58:00", path)  # fmt: skip
    return path


def test_what_spot_writes_render_reads(foley, kept_model, reel: Path, tmp_path: Path, model_name: str) -> None:
    sheets = [tmp_path / f"cues{ending}" for ending in WRITERS]
    outs = [option for sheet in sheets for option in ("-o", sheet)]
    told = foley("spot", reel, *outs, "--hits", "--model", model_name, "--device", "cpu", "--json")
    assert told.code == 0
    first, second = told.lines[0]["cues"]
    assert (first["in"], first["out"], second["out"]) == (
        "00:59:58:00",
        "01:00:00:02",
        ReelClock(FILM, "00:59:58:00").timecode_of_frame(probe(reel).n_frames),
    )
    assert len(first["events"]) >= 2 and all(0 < event["strength"] <= 1 for event in first["events"])
    for sheet in sheets:
        if sheet.suffix == ".mid":
            notes = [one for one in mido.MidiFile(str(sheet)) if one.type == "note_on"]
            assert len(notes) == len(first["events"]) + len(second["events"])
            continue
        options = ("-o", tmp_path / "a.wav", "--dry-run", "--json", "--device", "cpu")
        plan = foley("render", reel, "--cues", sheet, "--model", model_name, *options)
        assert plan.code == 0, plan.err
        cues = plan.lines[0]["cues"]
        spans = [(cue["in"], cue["out"]) for cue in cues]
        assert spans == [(first["in"], first["out"]), (second["in"], second["out"])]
        has_hits = not sheet.name.endswith((".reaper.csv", ".txt"))
        assert [cue["hits"] or 0 for cue in cues] == [len(cue["events"]) * has_hits for cue in (first, second)]
        assert plan.lines[0]["notes"] == []


def test_a_sheet_that_cannot_be_written_stops_no_other(reel: Path, tmp_path: Path) -> None:
    video = probe(reel)
    clock, outs = ReelClock.of(video), [tmp_path / "a.mid", tmp_path / "a.edl"]
    sheet = CueSheet((Cue("1", Fraction(0), Fraction(1)),))
    written, fault = write_sheets(sheet, outs, video, clock, force=False)
    assert written == outs[1:] and "00:59:58:00" in outs[1].read_text(encoding="utf-8")
    assert fault is not None and "no note to write" in fault.message and not outs[0].exists()


@pytest.mark.slow
def test_a_part_of_a_reel(foley, kept_model, reel: Path, tmp_path: Path, model_name: str) -> None:
    out = tmp_path / "a.json"
    told = foley("spot", reel, "-o", out, "--start", "00:59:59:00", "--duration", "24f", "--model", model_name)
    assert (told.code, told.out) == (0, f"{out}\n")
    sheet = json.loads(out.read_text(encoding="utf-8"))
    assert [(cue["in"], cue["out"]) for cue in sheet["cues"]] == [("00:59:59:00", "01:00:00:00")]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("-o", "a.doc"), "a.doc: .doc is no cue sheet"),
        (("-o", "none/a.csv"), "does not exist"),
        (("-o", "a.csv", "-o", "a.csv"), "would be written twice"),
        (("--start", "99"), "--start is 99"),
        (("--model", "nothing"), "unknown model"),
    ],
)
def test_what_is_wrong_is_told_before_any_work(foley, reel, tmp_path, monkeypatch, options, why) -> None:  # noqa: ANN001
    monkeypatch.chdir(tmp_path)
    told = foley("spot", reel, *options)
    assert told.code in (1, 2) and why in told.error
