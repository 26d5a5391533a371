"""From a CSV of filmed clips to shards."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dying import exits, negated
from prepared import LINES, SETTINGS, write_clip

from foleycli.datasets import listing, shards
from foleycli.datasets import prepare as preparing
from foleycli.datasets.prepare import prepare
from foleycli.datasets.reader import Dataset
from foleycli.datasets.work import run_tasks
from foleycli.errors import FoleyError
from foleycli.media.audio import read_audio


def tars(folder: Path) -> dict[str, str]:
    """Every tar with the hash of its bytes."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.tar"))
    }


def test_files_are_found_by_all_usual_names_and_what_is_broken_is_listed(made):
    assert made.prepared.examples == {"train": 5, "test": 1} and made.prepared.shards == 4
    whys = {row["id"]: row["why"] for row in made.prepared.broken}
    assert whys.keys() == {"missing_000003", "broken_000001"} and "not a media file" in whys["broken_000001"]
    facts = list(Dataset(made.out).facts("train"))
    assert [one["label"] for one in facts] == [label for _, _, label, split in LINES if split == "train"]
    assert [one["start_s"] for one in facts] == [0, 0, 2, 0, 0]  # of the whole video the line's part alone
    assert shards.read_index(made.out).is_complete and shards.read_index(made.out).broken == 2


def test_an_example_holds_what_the_file_holds(made):
    example = next(Dataset(made.out).read("train", 0, "media"))
    sound, rate_hz = example.sound()
    own = read_audio(made.videos / "abc_def-12_000030.mp4", rate_hz=44100, channels=1).samples[0][: len(sound)]
    assert (rate_hz, len(sound)) == (44100, 5 * 44100) and np.abs(sound - own).max() < 2 / 32768
    assert example.pictures().shape == (125, 48, 64, 3) and example.pictures(32, 32).shape == (125, 32, 32, 3)
    features = next(Dataset(made.out).read("train", 0)).arrays
    shapes = {name: array.shape for name, array in features.items()}
    assert shapes == {"sync": (125, 130), "semantic": (10, 256), "latents": (216, 64), "codes": (216, 9),
                      "audio_features": (63, 128)}  # fmt: skip
    assert {array.dtype.name for array in features.values()} == {"float16", "int16"}


def test_features_are_those_that_a_render_is_conditioned_on(made, kept_model):
    from foleycli.rendering.analyze import analyze

    streams = analyze(made.videos / "abc_def-12_000030.mp4", kept_model, duration_s=5.0).streams
    stored = next(Dataset(made.out).read("train", 0)).arrays
    np.testing.assert_allclose(stored["sync"], streams["sync"].values.numpy(), atol=2e-3)
    own, rendered = stored["semantic"].astype(np.float64).ravel(), streams["semantic"].values.double().numpy().ravel()
    # A render's tagger may run in bfloat16.
    assert own @ rendered / np.linalg.norm(own) / np.linalg.norm(rendered) > 0.995
    assert np.linalg.norm(own) == pytest.approx(np.linalg.norm(rendered), rel=0.2)


def test_webdataset_reads_the_shards(made):
    webdataset = pytest.importorskip("webdataset")
    path = str(shards.shard_path(made.out, "train", 0, "features"))
    found = list(webdataset.WebDataset(path, shardshuffle=False).decode())
    own = list(Dataset(made.out).read("train", 0))
    assert [one["__key__"] for one in found] == [one.key for one in own] and len(own) == 2
    for theirs, ours in zip(found, own, strict=True):
        assert theirs["json"] == ours.facts
        for name, array in ours.arrays.items():
            np.testing.assert_array_equal(theirs[f"{name}.npy"], array)


def test_a_folder_gives_its_own_labels_and_holds_a_tenth_out(tmp_path):
    for number in range(2):
        (tmp_path / "in" / "wood_block").mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / "wood_block" / f"{number}.mp4").touch()
    found = listing.list_sources(tmp_path / "in").sources
    assert {one.label for one in found} == {"wood block"} and sorted(one.split for one in found) == ["test", "train"]


class Stopped(BaseException):
    """As Ctrl-C is."""


