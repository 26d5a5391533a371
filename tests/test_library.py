"""The library of recordings: the shipped one, folders of a user's own, which one is chosen, and how reels are made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from foleycli.errors import FoleyError
from foleycli.features.text import WordLlamaText
from foleycli.library import INDEX_NAME, SHIPPED_LIBRARY, choose, read_library
from foleycli.media.audio import read_audio
from foleycli.training import reels
from foleycli.training.held_out import is_held_out

TEXT = WordLlamaText()


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
        assert sound.duration_s <= reels.LENGTH_S + 0.01 and 0.3 < np.abs(sound.samples).max() < 0.95, row["file"]
        assert all(one["licence"] in reels.FREE and not is_held_out(one["file"]) for one in row["from"])


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
        ("string quartet", None),
        ("cat meowing", None),
    ],
)
def test_words_choose_what_they_mean(words, file):
    found = choose(words, read_library(), TEXT)
    assert (found.path.name if found else None) == file


def test_a_folder_without_an_index_goes_by_its_names(tmp_path):
    wood = beep(tmp_path / "steps" / "wood" / "boot_03.wav", 200)
    glass = beep(tmp_path / "glass" / "Smash-2.flac", 2000)
    (tmp_path / "notes.txt").write_text("not a sound")
    library = read_library(tmp_path)
    assert [(one.path, one.phrases) for one in library] == [
        (glass, ("smash", "glass smash")),
        (wood, ("boot", "wood boot", "steps wood boot")),
    ]
    assert choose("glass smashing", library, TEXT).path == glass
    assert choose("steps on wood in boots", library, TEXT).path == wood
    assert choose("helicopter", library, TEXT) is None


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_without_sounds_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()
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
    assert len(samples) == round(reels.LENGTH_S * 44100) and np.abs(samples).max() == pytest.approx(reels.PEAK)
    for k, hz in enumerate((300, 600, 300)):
        first = round((reels.FIRST_HIT_S + k * reels.GAP_S) * 44100)
        spectrum = np.abs(np.fft.rfft(samples[first : first + 4410]))  # 0.1 s: 10 Hz a bin
        assert np.argmax(spectrum) * 10 == pytest.approx(hz, abs=20)


def test_an_even_reel_is_the_middle_without_gaps(tmp_path):
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "rain.wav", 0.1 * rng.standard_normal(4 * 44100), 44100)
    samples = reels.reel("even", ["rain.wav"], tmp_path)
    rms = np.sqrt((samples[: 15 * 4410].reshape(15, -1) ** 2).mean(axis=1))
    assert len(samples) == round(reels.LENGTH_S * 44100) and rms.min() > 0.9 * rms.max()


def test_licences_that_ask_for_more_are_refused(sound_set):
    rows = [json.loads(line) for line in (sound_set / INDEX_NAME).read_text().splitlines()]
    index = {row["file"]: row for row in rows}
    assert [one["licence"] for one in reels.origins_of(["wood/0001.wav", "wood/0002.wav"], index)] == ["CC0-1.0", "MIT"]
    for file in ("wood/0003.wav", "wood/0009.wav"):
        with pytest.raises(FoleyError, match=file):
            reels.origins_of([file], index)
