"""What falls out of a data set, and why."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from clips import run_ffmpeg
from prepared import SETTINGS

from foleycli.datasets import curate as curating
from foleycli.datasets import curation_report, measures, shards
from foleycli.datasets.curate import Thresholds, curate, decide, find_duplicates
from foleycli.datasets.measures import Measures
from foleycli.datasets.prepare import prepare
from foleycli.datasets.reader import Dataset, ShardStream
from foleycli.errors import FoleyError

FLASHES_S = {"a": 0.4, "b": 1.1, "c": 1.7, "d": 2.4}
ROWS = [("a", "hammer", "train"), ("b", "hammer", "train"), ("c", "man speaking", "train"), ("d", "hammer", "test"),
        ("copy", "hammer", "train"), ("quiet", "hammer", "train")]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four clips with a flash and a beep; `copy` is `d` again, encoded at another rate and softer; `quiet` is soft."""
    root = tmp_path_factory.mktemp("curate")
    for id, at_s in {**FLASHES_S, "quiet": 0.8}.items():
        level = 0.0005 if id == "quiet" else 0.5
        beep = f"{level}*sin(2*PI*1000*t)*between(t,{at_s},{at_s}+0.08)+{level / 50}*random(0)"
        white = f"drawbox=c=white:t=fill:enable='between(t,{at_s},{at_s}+0.08)'"
        run_ffmpeg("-f", "lavfi", "-i", f"color=gray:s=64x48:r=25:d=3,{white}", "-f", "lavfi",
                   "-i", f"aevalsrc='{beep}':s=44100:d=3", "-c:a", "aac", "-preset", "ultrafast",
                   root / f"{id}_000000.mp4")  # fmt: skip
    run_ffmpeg("-i", root / "d_000000.mp4", "-c:v", "copy", "-af", "volume=0.4", "-ar", "32000", "-c:a", "aac",
               "-b:a", "64k", root / "copy_000000.mp4")  # fmt: skip
    table = root / "list.csv"
    table.write_text("".join(f"{id},0,{label},{split}\n" for id, label, split in ROWS), encoding="utf-8")
    settings = replace(SETTINGS, duration_s=3.0, codec="", sync="", semantic="", examples_per_shard=8)
    return prepare(table, root / "set", settings).folder


def key(id: str) -> str:
    return f"{id}_000000_00000000"


def test_silence_speech_and_duplicates_fall_and_the_list_says_by_what(data, foley, monkeypatch):
    monkeypatch.setattr(curation_report, "N_BORDERLINE", 0)
    told = foley("data", "curate", data, "--sync", "-2", "--jobs", "1", "--json")
    assert told.code == 0 and "without ImageBind" in told.err
    found = told.lines[0]
    assert found["kept"] == {"train": 2, "test": 1} and found["examples"] == {"train": 5, "test": 1}
    assert found["fallen"]["train"] == {"silent": 1, "duplicate": 1, "speech": 1, "music": 0, "no match": 0}
    fallen = {row["key"]: row for row in shards.read_lines(data / "curation" / "fallen.jsonl")}
    assert fallen[key("copy")]["detail"] == key("d")  # what is tested stays, what would be trained on falls
    assert fallen[key("c")]["detail"] == "speaking" and fallen[key("quiet")]["value"] < -50
    kept = (data / "curation" / "kept.txt").read_text()
    assert [line for line in kept.splitlines() if line[0] != "#"] == [key("a"), key("b"), key("d")]
    assert "# duplicate: 0.98" in kept and "# picture and sound: sync-scorer " in kept and "# foley " in kept
    dataset = Dataset(data, data / "curation" / "kept.txt")
    stream = iter(ShardStream(dataset, kind="media"))
    assert {next(stream).key for _ in range(4)} == {key("a"), key("b")}


