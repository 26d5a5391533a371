"""The library of recordings: the shipped one, folders of a user's own, which one is chosen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from foleycli.errors import FoleyError, UsageError
from foleycli.library.index import INDEX_NAME
from foleycli.library.library import is_licence, open_library, read_library


def beep(path: Path, hz: float, length_s: float = 0.3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(round(length_s * 44100)) / 44100
    soundfile.write(path, np.exp(-8 * t) * np.sin(2 * np.pi * hz * t), 44100)
    return path


def test_a_folder_without_an_index_goes_by_its_names(tmp_path):
    wood = beep(tmp_path / "steps" / "wood" / "boot_03.wav", 200)
    glass = beep(tmp_path / "glass" / "Smash-2.flac", 2000)
    door = beep(tmp_path / "Tür_zu.wav", 100)
    beep(tmp_path / "01.wav", 100)  # has no name
    (tmp_path / "glass" / "._Smash-2.flac").write_bytes(b"what macOS keeps")
    (tmp_path / "hall.wav").mkdir()
    (tmp_path / "notes.txt").write_text("not a sound")
    library = open_library(tmp_path)
    assert [(one.path, one.phrases) for one in library.recordings] == [
        (door, ("tür zu",)),
        (glass, ("smash", "glass smash", "glass")),
        (wood, ("boot", "wood boot", "steps wood boot", "steps wood")),
    ]
    assert [match.recording.path for match in library.find("glass smash")] == [glass]
    assert [match.recording.path for match in library.find("steps on wood in boots")] == [wood]
    assert library.find("helicopter") == []


def test_an_index_says_what_recordings_are_called(tmp_path):
    one, two = (beep(tmp_path / name, 200) for name in ("1.wav", "2.wav"))
    rows = [{"file": "1.wav", "words": "rain"}, {"file": "2.wav", "words": ["wind", "storm"]}]
    (tmp_path / INDEX_NAME).write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    assert [(r.path, r.phrases) for r in read_library(tmp_path)] == [(one, ("rain",)), (two, ("wind", "storm"))]


def test_an_index_of_something_else_is_passed_over(tmp_path):
    rain = beep(tmp_path / "rain.wav", 200)
    (tmp_path / INDEX_NAME).write_text(json.dumps({"file": "rain.wav", "category": "water"}))
    assert [one.path for one in read_library(tmp_path)] == [rain]


@pytest.mark.parametrize("name", ["missing", "empty", "nameless", "broken", "gone"])
def test_a_folder_that_is_no_library_is_refused(tmp_path, name):
    for folder in ("empty", "nameless", "broken", "gone"):
        (tmp_path / folder).mkdir()
    beep(tmp_path / "nameless" / "01.wav", 200)
    (tmp_path / "broken" / INDEX_NAME).write_text('{"words": ["rain"]}')
    (tmp_path / "gone" / INDEX_NAME).write_text('{"file": "a.wav", "words": ["rain"]}')
    with pytest.raises(FoleyError, match=name):
        read_library(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "licence", "is_it"),
    [("CC0-1.0", "CC0-1.0", True), ("cc0", "CC0-1.0", True), ("CC-BY", "CC-BY-3.0", True),
     ("CC-BY-3.0", "CC-BY-4.0", False), ("CC-BY", "CC-BY-SA-3.0", False), ("CC", "CC0-1.0", False),
     ("public-domain", "public-domain", True)],
)  # fmt: skip
def test_names_of_licences(name, licence, is_it):
    assert is_licence(name, licence) is is_it


def test_only_sounds_under_allowed_licences_are_found(tmp_path):
    for k, licences in enumerate([["CC0-1.0"], ["CC-BY-4.0"], ["CC0-1.0", "CC-BY-4.0"], []]):
        beep(tmp_path / f"{k}.wav", 200)
        row = {"file": f"{k}.wav", "words": ["iron gate", "iron wheel", "iron bell", "iron chain"][k]}
        row["from"] = [{"file": f"{k}.wav", "licence": licence} for licence in licences]
        with (tmp_path / INDEX_NAME).open("a") as index:
            index.write(json.dumps(row) + "\n")
    assert [one.path.name for one in open_library(tmp_path, "CC0").recordings] == ["0.wav", "3.wav"]
    assert len(open_library(tmp_path, "cc-by, CC0-1.0").recordings) == 4
    assert {match.recording.path.name for match in open_library(tmp_path, "CC-BY").find("an iron bell")} <= {"1.wav"}
    with pytest.raises(UsageError, match="--allow-licence names GPL") as raised:
        open_library(tmp_path, "GPL")
    assert "CC-BY-4.0, CC0-1.0" in raised.value.hint


def test_a_library_in_which_nothing_is_allowed_finds_nothing(tmp_path):
    beep(tmp_path / "0.wav", 200)
    origins = [{"file": "0.wav", "licence": licence} for licence in ("CC0-1.0", "CC-BY-4.0")]
    (tmp_path / INDEX_NAME).write_text(json.dumps({"file": "0.wav", "words": "iron gate", "from": origins}) + "\n")
    assert open_library(tmp_path, "CC0-1.0").find("iron gate") == []
