"""The library that ships with the package, and how it is made from recordings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from foleycli.errors import FoleyError
from foleycli.library.index import INDEX_NAME
from foleycli.library.library import SHIPPED_LIBRARY, read_library
from foleycli.media.audio import read_audio
from foleycli.soundset import build_library, library_sound
from foleycli.soundset.held_out import is_held_out


def beep(path: Path, hz: float, length_s: float = 0.3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(round(length_s * 44100)) / 44100
    soundfile.write(path, np.exp(-8 * t) * np.sin(2 * np.pi * hz * t), 44100)
    return path


def test_every_shipped_sound_is_heard_and_may_be_shipped():
    rows = [json.loads(line) for line in (SHIPPED_LIBRARY / INDEX_NAME).read_text().splitlines()]
    assert {row["file"] for row in rows} | {INDEX_NAME, "README.md"} == {p.name for p in SHIPPED_LIBRARY.iterdir()}
    for row in rows:
        sound = read_audio(SHIPPED_LIBRARY / row["file"], 44100, 1)
        assert sound.duration_s == pytest.approx(library_sound.DURATION_S, abs=0.01), row["file"]
        assert 0.3 < np.abs(sound.samples).max() < 0.95 and np.abs(sound.samples[0, :44100]).max() > 0.1, row["file"]
        for one in row["from"]:
            assert one["licence"] in build_library.FREE or (
                one["licence"] in build_library.ATTRIBUTED and one["authors"]
            ), one["file"]
            assert not is_held_out(one["file"])


def test_the_shipped_table_is_what_was_made_of_it():
    table = yaml.safe_load(build_library.TABLE.read_text())
    assert [recording.phrases for recording in read_library()] == [tuple(entry["words"]) for entry in table]
    names = [word for entry in table for word in entry["words"]]
    assert len(names) == len(set(names))  # a name means one sound


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


def test_a_library_sound_strikes_its_takes_in_turn(sound_set):
    samples = build_library.library_sound("hits", ["wood/0001.wav", "wood/0002.wav"], sound_set)
    assert len(samples) == library_sound.N_SAMPLES and np.abs(samples).max() == pytest.approx(library_sound.PEAK)
    for k, hz in enumerate((300, 600, 300)):
        first = round((library_sound.FIRST_HIT_S + k * library_sound.GAP_S) * 44100)
        spectrum = np.abs(np.fft.rfft(samples[first : first + 4410]))  # 0.1 s: 10 Hz a bin
        assert np.argmax(spectrum) * 10 == pytest.approx(hz, abs=20)


def test_an_even_sound_is_the_middle_without_gaps(tmp_path):
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "rain.wav", 0.1 * rng.standard_normal(4 * 44100), 44100)
    samples = build_library.library_sound("even", ["rain.wav"], tmp_path)
    rms = np.sqrt((samples[: 15 * 4410].reshape(15, -1) ** 2).mean(axis=1))
    assert len(samples) == library_sound.N_SAMPLES and rms.min() > 0.9 * rms.max()


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
    [origin] = build_library.origins_of(["a.ogg"], {"a.ogg": row}, sound_set / "licences")
    assert origin["authors"] == "2010 First Author 2011 Second Author"
    for change in ({"licence": "CC-BY-4.0"}, {"path": "usr/share/games/p/sounds/wood/0002.wav"}, {"package": "q"}):
        with pytest.raises(FoleyError, match="asks for more"):
            build_library.origins_of(["a.ogg"], {"a.ogg": {**row, **change}}, sound_set / "licences")


def test_licences_that_ask_for_more_are_refused(sound_set):
    rows = [json.loads(line) for line in (sound_set / INDEX_NAME).read_text().splitlines()]
    index = {row["file"]: row for row in rows}
    [origin] = build_library.origins_of(["wood/0001.wav"], index, sound_set / "licences")
    assert origin["licence"] == "CC0-1.0"
    for file in ("wood/0002.wav", "wood/0003.wav", "wood/0009.wav"):
        with pytest.raises(FoleyError, match=file):
            build_library.origins_of([file], index, sound_set / "licences")


def test_what_is_short_silent_or_fades_is_no_even_sound(tmp_path):
    rng, n = np.random.default_rng(0), 4 * 44100
    noise = 0.1 * rng.standard_normal(n)
    sounds = {"short": noise[:44100], "silent": 0 * noise, "fading": noise * np.exp(-np.arange(n) / 4410)}
    for name, samples in sounds.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, 44100)
        with pytest.raises(FoleyError, match=name):
            build_library.library_sound("even", [f"{name}.wav"], tmp_path)
