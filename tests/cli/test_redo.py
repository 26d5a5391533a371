"""`foley redo`: again, only there, and what stands in its way."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from clips import flash_clip

from foleycli.stems.bwf import Bext, BwfWriter, read_bwf


@pytest.fixture
def redo(foley, kept_model) -> Callable:
    """`redo(report, "--force")`, with the model kept."""
    return partial(foley, "redo")


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """A folder for what the module's tests start from."""
    return tmp_path_factory.mktemp("redo")


@pytest.fixture
def made(foley, kept_model, kept, tmp_path) -> Path:
    """A folder of its own with clip.mp4, a reference, and out.wav with its report, moved from where it was made."""
    if not (kept / "first").exists():
        (kept / "first" / "sounds").mkdir(parents=True)
        clip = flash_clip(kept / "first" / "clip.mp4", duration_s=2.0)
        rng = np.random.default_rng(0)
        soundfile.write(kept / "first" / "sounds" / "knock.wav", 0.1 * rng.standard_normal(30_000), 44_100)
        told = foley(
            "render", clip, "-o", kept / "first" / "out.wav", "--steps", 1, "--report", "--device", "cpu",
            "--sounds", kept / "first" / "sounds", "--prompt", "a knock", "--seed", 4, "--rate", 44100,
        )  # fmt: skip
        assert told.code == 0, told.err
    shutil.copytree(kept / "first", tmp_path / "moved")
    return tmp_path / "moved"


def samples(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="int32")[0]


def test_the_same_report_makes_the_same_bytes_wherever_it_lies(redo, made):
    told = redo(made / "out.json", "-o", made / "again.wav")
    assert told.code == 0, told.err
    assert (made / "again.wav").read_bytes() == (made / "out.wav").read_bytes()
    one, two = (json.loads((made / f"{name}.json").read_text()) for name in ("out", "again"))
    assert one["session"]["inputs"] == two["session"]["inputs"] and one["settings"] == two["settings"]
    assert one["session"]["inputs"]["video"]["path"] == "clip.mp4"
    told = redo(made / "out.json")
    assert told.code == 1 and "already exists" in told.error


def test_a_span_is_made_anew_and_goes_on_from_its_own_report(redo, made):
    old = samples(made / "out.wav")
    told = redo(made / "out.json", "--from", "20f", "--to", "1.2", "--force", "--prompt", "a soft knock", "--json")
    assert told.code == 0, told.err
    new = samples(made / "out.wav")
    changed = np.flatnonzero(old != new) / 44100
    assert 0.78 - 1e-9 <= changed[0] < 0.8 and 1.2 < changed[-1] <= 1.22
    edits = json.loads((made / "out.json").read_text())["session"]["edits"]
    wanted = {"start_s": 0.8, "end_s": 1.2, "seed": 5, "prompt": "a soft knock", "negative_prompt": None}
    assert edits == [pytest.approx(wanted)]
    assert redo(made / "out.json", "-o", made / "again.wav").code == 0
    assert (made / "again.wav").read_bytes() == (made / "out.wav").read_bytes()


def test_a_take_is_kept_or_made_again(foley, redo, kept_model, made):
    clip = made / "clip.mp4"
    told = foley("render", clip, "-o", made / "t.wav", "--takes", 2, "--steps", 1, "--report", "--device", "cpu")
    assert told.code == 0, told.err
    report = made / "t.take1.json"
    assert redo(report, "--take", 2, "-o", made / "second.wav").code == 0
    assert (made / "second.wav").read_bytes() == (made / "t.take2.wav").read_bytes()
    told = redo(report, "--keep", 2)
    assert told.code == 0 and told.out.strip() == str(made / "t.wav")
    assert (made / "t.wav").read_bytes() == (made / "t.take2.wav").read_bytes()
    assert json.loads((made / "t.json").read_text())["session"]["output"]["path"] == "t.wav"
    assert "already exists" in redo(report, "--keep", 2).error
    assert "is the input itself" in redo(report, "--keep", 2, "-o", made / "t.take1.wav", "--force").error
    assert "has no take 3" in redo(report, "--keep", 3).error
    assert "Use two calls" in redo(report, "--keep", 2, "--seed", 1).error


