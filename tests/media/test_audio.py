"""Sound in and out of files, on the picture's clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from clips import FLASH_FRAME, Clips, run_ffmpeg

from foleycli.errors import FoleyError
from foleycli.media.audio import SoundWriter, read_audio, resample, to_channels
from foleycli.media.probe import probe_audio


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
    with pytest.raises(FoleyError, match="not finite"), SoundWriter(path, 44100) as writer:
        writer.write(np.array([np.nan], np.float32))
    assert not path.exists()


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e38, 32768.0])
@pytest.mark.parametrize("ending", [".wav", ".caf", ".mka"])
def test_values_that_are_no_sound_are_refused_with_the_files_name(tmp_path: Path, value: float, ending: str) -> None:
    samples = np.full((48000, 2), 0.1, np.float32)
    samples[777, 1] = value
    path, wav = tmp_path / f"broken{ending}", tmp_path / "plain.wav"
    soundfile.write(wav, samples, 48000, "FLOAT")
    run_ffmpeg("-i", wav, "-c:a", "pcm_f32be" if ending == ".caf" else "pcm_f32le", path)
    with pytest.raises(FoleyError, match=rf"{path.name} has values that are not finite"):
        read_audio(path)
    assert read_audio(path, start_s=0.5).samples.max() == pytest.approx(0.1)  # what is asked for is whole


def test_sound_above_full_scale_is_sound(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "hot.wav", np.full(4800, 15.8, np.float32), 48000, "FLOAT")  # +24 dB
    assert read_audio(tmp_path / "hot.wav").samples.max() == pytest.approx(15.8)


@pytest.mark.parametrize(
    "args",
    [("p.flac", "-f", "flac"), ("p.w64", "-f", "w64"), ("p.wav", "-f", "wav"), ("p.au", "-f", "au"),
     ("rf64.wav", "-f", "wav", "-rf64", "always"),
     ("p.aiff", "-f", "aiff"), ("p.caf", "-f", "caf", "-c:a", "pcm_s16be"),
     ("p.mka", "-f", "matroska", "-c:a", "pcm_s16le")],
)  # fmt: skip
def test_files_from_a_pipe_that_state_no_length(tmp_path: Path, args: tuple[str, ...]) -> None:
    path = tmp_path / args[0]
    run_ffmpeg("-f", "lavfi", "-i", "sine=440:d=1.5:r=48000", *args[1:], "pipe:1", stdout=path)
    assert probe_audio(path) == (pytest.approx(1.5, abs=0.01), 48000, 1)
    audio = read_audio(path)
    assert audio.samples.shape == (1, 72000)
    assert np.abs(audio.samples).max() == pytest.approx(0.125, abs=0.001)


def test_alac_in_caf_keeps_its_end(tmp_path: Path) -> None:
    samples = (0.3 * np.sin(np.arange(48000) / 9)).astype(np.float32)
    for name, write in [("a.caf", "ALAC_16"), ("b.caf", "ALAC_24")]:
        soundfile.write(tmp_path / name, samples, 48000, write, format="CAF")
        np.testing.assert_allclose(read_audio(tmp_path / name).samples[0], samples, atol=1e-4)
    soundfile.write(tmp_path / "s.wav", samples, 48000)
    run_ffmpeg("-i", tmp_path / "s.wav", "-c:a", "alac", tmp_path / "c.caf")
    assert read_audio(tmp_path / "c.caf").samples.shape == (1, 48000)


@pytest.mark.parametrize("rate_hz", [1, 200])
def test_a_rate_of_no_sound_is_refused(tmp_path: Path, rate_hz: int) -> None:
    soundfile.write(tmp_path / "slow.wav", np.zeros(44000, np.int16), rate_hz)
    for read in (probe_audio, read_audio):
        with pytest.raises(FoleyError, match=rf"slow.wav has {rate_hz} samples a second"):
            read(tmp_path / "slow.wav")
