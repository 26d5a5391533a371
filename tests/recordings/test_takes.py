"""Recordings cut into takes: where hits, calls and textures begin and end, and which kind a recording is."""

from __future__ import annotations

import numpy as np
import pytest

from foleycli.recordings.takes import cut_takes, guess_kind, is_single, make_take, take_bounds

RATE = 44100


def struck(times_s: list[float], length_s: float, decay: float = 30.0, hz: float = 800.0) -> np.ndarray:
    """Decaying tones at the times."""
    t = np.arange(round(length_s * RATE)) / RATE
    hits = [np.where(t >= at, np.exp(-decay * np.abs(t - at)) * np.sin(2 * np.pi * hz * (t - at)), 0) for at in times_s]
    return (0.5 * sum(hits)).astype(np.float32)


def noise(length_s: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(length_s * RATE))).astype(np.float32)


def test_each_hit_is_a_take_from_its_attack_until_it_has_died_away():
    takes = cut_takes(struck([0.5, 1.5, 2.5], 4.0), RATE, "hits")
    assert len(takes) == 3
    for take in takes:
        assert 0.001 < take.onset / RATE < 0.006  # a little air before the attack
        assert 0.15 < len(take.samples) / RATE < 0.4  # 55 dB at 8.7 dB per 1/30 s: 0.21 s
        assert abs(take.samples[0]) < 1e-3 and abs(take.samples[-1]) < 1e-3


def test_a_rattle_is_one_take_and_soft_noises_between_hits_are_none():
    samples = struck([0.5, 0.56, 0.62], 2.0) + 0.05 * struck([1.5], 2.0)
    assert len(take_bounds(samples, RATE, "hits")) == 1


def test_calls_are_parted_by_pauses():
    samples = np.concatenate(
        [noise(0.6), np.zeros(RATE // 2, np.float32), noise(0.9), np.zeros(RATE // 20, np.float32)]
    )
    lengths_s = [(end - first) / RATE for first, end in take_bounds(samples, RATE, "voice")]
    assert lengths_s == pytest.approx([0.6, 0.9], abs=0.03)


def test_a_texture_is_what_is_not_silent_at_the_ends():
    samples = np.concatenate([np.zeros(RATE, np.float32), noise(3.0), np.zeros(RATE, np.float32)])
    [(first, end)] = take_bounds(samples, RATE, "texture")
    assert first / RATE == pytest.approx(1.0, abs=0.02) and end / RATE == pytest.approx(4.0, abs=0.03)


def test_silence_has_no_takes():
    for kind in ("hits", "voice", "texture"):
        assert cut_takes(np.zeros(RATE, np.float32), RATE, kind) == []


def test_a_second_attack_makes_a_hit_double():
    assert is_single(make_take(struck([0.01], 0.5), RATE, "hits"), RATE)
    assert not is_single(make_take(struck([0.01, 0.2], 0.5), RATE, "hits"), RATE)


@pytest.mark.parametrize(
    ("samples", "kind"),
    [
        (noise(4.0), "texture"),
        (struck([0.1, 0.9, 1.7], 2.5), "hits"),
        (np.concatenate([noise(1.6), np.zeros(RATE, np.float32), noise(1.7)]), "voice"),
        (np.zeros(RATE, np.float32), "hits"),
    ],
    ids=["rain", "knocks", "calls", "silence"],
)
def test_the_kind_of_an_unknown_recording_is_guessed(samples, kind):
    assert guess_kind(samples, RATE) == kind