@pytest.mark.slow
def test_a_take_that_was_made_anew_knows_its_siblings(foley, redo, kept_model, made):
    clip = made / "clip.mp4"
    told = foley("render", clip, "-o", made / "t.wav", "--takes", 2, "--steps", 1, "--report", "--device", "cpu")
    assert told.code == 0, told.err
    assert redo(made / "t.take1.json", "--take", 2, "--seed", 9, "--force").code == 0
    assert redo(made / "t.take2.json", "--keep", 1).code == 0
    assert (made / "t.wav").read_bytes() == (made / "t.take1.wav").read_bytes()


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def edit_report(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        told = json.loads((folder / "out.json").read_text())
        session = {**told["session"], **{key: value for key, value in changes.items() if key in told["session"]}}
        rest = {key: value for key, value in changes.items() if key not in session}
        told = {**told, "session": session, **rest}
        (folder / "out.json").write_text(json.dumps({k: v for k, v in told.items() if v is not None}))

    return change


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda folder: (folder / "clip.mp4").unlink(), (), "clip.mp4 is not there: the video of out.json"),
        (lambda folder: append(folder / "clip.mp4"), (), "clip.mp4 has changed: the video of out.json"),
        (lambda folder: append(folder / "sounds" / "knock.wav"), (), "has changed"),
        (lambda folder: shutil.copy(folder / "clip.mp4", folder / "sounds" / "boot.wav"), (), "has other recordings"),
        (lambda folder: append(folder / "out.wav"), ("--from", "1"), "out.wav has changed: the result of out.json"),
        (lambda folder: (folder / "out.json").write_text("{"), (), "it is not JSON"),
        (lambda folder: (folder / "out.json").write_text("[1]"), (), "no report of foley"),
        (lambda folder: (folder / "out.json").unlink(), (), "is not there"),
        (lambda folder: ((folder / "out.json").unlink(), os.mkfifo(folder / "out.json")), (), "is a pipe or a device"),
        (edit_report(session=None), (), "did not say enough"),
        (edit_report(version=99), (), "another version of foley"),
        (edit_report(inputs=[]), (), "out.json is damaged"),
        (edit_report(takes=[{}]), (), "out.json is damaged"),
        (edit_report(model_sha256="ab" * 32), (), "has other weights"),
        (lambda folder: None, ("--from", "99"), "is not within the sound, which lasts 2.00 s"),
        (lambda folder: None, ("--from", "soon"), "is no time"),
        (lambda folder: None, ("--from", "1.5", "--to", "1"), "has no length"),
        (lambda folder: None, ("--take", "2"), "has no take 2"),
        (lambda folder: None, ("--seed", "-1"), "--seed is -1"),
        (lambda folder: None, ("-o", "out.txt"), "no known output format"),
    ],
)
def test_what_stands_in_the_way_is_said_before_any_work(redo, made, monkeypatch, change, options, words):
    change(made)
    monkeypatch.chdir(made)
    told = redo("out.json", *(options if "-o" in options else (*options, "-o", "new.wav")))
    assert told.code in (1, 2) and words in told.error
    assert not (made / "new.wav").exists()


@pytest.fixture
def carried_on(foley, redo, kept_model, made) -> Path:
    """The folder with a broadcast take of 0.8 s that was carried on to 2 s along the clip, from 0.3 s on."""
    bext = Bext(description="a take", originator="somebody", time_reference=3600 * 44_100)
    with BwfWriter(made / "take.wav", rate_hz=44_100, channels=1, bext=bext) as writer:
        writer.write(0.1 * np.random.default_rng(1).standard_normal(35_280).astype(np.float32))
    told = foley(
        "extend", made / "clip.mp4", "--ref", made / "take.wav", "--at", 0.3, "-o", made / "long.wav", "--report",
        "--steps", 1, "--device", "cpu",
    )  # fmt: skip
    assert told.code == 0, told.err
    return made


def test_a_span_of_an_extension_is_made_anew_and_the_take_stays(redo, carried_on):
    report, out = carried_on / "long.json", carried_on / "long.wav"
    old, stamp = samples(out), read_bwf(out).bext
    told = redo(report, "--from", "1", "--to", "40f", "--force", "--prompt", "a soft knock")
    assert told.code == 0, told.err
    new = samples(out)
    changed = np.flatnonzero(old != new) / 44100
    assert 1.1 <= changed[0] < 1.15 and 1.6 < changed[-1] <= 1.62  # the take ends at 1.1 s
    now = read_bwf(out).bext
    assert (now.time_reference, now.description) == (stamp.time_reference, "a take")


@pytest.mark.slow
def test_spans_of_an_extension_are_made_again_to_the_same_bytes(redo, carried_on):
    report, out = carried_on / "long.json", carried_on / "long.wav"
    assert redo(report, "--from", "1", "--to", "40f", "--force", "--prompt", "a soft knock").code == 0
    assert redo(report, "--from", "0", "--to", "0.2", "--force").code == 0
    edits = json.loads(report.read_text())["session"]["edits"]
    assert [(edit["start_s"], edit["end_s"], edit["prompt"]) for edit in edits] == [
        (1.0, 1.6, "a soft knock"), (0.0, 0.2, None),
    ]  # fmt: skip
    assert redo(report, "-o", carried_on / "again.wav").code == 0
    assert (carried_on / "again.wav").read_bytes() == out.read_bytes()


def test_spans_of_an_extension_that_make_no_sense_are_refused(redo, carried_on):
    told = redo(carried_on / "long.json", "--from", "0.4", "--to", "1", "--force")
    assert told.code == 2 and "the take itself is heard" in told.error
    told = redo(carried_on / "long.json", "--from", "1.5", "--to", "2.5", "--force")
    assert told.code == 2 and "is not within the sound, which lasts 2.00 s" in told.error