def test_the_same_call_gives_the_same_list_and_measures_nothing_again(data, monkeypatch):
    first = curate(data, Thresholds(), {})
    list_before = (data / "curation" / "kept.txt").read_bytes()

    def measure(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(curating, "measure_shard", measure)
    assert curate(data, Thresholds(), {}).kept == first.kept
    assert (data / "curation" / "kept.txt").read_bytes() == list_before
    fewer = curate(data, Thresholds(sync=2.0), {})
    assert fewer.kept == {"train": [], "test": [key("d")]}  # alone in its shard: nothing to compare it with
    assert {one.reason for one in fewer.fallen} == {"silent", "speech", "duplicate", "no match"}


def test_the_report_shows_borderline_cases(data, foley, monkeypatch):
    monkeypatch.setattr(curation_report, "N_BORDERLINE", 1)
    told = foley("data", "curate", data, "--sync", "0.05", "--jobs", "1")
    page = (data / "curation" / "report.md").read_text()
    assert told.out.strip() == str(data / "curation" / "kept.txt")
    pictures = {path.stem for path in (data / "curation" / "borderline").glob("*.png")}
    assert pictures and all(f"borderline/{name}.png" in page for name in pictures)
    assert "| duplicate: the same sound as another example, which stays | -1 | 0 |" in page
    assert json.loads((data / "curation" / "report.json").read_text())["thresholds"]["sync"] == 0.05


def test_its_own_sound_fits_a_picture_better_than_others_do(data):
    own = {one.key: one.sync for one in curate(data, Thresholds(), {}).measures}
    assert own[key("a")] > 0 and own[key("b")] > 0 and own[key("c")] > 0
    examples = {one.key: one for one in Dataset(data).read("train", 0, "media")}
    sounds = {name: example.sound()[0] for name, example in examples.items()}
    others = [sounds[key("b")], sounds[key("c")]]
    encoder = measures.load_networks({}, measures.torch.device("cpu")).sync
    moved = measures.fit_above_others(examples[key("a")], others[0], [sounds[key("a")], others[1]], 44100, encoder)
    assert moved < own[key("a")]


class Cosines:
    """ImageBind's place: what a dark, or a bright, first picture has."""

    rate_hz = 16000

    def scores(self, samples, video) -> dict[str, float]:
        return {"ib_score": 0.35 if np.abs(samples[: 16000 * 9 // 10]).max() > 0.1 else 0.25}


def test_with_imagebind_its_cosine_decides(data, monkeypatch):
    by = measures.Networks(imagebind=Cosines(), tagger=None, sync=None, text=None)
    monkeypatch.setattr(curating, "_networks", lambda files, device: by)
    monkeypatch.setattr(curating, "methods", lambda files: {"picture and sound": "ImageBind, made up"})
    found = curate(data, Thresholds(), {})
    assert found.kept == {"train": [key("a")], "test": []}  # the only one that is loud before 0.9 s
    assert {one.key: one.value for one in found.fallen if one.reason == "no match"} == {key("b"): 0.25, key("d"): 0.25}
    assert curate(data, Thresholds(imagebind=0.2), {}).kept["train"] == [key("a"), key("b")]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"rms_db": -60.0}, "silent"),
        ({"speech": 0.6}, "speech"),
        ({"music": 0.5}, "music"),
        ({"speech": 0.1, "music": 0.1}, None),
        ({"sync": -0.1}, "no match"),
        ({"sync": -0.1, "tags": 0.7}, None),
        ({"imagebind": 0.29}, "no match"),
        ({"imagebind": 0.31, "sync": -1.0}, None),
    ],
)
def test_an_example_falls_for_the_first_reason(change, reason):
    row = replace(Measures("k", -20.0, None, 0.1, None, None, None), **change)
    fallen = decide(row, "dog barking", {}, Thresholds())
    assert (fallen.reason if fallen else None) == reason


def test_labels_name_speech_and_music():
    row = Measures("k", -20.0, None, 0.1, None, None, None)
    reasons = {label: (fallen.reason, fallen.detail) if (fallen := decide(row, label, {}, Thresholds())) else None
               for label in ("male speech, man speaking", "playing drum kit", "playing table tennis", "sharpen knife",
                             "basketball bounce", "playing harp", "female singing")}  # fmt: skip
    assert reasons == {
        "male speech, man speaking": ("speech", "speech"), "playing drum kit": ("music", "drum"),
        "playing table tennis": None, "sharpen knife": None, "basketball bounce": None,
        "playing harp": ("music", "harp"), "female singing": ("speech", "singing"),
    }  # fmt: skip


def test_a_tagger_hears_speech_and_music():
    class Tagger:
        rate_hz = 44100

        def embed(self, samples):
            logits = np.full(527, -9.0)
            logits[[2, 137]] = 0.0, 4.0
            return measures.networks.Embedding(np.zeros((1, 4)), logits)

    assert measures.speech_and_music(np.zeros(100, np.float32), 44100, Tagger()) == pytest.approx(
        (0.5, 0.982), abs=1e-3
    )


def test_of_a_chain_of_duplicates_only_what_stays_counts():
    angle = np.radians([0, 9, 18, 90])
    prints = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    found = find_duplicates(["a", "b", "c", "d"], prints, 0.98)
    assert found == {"b": ("a", pytest.approx(0.9877, abs=1e-4))}  # c is near b alone, which is gone


def test_a_print_knows_another_encoding_and_no_other_take():
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 44100 * 3)).astype(np.float32) * np.repeat(rng.random((2, 30)), 4410, axis=1)
    one = one.astype(np.float32)
    again = measures.sound_print(0.3 * measures.resample(one[None], 44100, 24000)[0], 24000)
    prints = [measures.sound_print(sound.astype(np.float32), 44100) for sound in (one, other)]
    assert prints[0] @ again > 0.98 and abs(prints[0] @ prints[1]) < 0.5
    assert not measures.sound_print(np.zeros(44100, np.float32), 44100).any()


def test_bad_thresholds_and_folders_are_refused(foley, data, tmp_path):
    assert "imagebind is 7" in foley("data", "curate", data, "--imagebind", "7").error
    assert "is no prepared data set" in foley("data", "curate", tmp_path).error
    with pytest.raises(FoleyError, match="silence_db"):
        Thresholds(silence_db=3.0)
