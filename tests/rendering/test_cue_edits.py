"""One stem in the place of another in a finished file, at the gain that the file has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from foleycli.rendering.cue_edits import exchange, gain_between

RATE_HZ, START = 48000, 700
ROUNDED = 2.0**-23


@pytest.fixture
def parts(tmp_path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Another stem, the old one, and the new one, which differs from 0.1 to 0.2 s; as float files too."""
    rng = np.random.default_rng(1)
    other, old = (rng.uniform(-0.2, 0.2, (RATE_HZ, 2)).astype(np.float32) for _ in range(2))
    new = old[: RATE_HZ // 2].copy()
    new[4800:9600] = rng.uniform(-0.2, 0.2, (4800, 2))
    for name, samples in (("other", other), ("old", old[: RATE_HZ // 2]), ("new", new)):
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE_HZ, "FLOAT")
    return other, old[: RATE_HZ // 2], new


def read(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float64", always_2d=True)[0]


@pytest.mark.parametrize("subtype", ["PCM_24", "FLOAT"])
@pytest.mark.parametrize("gain", [1.0, 1.7])
def test_only_what_differs_is_changed_at_the_gain_of_the_file(tmp_path, parts, subtype, gain):
    other, old, new = parts
    whole = other.astype(np.float64)
    whole[START : START + len(old)] += old
    soundfile.write(tmp_path / "file.wav", gain * whole, RATE_HZ, subtype)
    before = read(tmp_path / "file.wav")
    stems = [(tmp_path / "other.wav", 0), (tmp_path / "old.wav", START)]
    assert gain_between(stems, tmp_path / "file.wav") == pytest.approx(gain, rel=1e-6)
    arguments = (tmp_path / "file.wav", tmp_path / "old.wav", tmp_path / "new.wav", tmp_path / "out.wav", START)
    assert exchange(*arguments, gain=gain) is False
    after = read(tmp_path / "out.wav")
    differs = np.flatnonzero((after != before).any(axis=1))
    assert differs[0] >= START + 4800 and differs[-1] < START + 9600 and len(differs) > 4000
    wanted = before.copy()
    wanted[START : START + len(old)] += gain * (new.astype(np.float64) - old)
    assert np.abs(after - wanted).max() < 2 * ROUNDED
    assert soundfile.info(tmp_path / "out.wav").subtype == subtype


def test_what_goes_above_full_scale_is_told_and_of_silence_the_gain_is_one(tmp_path, parts):
    silence = np.zeros((RATE_HZ, 2))
    soundfile.write(tmp_path / "file.wav", silence, RATE_HZ, "PCM_24")
    soundfile.write(tmp_path / "none.wav", silence, RATE_HZ, "FLOAT")
    assert gain_between([(tmp_path / "none.wav", 0)], tmp_path / "file.wav") == 1.0
    arguments = (tmp_path / "file.wav", tmp_path / "none.wav", tmp_path / "other.wav", tmp_path / "out.wav", 0)
    assert exchange(*arguments, gain=6.0) is True
    assert read(tmp_path / "out.wav").max() == 1 - ROUNDED
