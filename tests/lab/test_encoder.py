"""The encoder on clips with sound: exact curves score full marks, late and shuffled ones do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from foleycli.lab import encoder

RATE_HZ = encoder.RATE_HZ
TIMES_S = np.array([0.5, 1.13, 1.9, 2.31, 3.4, 4.2])
DURATION_S = 5.0


@pytest.fixture(scope="module")
def clicks() -> np.ndarray:
    """Noise bursts that begin at TIMES_S and die away in 50 ms."""
    rng, samples = np.random.default_rng(0), np.zeros(round(DURATION_S * RATE_HZ), np.float32)
    burst = rng.normal(0, 0.3, RATE_HZ // 5) * np.exp(-np.arange(RATE_HZ // 5) / (0.05 * RATE_HZ))
    for time_s in TIMES_S:
        first = round(time_s * RATE_HZ)
        samples[first : first + len(burst)] += burst.astype(np.float32)
    return samples


def loudness() -> np.ndarray:
    t = np.arange(round(DURATION_S * 25)) / 25
    return np.exp(-np.clip(t - TIMES_S[:, None], 0, None) / 0.1).max(axis=0, where=t >= TIMES_S[:, None], initial=0)


def measure(samples: np.ndarray, **other: np.ndarray) -> encoder.ClipMetrics:
    """Exact onset times and loudness, but for `other`."""
    predicted = {"predicted_s": TIMES_S, "loudness": loudness(), "dynamics": loudness(), **other}
    return encoder.compare(name="clicks", samples=samples, duration_s=DURATION_S, **predicted)


def test_right_times_and_loudness_score_high(clicks):
    metrics = measure(clicks)
    assert (metrics.onsets, metrics.predicted_onsets) == (6, 6)
    assert metrics.above_60ms > 0.8 and metrics.above_100ms > 0.7 and metrics.loudness > 0.6


def test_late_times_score_nothing_at_60_ms(clicks):
    late = measure(clicks, predicted_s=TIMES_S + 0.08)
    assert late.above_60ms < 0.05 and late.above_100ms < 0.5


def test_loudness_of_another_clip_says_nothing(clicks):
    other = measure(clicks, loudness=np.roll(loudness(), 40))
    assert abs(other.loudness) < 0.3 and other.dynamics > 0.6
    assert measure(clicks, loudness=np.full(125, 0.4)).loudness == 0.0  # flat


def test_halves_never_share_a_clip():
    row = encoder.ClipMetrics("", 0, 3, 0.1, 0.1, 0.1, 0.1)
    rows = [replace(row, clip=f"{k}.mp4", onsets=onsets) for k, onsets in enumerate([5, 9, 1, 4, 8, 7])]
    parts = encoder.halves(rows)
    assert [row.clip for row in parts["watched"]] == ["0.mp4", "3.mp4", "5.mp4"]
    assert [row.clip for row in parts["kept"]] == ["1.mp4", "4.mp4"]
    assert len(parts["all"]) == 5  # the one without strikes is in none
