"""`foley batch` from its manifest to its page, in this process."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import filelock
import pytest
import soundfile

from foleycli.hub.resolve import resolve


@pytest.fixture
def batch(foley, kept_model, model_name):
    """`batch(manifest, ...)` at one step, into the folder `out` beside the manifest."""

    def call(manifest: Path, *args: object):
        fixed = ("--model", model_name, "--device", "cpu", "--steps", "1", "--out-dir", manifest.parent / "out")
        cheap = ("--engine", "flow", "--room", "off", "--no-library", "--no-page")
        return foley("batch", manifest, *fixed, *cheap, *args)

    return call


@pytest.fixture
def folder(clips, tmp_path) -> Path:
    """A folder shots/ with a.mp4 and b/c.mp4, 0.2 s each."""
    (tmp_path / "shots" / "b").mkdir(parents=True)
    shutil.copy(clips("short.mp4"), tmp_path / "shots" / "a.mp4")
    shutil.copy(clips("short.mp4"), tmp_path / "shots" / "b" / "c.mp4")
    return tmp_path


def write(path: Path, *rows: tuple) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def made_at(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.wav")}


@pytest.fixture
def no_work_after(monkeypatch):
    def stop(run="foleycli.rendering.job.RenderJob.run"):
        def fail(*_):
            raise AssertionError("nothing is left to do")

        monkeypatch.setattr(run, fail)

    return stop


def test_rows_have_options_of_their_own_and_those_of_the_call(batch, folder):
    manifest = write(
        folder / "m.csv",
        ("file", "prompt", "loudness", "takes", "out", "ref", "mix"),
        ("shots/a.mp4", "glass", "-30", "", "", "", "yes"),
        ("shots/b/c.mp4", "", "", "2", "hits/k.flac", "take.wav", ""),
    )
    soundfile.write(folder / "take.wav", [0.1, -0.1] * 8000, 16000)
    told = batch(manifest, "--prompt", "rain", "--seed", 5, "--name", "{stem}.wav", "--json")
    assert told.code == 0, told.err
    first, second = told.lines
    assert (first["row"], first["status"], first["input"]) == (2, "done", str(folder / "shots/a.mp4"))
    assert [result["output"] for result in first["results"]] == [str(folder / "out/shots/a.wav")]
    assert [result["output"] for result in second["results"]] == [
        str(folder / f"out/hits/k.take{k}.flac") for k in (1, 2)
    ]
    settings = [line["results"][0]["settings"] for line in (first, second)]
    assert [(one["prompt"], one["loudness_lufs"], one["mix"]) for one in settings] == [
        ("glass", -30.0, True), ("rain", None, False),
    ]  # fmt: skip
    assert sorted(result["seed"] for result in second["results"]) == [5, 6]
    assert second["results"][0]["reference"] == str(folder / "take.wav")
    with (folder / "out/summary.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [(row["row"], row["status"], Path(row["output"]).name) for row in table] == [
        ("2", "done", "a.wav"), ("3", "done", "k.take1.flac"), ("3", "done", "k.take2.flac"),
    ]  # fmt: skip


def test_only_what_changed_is_made_again(batch, folder, clips):
    rows = [{"file": "shots/a.mp4", "prompt": "rain", "out": "a.wav"}, {"file": "shots/b/c.mp4", "out": "c.wav"}]
    manifest = folder / "m.jsonl"

    def call(*args):
        manifest.write_text("\n".join(map(json.dumps, rows)))
        told = batch(manifest, *args, "--json")
        assert told.code == 0, told.err
        return {line["row"]: line["status"] for line in told.lines}

    assert call() == {1: "done", 2: "done"}
    before = made_at(folder)
    assert call() == {1: "skipped", 2: "skipped"} and made_at(folder) == before
    rows[0]["prompt"] = "glass"
    assert call() == {1: "done", 2: "skipped"}
    shutil.copy(clips("offset.mp4"), folder / "shots/b/c.mp4")  # another video under the old name
    (folder / "out/a.wav").unlink()
    assert call("--duration", "0.2") == {1: "done", 2: "done"}
    assert call("--force", "--duration", "0.2") == {1: "done", 2: "done"}
    assert not list(folder.rglob("*.part")) and not list(folder.rglob("*.lock"))


def test_somebodys_own_file_is_not_written_over(batch, folder):
    manifest = write(folder / "m.csv", ("file", "out"), ("shots/a.mp4", "a.wav"))
    (folder / "out").mkdir()
    (folder / "out/a.wav").write_bytes(b"mine")
    told = batch(manifest)
    assert told.code == 1 and "already exists. Give --force" in told.err
    assert (folder / "out/a.wav").read_bytes() == b"mine"
    assert batch(manifest, "--force").code == 0
    (folder / "out/a.wav").write_bytes(b"edited")
    assert batch(manifest).code == 1, "it was made here, and changed since"


def test_bad_rows_are_told_by_line_before_any_work_and_stop_no_other(batch, folder):
    shutil.copy(folder / "shots/a.mp4", folder / "out.wav")
    manifest = write(
        folder / "m.csv",
        ("file", "steps", "out", "mix"),
        ("shots/a.mp4", "1", "a.wav", ""),
        ("shots/a.mp4", "99", "b.wav", ""),
        ("shots/a.mp4", "many", "c.wav", ""),
        ("gone.mp4", "", "d.wav", ""),
        ("shots/a.mp4", "", "a.wav", ""),
        ("shots/a.mp4", "", "../e.wav", ""),
        ("shots/a.mp4", "", "f.xyz", ""),
        ("shots/a.mp4", "", "g.wav", "perhaps"),
        ("", "", "h.wav", ""),
    )
    told = batch(manifest, "--json")
    assert told.code == 3
    assert [(line["row"], line["status"]) for line in told.lines] == [
        *((number, "failed") for number in range(3, 11)), (2, "done"),
    ]  # fmt: skip
    errors = [line for line in told.err.splitlines() if line.startswith("error: ")]
    assert [line.split(":")[1] for line in errors] == [f" line {number}" for number in range(3, 11)]
    assert "--steps is 99" in errors[0] and "as that of line 2" in errors[3]
    assert [path.name for path in (folder / "out").glob("*.*")].count("a.wav") == 1


@pytest.mark.parametrize("is_blind", [False, True])
def test_names_that_differ_by_case_are_two_files_only_where_the_disk_has_two(batch, folder, monkeypatch, is_blind):
    if is_blind:  # as macOS and Windows
        monkeypatch.setattr("foleycli.media.output.is_blind_to_case", lambda _: True)
    manifest = write(folder / "m.csv", ("file", "out"), ("shots/a.mp4", "x.wav"), ("shots/a.mp4", "X.wav"))
    told = batch(manifest, "--dry-run")
    assert told.code == (3 if is_blind else 0)
    assert ("X.wav, as that of line 2; this disk does not tell capital letters" in told.err) == is_blind


def test_a_batch_whose_rows_all_fail_failed(batch, folder):
    told = batch(write(folder / "m.csv", ("file",), ("gone.mp4",)))
    assert told.code == 1 and told.out.splitlines()[1].split("\t")[:3] == ["0", "0", "1"]


def test_a_bug_in_one_row_leaves_the_others(batch, folder, monkeypatch):
    from foleycli.rendering.job import RenderJob

    run = RenderJob.run
    monkeypatch.setattr(RenderJob, "run", lambda job, *args: 1 / 0 if job.out.stem == "a" else run(job, *args))
    manifest = write(folder / "m.csv", ("file", "out"), ("shots/a.mp4", "a.wav"), ("shots/b/c.mp4", "c.wav"))
    told = batch(manifest)
    assert told.code == 3 and "line 2" in told.err and "ZeroDivisionError" in told.err and "This is a bug" in told.err
    assert (folder / "out/c.wav").exists() and not (folder / "out/a.wav").exists()
    monkeypatch.setattr(RenderJob, "run", run)
    told = batch(manifest)
    assert told.code == 0 and told.out.splitlines()[1].split("\t")[:3] == ["1", "1", "0"]


def test_a_folder_with_prompts_keeps_its_folders_and_never_takes_results_for_videos(batch, folder, no_work_after):
    write(folder / "words.csv", ("file", "prompt"), ("c", "glass"))
    shots = folder / "shots"
    options = ("--prompts", folder / "words.csv", "--prompt", "rain", "--out-dir", shots / "out", "--json")
    told = batch(shots, *options)
    assert told.code == 0, told.err
    assert [line["results"][0]["settings"]["prompt"] for line in told.lines] == ["rain", "glass"]
    assert (shots / "out/a.foley.mp4").exists() and (shots / "out/b/c.foley.mp4").exists()
    no_work_after()
    told = batch(shots, *options)
    assert [line["status"] for line in told.lines] == ["skipped", "skipped"]


def test_a_row_with_cues_is_a_reel_and_its_stems_go_with_it(batch, folder, clips, no_work_after):
    shutil.copy(clips("silent.mp4"), folder / "reel.mp4")
    write(folder / "cues.csv", ("in", "out", "prompt"), ("0.2", "0.7", "glass"), ("0.9", "1.4", "wood"))
    manifest = write(
        folder / "m.csv", ("file", "cues", "out", "stems"), ("reel.mp4", "cues.csv", "mix.wav", "stems"),
        ("reel.mp4", "gone.csv", "gone.wav", ""),
    )  # fmt: skip
    told = batch(manifest, "--json")
    assert told.code == 3 and [line["status"] for line in told.lines] == ["failed", "done"], told.err
    stems = sorted((folder / "out/stems").glob("*.wav"))
    assert len(stems) == 2 and soundfile.info(folder / "out/mix.wav").duration == pytest.approx(1.6)
    no_work_after("foleycli.rendering.cues.CueJob.run")
    assert [line["status"] for line in batch(manifest, "--json").lines] == ["failed", "skipped"]
    stems[0].unlink()
    assert "nothing is left to do" in batch(manifest).err, "a stem that is gone is made again"


def test_a_row_is_made_again_when_the_model_of_one_of_its_cues_has_changed(batch, folder, model_name, no_work_after):
    shutil.copytree(resolve(model_name), folder / "mine")
    header, sheet = ("in", "out", "prompt", "model"), folder / "cues.csv"
    write(sheet, header, ("0", "0.1", "glass", folder / "mine"), ("0.1", "0.2", "rain", ""))
    manifest = write(folder / "m.csv", ("file", "cues", "out"), ("shots/a.mp4", "cues.csv", "mix.wav"))
    assert [line["status"] for line in batch(manifest, "--json").lines] == ["done"]
    no_work_after("foleycli.rendering.cues.CueJob.run")
    assert [line["status"] for line in batch(manifest, "--json").lines] == ["skipped"]
    with (folder / "mine" / "config.json").open("a") as config:
        config.write("\n")
    assert "nothing is left to do" in batch(manifest).err


@pytest.fixture
def dask(tmp_path):
    """`dask("worker", ...)`: a process of that name that lasts as long as the test; its output is in a file."""
    pytest.importorskip("distributed", reason="the extra foleycli[cluster] is not installed")
    started: list[subprocess.Popen] = []

    def start(*args: object) -> subprocess.Popen:
        with (tmp_path / f"dask-{args[0]}.log").open("wb") as log:
            command = [sys.executable, "-m", "dask", *map(str, args), "--no-dashboard"]
            started.append(
                subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})
            )
        return started[-1]

    yield start
    for process in reversed(started):
        process.terminate()
        process.wait(60)


def test_a_schedulers_worker_makes_the_rows(batch, folder, dask, monkeypatch):
    address = folder / "scheduler.json"
    dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", address)
    for _ in range(600):
        if address.exists():
            break
        time.sleep(0.1)
    worker = dask("worker", "--scheduler-file", address, "--nthreads", "1", "--no-nanny", "--local-directory", folder)
    write(folder / "m.csv", ("file", "prompt"), ("shots/a.mp4", "rain"), ("shots/b/c.mp4", "glass"))
    monkeypatch.chdir(folder)  # paths of the call mean the same to the worker, which runs elsewhere
    told = batch(Path("m.csv"), "--scheduler", address, "--json")
    assert told.code == 0, told.err
    assert [line["status"] for line in told.lines] == ["done", "done"]
    assert {line["worker"].split(":")[1] for line in told.lines} == {str(worker.pid)}
    assert {line["results"][0]["output"] for line in told.lines} == {
        str(path) for path in (folder / "out").rglob("*.foley.mp4")
    }
    told = batch(Path("m.csv"), "--scheduler", address, "--json")
    assert [line["status"] for line in told.lines] == ["skipped", "skipped"]


def test_what_is_done_is_not_even_looked_into_from_wherever_the_folder_is_seen(batch, folder, monkeypatch):
    manifest = write(folder / "m.csv", ("file", "out"), ("shots/a.mp4", "sub/a.wav"))
    assert batch(manifest).code == 0
    monkeypatch.setattr("foleycli.media.probe.probe", None)
    assert batch(manifest).out.splitlines()[1].split("\t")[:3] == ["0", "1", "0"]
    monkeypatch.chdir(folder)
    told = batch(Path("m.csv"), "--json")
    assert [(line["status"], line["results"][0]["output"]) for line in told.lines] == [("skipped", "out/sub/a.wav")]
    assert (folder / "out/summary.csv").read_text().count("skipped") == 1


def test_one_batch_at_a_time_in_a_folder(batch, folder):
    (folder / "out/.foley-batch").mkdir(parents=True)
    with filelock.FileLock(folder / "out/.foley-batch/lock"):
        told = batch(write(folder / "m.csv", ("file",), ("shots/a.mp4",)))
    assert told.code == 1 and "another foley batch writes to" in told.error


def test_a_dry_run_writes_nothing(batch, folder):
    manifest = write(folder / "m.csv", ("file", "out"), ("shots/a.mp4", "sub/a.wav"), ("gone.mp4", ""))
    told = batch(manifest, "--dry-run")
    assert told.code == 3 and "sub/a.wav" in told.out and "line 3" in told.err
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--jobs", "0"), "--jobs"),
        (("--jobs", "2", "--scheduler", "tcp://x:1"), "both given"),
        (("--jobs", "2", "--steps", "99"), "--steps is 99"),
        (("--out-dir", "{shots}"), "the folder of the videos itself"),
    ],
)
def test_options_that_cannot_be_are_refused(foley, folder, args, said):
    args = tuple(arg.format(shots=folder / "shots") for arg in args)
    told = foley("batch", folder / "shots", "--out-dir", folder / "out", *args)
    assert told.code in (1, 2) and said in told.err


def test_every_option_of_render_that_makes_sense_for_a_row_is_a_column():
    from foleycli.cli import rows
    from foleycli.settings.settings import setting_fields

    names = set(rows.columns())
    assert {"prompt", "seed", "start", "ref", "out", "takes", "pick", "model", "preset", "tracks", "loudness"} <= names
    assert set(setting_fields()) - names == {"context_s", "ref_s"}  # which are no options of render
    assert not names & rows.NOT_IN_ROWS
