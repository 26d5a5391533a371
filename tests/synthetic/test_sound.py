"""Sound: attacks sit on the events, stronger is louder, textures follow their drive, loudness is RMS."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from foleycli.synthetic import (
    RATE_HZ,
    Event,
    SoundBank,
    Track,
    WorldConfig,
    loudness_db,
    make_scene,
    mix_of,
    sound_of,
)

TRACK = Track(
    4.0, 25, "train", "hits", ("wood",), (Event(0.5, 0.9, ""), Event(1.7, 0.4, ""), Event(2.9, 0.9, "")), "strike"
)


@pytest.fixture(scope="module")
def bank() -> SoundBank:
    return SoundBank()


def _attack_s(samples: np.ndarray, near_s: float) -> float:
    """When the sound passes a tenth of its local peak."""
    start = int((near_s - 0.1) * RATE_HZ)
    piece = np.abs(samples[start : start + int(0.2 * RATE_HZ)])
    return (start + int(np.argmax(piece > 0.1 * piece.max()))) / RATE_HZ


@pytest.mark.parametrize("sound_kind", ["wood", "metal", "stone", "drum", "ball", "click", "gun", "door", "step tile"])
def test_attacks_are_heard_at_the_events(sound_kind: str, bank: SoundBank) -> None:
    for seed in range(4):
        samples = sound_of(replace(TRACK, sound_kinds=(sound_kind,)), bank, np.random.default_rng(seed))
        for event in (TRACK.events[0], TRACK.events[2]):
            assert _attack_s(samples, event.time_s) == pytest.approx(event.time_s, abs=0.003)


def test_stronger_is_louder(bank: SoundBank) -> None:
    loudness = loudness_db(mix_of(TRACK, bank, np.random.default_rng(0)).clean, 100, 25)
    assert loudness[42:46].max() < loudness[12:16].max() - 3


def test_a_texture_follows_its_drive(bank: SoundBank) -> None:
    drive = np.zeros(801, np.float32)
    drive[400:] = 1.0
    track = replace(TRACK, mode="driven", sound_kinds=("scrape",), events=(), drive=drive)
    loudness = loudness_db(mix_of(track, bank, np.random.default_rng(0)).clean, 100, 25)
    assert loudness[:48].max() < -60
    assert loudness[52:].min() > -40


def test_the_bed_is_heard_but_not_counted(bank: SoundBank) -> None:
    track = replace(TRACK, events=(), mode="silence", bed="wind", bed_db=-40.0)
    mix = mix_of(track, bank, np.random.default_rng(0))
    assert 20 * np.log10(np.sqrt(np.mean(mix.samples**2))) == pytest.approx(-40, abs=2)
    assert loudness_db(mix.clean, 100, 25).max() == -80


def test_loudness_of_a_known_tone() -> None:
    tone = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(RATE_HZ) / RATE_HZ)
    assert loudness_db(tone, 25, 25) == pytest.approx(-23.01, abs=0.05)


def test_the_peak_is_the_tracks() -> None:
    _, track = make_scene(1, WorldConfig(duration_s=2.0, size_px=48, scene="bounce", difficulty=0.0))
    clean = mix_of(track, SoundBank(), np.random.default_rng(0)).clean
    assert 20 * np.log10(np.abs(clean).max()) == pytest.approx(track.peak_db, abs=0.1)
    assert -14 <= track.peak_db <= -1
