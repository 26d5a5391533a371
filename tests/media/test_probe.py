"""The probe on every awkward clip, and its refusals."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import X264, Clips, flash_clip, run_ffmpeg

from foleycli.errors import FoleyError
from foleycli.media.frames import read_frames
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
    assert (video.fps, video.n_frames) == (fps, n_frames)
    assert video.duration_s == pytest.approx(float(n_frames / fps), abs=0.0021)


def test_shown_size_and_rotation(clips: Clips) -> None:
    portrait, turned = probe(clips("portrait.mp4")), probe(clips("upside_down.mp4"))
    assert (portrait.width_px, portrait.height_px) == (90, 160)
    assert portrait.rotation_deg in (90, 270)
    assert (turned.width_px, turned.height_px, turned.rotation_deg) == (160, 90, 180)
    assert (probe(clips("odd_size.mkv")).width_px, probe(clips("odd_size.mkv")).height_px) == (161, 91)


def test_variable_rate(clips: Clips) -> None:
    video = probe(clips("variable.mp4"))
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


def _with_matrix(source: Path, out: Path, matrix: tuple[int, ...]) -> Path:
    """A copy of an .mp4 with another display matrix in the header of its first track."""
    data = bytearray(source.read_bytes())
    start = data.index(b"tkhd") + 4 + 40  # version and flags, times, track, duration, layer, volume
    data[start : start + 36] = struct.pack(">9i", *matrix)
    out.write_bytes(data)
    return out


ONE = 1 << 16
ZERO = (0,) * 9


def _matrix(a: int, b: int, c: int, d: int) -> tuple[int, ...]:
    return (a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30)


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        (ZERO, lambda p: p),
        ((ONE, 0, 0, 0, 0, 0, 0, 0, 1 << 30), lambda p: p),  # singular
        (_matrix(1, 0, 0, 1), lambda p: p),
        (_matrix(-1, 0, 0, 1), lambda p: p[:, ::-1]),  # a selfie camera's mirror
        (_matrix(1, 0, 0, -1), lambda p: p[::-1]),
        (_matrix(-1, 0, 0, -1), lambda p: p[::-1, ::-1]),
        (_matrix(0, 1, -1, 0), lambda p: np.rot90(p, -1)),
        (_matrix(0, -1, 1, 0), lambda p: np.rot90(p)),
        (_matrix(0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
        (_matrix(0, -1, -1, 0), lambda p: np.rot90(p, 2).transpose(1, 0, 2)),
    ],
)
def test_every_display_matrix_is_watched_as_players_show_it(
    clips: Clips, tmp_path: Path, matrix: tuple[int, ...], turn: Callable
) -> None:
    plain = probe(clips("silent.mp4"))
    turned = probe(_with_matrix(plain.path, tmp_path / "turned.mp4", matrix))
    (flat, *_) = read_frames(plain, Fraction(25), 64, 36)
    upright = turn(flat[0].astype(int))
    (shown, *_) = read_frames(turned, Fraction(25), upright.shape[1], upright.shape[0])
    assert np.abs(shown[0].astype(int) - upright).mean() < 1
    assert (turned.width_px, turned.height_px) == ((160, 90) if upright.shape[1] == 64 else (90, 160))


def _late_last(out: Path, gap_s: float) -> Path:
    """Pictures of 40 ms, the last one so much later."""
    late = f"setpts='(N/25+gte(N,29)*{gap_s})/TB'"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x36:r=25:d=1.2", "-vf", late, "-fps_mode", "vfr",
               *X264, "-video_track_timescale", "1000", out)  # fmt: skip
    return out


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_a_long_gap_is_told_and_a_senseless_one_refused(tmp_path: Path, ending: str) -> None:
    assert probe(_late_last(tmp_path / f"a{ending}", 30)).notes == ()
    told = probe(_late_last(tmp_path / f"b{ending}", 100))
    assert told.notes == ("no new picture comes for 100 s after 1.12 s",)
    assert told.duration_s == pytest.approx(101.2, abs=0.1)
    for gap_s in (5_000, 1_000_000):
        with pytest.raises(FoleyError, match=r"has no picture for [\d,.]+ hours after 1\.12 s"):
            probe(_late_last(tmp_path / f"c{ending}", gap_s))


def test_a_last_picture_that_is_shown_for_days_is_refused(tmp_path: Path) -> None:
    path = flash_clip(tmp_path / "last.mp4")
    data = path.read_bytes()
    start = data.index(b"stts") + 8  # one entry: 40 pictures of 512 ticks
    count, ticks = struct.unpack_from(">II", data, start + 4)
    assert (struct.unpack_from(">I", data, start)[0], count, ticks) == (1, 40, 512)
    # No room for a second entry, so the only one speaks for every picture: each stands for hours.
    path.write_bytes(data[: start + 8] + struct.pack(">I", 12800 * 5000) + data[start + 12 :])
    with pytest.raises(FoleyError, match="has no picture for"):
        probe(path)


def test_streams_that_nothing_decodes_are_no_hindrance(tmp_path: Path) -> None:
    words = tmp_path / "s.srt"
    words.write_text("1\n00:00:00,200 --> 00:00:00,800\nA door.\n", encoding="utf-8")
    path = tmp_path / "ttml.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x36:r=25:d=1", "-i", words, *X264, "-c:s", "ttml", path)
    assert probe(path).n_frames == 25
    unknown = tmp_path / "unknown.mov"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x36:r=25:d=1", "-f", "lavfi", "-i", "sine=d=1", *X264,
               "-c:a", "pcm_s16le", unknown)  # fmt: skip
    unknown.write_bytes(unknown.read_bytes().replace(b"sowt", b"apac"))  # a sound of phones that few can decode
    assert (probe(unknown).n_frames, probe(unknown).has_audio) == (25, False)
    with pytest.raises(FoleyError, match="the sound of .*unknown.mov cannot be read"):
        probe_audio(unknown)
