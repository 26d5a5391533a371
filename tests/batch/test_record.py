"""What is done is known: whole files, made from these inputs with these settings, and nothing else."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from foleycli.batch import record as records
from foleycli.batch.record import Record, row_key
from foleycli.media.probe import probe
from foleycli.rendering.job import RenderJob
from foleycli.settings.settings import Settings


@pytest.fixture
def job(clips, tmp_path) -> RenderJob:
    video = shutil.copy(clips("short.mp4"), tmp_path / "clip.mp4")
    return RenderJob(video=probe(Path(video)), out=tmp_path / "sub" / "out.wav", settings=Settings(prompt="rain"))


@pytest.fixture
def record(job, tmp_path) -> Record:
    """That of a job whose result is one file with a few bytes."""
    job.out.parent.mkdir()
    record = Record(job.out, tmp_path)
    with record.claimed(), record.writing("key", job.inputs(), job.outputs()) as facts:
        job.out.write_bytes(b"sound")
        facts["length_s"] = 2.0
    return record


def test_a_key_tells_options_and_models_apart_but_not_places(monkeypatch):
    options = {"prompt": "rain", "seed": 1, "ref": Path("a/take.wav"), "takes": None, "timeline": [Path("x/a.otio")]}
    same = {**options, "ref": Path("b/take.wav"), "gain_db": None, "timeline": [Path("y/a.otio")]}
    key = row_key(options, "a")
    assert row_key(same, "a") == key
    others = [
        row_key({**options, "seed": 2}, "a"),
        row_key({**options, "takes": 2}, "a"),
        row_key({**options, "ref": Path("a/other.wav")}, "a"),
        row_key(options, "b"),
        row_key(options, "a", {"mini": "c"}),
        row_key(options, "a", {"mini": "d"}),
    ]
    monkeypatch.setattr(records, "__version__", "999")
    assert len({key, row_key(options, "a"), *others}) == 2 + len(others)


def test_what_was_made_is_done(job, record):
    assert record.done("key", job.inputs())["length_s"] == 2.0
    assert record.done("other", job.inputs()) is None
    assert record.done("key", [*job.inputs(), job.out]) is None
    assert record.own_files() == {job.out}


def test_a_changed_file_is_not_what_was_made(job, record):
    job.out.write_bytes(b"edits")  # as long as before
    assert record.done("key", job.inputs()) is None
    assert record.own_files() == set(), "somebody's own work is not to be written over"
    job.out.unlink()
    assert record.done("key", job.inputs()) is None


def test_a_new_time_alone_changes_nothing_and_new_content_of_an_input_does(job, record):
    for path in (job.out, job.video.path):
        os.utime(path, (1, 1))
    assert record.done("key", job.inputs())
    data = bytearray(job.video.path.read_bytes())
    data[-1] ^= 1
    job.video.path.write_bytes(data)
    assert record.done("key", job.inputs()) is None


def test_a_folder_of_sounds_is_known_by_what_is_in_it(job, record, tmp_path):
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    (sounds / "a.wav").write_bytes(b"1")
    with record.writing("key", [sounds], job.outputs()):
        pass
    assert record.done("key", [sounds])
    (sounds / "b.wav").write_bytes(b"2")
    assert record.done("key", [sounds]) is None


def test_a_row_that_was_stopped_on_the_way_is_not_done_and_its_files_are_ours(job, record):
    with pytest.raises(SystemExit), record.writing("new", job.inputs(), job.outputs()):
        raise SystemExit
    assert record.done("key", job.inputs()), "a row that fails leaves what was there before"
    writing = record.writing("new", job.inputs(), job.outputs())
    writing.__enter__()  # as a kill leaves it
    job.out.write_bytes(b"half of two takes")
    for wanted in ("key", "new"):
        assert record.done(wanted, job.inputs()) is None
    assert record.own_files() == {job.out}


def test_a_first_row_that_fails_leaves_no_record(job, tmp_path):
    record = Record(job.out, tmp_path)
    with pytest.raises(ValueError), record.claimed(), record.writing("key", job.inputs(), job.outputs()):
        raise ValueError
    assert [path.name for path in record.path.parent.iterdir()] == []


def test_a_name_that_is_no_utf8_is_found_again(job, tmp_path):
    out = tmp_path / os.fsdecode(b"n\xff.wav")
    record = Record(out, tmp_path)
    with record.claimed(), record.writing("key", job.inputs(), [out]) as facts:
        out.write_bytes(b"sound")
        facts["length_s"] = 2.0
    told = record.done("key", job.inputs())
    assert told is not None and told["length_s"] == 2.0
    out.write_bytes(b"other")
    assert record.done("key", job.inputs()) is None


def test_a_damaged_record_is_none(job, record):
    for text in ("", "[]", "{", '"state"'):
        record.path.write_text(text)
        assert record.done("key", job.inputs()) is None and record.own_files() == set()


def test_a_row_is_held_by_one_at_a_time(record):
    order = []

    def other():
        with record.claimed():
            order.append("other")

    with record.claimed():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join(10)
    assert order == ["first", "other"]


def test_the_lock_of_a_process_that_died_is_removed_and_that_of_a_living_one_stays(record):
    import filelock

    lock = record.path.with_name(record.path.name + ".lock")
    with filelock.FileLock(lock, is_singleton=False):
        record.remove_free_lock()
        assert lock.exists()
    lock.touch()
    record.remove_free_lock()
    assert not lock.exists()
