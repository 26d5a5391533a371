"""Folders of sounds: read by folder or by index, what is held out, crops for a codec."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

from foleycli.soundset.held_out import held_out_of
from foleycli.soundset.sounds import random_crop, read_sounds


def test_a_tenth_is_held_out_and_of_a_few_files_one() -> None:
    many = [f"{k}.wav" for k in range(2000)]
    assert 150 < len(held_out_of(many)) < 250
    assert held_out_of(many[:500]) == held_out_of(many) & set(many[:500])  # by name: others make no difference
    assert len(held_out_of(["a", "b"])) == 1 and held_out_of(["a"]) == set()


def test_sounds_by_folder_or_by_index(tmp_path):
    for file in ("hit/a.wav", "rain/b.wav"):
        (tmp_path / file).parent.mkdir()
        soundfile.write(tmp_path / file, 0.5 * np.ones((22050, 2)), 22050)
    sounds = read_sounds(tmp_path)
    assert [(sound.file, sound.category, len(sound.samples)) for sound in sounds] == [
        (str(Path("hit/a.wav")), "hit", 44100),
        (str(Path("rain/b.wav")), "rain", 44100),
    ]
    assert sounds[0].samples.dtype == np.int16 and abs(sounds[0].as_float()[22050] - 0.5) < 1e-3
    parts = [{sound.file for sound in read_sounds(tmp_path, held_out)} for held_out in (True, False)]
    assert len(parts[0]) == len(parts[1]) == 1 and parts[0] != parts[1]
    entry = {"file": "hit/a.wav", "category": "door", "name": "slam", "folder": "doors"}
    (tmp_path / "index.jsonl").write_text(json.dumps(entry) + "\n")
    (sound,) = read_sounds(tmp_path)
    assert (sound.category, sound.words) == ("door", "doors slam")


def test_crops_are_full_scale_at_most_and_repeat(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-1, 1, 30000), 44100)
    sounds = read_sounds(tmp_path)
    for seed in range(5):
        one, same = (random_crop(sounds, 8192, np.random.default_rng(seed)) for _ in range(2))
        assert one.shape == (8192,) and one.dtype == np.float32
        assert np.array_equal(one, same)
        assert np.abs(one).max() <= 0.9 and np.isfinite(one).all()
