"""The library of recordings: the shipped one, folders of a user's own, which one is chosen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from foleycli.errors import FoleyError
from foleycli.library.index import INDEX_NAME
from foleycli.library.library import open_library, read_library


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
