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
from foleycli.soundset import build_library
from foleycli.soundset.held_out import is_held_out
from foleycli.soundset.library_sound import FIRST_HIT_S, GAP_S, N_SAMPLES, normalise, repeat_hits


def beep(path: Path, hz: float, length_s: float = 0.3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(round(length_s * 44100)) / 44100
    soundfile.write(path, np.exp(-8 * t) * np.sin(2 * np.pi * hz * t), 44100)
    return path


def test_every_shipped_sound_is_heard_and_may_be_shipped():
    rows = [json.loads(line) for line in (SHIPPED_LIBRARY / INDEX_NAME).read_text().splitlines()]
    notes = {INDEX_NAME, "README.md", build_library.ATTRIBUTION_NAME}
    assert {row["file"] for row in rows} | notes == {p.name for p in SHIPPED_LIBRARY.iterdir()}
    credited = (SHIPPED_LIBRARY / build_library.ATTRIBUTION_NAME).read_text()
    for row in rows:
        sound = read_audio(SHIPPED_LIBRARY / row["file"], 44100, 1)
        ends_s = [end for _, end in row["takes_s"]]
        assert ends_s[0] > 0 and ends_s == sorted(ends_s) and ends_s[-1] <= sound.duration_s, row["file"]
        for first, end in row["takes_s"]:
            assert np.abs(sound.samples[0, round(first * 44100) : round(end * 44100)]).max() > 0.05, row["file"]
        for one in row["from"]:
            needs_author = one["licence"] in build_library.ATTRIBUTED
            assert one["licence"] in build_library.FREE or (needs_author and one["authors"]), one["file"]
            assert not is_held_out(one["file"].partition("/")[2])
            assert f"## {one['package']} " in credited


def test_the_shipped_library_is_small_and_covers_the_world():
    recordings = read_library()
    assert sum(path.stat().st_size for path in SHIPPED_LIBRARY.iterdir()) < 20e6
    assert len(recordings) > 250 and len({one.category for one in recordings}) > 25
    assert all(one.kind and one.takes_s for one in recordings)


def test_the_shipped_table_is_what_was_made_of_it():
    table = yaml.safe_load(build_library.TABLE.read_text())
    assert [recording.phrases for recording in read_library()] == [tuple(entry["words"]) for entry in table]
    names = [word for entry in table for word in entry["words"]]
    assert len(names) == len(set(names))  # a name means one sound


@pytest.fixture
def sound_set(tmp_path) -> Path:
    """Three recordings as a sound set has them, the last under a licence that is not passed on."""
    sounds = tmp_path / "sounds"
    rows = []
    for number, licence in ((1, "CC0-1.0"), (2, "PD"), (3, "CC-BY-SA-3.0")):
        file = f"wood/{number:04d}.ogg"
        path = beep(sounds / "wood" / f"{number:04d}.wav", 300 * number)
        soundfile.write(sounds / file, *soundfile.read(path), format="OGG")
        path.unlink()
        rows.append({"file": file, "licence": licence, "package": "p", "version": "1", "path": "usr/x"})
    (sounds / INDEX_NAME).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return sounds


def test_a_library_is_built_of_what_may_be_passed_on(sound_set, tmp_path):
    table = [{"words": ["wood hit", "knock"], "kind": "hits", "category": "wood", "files": ["sounds/wood/1-3"]}]
    build_library.write(table, [sound_set], tmp_path / "library")
    [recording] = read_library(tmp_path / "library")
    assert (recording.phrases, recording.kind) == (("wood hit", "knock"), "hits")
    assert [origin["licence"] for origin in recording.origins] == ["CC0-1.0", "public-domain"]
    samples = read_audio(recording.path, 44100, 1).samples[0]
    for (first_s, end_s), hz in zip(recording.takes_s, (300, 600), strict=True):
        assert end_s - first_s == pytest.approx(0.3, abs=0.02)
        spectrum = np.abs(np.fft.rfft(samples[round(first_s * 44100) :][:4410]))  # 0.1 s: 10 Hz a bin
        assert np.argmax(spectrum) * 10 == pytest.approx(hz, abs=20)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"files": ["sounds/wood/3"]}, "asks for more"),
        ({"kind": "even"}, "even"),
        ({"files": ["sounds/wood/3-9"]}, "no take"),
    ],
)
def test_an_entry_that_cannot_be_made_is_refused(sound_set, tmp_path, change, message):
    entry = {"words": ["wood hit"], "kind": "hits", "category": "wood", "files": ["sounds/wood/1"], **change}
    with pytest.raises(FoleyError, match=message):
        build_library.write([entry], [sound_set], tmp_path / "library")


def test_a_reference_of_hits_strikes_its_takes_in_turn():
    t = np.arange(13230) / 44100
    takes = [(np.exp(-8 * t) * np.sin(2 * np.pi * hz * t)).astype(np.float32) for hz in (300, 600)]
    samples = normalise(repeat_hits(takes))
    assert len(samples) == N_SAMPLES
    for k, hz in enumerate((300, 600, 300)):
        first = round((FIRST_HIT_S + k * GAP_S) * 44100)
        spectrum = np.abs(np.fft.rfft(samples[first : first + 4410]))
        assert np.argmax(spectrum) * 10 == pytest.approx(hz, abs=20)


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


def test_authors_stand_beside_licences_that_ask_for_them(tmp_path):
    (tmp_path / "p.copyright").write_text(COPYRIGHT)
    row = {"file": "a.ogg", "licence": "CC-BY-3.0", "package": "p", "version": "1",
           "path": "usr/share/games/p/sounds/wood/0001.wav"}  # fmt: skip
    assert build_library.usable_row("a.ogg", row, tmp_path)["authors"] == "2010 First Author 2011 Second Author"
    named = {**row, "package": "q", "author": "Someone"}
    assert build_library.usable_row("a.ogg", named, tmp_path)["authors"] == "Someone"
    for change in (
        {"licence": "CC-BY-4.0"},
        {"path": "usr/share/games/p/sounds/wood/0002.wav"},
        {"package": "q"},
        {"licence": "CC-BY"},
        {"licence": "CC-BY-SA-3.0", "author": "Someone"},
    ):
        assert build_library.usable_row("a.ogg", {**row, **change}, tmp_path) is None
