"""The measurement of `foley extend`: what is the take again scores high, and the real command runs on a clip."""

from __future__ import annotations

import json

import numpy as np
import pytest
from clips import run_ffmpeg

from foleycli.lab import extensions

RATE_HZ = 22050


def beat(seconds: float, seed: int) -> np.ndarray:
    """A burst of noise every 0.4 s over softer noise."""
    rng, n = np.random.default_rng(seed), round(seconds * RATE_HZ)
    fall = np.exp(-((np.arange(n) / RATE_HZ) % 0.4) / 0.03)
    return (0.3 * fall * rng.standard_normal(n) + 0.002 * rng.standard_normal(n)).astype(np.float32)


def test_the_same_again_is_like_the_take_and_like_what_followed():
    take, real = beat(2.0, 0), beat(4.0, 1)
    found = extensions.compare(take, beat(4.0, 2), real, RATE_HZ, None)
    assert max(found.level_db, found.quiet_db, found.spectrum_db, found.spectrum_to_real_db) < 1
    assert found.onsets > 0.5 and found.envelope > 0.8 and found.onsets_per_s == pytest.approx(2.5, abs=0.3)
    assert np.isnan(found.cosine)


def test_a_softer_and_gated_continuation_is_told():
    take, real = beat(2.0, 0), beat(4.0, 1)
    soft = 0.25 * beat(4.0, 2)
    soft[np.arange(len(soft)) % round(0.4 * RATE_HZ) > 0.2 * RATE_HZ] = 0
    found = extensions.compare(take, soft, real, RATE_HZ, None)
    assert found.level_db == pytest.approx(12, abs=1) and found.quiet_db > 30
    assert found.join_rank > extensions.compare(take, beat(4.0, 2), real, RATE_HZ, None).join_rank - 0.3


def test_the_table_has_a_row_for_each_way(lab, tmp_path):
    source = ("-f", "lavfi", "-i", "testsrc2=s=96x96:r=25:d=2.2", "-f", "lavfi", "-i", "anoisesrc=a=0.1:d=2.2")
    run_ffmpeg(*source, "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", tmp_path / "noise.mp4")
    told = lab("extensions", tmp_path, "--take", 1.1, "--alone", "--json")
    assert told.code == 0, told.err
    rows = [json.loads(line) for line in told.out.splitlines()]
    assert [row["way"] for row in rows] == ["what really followed", *extensions.WAYS]
    assert all(row["clips"] == 1 and row["cosine"] is None for row in rows)
    assert rows[0]["spectrum_to_real_db"] == 0


def test_clips_that_are_too_short_are_told(lab, clips, tmp_path):
    (tmp_path / "plain.mp4").symlink_to(clips("plain.mp4"))
    told = lab("extensions", tmp_path, "--take", 3)
    assert told.code == 1 and "has no clip with sound that is long enough" in told.err
