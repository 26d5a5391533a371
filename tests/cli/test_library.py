"""`foley library`: what is listed, what words find, and a folder of one's own."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from foleycli.library.index import INDEX_NAME
from foleycli.library.library import open_library


@pytest.fixture
def write_take():
    def write(path: Path) -> Path:
        t = np.arange(22050) / 44100
        soundfile.write(path, 0.5 * np.exp(-20 * t) * np.sin(2 * np.pi * 600 * t), 44100)
        return path

    return write


def test_the_list_shows_names_kinds_and_takes(foley):
    told = foley("library", "list", "--category", "insect")
    assert told.code == 0
    assert {line.split("\t")[0] for line in told.out.splitlines()[1:]} == {"bee buzz", "cricket chirp", "cicada"}
    everything = foley("library", "list", "--json")
    assert len(everything.lines) > 250 and all(line["kind"] and line["from"] for line in everything.lines)


def test_a_category_that_is_not_there_is_refused(foley):
    told = foley("library", "list", "--category", "insects")
    assert told.code == 2 and "insect" in told.err


def test_a_search_says_which_words_found_what(foley):
    told = foley("library", "search", "a dog barks", "while rain falls", "--json")
    assert {line["name"] for line in told.lines} == {"dog bark", "rain"}
    assert all(line["score"] > 0.7 and line["phrase"] for line in told.lines)
    assert foley("library", "search", "something", "happens").code == 1


def test_added_recordings_are_found_by_their_words(foley, write_take, tmp_path):
    files = [write_take(tmp_path / f"take{k}.wav") for k in (1, 2)]
    own = tmp_path / "own"
    assert foley("library", "add", *files, "--to", own, "--words", "Gate, iron gate", "--kind", "hits").code == 0
    rows = [json.loads(line) for line in (own / INDEX_NAME).read_text().splitlines()]
    assert [(row["file"], row["words"], row["kind"]) for row in rows] == [
        ("take1.wav", ["gate", "iron gate"], "hits"),
        ("take2.wav", ["gate", "iron gate"], "hits"),
    ]
    [match] = open_library(own).find("an iron gate")
    kind, takes = open_library(own).takes(match.recording, 44100)
    assert kind == "hits" and len(takes) >= 2
    again = foley("library", "add", files[0], "--to", own, "--words", "gate")
    assert again.code == 1 and "take1.wav" in again.error


def test_a_recording_whose_name_is_no_utf8_is_added_and_found(foley, write_take, tmp_path):
    odd = tmp_path / os.fsdecode(b"n\xff.wav")
    shutil.move(write_take(tmp_path / "take.wav"), odd)
    assert foley("library", "add", odd, "--to", tmp_path / "own", "--words", "gate").code == 0
    [match] = open_library(tmp_path / "own").find("gate")
    assert match.recording.path == tmp_path / "own" / odd.name and match.recording.path.is_file()
    file = write_take(tmp_path / "take.wav")
    told = foley("library", "add", file, "--to", file, "--words", "gate")
    assert told.code == 2 and "--to" in told.error and "--out-dir" not in told.error


@pytest.mark.parametrize("words", ["", " , "])
def test_recordings_need_a_name(foley, write_take, tmp_path, words):
    file = write_take(tmp_path / "a.wav")
    told = foley("library", "add", file, "--to", tmp_path / "own", "--words", words)
    assert told.code == 2 and "--words" in told.error and not (tmp_path / "own").exists()
