"""The onset detector on strikes at known times, and the arithmetic of agreement."""

from __future__ import annotations

import numpy as np
import pytest

from foleycli.dsp.onsets import agreement, cut_at_onsets, detect_onsets, envelope_correlation, n_matches

TIMES_S = np.array([0.31, 0.52, 0.9, 1.33, 1.45, 2.2, 2.71])


def strikes(rate_hz: int, times_s: np.ndarray, levels: np.ndarray, kind: str, duration_s: float = 3.2) -> np.ndarray:
    rng = np.random.default_rng(0)
    sound = 1e-4 * rng.standard_normal(round(duration_s * rate_hz))
    for time_s, level in zip(times_s, levels, strict=True):
        t = np.arange(round(0.3 * rate_hz)) / rate_hz
        tone = np.sin(2 * np.pi * 440 * t) if kind == "tone" else rng.standard_normal(len(t))
        piece = level * np.exp(-t / 0.05) * tone
        first = round(time_s * rate_hz)
        sound[first : first + len(piece)] += piece[: len(sound) - first]
    return sound.astype(np.float32)


@pytest.mark.parametrize("rate_hz", [44100, 48000])
@pytest.mark.parametrize("kind", ["noise", "tone"])
def test_strikes_are_found_when_they_begin(rate_hz: int, kind: str) -> None:
    levels = np.array([0.3, 0.1, 0.5, 0.2, 0.4, 0.05, 0.3])
    found = detect_onsets(strikes(rate_hz, TIMES_S, levels, kind), rate_hz)
    told = agreement(found, TIMES_S, 0.03, 3.2)
    assert told.f1 > 0.9
    assert told.shifted_f1 < 0.4


def test_a_sound_is_cut_at_its_onsets():
    times_s = np.array([0.5, 1.0, 2.2])
    sound = strikes(44100, times_s, np.full(3, 0.3), "noise")
    hits = cut_at_onsets(sound, 44100, lead_s=0.05, longest_s=0.8)
    assert [len(hit) / 44100 for hit in hits] == pytest.approx([0.5, 0.8, 0.8], abs=0.02)
    for hit in hits:
        assert np.abs(hit[:1500]).max() < 0.01 and np.abs(hit[1500:3000]).max() > 0.1  # it begins after the lead
    assert cut_at_onsets(np.zeros(44100, np.float32), 44100, 0.05, 0.8) == []


def test_silence_and_steady_noise_have_no_strikes() -> None:
    assert len(detect_onsets(np.zeros(44100, np.float32), 44100)) == 0
    steady = 0.1 * np.random.default_rng(1).standard_normal(3 * 44100)
    assert len(detect_onsets(steady.astype(np.float32), 44100)) <= 3


def test_each_onset_counts_once() -> None:
    true = np.array([1.0, 2.0, 3.0])
    assert n_matches(np.array([0.99, 1.01, 2.5, 3.0]), true, 0.06) == 2
    assert agreement(true, true, 0.06, 4.0).f1 == 1.0
    assert agreement(np.zeros(0), true, 0.06, 4.0).f1 == 0.0
    assert agreement(np.zeros(0), np.zeros(0), 0.06, 4.0).f1 == 1.0


def test_envelopes_of_the_same_strikes_correlate() -> None:
    levels = np.full(len(TIMES_S), 0.3)
    one, other = (strikes(44100, TIMES_S, levels, kind) for kind in ("noise", "tone"))
    moved = strikes(44100, TIMES_S + 0.1, levels, "noise")
    assert envelope_correlation(one, other, 44100) > 0.9 > 0.5 > envelope_correlation(one, moved, 44100)
    assert envelope_correlation(one, np.zeros_like(one), 44100) == 0.0
