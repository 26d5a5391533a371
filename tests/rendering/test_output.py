"""Gain riding of files: as of arrays, for any length, with nothing left beside the file."""

from __future__ import annotations

import numpy as np
import soundfile

from foleycli.dsp.gain_riding import ride_gain
from foleycli.media.audio import SoundWriter
from foleycli.rendering.output import apply_gain_riding

RATE_HZ = 44100


def test_a_file_is_ridden_as_an_array_is(tmp_path):
    samples = (0.1 * np.random.default_rng(0).standard_normal(25 * RATE_HZ)).astype(np.float32)
    target_db = np.linspace(-40, 0, 25 * 25)
    with SoundWriter(tmp_path / "made.wav", RATE_HZ) as writer:
        writer.write(samples)
    apply_gain_riding(tmp_path / "made.wav", target_db, 0.5)
    found, rate_hz = soundfile.read(tmp_path / "made.wav", dtype="float32")
    assert rate_hz == RATE_HZ and np.allclose(found, ride_gain(samples, RATE_HZ, target_db, 0.5), atol=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == ["made.wav"]
