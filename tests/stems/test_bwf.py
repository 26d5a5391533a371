"""Broadcast WAV files, read back by libraries that are not ours."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from wavinfo import WavInfoReader

from foleycli.errors import FoleyError
from foleycli.media.loudness import Loudness, measure_file
from foleycli.media.probe import probe_audio
from foleycli.stems import bwf
from foleycli.stems.bwf import Bext, BwfWriter, Ixml, SampleFormat, moved_ixml, read_bwf, stamp_loudness

RATE_HZ = 48000
START = 86352 * 1001 * 2  # samples to 00:59:58:00 at 23.976
BEXT = Bext(
    description="Door, slammed: Türe zu",
    originator="foley",
    originator_reference="FOLEY0123456789",
    date="2026-11-28",
    time="00:59:58",
    time_reference=START + 2**33,  # more than 32 bits hold
    coding_history="A=PCM,F=48000,W=24,M=stereo,T=foley\r\n",
)
IXML = Ixml("Reel & 1", "12A", "3", "A001", "loud <enough>", True, ("Door L", "Türe R"), "24000/1001")


def _write(path: Path, samples: np.ndarray, sample_format: SampleFormat = "pcm24", ixml: Ixml = IXML) -> None:
    form = {"rate_hz": RATE_HZ, "channels": len(samples), "bext": BEXT, "ixml": ixml}
    with BwfWriter(path, **form, sample_format=sample_format) as writer:  # type: ignore[arg-type]
        for block in np.array_split(samples, 3, axis=1):
            writer.write(block)


def _noise(channels: int = 2, n_samples: int = 4801) -> np.ndarray:
    return np.random.default_rng(2).uniform(-1, 1, (channels, n_samples)).astype(np.float32)


@pytest.mark.parametrize(("sample_format", "subtype"), [("pcm24", "PCM_24"), ("float32", "FLOAT")])
@pytest.mark.parametrize("channels", [1, 2])
def test_others_read_what_was_written(tmp_path: Path, sample_format: SampleFormat, subtype: str, channels: int) -> None:
    path, samples = tmp_path / "a.wav", _noise(channels)
    _write(path, samples, sample_format)
    read, rate_hz = soundfile.read(path, always_2d=True)
    assert (soundfile.info(path).subtype, rate_hz, read.shape) == (subtype, RATE_HZ, samples.T.shape)
    whole = samples if sample_format == "float32" else np.clip(np.round(samples * 2.0**23), None, 2**23 - 1) / 2.0**23
    assert np.array_equal(read.T, whole)
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.name, stream.duration) == (
            "pcm_s24le" if sample_format == "pcm24" else "pcm_f32le",
            samples.shape[1],
        )
        assert container.metadata["time_reference"] == str(BEXT.time_reference)
        assert container.metadata["encoded_by"] == "foley"
    info = WavInfoReader(str(path))
    assert (info.fmt.channel_count, info.fmt.sample_rate, info.data.frame_count) == (channels, RATE_HZ, 4801)
    bext = info.bext
    assert (bext.description, bext.originator, bext.originator_ref) == (
        "Door, slammed: Ture zu",
        "foley",
        "FOLEY0123456789",
    )
    assert (bext.originator_date, bext.originator_time) == ("2026-11-28", "00:59:58")
    assert (bext.time_reference, bext.version, bext.coding_history) == (BEXT.time_reference, 2, BEXT.coding_history)


def test_ixml_says_where_the_sound_belongs(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    _write(path, _noise())
    ixml = WavInfoReader(str(path)).ixml
    assert (ixml.project, ixml.scene, ixml.take, ixml.tape) == ("Reel & 1", "12A", "3", "A001")
    assert [(track.name, track.function) for track in ixml.track_list] == [("Door L", "LEFT"), ("Türe R", "RIGHT")]
    speed = {name: ixml.parsed.find(f"SPEED/{name}").text for name in ("TIMECODE_RATE", "TIMECODE_FLAG")}
    assert speed == {"TIMECODE_RATE": "24000/1001", "TIMECODE_FLAG": "NDF"}
    places = "TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_"
    hi, lo = (int(ixml.parsed.find(f"SPEED/{places}{half}").text) for half in ("HI", "LO"))
    assert hi * 2**32 + lo == BEXT.time_reference
    moved = moved_ixml(read_bwf(path).ixml, 7, RATE_HZ)
    path.write_bytes(path.read_bytes())
    assert b"Reel &amp; 1" in moved and b"SAMPLES_SINCE_MIDNIGHT_LO>7<" in moved


def test_measured_loudness_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    tone = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(4 * RATE_HZ) / RATE_HZ)
    _write(path, np.stack([tone, tone]))
    assert WavInfoReader(str(path)).bext.loudness_value == pytest.approx(327.67)  # says: not used
    stamp_loudness(path, measure_file(path))
    bext = WavInfoReader(str(path)).bext
    assert bext.loudness_value == pytest.approx(-20.0, abs=0.1) == bext.max_momentary_loudness
    assert bext.max_true_peak == pytest.approx(-20.0, abs=0.1)
    assert bext.max_shortterm_loudness == pytest.approx(-20.0, abs=0.1)
    assert bext.loudness_range == pytest.approx(0.0, abs=0.1)


def test_own_reading_gives_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    _write(path, _noise())
    measured = Loudness(-23.45, -1.25, 4.5, -20.0, -21.0)
    stamp_loudness(path, measured)
    found = read_bwf(path)
    assert found.bext is not None and found.bext.loudness == measured
    assert found.bext.description == "Door, slammed: Ture zu" and found.bext.time_reference == BEXT.time_reference
    assert found.ixml_root is not None and found.ixml_root.findtext("NOTE") == "loud <enough>"


@pytest.mark.parametrize("sample_format", ["pcm24", "float32"])
def test_over_four_gigabytes_it_is_rf64(tmp_path: Path, sample_format: SampleFormat) -> None:
    """A hole of six hours between two blocks: the file states more than 4 GB, and holds next to nothing."""
    path, block, n_silent = tmp_path / "long.wav", _noise(2, 4800), 6 * 3600 * RATE_HZ
    with BwfWriter(path, rate_hz=RATE_HZ, channels=2, bext=BEXT, ixml=IXML, sample_format=sample_format) as writer:
        writer.write(block)
        writer.write_silence(n_silent)
        writer.write(block)
    n_samples = n_silent + 9600
    assert path.stat().st_size > 4 << 30 and path.stat().st_blocks * 512 < 1 << 24
    info = soundfile.info(path)
    assert (info.format, info.frames) == ("RF64", n_samples)
    with soundfile.SoundFile(path) as file:
        file.seek(n_samples - 4800)
        assert np.abs(file.read(always_2d=True).T - block).max() < 1e-6
    read = WavInfoReader(str(path))
    assert (read.data.frame_count, read.bext.time_reference, read.ixml.scene) == (n_samples, BEXT.time_reference, "12A")
    assert probe_audio(path) == (n_samples / RATE_HZ, RATE_HZ, 2)
    found = read_bwf(path)
    assert found.bext is not None and found.bext.time_reference == BEXT.time_reference
    if ffprobe := shutil.which("ffprobe"):
        asked = [ffprobe, "-v", "error", "-show_streams", "-show_format", "-of", "json", path]
        told = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)
        assert told["streams"][0]["duration_ts"] == n_samples
        assert told["format"]["tags"]["time_reference"] == str(BEXT.time_reference)


def test_a_file_that_ends_in_silence_is_as_long_as_it_says(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with BwfWriter(path, rate_hz=RATE_HZ, channels=1, bext=BEXT) as writer:
        writer.write(np.ones(3, np.float32))
        writer.write_silence(4)
    assert soundfile.info(path).frames == 7
    assert struct.unpack("<I", path.read_bytes()[4:8])[0] == path.stat().st_size - 8
    assert writer.n_clipped == 3  # 1.0 is one step above what 24 bit hold


def test_more_channels_keep_their_loudspeakers(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with BwfWriter(path, rate_hz=RATE_HZ, channels=6, bext=BEXT, channel_mask=0x3F) as writer:
        writer.write(np.zeros((6, 10), np.float32))
    assert soundfile.info(path).format == "WAVEX"
    with av.open(str(path)) as container:
        assert container.streams.audio[0].layout.name == "5.1"


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with pytest.raises(FoleyError, match="not finite"), BwfWriter(path, rate_hz=8000, channels=1, bext=BEXT) as writer:
        writer.write(np.array([0.0, np.nan], np.float32))
    assert not path.exists()


@pytest.mark.parametrize("data", [b"", b"RIFF", b"RIFF\xff\xff\xff\xffWAVEbext\x05\0\0\0hello", b"OggS" * 40])
def test_other_files_say_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(data)
    assert read_bwf(tmp_path / "a.wav") == bwf.BwfFacts()


def test_broken_chunks_are_no_facts(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    _write(path, _noise())
    data = path.read_bytes()
    for end in range(0, 2000, 97):
        path.write_bytes(data[:end])
        read_bwf(path)
    path.write_bytes(data.replace(b"<BWFXML>", b"<BWFXM>>"))
    assert read_bwf(path).ixml_root is None
    assert moved_ixml(b"no xml", 1, RATE_HZ) == b"no xml"
