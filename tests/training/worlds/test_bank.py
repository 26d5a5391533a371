"""The bank: trims to the attack, refuses several attacks, keeps test takes apart, reads folders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from foleycli.errors import FoleyError
from foleycli.training.worlds import RATE_HZ, SoundBank
from foleycli.training.worlds.bank import make_take, split_of


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
    share = sum(split_of(name) == "test" for name in names) / len(names)
    assert 0.07 < share < 0.14
    bank = SoundBank()
    for family in ("wood", "dog", "rain"):
        train = {take.name for take in bank.takes(family, "train")}
        assert train
        assert train.isdisjoint(take.name for take in bank.takes(family, "test"))


def test_a_folder_with_an_index(tmp_path: Path) -> None:
    rows = []
    for k in range(40):
        soundfile.write(tmp_path / f"{k}.wav", _click(0.01 * k), RATE_HZ)
        rows.append({"file": f"{k}.wav", "category": "wood", "name": "wood hit 03", "folder": ""})
    (tmp_path / "index.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    bank = SoundBank(tmp_path)
    train, test = bank.takes("wood", "train"), bank.takes("wood", "test")
    assert len(train) + len(test) == 40
    assert all(split_of(take.name) == "test" for take in test)
    assert bank.choose(["metal", "wood"], "train").name == "metal"  # synthetic
    assert SoundBank(tmp_path, only_recorded=True).choose(["metal", "wood"], "train").name == "wood"


def test_a_folder_without_an_index_is_labelled_by_its_folders(tmp_path: Path) -> None:
    (tmp_path / "wood").mkdir()
    soundfile.write(tmp_path / "wood" / "wood hit 1.wav", _click(0.1), RATE_HZ // 2)
    bank = SoundBank(tmp_path, only_recorded=True)
    assert sum(len(bank.takes("wood", split)) for split in ("train", "test")) == 1


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FoleyError, match="nowhere"):
        SoundBank(tmp_path / "nowhere")
