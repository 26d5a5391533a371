"""The library of recordings: the shipped one, folders of a user's own, which one is chosen, and how reels are made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from foleycli.errors import FoleyError
from foleycli.library.index import INDEX_NAME
from foleycli.library.library import SHIPPED_LIBRARY, open_library, read_library
from foleycli.media.audio import read_audio
from foleycli.soundset import library_sounds as reels
from foleycli.soundset import reel
from foleycli.soundset.held_out import is_held_out


def beep(path: Path, hz: float, length_s: float = 0.3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(round(length_s * 44100)) / 44100
    soundfile.write(path, np.exp(-8 * t) * np.sin(2 * np.pi * hz * t), 44100)
    return path


def test_every_shipped_reel_is_heard_and_may_be_shipped():
    rows = [json.loads(line) for line in (SHIPPED_LIBRARY / INDEX_NAME).read_text().splitlines()]
    assert {row["file"] for row in rows} | {INDEX_NAME, "README.md"} == {p.name for p in SHIPPED_LIBRARY.iterdir()}
    for row in rows:
        sound = read_audio(SHIPPED_LIBRARY / row["file"], 44100, 1)
        assert sound.duration_s == pytest.approx(reel.REEL_S, abs=0.01), row["file"]
        assert 0.3 < np.abs(sound.samples).max() < 0.95 and np.abs(sound.samples[0, :44100]).max() > 0.1, row["file"]
        for one in row["from"]:
            assert one["licence"] in reels.FREE or (one["licence"] in reels.NAMED and one["authors"]), one["file"]
            assert not is_held_out(one["file"])


def test_the_shipped_table_is_what_was_made_of_it():
    table = yaml.safe_load(reels.TABLE.read_text())
    assert [recording.phrases for recording in read_library()] == [tuple(entry["words"]) for entry in table]
    names = [word for entry in table for word in entry["words"]]
    assert len(names) == len(set(names))  # a name means one reel


@pytest.mark.parametrize(
    ("words", "file"),
    [
        ("blacksmith hammering on an anvil", "hammer_on_anvil.ogg"),
        ("a puppy barking", "dog_bark.ogg"),
        ("walking through fresh snow", "footsteps_on_snow.ogg"),
        ("snare drum", "snare_drum.ogg"),
        ("chopping cabbage with a knife", "chopping_vegetables.ogg"),
        ("rifle shots", "gunshot.ogg"),
        *((words, None) for words in (
            "string quartet", "cat meowing", "glass bottle clink", "bow arrow shot", "fire truck siren", "car horn",
            "cardboard box", "cat on a keyboard", "impacts, hits and knocks", "ambience",
        )),
    ],
)  # fmt: skip
def test_words_choose_what_they_mean(words, file):
    found = open_library().nearest(words)
    assert (found.path.name if found else None) == file


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
        (glass, ("smash", "glass smash")),
        (wood, ("boot", "wood boot", "steps wood boot")),
    ]
    assert library.nearest("glass smash").path == glass
    assert library.nearest("steps on wood in boots").path == wood
    assert library.nearest("helicopter") is None


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


@pytest.fixture
def sound_set(tmp_path) -> Path:
    """Three recordings as the sound set has them, the last under a licence that is not passed on."""
    sounds = tmp_path / "sounds"
    rows = []
    for number, licence in ((1, "CC0-1.0"), (2, "MIT"), (3, "CC-BY-SA-3.0")):
        file = f"wood/{number:04d}.wav"
        beep(sounds / file, 300 * number)
        rows.append({"file": file, "licence": licence, "package": "p", "version": "1", "path": "usr/x"})
    (sounds / INDEX_NAME).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return sounds


def test_a_reel_strikes_its_takes_in_turn(sound_set):
    samples = reels.reel("hits", ["wood/0001.wav", "wood/0002.wav"], sound_set)
    assert len(samples) == reel.REEL_SAMPLES and np.abs(samples).max() == pytest.approx(reel.PEAK)
    for k, hz in enumerate((300, 600, 300)):
        first = round((reel.FIRST_HIT_S + k * reel.GAP_S) * 44100)
        spectrum = np.abs(np.fft.rfft(samples[first : first + 4410]))  # 0.1 s: 10 Hz a bin
        assert np.argmax(spectrum) * 10 == pytest.approx(hz, abs=20)


def test_an_even_reel_is_the_middle_without_gaps(tmp_path):
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "rain.wav", 0.1 * rng.standard_normal(4 * 44100), 44100)
    samples = reels.reel("even", ["rain.wav"], tmp_path)
    rms = np.sqrt((samples[: 15 * 4410].reshape(15, -1) ** 2).mean(axis=1))
    assert len(samples) == reel.REEL_SAMPLES and rms.min() > 0.9 * rms.max()


COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: the packagers
License: CC-BY-3.0

Files: sounds/wood/0001.wav
 sounds/other/*
Copyright: 2010 First Author
 2011 Second Author
License: CC-BY-3.0
 Some words.

Files: debian/*
Copyright: someone else
License: CC-BY-3.0
"""


def test_authors_stand_beside_licences_that_ask_for_them(sound_set):
    (sound_set / "licences").mkdir()
    (sound_set / "licences" / "p.copyright").write_text(COPYRIGHT)
    row = {"file": "a.ogg", "licence": "CC-BY-3.0", "package": "p", "version": "1",
           "path": "usr/share/games/p/sounds/wood/0001.wav"}  # fmt: skip
    [told] = reels.origins_of(["a.ogg"], {"a.ogg": row}, sound_set / "licences")
    assert told["authors"] == "2010 First Author 2011 Second Author"
    for change in ({"licence": "CC-BY-4.0"}, {"path": "usr/share/games/p/sounds/wood/0002.wav"}, {"package": "q"}):
        with pytest.raises(FoleyError, match="asks for more"):
            reels.origins_of(["a.ogg"], {"a.ogg": {**row, **change}}, sound_set / "licences")


def test_licences_that_ask_for_more_are_refused(sound_set):
    rows = [json.loads(line) for line in (sound_set / INDEX_NAME).read_text().splitlines()]
    index = {row["file"]: row for row in rows}
    [told] = reels.origins_of(["wood/0001.wav"], index, sound_set / "licences")
    assert told["licence"] == "CC0-1.0"
    for file in ("wood/0002.wav", "wood/0003.wav", "wood/0009.wav"):
        with pytest.raises(FoleyError, match=file):
            reels.origins_of([file], index, sound_set / "licences")


def test_what_is_short_silent_or_fades_is_no_even_reel(tmp_path):
    rng, n = np.random.default_rng(0), 4 * 44100
    noise = 0.1 * rng.standard_normal(n)
    sounds = {"short": noise[:44100], "silent": 0 * noise, "fading": noise * np.exp(-np.arange(n) / 4410)}
    for name, samples in sounds.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, 44100)
        with pytest.raises(FoleyError, match=name):
            reels.reel("even", [f"{name}.wav"], tmp_path)
