"""Many inputs in one call: prompts by file, names by pattern, folders mirrored, and going on after an interruption."""

from __future__ import annotations

import json
import shutil

import pytest
import soundfile


@pytest.fixture
def shots(clips, tmp_path):
    """Two scenes with a shot of one name."""
    for scene in ("a", "b"):
        (tmp_path / "shots" / scene).mkdir(parents=True)
        shutil.copy(clips("short.mp4"), tmp_path / "shots" / scene / "one.mp4")
    return tmp_path / "shots"


def test_a_folder_becomes_a_folder_of_sounds_with_their_own_prompts(render, shots, tmp_path):
    (tmp_path / "p.csv").write_text(f"{shots / 'a' / 'one.mp4'},metal hit\n")
    options = ("--out-dir", tmp_path / "out", "--name", "{stem}_s{seed}.wav", "--prompts", tmp_path / "p.csv")
    told = render(shots, *options, "--prompt", "rain", "--seed", 4, "--json")
    assert told.code == 0
    outs = [tmp_path / "out" / scene / "one_s4.wav" for scene in ("a", "b")]
    assert [line["output"] for line in told.lines] == list(map(str, outs))
    assert [line["settings"]["prompt"] for line in told.lines] == ["metal hit", "rain"]
    assert all(soundfile.info(out).frames for out in outs)


def test_takes_are_named_by_the_pattern(render, clips, tmp_path):
    told = render(clips("short.mp4"), "--out-dir", tmp_path, "--name", "{stem}_{take:02}.flac", "--takes", 2)
    assert told.code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["short_01.flac", "short_02.flac"]


def test_resume_skips_what_is_whole_and_makes_the_rest(render, shots, tmp_path, monkeypatch):
    options = (shots, "--out-dir", tmp_path / "out", "--name", "{stem}.wav", "--json")
    assert render(*options).code == 0
    first, second = tmp_path / "out/a/one.wav", tmp_path / "out/b/one.wav"
    before = first.stat().st_mtime_ns
    second.unlink()
    told = render(*options, "--resume")
    assert told.code == 0
    assert [line.get("skipped", False) for line in told.lines] == [True, False]
    assert first.stat().st_mtime_ns == before and second.exists()
    monkeypatch.setattr("foleycli.models.model.load_model", lambda *_: pytest.fail("nothing is left to do"))
    told = render(*options, "--resume")
    assert told.code == 0 and [line["skipped"] for line in told.lines] == [True, True]
    assert "done already" in told.err


def test_resume_does_not_take_a_shorter_sound_for_a_whole_one(render, clips, tmp_path):
    soundfile.write(tmp_path / "out.wav", [0.0] * 100, 48000)
    told = render(clips("short.mp4"), "-o", tmp_path / "out.wav", "--resume")
    assert told.code == 1 and "already exists" in told.error
    assert soundfile.info(tmp_path / "out.wav").frames == 100


def test_without_resume_finished_files_are_errors_that_name_the_way_out(render, shots, tmp_path):
    options = (shots, "--out-dir", tmp_path / "out", "--name", "{stem}.wav")
    assert render(*options).code == 0
    told = render(*options, "--json")
    assert told.code == 1
    assert all("--resume" in json.loads(line)["hint"] for line in told.out.splitlines())
