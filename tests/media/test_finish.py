"""Length, level, peak, mix and formats of a finished sound, measured on the written file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from clips import FLASH_FRAME, Clips, run_ffmpeg

from foleycli.errors import FoleyError
from foleycli.media.audio import SoundWriter, read_audio
from foleycli.media.finish import finish_sound
from foleycli.media.loudness import measure_file
from foleycli.media.probe import probe_audio
from foleycli.settings.loudness import LoudnessTarget

MADE_HZ = 44100


def _made(folder: Path, samples: np.ndarray) -> Path:
    path = folder / "made.wav"
    with SoundWriter(path, MADE_HZ) as writer:
        for piece in np.array_split(samples, 3):
            writer.write(piece)
    return path


def _hits(duration_s: float, level: float) -> np.ndarray:
    """Noise bursts on a bed, with one sample far above the rest."""
    noise = np.random.default_rng(1).standard_normal(round(duration_s * MADE_HZ)).astype(np.float32)
    samples = noise * 0.02 * level
    samples[MADE_HZ // 2] = level
    return samples


@pytest.mark.parametrize("ending", [".wav", ".flac", ".mp3", ".m4a", ".ogg"])
@pytest.mark.parametrize(("rate_hz", "channels"), [(48000, 1), (44100, 2)])
def test_length_rate_and_channels(tmp_path: Path, ending: str, rate_hz: int, channels: int) -> None:
    n_samples = 2 * rate_hz - 7
    out = tmp_path / f"out{ending}"
    finish_sound(_made(tmp_path, _hits(2, 0.5)), out, rate_hz=rate_hz, channels=channels, n_samples=n_samples)
    assert probe_audio(out)[1:] == (rate_hz, channels)
    samples = read_audio(out).samples  # [C, N]
    assert abs(samples.shape[1] - n_samples) <= (0 if ending in (".wav", ".flac") else 1152)
    assert int(np.argmax(np.abs(samples[0]))) == pytest.approx(rate_hz / 2, abs=3)
    if ending in (".wav", ".flac"):
        assert soundfile.info(out).subtype == "PCM_24"
        assert np.array_equal(samples[0], samples[-1])  # both channels alike


def test_made_sound_longer_or_shorter_than_asked(tmp_path: Path) -> None:
    made = _made(tmp_path, _hits(1, 0.5))
    for n_samples in (48000 // 2, 3 * 48000):
        finish_sound(made, tmp_path / "out.wav", rate_hz=48000, channels=1, n_samples=n_samples)
        assert soundfile.info(tmp_path / "out.wav").frames == n_samples


@pytest.mark.parametrize("ending", [".wav", ".mp3", ".m4a", ".ogg"])
def test_peak_is_never_above_the_ceiling(tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"out{ending}"
    made = _made(tmp_path, _hits(2, 1.6))
    done = finish_sound(made, out, rate_hz=48000, channels=2, n_samples=96000, gain_db=6.0)
    assert done.lowered_db < -9
    assert done.gain_db == pytest.approx(6.0 + done.lowered_db, abs=0.02)
    assert measure_file(out).peak_dbtp <= -1.0


def test_quiet_sound_keeps_its_level(tmp_path: Path) -> None:
    made = _made(tmp_path, _hits(1, 0.25))
    done = finish_sound(made, tmp_path / "out.wav", rate_hz=44100, channels=1, n_samples=MADE_HZ)
    assert (done.gain_db, done.lowered_db) == (0.0, 0.0)
    np.testing.assert_allclose(read_audio(tmp_path / "out.wav").samples[0], _hits(1, 0.25), atol=2e-7)


@pytest.mark.parametrize("duration_s", [0.2, 3.0])
def test_loudness_target(tmp_path: Path, duration_s: float) -> None:
    noise = np.random.default_rng(2).standard_normal(round(duration_s * MADE_HZ)).astype(np.float32) * 0.03
    n_samples = round(duration_s * 48000)
    options = {"rate_hz": 48000, "channels": 2, "n_samples": n_samples}
    done = finish_sound(_made(tmp_path, noise), tmp_path / "out.wav", target=LoudnessTarget(-23.0), **options)
    assert done.lufs == pytest.approx(-23.0, abs=0.11)
    if duration_s > 1:
        assert measure_file(tmp_path / "out.wav").lufs == pytest.approx(-23.0, abs=0.15)


def test_noise_is_not_raised_to_loudness(tmp_path: Path) -> None:
    noise = np.random.default_rng(2).standard_normal(MADE_HZ).astype(np.float32) * 3e-4  # about -70 dBFS
    made, options = _made(tmp_path, noise), {"rate_hz": MADE_HZ, "channels": 1, "n_samples": MADE_HZ}
    own_lufs = measure_file(made).lufs
    assert own_lufs < -60
    done = finish_sound(made, tmp_path / "out.wav", target=LoudnessTarget(-23.0), **options)
    assert done.gain_db == 24.0 and done.lufs == pytest.approx(own_lufs + 24, abs=0.1)
    assert measure_file(tmp_path / "out.wav").lufs == pytest.approx(done.lufs, abs=0.15)


def test_silence_is_silence(tmp_path: Path) -> None:
    made = _made(tmp_path, np.zeros(MADE_HZ, np.float32))
    options = {"rate_hz": 48000, "channels": 1, "n_samples": 48000}
    done = finish_sound(made, tmp_path / "out.wav", target=LoudnessTarget(-23.0), **options)
    assert (done.peak_dbtp, done.lufs, done.gain_db) == (None, None, 0.0)
    assert not read_audio(tmp_path / "out.wav").samples.any()


@pytest.mark.parametrize("name", ["plain.mp4", "offset.mp4"])
def test_original_is_mixed_where_its_picture_is(clips: Clips, tmp_path: Path, name: str) -> None:
    made = _made(tmp_path, np.zeros(2 * MADE_HZ, np.float32))
    start_s, out = 0.1, tmp_path / "out.wav"
    options = {"rate_hz": 48000, "channels": 2, "n_samples": 48000}
    finish_sound(made, out, original=clips(name), original_gain_db=-6.0, original_start_s=start_s, **options)
    late_s = 0.4 if name == "offset.mp4" else 0.0  # there the picture begins 0.4 s into the sound
    samples = read_audio(out).samples
    first_s = int(np.argmax(np.abs(samples[0]) > 0.1)) / 48000
    expected_s = FLASH_FRAME / 25 - start_s - late_s
    assert first_s == pytest.approx(max(0.0, expected_s), abs=0.002)
    assert np.abs(samples).max() == pytest.approx(0.25, abs=0.03)  # 0.5, 6 dB down; both channels


def test_same_input_same_bytes(tmp_path: Path) -> None:
    made = _made(tmp_path, _hits(1, 0.5))
    for ending in (".wav", ".flac", ".mp3", ".m4a", ".ogg"):
        outs = [tmp_path / f"{k}{ending}" for k in "ab"]
        for out in outs:
            finish_sound(made, out, rate_hz=48000, channels=2, n_samples=48000)
        assert outs[0].read_bytes() == outs[1].read_bytes()


def _film_with_tracks(out: Path, *sounds: str) -> Path:
    """A film of 1 s with one sound track for each expression."""
    args: list[object] = ["-f", "lavfi", "-i", "testsrc2=s=64x36:r=25:d=1"]
    for sound in sounds:
        args += ["-f", "lavfi", "-i", f"aevalsrc='{sound}':s=48000:d=1"]
    maps = [word for k in range(len(sounds) + 1) for word in ("-map", k)]
    run_ffmpeg(*args, *maps, "-c:v", "mpeg4", "-c:a", "pcm_f32le", out)
    return out


TONES = [f"0.1*sin(2*PI*{hz}*t)" for hz in (500, 1500, 2500)]


def _level(samples: np.ndarray, hz: int) -> float:
    """Amplitude of a tone in samples [N] at 48 kHz."""
    turn = np.exp(-2j * np.pi * hz * np.arange(len(samples)) / 48000)
    return float(2 * np.abs((samples * turn).mean()))


@pytest.mark.parametrize(("tracks", "heard"), [(None, (0.1, 0.1, 0.1)), ([1], (0, 0.1, 0)), ([2, 0, 2], (0.1, 0, 0.1))])
@pytest.mark.parametrize("ending", [".mov", ".mkv"])
def test_every_sound_track_is_mixed_or_the_chosen_ones(
    tmp_path: Path, tracks: list[int] | None, heard: tuple[float, ...], ending: str
) -> None:
    film, out = _film_with_tracks(tmp_path / f"film{ending}", *TONES), tmp_path / "out.wav"
    made = _made(tmp_path, np.zeros(MADE_HZ, np.float32))
    done = finish_sound(made, out, rate_hz=48000, channels=2, n_samples=48000, original=film, original_tracks=tracks)
    samples = read_audio(out).samples[0]
    assert [_level(samples, hz) for hz in (500, 1500, 2500)] == pytest.approx(heard, abs=0.002)
    assert len(done.notes) == (len({*(tracks or (0, 1, 2))}) > 1)


def test_a_track_that_is_not_there_is_refused(tmp_path: Path) -> None:
    film, made = _film_with_tracks(tmp_path / "film.mov", TONES[0]), _made(tmp_path, np.zeros(MADE_HZ, np.float32))
    with pytest.raises(FoleyError, match="has no sound track 3, only 1"):
        finish_sound(
            made, tmp_path / "o.wav", rate_hz=48000, channels=2, n_samples=48000, original=film, original_tracks=[2]
        )


@pytest.mark.parametrize("broken", ["1/0", "0/0", "if(eq(n,5),1e38,0.1)"])
def test_original_sound_that_is_no_number_is_refused(tmp_path: Path, broken: str) -> None:
    film, made = _film_with_tracks(tmp_path / "film.mkv", broken), _made(tmp_path, np.full(MADE_HZ, 0.1, np.float32))
    with pytest.raises(FoleyError, match=r"film\.mkv with the generated sound has (values|a peak)"):
        finish_sound(made, tmp_path / "out.wav", rate_hz=48000, channels=2, n_samples=48000, original=film)


@pytest.mark.parametrize("place", [-1, -8, -16, 0])
def test_a_hit_at_the_very_end_or_beginning_stays_below_the_ceiling(tmp_path: Path, place: int) -> None:
    samples = 0.01 * np.random.default_rng(5).standard_normal(MADE_HZ).astype(np.float32)
    samples[place] = 1.0
    out = tmp_path / "out.wav"
    done = finish_sound(_made(tmp_path, samples), out, rate_hz=MADE_HZ, channels=1, n_samples=MADE_HZ)
    assert done.peak_dbtp == pytest.approx(-1.05, abs=0.06) and done.lowered_db < -0.9
    padded = np.pad(read_audio(out).samples[0], 4096)
    oversampled = soxr.resample(padded, MADE_HZ, 8 * MADE_HZ)  # a true peak meter of its own
    assert 20 * np.log10(np.abs(oversampled).max()) < -0.9
