"""The bank: trims to the attack, refuses several attacks, keeps test takes apart, reads folders."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from foleycli.errors import FoleyError
from foleycli.soundset.bank import SoundBank, make_take
from foleycli.soundset.held_out import is_held_out
from foleycli.soundset.kinds import EVEN_KINDS, RATE_HZ, SOUND_KINDS, read_kinds
from foleycli.soundset.names import kinds_by_name
from foleycli.soundset.sounds import list_sounds, read_sounds


def _click(lead_s: float, length_s: float = 0.5) -> np.ndarray:
    """Near silence, then a damped tone from `lead_s` on."""
    t = np.arange(int((lead_s + length_s) * RATE_HZ)) / RATE_HZ - lead_s
    tone = np.sin(2 * np.pi * 900 * t) * np.exp(-np.maximum(t, 0) / 0.04) * (t >= 0)
    return (0.5 * tone + 1e-4 * np.sin(300 * t)).astype(np.float32)


def test_a_take_begins_at_its_attack() -> None:
    take = make_take("a.wav", "a", _click(0.3), "hit")
    assert take is not None
    before = np.abs(take.samples()[: take.onset]).max()
    after = np.abs(take.samples()[take.onset : take.onset + 132]).max()
    assert before < 0.25 * after
    assert take.onset < 0.003 * RATE_HZ


def test_two_attacks_are_no_single_hit() -> None:
    twice = np.concatenate([_click(0.05, 0.25), _click(0.05, 0.25)])
    assert make_take("a.wav", "a", twice, "hit") is None
    assert make_take("a.wav", "a", twice, "voice") is not None


def test_silence_and_slow_swells_are_no_hits() -> None:
    assert make_take("a.wav", "a", np.zeros(RATE_HZ, np.float32), "hit") is None
    swell = np.sin(np.arange(RATE_HZ) / 8).astype(np.float32) * np.linspace(0, 1, RATE_HZ, dtype=np.float32)
    assert make_take("a.wav", "a", swell, "hit") is None


def test_splits_are_disjoint_and_about_a_tenth() -> None:
    names = [f"wood/{k:04d}.ogg" for k in range(2000)]
    share = sum(is_held_out(name) for name in names) / len(names)
    assert 0.07 < share < 0.14
    bank = SoundBank()
    for kind in ("wood", "dog", "rain"):
        train = {take.name for take in bank.takes(kind, "train")}
        assert train
        assert train.isdisjoint(take.name for take in bank.takes(kind, "test"))


@pytest.mark.parametrize("read", [SoundBank, read_sounds])
@pytest.mark.parametrize("line", ["{broken", "[]", '{"file": "a.wav"}'])
def test_a_broken_line_of_an_index_is_named(tmp_path, read, line):
    (tmp_path / "index.jsonl").write_text('{"file": "a.wav", "category": "wood"}\n\n' + line)
    with pytest.raises(FoleyError, match="line 3, does not name file and category"):
        read(tmp_path)


def test_a_folder_with_an_index(tmp_path: Path) -> None:
    rows = []
    for k in range(40):
        soundfile.write(tmp_path / f"{k}.wav", _click(0.01 * k), RATE_HZ)
        rows.append({"file": f"{k}.wav", "category": "wood", "name": "wood hit 03", "folder": ""})
    (tmp_path / "index.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    bank = SoundBank(tmp_path)
    train, test = bank.takes("wood", "train"), bank.takes("wood", "test")
    assert len(train) + len(test) == 40
    assert all(is_held_out(take.name) for take in test)
    assert bank.choose(["metal", "wood"], "train").name == "metal"  # synthetic
    assert SoundBank(tmp_path, only_recorded=True).choose(["metal", "wood"], "train").name == "wood"


def test_a_folder_without_an_index_is_labelled_by_its_folders(tmp_path: Path) -> None:
    (tmp_path / "wood").mkdir()
    soundfile.write(tmp_path / "wood" / "wood hit 1.wav", _click(0.1), RATE_HZ // 2)
    bank = SoundBank(tmp_path, only_recorded=True)
    assert sum(len(bank.takes("wood", split)) for split in ("train", "test")) == 1


@pytest.mark.parametrize(
    ("file", "kinds"),
    [
        ("metal/001.wav", "metal"),
        ("Gunshots/a.wav", "gun"),
        ("dog_barks/a.wav", "dog"),
        ("animals/a.wav", "dog, sheep, cow, bird, horse, lion, pig"),
        ("animals/dog/a.wav", "dog"),
        ("my sounds/rain/2024/a.wav", "rain"),
        ("wood/a.wav", "wood"),
        ("my sounds/footsteps/wood/a.wav", "step wood"),
        ("footstep/a.wav", ", ".join(name for name in SOUND_KINDS if name.startswith("step "))),
        ("leaves/a.wav", "leaves"),
        ("soft/a.wav", "knife, thud"),  # a material
        ("Rain 3.wav", "rain"),
        ("rain/door.wav", "rain"),  # folders are labels, names of files are not
        ("cats/001.wav", "cat"),
        ("my sounds/phone ringing/001.wav", "phone"),
        ("gearbox/001.wav", ""),
    ],
)
def test_folders_mean_kinds_by_their_names(file: str, kinds: str) -> None:
    assert kinds_by_name(file) == set(filter(None, kinds.split(", ")))


def _files_used(folder: Path) -> dict[str, set[str]]:
    """The files that each kind takes, where it takes any."""
    bank = SoundBank(folder, only_recorded=True)
    used = {
        name: {take.name for split in ("train", "test") for take in bank.takes(name, split)} for name in SOUND_KINDS
    }
    return {name: files for name, files in used.items() if files}


def test_a_users_own_folder_is_used_and_what_means_nothing_is_counted(tmp_path: Path) -> None:
    files = ["door/001.wav", "metal/001.wav", "metal/anvil 2.wav", "rain/long.wav", "gearbox/001.wav"]
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / file, np.tile(_click(0.1), 2 if "long" in file else 1), RATE_HZ)
    used = {"door": {files[0]}, "metal": {files[1]}, "anvil": {files[2]}, "rain": {files[3]}}
    assert _files_used(tmp_path) == used
    assert SoundBank(tmp_path).unused == ["gearbox/001.wav"]


def test_worlds_and_codec_keep_the_same_files_back_of_a_folder_of_few(tmp_path: Path) -> None:
    """By their hashes alone none of these would be."""
    names = [name for name in (f"{k}.wav" for k in range(20)) if not is_held_out(f"wood/{name}")][:4]
    (tmp_path / "wood").mkdir()
    for name in names:
        soundfile.write(tmp_path / "wood" / name, _click(0.1), RATE_HZ)
    bank = SoundBank(tmp_path)
    for split, held_out in (("train", False), ("test", True)):
        listed = {one.file for one in list_sounds(tmp_path, held_out)}
        assert {take.name for take in bank.takes("wood", split)} == listed
        assert len(listed) == (1 if held_out else 3)


def test_an_index_alone_sorts_what_it_lists(tmp_path: Path) -> None:
    """The names of folders and files add nothing to it."""
    rows = [("rain/1.wav", "other", "untold"), ("metal/1.wav", "wood", "wood hit"), ("dog/1.wav", "animal", "sheep")]
    for file, _, _ in rows:
        (tmp_path / file).parent.mkdir()
        soundfile.write(tmp_path / file, np.tile(_click(0.1), 1 if "metal" in file else 2), RATE_HZ)
    listed = [json.dumps({"file": file, "category": category, "name": name}) for file, category, name in rows]
    (tmp_path / "index.jsonl").write_text("\n".join(listed))
    assert _files_used(tmp_path) == {"wood": {"metal/1.wav"}, "sheep": {"dog/1.wav"}}
    assert SoundBank(tmp_path).unused == []


def test_a_folder_of_which_no_sound_can_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gearbox").mkdir()
    soundfile.write(tmp_path / "gearbox" / "1.wav", _click(0.1), RATE_HZ)
    with pytest.raises(FoleyError, match="none of the 1 sounds") as told:
        SoundBank(tmp_path)
    assert "step gravel" in told.value.hint


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FoleyError, match="nowhere"):
        SoundBank(tmp_path / "nowhere")


def _write_set(folder: Path, category: str, sub: str, n: int, lead_s: float = 0.1) -> None:
    """A set whose index has sub-categories, as sets of everyday sounds do."""
    rows = []
    for k in range(n):
        file = f"{category}/{k:04d}.wav"
        (folder / category).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / file, np.tile(_click(lead_s), 2), RATE_HZ)
        rows.append({"file": file, "category": category, "sub": sub, "name": "take", "folder": "x"})
    with (folder / "index.jsonl").open("a") as index:
        index.writelines(json.dumps(row) + "\n" for row in rows)


def test_everyday_kinds_exist_only_where_they_were_recorded(tmp_path: Path) -> None:
    _write_set(tmp_path, "animal", "cat", 12)
    _write_set(tmp_path, "phone_camera", "phone", 12)
    recorded, empty = SoundBank(tmp_path), SoundBank()
    assert empty.takes("cat", "train") == [] and empty.even_kinds("train") == EVEN_KINDS
    assert empty.choose(["cat", "dog"], "train").name == "dog"
    assert recorded.choose(["cat", "dog"], "train").name == "cat"
    n_takes = [len(recorded.takes("cat", split)) for split in ("train", "test")]
    assert sum(n_takes) == 12 and min(n_takes) >= 1
    assert recorded.even_kinds("train") == (*EVEN_KINDS, "phone")  # a cat is no even sound


def test_a_sub_category_adds_recordings_to_a_game_kind(tmp_path: Path) -> None:
    _write_set(tmp_path, "animal", "dog", 4)
    assert _files_used(tmp_path) == {"dog": {f"animal/{k:04d}.wav" for k in range(4)}}
    assert SOUND_KINDS["dog"].labels[0] == "dog bark" and not SOUND_KINDS["dog"].is_everyday


def test_several_folders_make_one_bank_and_each_keeps_its_own_files_back(tmp_path: Path) -> None:
    """Files are held out by their names in their own folder, as where that folder is the only one."""
    one, other = tmp_path / "one", tmp_path / "other"
    _write_set(one, "animal", "dog", 30)
    _write_set(other, "animal", "dog", 30, lead_s=0.2)
    both = SoundBank(one, other)
    for split in ("train", "test"):
        alone = [take.name for folder in (one, other) for take in SoundBank(folder).takes("dog", split)]
        assert [take.name for take in both.takes("dog", split)] == alone
    assert len(both.takes("dog", "train")) + len(both.takes("dog", "test")) == 60


def test_rows_of_the_table_that_are_no_kind_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "table.yaml"
    for row in (
        "{name: unheard, from: [animal/unheard]}",  # neither a game kind nor a shape
        "{name: unheard, shape: long, from: [animal/unheard], labels: [unheard]}",
        "{name: unheard, shape: hit, from: [animal/unheard], labels: []}",
        "{name: dog, shape: hit, from: [animal/dog], labels: [dog]}",  # the game kind has a shape
    ):
        table.write_text(f"- {row}\n")
        with pytest.raises(FoleyError, match="is no new kind"):
            read_kinds(table)


def test_the_table_of_everyday_kinds_is_consistent() -> None:
    main_labels = [kind.labels[0] for kind in SOUND_KINDS.values()]
    assert len(main_labels) == len(set(main_labels))
    for kind in SOUND_KINDS.values():
        assert len(kind.labels) == len(set(kind.labels)), kind.name
        assert all(re.fullmatch(r"[a-z][a-z -]+[a-z]", label) for label in kind.labels), kind.labels
        assert all(re.fullmatch(r"[a-z_]+/[a-z_]+", one) for one in kind.subcategories), kind.name
        assert bool(kind.pattern) == bool(kind.material) != kind.is_everyday
    assert sum(kind.is_everyday for kind in SOUND_KINDS.values()) >= 200
