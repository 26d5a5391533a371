"""`foley redo --cue`: one cue anew, every other sample and stem as it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from clips import X264, run_ffmpeg

SHEET = """number,in,out,prompt,category
1,0.2,1,boots on gravel,
2,1.2,1.9,knocking on wood,
3,1.8,2.6,rain,
"""
RATE_HZ = 48000


@pytest.fixture
def redo(foley, kept_model) -> Callable:
    return partial(foley, "redo")


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cues")


@pytest.fixture
def made(foley, kept_model, kept, tmp_path) -> Path:
    """A folder of its own with a reel of 3 s, its cues, two takes of each, a mix, stems and a timeline."""
    first = kept / "first"
    if not first.exists():
        first.mkdir()
        run_ffmpeg(
            "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=3", *X264, "-timecode", "01:00:00:00", first / "r.mov"
        )
        (first / "cues.csv").write_text(SHEET, encoding="utf-8")
        told = foley(
            "render", first / "r.mov", "--cues", first / "cues.csv", "-o", first / "mix.wav", "--takes", 2, "--report",
            "--stems", first / "stems", "--timeline", first / "r.rpp", "--steps", 1, "--device", "cpu", "--room", -50,
        )  # fmt: skip
        assert told.code == 0, told.err
    shutil.copytree(first, tmp_path / "moved")
    return tmp_path / "moved"


def samples(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="int32", always_2d=True)[0]


def stems(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "stems").glob("*.wav")}


def check_null(folder: Path) -> None:
    """The first takes and the room tone are the mix."""
    rest = soundfile.read(folder / "mix.wav", always_2d=True)[0]
    for name in stems(folder):
        if "T2" not in name:
            found, _ = soundfile.read(folder / "stems" / name, always_2d=True)
            start = _start(folder / "stems" / name)
            rest[start : start + len(found)] -= found
    assert 20 * np.log10(np.abs(rest).max() + 1e-12) < -90


def _start(path: Path) -> int:
    from foleycli.stems.bwf import read_bwf

    bext = read_bwf(path).bext
    assert bext is not None
    return bext.time_reference - 3600 * RATE_HZ


def test_a_cue_is_made_anew_and_all_else_stays(redo, made):
    old, before = samples(made / "mix.wav"), stems(made)
    told = redo(made / "mix.json", "--cue", "2", "--force")
    assert told.code == 0, told.err
    new, after = samples(made / "mix.wav"), stems(made)
    changed = np.flatnonzero((old != new).any(axis=1)) / RATE_HZ
    assert 0.98 <= changed[0] < 1.3 and 1.7 < changed[-1] <= 2.12  # the handles are 0.2 s
    assert before.keys() == after.keys()
    assert {name for name in before if before[name] != after[name]} == {name for name in before if "_2T" in name}
    check_null(made)
    report = json.loads((made / "mix.json").read_text())
    assert [cue["number"] for cue in report["cues"]] == ["1", "2", "3"]
    assert report["session"]["cue_edits"][0]["number"] == "2"


@pytest.mark.slow
def test_the_same_report_makes_the_same_bytes_before_and_after_a_change(redo, made):
    for name in ("before", "after"):
        assert redo(made / "mix.json", "-o", made / f"{name}.wav").code == 0
        assert (made / f"{name}.wav").read_bytes() == (made / "mix.wav").read_bytes()
        if name == "before":
            assert redo(made / "mix.json", "--cue", "2", "--force").code == 0


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".mp4", ".wav"])
def test_a_preview_is_made_of_its_stems_and_a_lossless_mix_needs_none(foley, redo, made, ending):
    cues, out = made / "cues.csv", made / f"p{ending}"
    given = ("--stems", made / "other") if ending == ".mp4" else ()
    common = ("--steps", 1, "--device", "cpu", "--report")
    assert foley("render", made / "r.mov", "--cues", cues, "-o", out, *given, *common).code == 0
    old = soundfile.read(out)[0] if ending == ".wav" else None
    assert redo(made / "p.json", "--cue", "2", "--force").code == 0
    if old is not None:
        changed = np.flatnonzero(old != soundfile.read(out)[0]) / RATE_HZ
        assert changed[0] >= 1.0 and changed[-1] <= 2.1
    assert redo(made / "p.json", "--cue", "3", "--prompt", "a soft drizzle", "--force").code == 0
    assert len(list((made / "other").glob("*Drizzle*"))) == (ending == ".mp4")


def test_another_take_is_kept_in_the_mix(redo, made):
    before = {name: samples(made / "stems" / name) for name in stems(made)}
    assert redo(made / "mix.json", "--cue", "1", "--keep", "2", "--force").code == 0
    (first,) = (name for name in before if "_1T1" in name or "_1.wav" in name)
    (second,) = (name for name in before if "_1T2" in name)
    near = np.abs(samples(made / "stems" / first).astype(float) - before[second]).max() / 2**31
    assert near < 1e-4  # the same seed makes it again, in a batch of another size
    check_null(made)
    seeds = json.loads((made / "mix.json").read_text())["cues"][0]["seeds"]
    assert seeds == [seeds[1] + 1, seeds[1]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--cue", "9"), "there is no cue 9"),
        (("--seed", "3"), "none is named"),
        (("--cue", "1", "--take", "3"), "--take is 3, but cue 1 has 2 takes"),
        (("--cue", "1", "--keep", "2", "--seed", "1"), "--keep makes nothing"),
        (("--from", "1"), "no spans of it are made anew"),
    ],
)
def test_what_makes_no_sense_of_cues_is_refused(redo, made, options, words):
    told = redo(made / "mix.json", *options, "--force")
    assert told.code in (1, 2) and words in told.error


def test_a_stem_that_has_changed_is_named(redo, made):
    name = next(name for name in stems(made) if "_3T1" in name or "_3.wav" in name)
    (made / "stems" / name).write_bytes(b"RIFF")
    told = redo(made / "mix.json", "--cue", "1", "--force")
    assert told.code == 1 and f"{name} has changed: a stem of mix.json" in told.error
