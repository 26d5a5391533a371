"""`foley redo --cue`: one cue anew, every other sample and stem as it was."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from clips import X264, run_ffmpeg
from PIL import Image
from safetensors.numpy import load, save

from foleycli.hub.resolve import resolve
from foleycli.media.output import remove_leftovers
from foleycli.report.picture import EVENT, LOUD, RULE

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
    """Exact for 24 bit and 32 bit float."""
    return soundfile.read(path, dtype="float64", always_2d=True)[0]


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


class Killed(BaseException):
    """What ends a call at once, as a signal does."""


def outcome(folder: Path) -> set[str]:
    """Which of the files that the report names are as it says."""
    part = json.loads((folder / "mix.json").read_text())["session"]
    return {
        one["path"]
        for one in (part["output"], *part["stem_files"])
        if hashlib.sha256((folder / one["path"]).read_bytes()).hexdigest() == one["sha256"]
    }


@pytest.mark.parametrize("n_renames", [pytest.param(0, marks=pytest.mark.slow), 3])
def test_a_call_that_is_killed_leaves_one_version_or_the_next_call_completes_it(redo, made, monkeypatch, n_renames):
    everything, mix, before = outcome(made), samples(made / "mix.wav"), stems(made)
    rename, done = os.replace, []

    def dying(source: Path, target: Path) -> None:
        if source.name != "part" + source.suffix:  # a file that waited, or the journal of all
            if len(done) == n_renames:
                raise Killed
            done.append(target)
        rename(source, target)

    monkeypatch.setattr(os, "replace", dying)
    with pytest.raises(Killed):
        redo(made / "mix.json", "--cue", "2", "--force")
    monkeypatch.undo()
    assert (outcome(made) == everything) == (n_renames == 0)
    assert redo(made / "mix.json", "--cue", "9", "--force").code == 2  # which makes nothing
    assert outcome(made) == everything
    assert (samples(made / "mix.wav") != mix).any() == (stems(made) != before) == (n_renames > 0)
    check_null(made)
    remove_leftovers(made / "stems", again=True)  # as the next call does that writes there
    assert outcome(made) == everything and not list(made.rglob(".foley*"))


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
    near = np.abs(samples(made / "stems" / first) - before[second]).max()
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
        (("--from", "2.81"), "no cue is heard from 2.81 to 3 s"),
        (("--cue", "1", "--from", "1.5", "--to", "1.7"), "cue 1 is not heard from 1.5 to 1.7 s"),
        (("--from", "1.7", "--to", "2", "--prompt", "a slap"), "several cues are heard in the span: 2, 3"),
        (("--cue", "2", "--from", "1.4", "--take", "3"), "--take is 3, but cue 2 has 2 takes"),
        (("--cue", "2", "--from", "1.4", "--keep", "2"), "--keep makes nothing"),
    ],
)
def test_what_makes_no_sense_of_cues_is_refused(redo, made, options, words):
    told = redo(made / "mix.json", *options, "--force")
    assert told.code in (1, 2), told.err
    assert words in told.error


def changed_s(old: np.ndarray, new: np.ndarray) -> tuple[float, float]:
    """The first and the last second in which two sounds differ."""
    places = np.flatnonzero((old != new).any(axis=1))
    return places[0] / RATE_HZ, places[-1] / RATE_HZ


def test_a_span_is_made_anew_in_the_stems_that_it_touches(foley, redo, made):
    mix, before = samples(made / "mix.wav"), {name: samples(made / "stems" / name) for name in stems(made)}
    places = {name: _start(made / "stems" / name) for name in before}
    session = (made / "r.rpp").read_text()
    told = redo(made / "mix.json", "--from", "1.7", "--to", "1.9", "--force")
    assert told.code == 0, told.err
    first_s, last_s = changed_s(mix, samples(made / "mix.wav"))
    assert 1.68 - 1e-9 <= first_s < 1.7 and 1.9 < last_s <= 1.92
    after = {name: samples(made / "stems" / name) for name in stems(made)}
    changed = {name for name in before if (before[name] != after[name]).any()}
    assert changed == {name for name in before if "_2T1" in name or "_3T1" in name}
    for name in changed:
        first_s, last_s = (places[name] / RATE_HZ + time_s for time_s in changed_s(before[name], after[name]))
        assert 1.68 - 1e-9 <= first_s < 1.7 and 1.9 < last_s <= 1.92
    assert {name: _start(made / "stems" / name) for name in before} == places
    check_null(made)
    assert (made / "r.rpp").read_text() == session
    report = json.loads((made / "mix.json").read_text())
    assert [(one["number"], one["take"], one["span"]["start_s"]) for one in report["session"]["cue_edits"]] == [
        ("2", 1, 1.7), ("3", 1, 1.7),
    ]  # fmt: skip
    told = foley("draw", made / "mix.json", "-o", made / "session.png")
    assert told.code == 0, told.err
    drawn = np.asarray(Image.open(made / "session.png").convert("RGB")).astype(int)
    assert all((np.abs(drawn - np.array(color)) < 12).all(axis=-1).sum() > 100 for color in (LOUD, EVENT, RULE))
    assert [[(one["take"], one["end_s"]) for one in cue.get("spans", ())] for cue in report["cues"]] == [
        [], [(1, 1.9)], [(1, 1.9)],
    ]  # fmt: skip


@pytest.mark.slow
def test_spans_are_made_again_to_the_same_bytes_and_stay_with_their_takes(redo, made):
    report = made / "mix.json"
    second = next(name for name in stems(made) if "_1T2" in name)
    first = second.replace("T2", "T1")
    for options in (
        ("--cue", "1", "--from", "0.4", "--to", "0.6", "--prompt", "rain on a roof"),
        ("--cue", "1", "--from", "0.5", "--to", "20f"),
        ("--from", "01:00:01:20", "--to", "2.1"),
        ("--cue", "1", "--take", "2", "--from", "0.4", "--to", "0.6"),
        ("--cue", "2", "--seed", "99"),
    ):
        before = {name: samples(made / "stems" / name) for name in (first, second)}
        mix = samples(made / "mix.wav")
        told = redo(report, *options, "--force")
        assert told.code == 0, told.err
        check_null(made)
        assert redo(report, "-o", made / "again.wav", "--force").code == 0
        assert (made / "again.wav").read_bytes() == (made / "mix.wav").read_bytes()
        if "--take" in options:
            assert (mix == samples(made / "mix.wav")).all()
            assert (before[first] == samples(made / "stems" / first)).all()
            assert (before[second] != samples(made / "stems" / second)).any()
    kept = samples(made / "stems" / second)
    assert redo(report, "--cue", "1", "--keep", "2", "--force").code == 0
    check_null(made)
    assert np.abs(samples(made / "stems" / first) - kept).max() < 1e-4  # with its span


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".mp4", ".wav"])
def test_a_span_of_a_mix_without_stems_and_of_a_preview(foley, redo, made, ending):
    out, common = made / f"p{ending}", ("--steps", 1, "--device", "cpu", "--report")
    given = ("--stems", made / "other", "--stem-bits", "32") if ending == ".mp4" else ()
    assert foley("render", made / "r.mov", "--cues", made / "cues.csv", "-o", out, *given, *common).code == 0
    old = samples(out) if ending == ".wav" else {path: samples(path) for path in (made / "other").glob("*.wav")}
    told = redo(made / "p.json", "--from", "1.5", "--to", "1.6", "--force")  # cue 2 alone
    assert told.code == 0, told.err
    if isinstance(old, dict):
        changed = [path for path in old if (old[path] != samples(path)).any()]
        assert len(changed) == 1 and "_2" in changed[0].name
        first_s, last_s = (_start(changed[0]) / RATE_HZ + t for t in changed_s(old[changed[0]], samples(changed[0])))
    else:
        first_s, last_s = changed_s(old, samples(out))
    assert 1.48 - 1e-9 <= first_s < 1.5 and 1.6 < last_s <= 1.62


@pytest.mark.slow
def test_a_span_of_a_render_with_stems(foley, redo, made):
    out, common = made / "one.wav", ("--steps", 1, "--device", "cpu", "--report", "--prompt", "knocking on wood")
    assert foley("render", made / "r.mov", "-o", out, "--stems", made / "one", *common).code == 0
    old = samples(out)
    assert redo(made / "one.json", "--from", "1.5", "--to", "1.6", "--prompt", "a slap", "--force").code == 0
    first_s, last_s = changed_s(old, samples(out))
    assert 1.48 - 1e-9 <= first_s < 1.5 and 1.6 < last_s <= 1.62


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [
        ("--stems-by", "track"),
        ("--stems-by", "class", "--stem-bits", "32"),
        ("--loudness", "r128", "--loudness-per", "stem"),
        ("--stems-by", "class", "--loudness", "r128", "--loudness-per", "stem"),
    ],
)
def test_a_span_is_put_into_stems_that_hold_several_cues_or_have_a_loudness_of_their_own(foley, redo, made, given):
    out, common = made / "p.wav", ("--steps", 1, "--device", "cpu", "--report", "--room", -50)
    rendered = ("render", made / "r.mov", "--cues", made / "cues.csv", "-o", out, "--stems", made / "own")
    told = foley(*rendered, *given, *common)
    assert told.code == 0, told.err
    for start_s, end_s in ((1.5, 1.6), (1.45, 1.55)):  # cue 2 alone
        paths = sorted((made / "own").glob("*.wav"))
        old, mix, whole = [samples(path) for path in paths], samples(out), [path.read_bytes() for path in paths]
        told = redo(made / "p.json", "--from", start_s, "--to", end_s, "--prompt", "a slap", "--force")
        assert told.code == 0, told.err
        changed = [k for k, path in enumerate(paths) if path.read_bytes() != whole[k]]
        assert len(changed) == 1 and sorted((made / "own").glob("*.wav")) == paths
        path = paths[changed[0]]
        for before, after, at_s in ((mix, samples(out), 0), (old[changed[0]], samples(path), _start(path) / RATE_HZ)):
            first_s, last_s = (at_s + time_s for time_s in changed_s(before, after))
            assert start_s - 0.02 - 1e-9 <= first_s < start_s and end_s < last_s <= end_s + 0.02
        if "stem" not in given:
            rest = samples(out)
            for stem in paths:
                start, found = _start(stem), samples(stem)
                rest[start : start + len(found)] -= found
            assert 20 * np.log10(np.abs(rest).max() + 1e-12) < -90
            continue
        # What came into the file is what came into the mix, at the file's own gain.
        at = _start(path)
        into_mix = (samples(out) - mix)[at : at + len(old[changed[0]])]
        into_stem = samples(path) - old[changed[0]]
        gain = float((into_mix * into_stem).sum() / (into_mix**2).sum())
        assert gain > 0 and np.abs(into_stem - gain * into_mix).max() < 1e-5
    assert redo(made / "p.json", "-o", made / "again.wav").code == 0
    assert (made / "again.wav").read_bytes() == out.read_bytes()


@pytest.mark.slow
def test_a_whole_cue_is_not_made_anew_in_stems_of_several(foley, redo, made):
    common = ("--steps", 1, "--device", "cpu", "--report", "--engine", "recordings")
    rendered = ("render", made / "r.mov", "--cues", made / "cues.csv", "-o", made / "p.wav", "--stems", made / "own")
    assert foley(*rendered, "--stems-by", "track", *common).code == 0
    told = redo(made / "p.json", "--cue", "2", "--force")
    assert told.code == 1 and "by track, and hold several cues each" in told.error
    stem = next((made / "own").glob("*.wav"))
    stem.write_bytes(b"RIFF")
    told = redo(made / "p.json", "--from", "1.5", "--to", "1.6", "--force")
    assert told.code == 1 and f"{stem.name} has changed: a stem of p.json" in told.error


def test_a_stem_that_has_changed_is_named(redo, made):
    before = stems(made)
    name = next(name for name in before if "_3T1" in name or "_3.wav" in name)
    (made / "stems" / name).write_bytes(b"RIFF")
    told = redo(made / "mix.json", "--cue", "1", "--force")
    assert told.code == 1 and f"{name} has changed: a stem of mix.json" in told.error
    assert f"foley redo {made / 'mix.json'} --force" in told.err
    assert redo(made / "mix.json", "--force").code == 0
    assert stems(made) == before


def test_a_model_of_a_single_cue_that_has_changed_is_refused(foley, redo, made, model_name, monkeypatch):
    mine = shutil.copytree(resolve(model_name), made / "mine")
    (made / "cues.csv").write_text(f"in,out,prompt,model\n0.2,0.6,boots,\n1,1.4,knock,{mine}\n", encoding="utf-8")
    common = ("--steps", 1, "--device", "cpu", "--report", "--between", "silence")
    told = foley("render", made / "r.mov", "--cues", made / "cues.csv", "-o", made / "own.wav", *common)
    assert told.code == 0, told.err
    monkeypatch.setattr("foleycli.batch.work.load", lambda *_: pytest.fail("a model is loaded"))
    told = redo(made / "own.json", "--cue", "1", "--force", "--dry-run")
    assert told.code == 0, told.err
    config = json.loads((mine / "config.json").read_text())
    weights = save(load((mine / "model.safetensors").read_bytes()) | {"another": np.zeros(1)})
    (mine / "model.safetensors").write_bytes(weights)
    config["sha256"] = hashlib.sha256(weights).hexdigest()
    (mine / "config.json").write_text(json.dumps(config))
    told = redo(made / "own.json", "--cue", "1", "--force")
    assert told.code == 1 and "mine has other weights than when own.json was written" in told.error