def test_what_was_done_before_a_stop_is_kept_and_the_bytes_are_those_of_one_go(made, tmp_path, monkeypatch):
    out, make, media = tmp_path / "set", preparing.make_example, replace(SETTINGS, codec="", sync="", semantic="")

    def make_until_the_fourth(row, *how):
        if "milli" in row["key"]:
            raise Stopped
        return make(row, *how)

    monkeypatch.setattr(preparing, "make_example", make_until_the_fourth)
    with pytest.raises(Stopped):
        prepare(made.table, out, media, videos=made.videos)
    assert shards.facts_path(out, "train", 0).exists() and not shards.facts_path(out, "train", 1).exists()
    with pytest.raises(FoleyError, match="is not complete"):
        Dataset(out)
    monkeypatch.setattr(preparing, "make_example", make)
    before = shards.facts_path(out, "train", 0).stat().st_mtime_ns
    again = prepare(made.table, out, media, videos=made.videos)
    assert again.made_now == again.shards - 1 and again.examples == made.prepared.examples
    assert shards.facts_path(out, "train", 0).stat().st_mtime_ns == before
    assert prepare(made.table, out, media, videos=made.videos).made_now == 0
    assert not list(out.rglob("*.doing")) and not list(out.rglob(".foley-*"))
    for split, number in (("train", 0), ("train", 1), ("train", 2), ("test", 0)):
        own, at_one_go = (list(Dataset(folder).read(split, number, "media")) for folder in (out, made.out))
        for kind in ("mp4", "flac"):
            assert [example.files[kind] for example in own] == [example.files[kind] for example in at_one_go]


@pytest.mark.slow
def test_after_kill_minus_nine_two_processes_make_the_same_bytes(made, tmp_path):
    """The real command, killed as soon as its first shard is whole."""
    out = tmp_path / "set"
    options = ["--videos", made.videos, "--duration", "5", "--size", "48", "--examples-per-shard", "2", "--quiet"]
    command = [sys.executable, "-m", "foleycli", "data", "prepare", made.table, "--out", out, *options, "--jobs", "1"]
    child = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
    first = shards.facts_path(out, "train", 0)
    while not first.exists() and child.poll() is None:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert child.returncode == -signal.SIGKILL and not shards.read_index(out).is_complete
    again = prepare(made.table, out, SETTINGS, videos=made.videos, jobs=2)
    assert again.made_now < again.shards and tars(out) == tars(made.out)


@pytest.mark.slow
def test_dask_workers_make_the_same_bytes(made, tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        out = tmp_path / "set"
        prepare(made.table, out, SETTINGS, videos=made.videos, scheduler=cluster.scheduler_address)
    assert tars(out) == tars(made.out)


def test_a_process_that_dies_takes_nothing_with_it():
    assert sorted(run_tasks(exits, [1, 2, 3], jobs=2, after_crash=negated)) == [-2, 1, 3]


def test_an_example_that_ends_its_process_is_left_out(made, tmp_path):
    rows = tuple(shards.read_lines(made.out / shards.PLAN_NAME)[:2])
    task = preparing.ShardTask(tmp_path, "train", 0, rows, SETTINGS, device="cpu", threads=0)
    task.doing_path.parent.mkdir()
    task.doing_path.write_text(rows[0]["key"])  # as a process leaves it that died
    preparing.make_shard(preparing.without_crashed(task))
    facts = shards.read_json(shards.facts_path(tmp_path, "train", 0))
    assert [row["key"] for row in facts["examples"]] == [rows[1]["key"]]
    assert [(row["key"], row["why"]) for row in facts["broken"]] == [(rows[0]["key"], "reading it ends the process")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"duration_s": 4.0}, "whose duration_s is 5.0, not 4.0"),
        ({"sync": "sync-scorer"}, "whose sync is sync-mini"),
        ({"duration_s": 100.0}, "duration_s is 100"),
        ({"codec": "no-such-codec"}, "unknown model"),
    ],
)
def test_another_data_set_is_not_mixed_in(made, change, message):
    with pytest.raises(FoleyError, match=message):
        prepare(made.table, made.out, replace(SETTINGS, **change), videos=made.videos)


def test_an_encoder_without_weights_is_refused_before_anything_is_read(made, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text('{"kind": "codec"}')
    with pytest.raises(FoleyError, match="empty has no model.safetensors"):
        prepare(made.table, tmp_path / "out", replace(SETTINGS, codec=str(tmp_path / "empty")), videos=made.videos)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,c\nx\n", "line 2, is not of the form"),
        ("a,1,c,later\nb,1,c,later\n", "line 2, is not of the form"),
        ("a,-1,c\nb,-1,c\n", "line 2, is not of the form"),
        ("nothing,1,c,test\n", "none of the 1 lines"),
        ("", "none of the 0 lines"),
    ],
)
def test_a_csv_of_another_form_is_refused(tmp_path, text, message):
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    with pytest.raises(FoleyError, match=message):
        listing.list_sources(tmp_path / "list.csv")


def test_videos_of_which_none_can_be_used_are_an_error_that_says_why(tmp_path):
    (tmp_path / "in").mkdir()
    write_clip(tmp_path / "in" / "short.mp4", 0, duration_s=1.0)
    with pytest.raises(FoleyError, match="none of 1 videos can be used; the first: it has 1.0 s, 5 s are needed"):
        prepare(tmp_path / "in", tmp_path / "out", SETTINGS)
    media = replace(SETTINGS, duration_s=0.5, codec="", sync="", semantic="")  # as the hint says
    assert prepare(tmp_path / "in", tmp_path / "out", media).examples == {"train": 2}
