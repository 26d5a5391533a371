"""The meter against signals whose readings are known, and results against a second meter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile

from foleycli.media.audio import SoundWriter
from foleycli.media.finish import finish_sound
from foleycli.media.loudness import measure_file, meter_file, peak_of_file
from foleycli.settings.loudness import SPECIFICATIONS, LoudnessTarget, loudness_target

RATE_HZ = 48000


def _tone(level_db: float, duration_s: float) -> np.ndarray:
    """A stereo sine of 1 kHz [N, 2] with peaks at level_db."""
    wave = 10 ** (level_db / 20) * np.sin(2 * np.pi * 1000 * np.arange(round(duration_s * RATE_HZ)) / RATE_HZ)
    return np.stack([wave, wave], axis=1)


def test_readings_of_tones_that_the_ebu_states(tmp_path: Path) -> None:
    """EBU Tech 3341, table 1, cases 1 and 2, and EBU Tech 3342, case 1."""
    path = tmp_path / "tone.wav"
    soundfile.write(path, _tone(-23.0, 5), RATE_HZ, subtype="FLOAT")
    read = measure_file(path)
    for value in (read.lufs, read.max_momentary_lufs, read.max_short_term_lufs):
        assert value == pytest.approx(-23.0, abs=0.1)
    assert read.peak_dbtp == pytest.approx(-23.0, abs=0.1)
    soundfile.write(path, np.concatenate([_tone(-20.0, 20), _tone(-30.0, 20)]), RATE_HZ, subtype="FLOAT")
    read = measure_file(path)
    assert read.range_lu == pytest.approx(10.0, abs=1.0)
    assert read.max_momentary_lufs == pytest.approx(-20.0, abs=0.1)


def test_silence_has_no_readings(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(2 * RATE_HZ), RATE_HZ)
    read = measure_file(tmp_path / "silence.wav")
    assert read.is_silent and read.max_momentary_lufs is None and read.max_short_term_lufs is None


@pytest.mark.parametrize("name", sorted(SPECIFICATIONS))
def test_a_second_meter_finds_what_a_specification_says(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(3)
    samples = rng.standard_normal((2, 3 * RATE_HZ)) * np.repeat(rng.uniform(0.05, 0.1, 6), RATE_HZ // 2)  # [2, N]
    with SoundWriter(tmp_path / "made.wav", RATE_HZ, 2) as writer:
        writer.write(samples)
    target, out = loudness_target(name), tmp_path / "out.wav"
    done = finish_sound(
        tmp_path / "made.wav", out, rate_hz=RATE_HZ, channels=2, n_samples=samples.shape[1], target=target
    )
    written, _ = soundfile.read(out)
    assert target.lufs is not None and done.lufs == pytest.approx(target.lufs, abs=0.01)
    assert pyloudnorm.Meter(RATE_HZ).integrated_loudness(written) == pytest.approx(target.lufs, abs=0.1)


def test_the_peak_of_the_specification_wins(tmp_path: Path) -> None:
    samples = np.zeros((1, 2 * RATE_HZ), np.float32)
    samples[0, RATE_HZ] = 0.5  # a click: soft, with a high peak
    with SoundWriter(tmp_path / "made.wav", RATE_HZ) as writer:
        writer.write(samples)
    peaks = {}
    for ceiling_dbtp in (-1.0, -2.0):
        done = finish_sound(
            tmp_path / "made.wav",
            tmp_path / "out.wav",
            rate_hz=RATE_HZ,
            channels=1,
            n_samples=samples.shape[1],
            target=LoudnessTarget(-20.0, ceiling_dbtp),
        )
        peaks[ceiling_dbtp] = measure_file(tmp_path / "out.wav").peak_dbtp
        assert done.lowered_db < 0
    assert peaks == {-1.0: pytest.approx(-1.05, abs=0.1), -2.0: pytest.approx(-2.05, abs=0.1)}


@pytest.mark.parametrize("ending", [".wav", ".m4a", ".ogg"])
def test_our_meter_reads_what_ffmpegs_reads(tmp_path: Path, ending: str) -> None:
    noise = np.random.default_rng(0).standard_normal((3 * RATE_HZ, 2)) * np.geomspace(0.01, 0.2, 3 * RATE_HZ)[:, None]
    soundfile.write(tmp_path / "made.wav", np.cumsum(noise, axis=0) / 20 % 0.5, RATE_HZ, subtype="FLOAT")
    out = tmp_path / f"out{ending}"
    finish_sound(tmp_path / "made.wav", out, rate_hz=RATE_HZ, channels=2, n_samples=3 * RATE_HZ)
    ours, ffmpegs = meter_file(out), measure_file(out)
    assert ours.lufs == pytest.approx(ffmpegs.lufs, abs=0.1)
    assert ours.peak_dbtp == pytest.approx(ffmpegs.peak_dbtp, abs=0.2)
    assert peak_of_file(out) == ours.peak_dbtp <= -1.0
