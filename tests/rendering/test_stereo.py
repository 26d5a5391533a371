"""Results in two channels: events are heard where they are seen, mono is not harmed, and `extend` stays as wide."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from foleycli.dsp.stereo import to_stereo
from foleycli.features.position import MotionPosition
from foleycli.media.audio import read_audio
from foleycli.media.loudness import measure_file
from foleycli.synthetic import RATE_HZ, SoundBank, WorldConfig, make_clip

DEMO = (
    Path(__file__).parents[2] / "foleycli" / "shipped" / "demo.mp4"
)  # a ball on the left, from 4 s a stick on the right


def mid_and_side(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Half the sum and half the difference of a file's two channels."""
    left, right = read_audio(path).samples.astype(np.float64)
    return (left + right) / 2, (left - right) / 2


def rightness(mid: np.ndarray, side: np.ndarray) -> float:
    """How far to the right a sound is, as a share of its amplitude."""
    return -float((mid * side).sum() / (mid**2).sum())


def side_db(path: Path, start_s: float, end_s: float) -> float:
    """Level of the side against that of the middle in a part of a file."""
    mid, side = mid_and_side(path)
    part = slice(*(round(time_s * read_audio(path).rate_hz) for time_s in (start_s, end_s)))
    return 10 * np.log10((side[part] ** 2).sum() / (mid[part] ** 2).sum())


def test_sounds_of_worlds_are_where_their_events_are_seen():
    seen, heard, bank = [], [], SoundBank()
    for seed in (2, 8, 20, 35):  # things dropped, and steps from left to right
        clip = make_clip(seed, WorldConfig(), bank)
        session = MotionPosition().start()
        session.push(clip.frames)
        stereo = to_stereo(clip.samples, RATE_HZ, session.finish().values[:, :2].numpy(), 0.5)
        assert 10 * np.log10(2 * (stereo**2).mean() / (stereo.sum(axis=0) ** 2 / 2).mean()) < 1.0
        for event in clip.events:
            part = slice(round(event.time_s * RATE_HZ), round((event.time_s + 0.12) * RATE_HZ))
            left, right = stereo[:, part]
            seen.append(event.across)
            heard.append(rightness((left + right) / 2, (left - right) / 2))
    assert len(seen) > 15
    assert np.corrcoef(seen, heard)[0, 1] > 0.6


def test_a_video_has_events_where_they_are_seen_and_sums_to_the_mono_sound(render: Callable, tmp_path: Path):
    film, again = tmp_path / "film.mov", tmp_path / "again.mov"
    for out in (film, again):
        assert render(DEMO, "-o", out).code == 0
    assert film.read_bytes() == again.read_bytes()
    changed_s, whole_s = 4.0, 7.0
    mid, side = mid_and_side(film)
    begun, changed = (round(time_s * read_audio(film).rate_hz) for time_s in (0.8, changed_s))
    assert rightness(mid[begun:changed], side[begun:changed]) < -0.1
    assert rightness(mid[changed:], side[changed:]) > 0.1
    assert side_db(film, 0, whole_s) < -6  # a fold-down loses less than 1 dB
    mono, stereo = tmp_path / "mono.wav", tmp_path / "stereo.wav"
    assert render(DEMO, "-o", mono, "--gain-db", "-60").code == 0  # nothing is lowered to stay under the ceiling
    assert render(DEMO, "-o", stereo, "--gain-db", "-60", "--channels", "2").code == 0
    one = read_audio(mono).samples
    assert one.shape[0] == 1
    assert np.abs(mid_and_side(stereo)[0] - one[0]).max() < 1e-5


def test_width_0_is_alike_in_both_channels_and_full_width_stays_under_the_ceiling(render: Callable, tmp_path: Path):
    narrow, wide = tmp_path / "narrow.wav", tmp_path / "wide.wav"
    assert render(DEMO, "-o", narrow, "--channels", "2", "--width", "0", "--duration", "3").code == 0
    assert render(DEMO, "-o", wide, "--channels", "2", "--width", "1", "--duration", "3", "--gain-db", "20").code == 0
    left, right = read_audio(narrow).samples
    assert np.array_equal(left, right) and np.abs(left).max() > 0
    assert -15 < side_db(wide, 0, 3) < -6
    assert measure_file(wide).peak_dbtp <= -1.0


@pytest.mark.parametrize("side", [0.1, 0.5, 1.0])
def test_an_extension_is_as_wide_as_its_take(extend: Callable, tmp_path: Path, side: float):
    rng = np.random.default_rng(5)
    fall = np.exp(-((np.arange(88200) / 44100) % 0.4) / 0.1)
    mid, difference = 0.1 * fall * rng.standard_normal((2, 88200)).clip(-3, 3)
    soundfile.write(tmp_path / "take.wav", np.stack([mid + side * difference, mid - side * difference], axis=1), 44100)
    assert extend("--ref", tmp_path / "take.wav", "-o", tmp_path / "out.wav", "--duration", "5").code == 0
    assert side_db(tmp_path / "out.wav", 2.1, 5) == pytest.approx(side_db(tmp_path / "take.wav", 0, 2), abs=3)


def test_an_extension_leaves_silent_channels_silent(extend: Callable, tmp_path: Path):
    sound = 0.1 * np.random.default_rng(0).standard_normal(44100).clip(-3, 3)
    soundfile.write(tmp_path / "take.wav", np.stack([0 * sound, sound], axis=1), 44100)
    assert extend("--ref", tmp_path / "take.wav", "-o", tmp_path / "out.wav", "--duration", "3").code == 0
    left, right = read_audio(tmp_path / "out.wav").samples
    assert np.abs(left).max() == 0
    assert np.abs(right[66150:]).max() > 0.01
