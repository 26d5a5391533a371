"""A .wav of a reel with time code is a broadcast WAV in its place, whatever the part and the rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from clips import flash_clip, run_ffmpeg
from wavinfo import WavInfoReader


@pytest.fixture(scope="module")
def reel(tmp_path_factory) -> Path:
    """Two seconds at 23.976 from 00:59:58:00 on, with sound in PCM."""
    folder = tmp_path_factory.mktemp("reel")
    plain = flash_clip(folder / "plain.mp4", rate="24000/1001", duration_s=2.0, sound_s=2.0)
    out = folder / "reel_7.mov"
    run_ffmpeg("-i", plain, "-c:v", "copy", "-c:a", "pcm_s16le", "-timecode", "00:59:58:00", out)
    return out


@pytest.mark.parametrize(
    ("more", "rate_hz", "n_before"),  # the picture that is seen at 1.0 s is the twenty-third after the first
    [
        pytest.param((), 48000, 0, marks=pytest.mark.slow),
        (("--start", 1.0, "--rate", 96000), 96000, 23),
    ],
)
def test_a_wav_of_a_reel_knows_its_place(render, reel, tmp_path, more, rate_hz, n_before):
    out = tmp_path / "out.wav"
    told = render(
        reel, "-o", out, "--engine", "recordings", "--prompt", "door slam", "--loudness", "r128", "--json", *more
    )
    assert told.code == 0, told.err
    info = WavInfoReader(str(out))
    assert info.bext.time_reference == (86352 + n_before) * 1001 * rate_hz // 24000
    assert info.bext.description == "reel_7, 1, take 1: door slam"
    assert info.ixml.parsed.findtext("SPEED/TIMECODE_RATE") == "24000/1001"
    assert info.bext.loudness_value == pytest.approx(told.lines[0]["lufs"], abs=0.02)
    read = soundfile.info(out)
    assert (read.subtype, read.samplerate) == ("PCM_24", rate_hz)
    assert read.frames == pytest.approx((48 - n_before) * 1001 * rate_hz / 24000, abs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["out.wav"]


def test_a_mov_of_a_reel_with_pcm_has_pcm_and_the_time_code(render, reel, tmp_path):
    import av

    out = tmp_path / "out.mov"
    told = render(reel, "-o", out, "--engine", "recordings", "--prompt", "door slam")
    assert told.code == 0, told.err
    with av.open(str(out)) as container:
        assert container.streams.audio[0].codec_context.name == "pcm_s24le"
        assert container.streams.video[0].metadata["timecode"] == "00:59:58:00"
        frames = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
        assert np.abs(frames).max() > 0


def test_what_a_format_does_not_hold_is_refused_before_the_work(foley, reel, tmp_path):
    for out, more, words in [
        ("out.mxf", (), ".mxf is not written"),
        ("out.mp4", ("--rate", "96000"), "--rate 96000 is not written to .mp4"),
        ("out.mp4", ("--pcm",), "--pcm is not written to .mp4"),
        ("out.wav", ("--loudness", "r129"), "--loudness is 'r129'"),
    ]:
        told = foley("render", reel, "-o", tmp_path / out, *more)
        assert told.code == 2 and words in told.error
    assert list(tmp_path.iterdir()) == []
