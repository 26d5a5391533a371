"""The measurement of the mix on film: halves, weights of sources, and the real command on a folder of film."""

from __future__ import annotations

import json

import numpy as np
import pytest
from clips import flash_clip

from foleycli.lab import film
from foleycli.lab.film import SoundMetrics
from foleycli.training.film import read_film


def sound(source: str, laid: str = "none", onsets: float = np.nan, loudness: float = 0.0) -> SoundMetrics:
    return SoundMetrics(source, laid, onsets, loudness, 5.0, 2.0, 1.0, 3.0)


def test_halves_differ_by_level_and_spectrum():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(2 * 44100).astype(np.float32) * 0.1
    level_db, spectrum_db = film.halves_db(noise)
    assert level_db < 0.2 and spectrum_db < 1
    noise[44100:] *= 10 ** (-9 / 20)
    assert film.halves_db(noise)[0] == pytest.approx(9, abs=0.3)


def test_a_source_of_many_clips_counts_by_the_root_of_their_number():
    rows = [sound("many", loudness=0.0) for _ in range(4)] + [sound("one", onsets=0.4, loudness=0.9)]
    told = film.summarise("all", rows)
    assert told["loudness"] == pytest.approx(0.9 / (1 + 4 * 0.5)) and told["onsets"] == pytest.approx(0.4)
    assert told["sounds"] == 5 and np.isnan(film.summarise("all", rows[:4])["onsets"])


def test_the_real_command_keeps_what_it_made(lab, tmp_path):
    clip = flash_clip(tmp_path / "0.mp4", duration_s=1.0, sound_s=1.0)
    rows = [{"file": "0.mp4", "repo": f"who/{k}", "onset_times": [0.5], "visible_cause": "yes"} for k in range(8)]
    (tmp_path / "index.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    [first, *_] = [one for one in read_film(tmp_path) if one.is_held_out]
    (tmp_path / "index.jsonl").write_text(json.dumps(next(row for row in rows if row["repo"] == first.source)) + "\n")
    (tmp_path / "words.json").write_text(json.dumps({"0.mp4": "door slam"}))
    kept, call = tmp_path / "kept", ("film", tmp_path, "--seeds", 1, "--keep", tmp_path / "kept", "--json", "--prompts")
    told = lab(*call, tmp_path / "words.json")
    assert told.code == 0, told.err
    everything, hits = map(json.loads, told.out.splitlines())
    assert (everything["what"], hits["what"], hits["sounds"]) == ("all", "hits", 1) and -1 <= hits["loudness"] <= 1
    samples = np.load(kept / "0-words-0.npy")
    assert len(samples) == 44100 and np.abs(samples).max() > 0
    np.save(kept / "0-words-0.npy", np.zeros_like(samples))
    assert json.loads(lab(*call, tmp_path / "words.json").out.splitlines()[0])["spectrum_db"] != hits["spectrum_db"]
    assert clip.is_file()
