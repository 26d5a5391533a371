"""Sound in and out of files, on the picture's clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from clips import FLASH_FRAME, Clips, run_ffmpeg

from foleycli.errors import FoleyError
from foleycli.media.audio import SoundWriter, read_audio, resample, to_channels


@pytest.mark.parametrize("name", ["plain.mp4", "long_sound.mp4", "offset.mp4", "portrait.mp4"])
def test_beep_of_a_video_is_on_the_pictures_clock(clips: Clips, name: str) -> None:
    audio = read_audio(clips(name))
    late_s = 0.4 if name == "offset.mp4" else 0.0
    first_s = int(np.argmax(np.abs(audio.samples[0]) > 0.1)) / audio.rate_hz
    assert first_s == pytest.approx(FLASH_FRAME / 25 - late_s, abs=0.002)


def test_rate_channels_and_part(tmp_path: Path) -> None:
    ramp = np.stack([np.linspace(0, 1, 48000), np.zeros(48000)], axis=1).astype(np.float32)
    path = tmp_path / "ramp.wav"
    soundfile.write(path, ramp, 48000, "FLOAT")
    own = read_audio(path)
    np.testing.assert_array_equal(own.samples, ramp.T)
    part = read_audio(path, start_s=0.25, duration_s=0.5)
    np.testing.assert_array_equal(part.samples, ramp.T[:, 12000:36000])
    mono = read_audio(path, rate_hz=44100, channels=1)
    assert mono.samples.shape == (1, 44100) and mono.samples.dtype == np.float32
    assert mono.samples[0, 22050] == pytest.approx(0.25, abs=0.001)
    with pytest.raises(FoleyError, match="no sound at 2.00 s"):
        read_audio(path, start_s=2.0)


@pytest.mark.parametrize("ending", [".mp3", ".m4a", ".opus", ".flac", ".ogg", ".aiff"])
def test_every_common_format_reads_alike(tmp_path: Path, ending: str) -> None:
    wav, path = tmp_path / "tone.wav", tmp_path / f"tone{ending}"
    run_ffmpeg("-f", "lavfi", "-i", "aevalsrc='0.4*sin(2*PI*330*t)*gt(t,0.3)':s=48000:d=1", wav)
    run_ffmpeg("-i", wav, path)
    whole, part = read_audio(path), read_audio(path, start_s=0.5, duration_s=0.25)
    first_s = int(np.argmax(np.abs(whole.samples[0]) > 0.2)) / whole.rate_hz
    assert first_s == pytest.approx(0.3, abs=0.003)
    assert part.samples.shape == (1, 12000)
    np.testing.assert_allclose(part.samples, whole.samples[:, 24000:36000], atol=1e-3)


def test_resample_keeps_a_tone_and_a_length() -> None:
    time_s = np.arange(44100) / 44100
    tone = np.sin(2 * np.pi * 440 * time_s, dtype=np.float32)[None]  # [1, N]
    up = resample(tone, 44100, 48000)
    assert up.shape == (1, 48000)
    expected = np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)
    np.testing.assert_allclose(up[0, 2000:-2000], expected[2000:-2000], atol=1e-3)
    assert resample(tone, 44100, 44100) is tone


def test_to_channels() -> None:
    stereo = np.array([[1.0, 0.0], [0.0, 0.5]], np.float32)
    np.testing.assert_array_equal(to_channels(stereo, 1), [[0.5, 0.25]])
    np.testing.assert_array_equal(to_channels(stereo[:1], 2), [[1.0, 0.0], [1.0, 0.0]])


def test_writer_streams_and_cleans_up(tmp_path: Path) -> None:
    path = tmp_path / "made.wav"
    with SoundWriter(path, 44100) as writer:
        for _ in range(4):
            writer.write(np.full(1000, 1.5, np.float32))  # above full scale: a float file keeps it
    assert writer.n_samples == 4000
    assert read_audio(path).samples.max() == 1.5
    with pytest.raises(ValueError, match="not all finite"), SoundWriter(path, 44100) as writer:
        writer.write(np.array([np.nan], np.float32))
    assert not path.exists()
