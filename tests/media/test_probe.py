"""The probe on every awkward clip, and its refusals."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from clips import Clips

from foleycli.errors import FoleyError
from foleycli.media.probe import probe, probe_audio


@pytest.mark.parametrize(
    ("name", "fps", "n_frames"),
    [
        ("plain.mp4", Fraction(25), 40),
        ("23976.mp4", Fraction(24000, 1001), 39),
        ("2997.mp4", Fraction(30000, 1001), 48),
        ("5994.mp4", Fraction(60000, 1001), 60),
        ("short.mp4", Fraction(25), 5),
        ("hevc_10bit.mp4", Fraction(25), 40),
        ("odd_size.mkv", Fraction(25), 40),
        ("no_duration.webm", Fraction(25), 30),
        ("long_sound.mp4", Fraction(25), 40),
        ("offset.mp4", Fraction(25), 40),
    ],
)
def test_rate_frames_and_duration_are_the_pictures(clips: Clips, name: str, fps: Fraction, n_frames: int) -> None:
    video = probe(clips(name))
    assert (video.fps, video.n_frames, video.is_variable_rate) == (fps, n_frames, False)
    assert video.duration_s == pytest.approx(float(n_frames / fps), abs=0.0021)


def test_shown_size_and_rotation(clips: Clips) -> None:
    portrait, turned = probe(clips("portrait.mp4")), probe(clips("upside_down.mp4"))
    assert (portrait.width_px, portrait.height_px) == (90, 160)
    assert portrait.rotation_deg in (90, 270)
    assert (turned.width_px, turned.height_px, turned.rotation_deg) == (160, 90, 180)
    assert (probe(clips("odd_size.mkv")).width_px, probe(clips("odd_size.mkv")).height_px) == (161, 91)


def test_variable_rate(clips: Clips) -> None:
    video = probe(clips("variable.mp4"))
    assert video.is_variable_rate
    assert video.n_frames == 30
    assert video.duration_s == pytest.approx(30 / 25 + 3 * 0.16, abs=0.01)
    assert float(video.fps) == pytest.approx(30 / video.duration_s, rel=0.01)


def test_start_offset_and_hidden_start(clips: Clips) -> None:
    assert probe(clips("offset.mp4")).start_s == pytest.approx(0.4, abs=0.001)
    negative = probe(clips("negative.mp4"))
    assert negative.start_s == pytest.approx(0.0, abs=0.041)
    assert negative.duration_s == pytest.approx(1.8, abs=0.041)  # of 2.0 s, 0.2 s are hidden


def test_codec_and_sound(clips: Clips) -> None:
    hevc = probe(clips("hevc_10bit.mp4"))
    assert (hevc.video_codec, hevc.pixel_format, hevc.has_audio) == ("hevc", "yuv420p10le", False)
    plain = probe(clips("plain.mp4"))
    assert (plain.has_audio, plain.audio_rate_hz, plain.audio_channels) == (True, 48000, 1)
    assert probe_audio(clips("long_sound.mp4"))[0] == pytest.approx(3.0, abs=0.03)


@pytest.mark.parametrize(("name", "word"), [("cover.m4a", "no video stream"), ("text.mp4", "not a media file")])
def test_refuses_what_is_no_video(clips: Clips, name: str, word: str) -> None:
    with pytest.raises(FoleyError, match=word) as caught:
        probe(clips(name))
    assert caught.value.hint


def test_refuses_missing_empty_and_folder(tmp_path: Path, clips: Clips) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    for path, word in [(tmp_path / "none.mp4", "does not exist"), (empty, "is empty"), (tmp_path, "is a folder")]:
        with pytest.raises(FoleyError, match=word):
            probe(path)
        with pytest.raises(FoleyError, match=word):
            probe_audio(path)
    with pytest.raises(FoleyError, match="no sound"):
        probe_audio(clips("silent.mp4"))


def test_a_name_like_a_protocol_is_a_file(clips: Clips, tmp_path: Path) -> None:
    odd = tmp_path / "take: 1 & 'two' %d.mp4"
    odd.write_bytes(clips("short.mp4").read_bytes())
    assert probe(odd).n_frames == 5
