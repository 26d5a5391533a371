"""What `foley extend` goes on with beside the model: the take's own strokes, its rhythm and its room noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from foleycli.dsp.onsets import detect_onsets, n_matches
from foleycli.lab.seams import join_ranks
from foleycli.media.audio import read_audio
from foleycli.rendering import api

RATE_HZ = 44100
DEMO = Path(__file__).parents[2] / "foleycli" / "shipped" / "demo.mp4"  # 7 s
BEAT_S, TAKE_S = 0.5, 2.5
NOISE = 10 ** (-52 / 20)  # RMS


@pytest.fixture
def knocks(tmp_path) -> Path:
    """A knock every half second, in stereo, over room noise that both sides have half of in common."""
    rng = np.random.default_rng(0)
    times_s = np.arange(round(TAKE_S * RATE_HZ)) / RATE_HZ
    since_s = (times_s - 0.1) % BEAT_S
    knock = np.where(times_s >= 0.1, np.sin(2 * np.pi * 400 * since_s) * np.exp(-since_s / 0.02), 0)
    knock += np.where(times_s >= 0.1, rng.standard_normal(len(times_s)) * np.exp(-since_s / 0.004), 0)
    drawn = rng.standard_normal((3, len(times_s)))
    noise = NOISE * np.sqrt(0.5) * (drawn[0] + drawn[1:])
    path = tmp_path / "knocks.wav"
    soundfile.write(path, (0.25 * knock + noise).T, RATE_HZ, subtype="PCM_24")
    return path


def after(path: Path, seconds: float = TAKE_S) -> np.ndarray:
    """What follows the take, float32 [C, N]."""
    return read_audio(path).samples[:, round(seconds * RATE_HZ) :]


def quiet_db(samples: np.ndarray) -> float:
    """The level of the quietest tenth of 20 ms blocks of [C, N]."""
    blocks = samples[:, : samples.shape[1] // 882 * 882].reshape(len(samples), -1, 882)
    return float(np.percentile(10 * np.log10((blocks**2).mean(axis=(0, 2)) + 1e-12), 10))


def test_a_beat_and_the_room_go_on_without_a_picture(extend, knocks, tmp_path):
    out = tmp_path / "out.wav"
    assert extend("--ref", knocks, "-o", out, "--duration", "5.6", "--steps", 8).code == 0
    new, take = after(out), read_audio(knocks).samples
    onsets_s = detect_onsets(read_audio(out).samples.mean(axis=0), RATE_HZ)
    onsets_s = onsets_s[onsets_s > TAKE_S]
    beats_s = 0.1 + BEAT_S * np.arange(5, 11)
    assert n_matches(onsets_s, beats_s, 0.05) >= 6 and len(onsets_s) <= 9
    assert quiet_db(new) == pytest.approx(quiet_db(take), abs=3)
    strokes, own = (np.sqrt((sound**2).mean()) for sound in (new, take))
    assert 0.6 < strokes / own < 1.6
    assert join_ranks(read_audio(out).samples.mean(axis=0), RATE_HZ, [TAKE_S])[0] < 0.9


def test_each_part_of_what_goes_on_can_be_had_alone(extend, knocks, tmp_path):
    wanted = {
        "model": ("--engine", "flow", "--room", "off"),
        "room": ("--engine", "flow"),
        "own": ("--engine", "recordings"),
    }
    for name, options in wanted.items():
        assert extend("--ref", knocks, "-o", tmp_path / f"{name}.wav", "--duration", "4.6", *options).code == 0
    model, room, own = (after(tmp_path / f"{name}.wav") for name in wanted)
    added = (room - model)[:, RATE_HZ // 10 :]
    assert 10 * np.log10((added**2).mean()) == pytest.approx(20 * np.log10(NOISE), abs=4)
    assert quiet_db(own) == pytest.approx(20 * np.log10(NOISE), abs=3)
    gap = own[:, round(0.42 * RATE_HZ) : round(0.58 * RATE_HZ)]  # between two knocks
    assert np.corrcoef(gap)[0, 1] == pytest.approx(0.5, abs=0.2)  # as wide as the take's own noise
    knock = read_audio(knocks).samples.mean(axis=0)[round(0.1 * RATE_HZ) :][: RATE_HZ // 20]
    alike = [np.correlate(sound.mean(axis=0), knock).max() for sound in (model, own)]
    assert alike[1] > 2 * alike[0]


def test_strokes_come_where_they_are_seen(kept_model, knocks, tmp_path):
    out = tmp_path / "out.wav"
    told = api.extend(knocks, out, video=DEMO, model=kept_model, steps=1, engine="recordings")
    seen_s = np.array([time_s for time_s in told.events_s if time_s > TAKE_S])
    onsets_s = detect_onsets(read_audio(out).samples.mean(axis=0), RATE_HZ)
    assert len(seen_s) >= 2
    assert n_matches(onsets_s[onsets_s > TAKE_S - 0.1], seen_s, 0.06) >= 0.7 * len(seen_s)


def test_a_texture_goes_on_at_its_level_and_a_loop_closes(extend, tmp_path):
    rng = np.random.default_rng(0)
    rain = 0.05 * np.convolve(rng.standard_normal(3 * RATE_HZ), np.ones(4) / 2, mode="same")
    soundfile.write(tmp_path / "rain.wav", rain, RATE_HZ)
    out = tmp_path / "out.wav"
    assert extend("--ref", tmp_path / "rain.wav", "-o", out, "--duration", "7", "--loop", "--steps", 8).code == 0
    new = after(out, 3.0)[0]
    levels_db = 10 * np.log10((new[: len(new) // 8820 * 8820].reshape(-1, 8820) ** 2).mean(axis=1))
    assert np.abs(levels_db - 10 * np.log10((rain**2).mean())).max() < 4
    whole = read_audio(out).samples[0]
    around = np.concatenate([whole, whole])
    assert join_ranks(around, RATE_HZ, [3.0, 7.0]) == pytest.approx([0.5, 0.5], abs=0.49)


def test_a_level_of_the_room_is_refused(extend, knocks):
    told = extend("--ref", knocks, "--room", "-40")
    assert told.code == 2 and "--room is -40" in told.error and "--room off" in told.error


def test_the_dry_run_says_what_goes_on(extend, knocks):
    told = extend("--ref", knocks, "--dry-run")
    assert "knocks.wav again, in its own rhythm and the model, going on from it, over its room noise" in told.out
    told = extend("--ref", knocks, "--dry-run", "--engine", "flow", "--room", "off")
    assert "the model, going on from knocks.wav\n" in told.out
