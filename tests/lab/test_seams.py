"""Jumps at the joins of windows: the measure on sounds whose seams are known, and the shipped model by it."""

from fractions import Fraction

import numpy as np
import pytest
from clips import run_ffmpeg

from foleycli.hub.resolve import default_settings
from foleycli.lab.seams import joins_s, jumps_db, measure, other_moments_s, summarise
from foleycli.records import Window
from foleycli.settings.preset import resolve_settings

RATE_HZ = 16000
JOINS_S = [2.0, 4.0, 6.0]


def noise(seed: int = 0, level: float = 0.1) -> np.ndarray:
    return level * np.random.default_rng(seed).standard_normal(8 * RATE_HZ)


def spliced(other: np.ndarray) -> np.ndarray:
    """Noise whose second and last quarters are of another kind."""
    quarter = np.arange(8 * RATE_HZ) // (2 * RATE_HZ)
    return np.where(quarter % 2 == 1, other, noise())


def figures(sound: np.ndarray):
    others = other_moments_s(JOINS_S, len(sound) / RATE_HZ)
    return summarise([(jumps_db(sound, RATE_HZ, JOINS_S), jumps_db(sound, RATE_HZ, others))])


def test_windows_join_where_the_known_part_ends():
    windows = [Window(0, 0, 100, 0), Window(1, 80, 100, 20), Window(2, 160, 50, 20)]
    assert joins_s(windows, Fraction(50)) == [2.0, 3.6]
    moments = other_moments_s([2.0, 3.6], 4.2)
    assert len(moments) > 300 and moments.min() >= 0.1 and moments.max() <= 4.1
    assert min(abs(moment - join) for moment in moments for join in (2.0, 3.6)) >= 0.1 - 1e-9


def test_even_noise_has_no_seams():
    ranks = [figures(noise(seed))[kind].rank for seed in range(8) for kind in ("energy", "spectrum")]
    assert 0.35 < np.mean(ranks) < 0.65


def test_a_change_of_level_is_measured_in_decibels():
    found = figures(spliced(noise(1, 0.01)))
    assert found["energy"].joins_mean == pytest.approx(20, abs=1) and found["energy"].rank > 0.999
    assert found["spectrum"].joins_mean == pytest.approx(20, abs=3) and found["energy"].others_95th < 3


def test_a_change_of_colour_is_heard_where_the_level_stays():
    dull = np.convolve(noise(1), np.ones(8) / 8**0.5, mode="same")
    found = figures(spliced(dull))
    assert found["spectrum"].rank > 0.999 and found["energy"].joins_mean < 3


def test_what_nobody_hears_does_not_jump():
    assert jumps_db(spliced(np.zeros(8 * RATE_HZ)) * 1e-3, RATE_HZ, JOINS_S).max() == 0
    assert jumps_db(np.zeros(RATE_HZ), RATE_HZ, [0.5]).max() == 0
    assert jumps_db(np.zeros(RATE_HZ), RATE_HZ, []).shape == (0, 2)  # one window: no joins


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    """20 s of moving colours."""
    path = tmp_path_factory.mktemp("clips") / "long.mp4"
    source = ("-f", "lavfi", "-i", "testsrc2=s=96x96:r=25:d=20")
    run_ffmpeg(*source, "-c:v", "libx264", "-preset", "ultrafast", str(path))
    return path


def joined(model, clip, **options):
    """Two sounds of a clip, made with the settings that the model brings, measured."""
    asked = [{"cuts": False, "steps": 4, "seed": seed, **options} for seed in range(2)]
    settings = [resolve_settings(overrides=one, model_defaults=default_settings(model.name)) for one in asked]
    return summarise([measure(model, clip, each) for each in settings])


def test_windows_of_the_shipped_model_join_like_other_moments(kept_model, long_clip):
    found = joined(kept_model, long_clip)
    for kind in ("energy", "spectrum"):
        assert found[kind].rank < 0.8 and found[kind].joins_mean < found[kind].others_95th


@pytest.mark.slow
def test_windows_that_do_not_hear_one_another_join_worse(kept_model, long_clip):
    with_context, without = joined(kept_model, long_clip), joined(kept_model, long_clip, context_s=0.0)
    for kind in ("energy", "spectrum"):
        assert with_context[kind].rank < without[kind].rank
        assert with_context[kind].joins_mean < without[kind].joins_mean
