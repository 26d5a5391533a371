"""A reel of three minutes with twelve cues becomes a preview and stamped stems with one command."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from clips import run_ffmpeg
from wavinfo import WavInfoReader

from foleycli.media.timecode import timecode_of

FPS = Fraction(24000, 1001)
FIRST = 86352  # pictures from midnight to 00:59:58:00
PROMPTS = (
    *("a wooden door slams", "footsteps on gravel", "a dog barks", "rain", "a car passes", "glass breaking"),
    *("keys", "cloth rustle", "footsteps on wood", "thunder", "hammering", "water splash"),
)
TAKES = 3


def _reel(folder: Path, duration_s: int) -> Path:
    out = folder / "reel.mov"
    run_ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=160x90:r=24000/1001:d={duration_s}", "-f", "lavfi", "-i",
               f"anoisesrc=a=0.001:d={duration_s}:r=48000", "-c:v", "libx264", "-preset", "ultrafast", "-g", "48",
               "-pix_fmt", "yuv420p", "-c:a", "pcm_s24le", "-timecode", "00:59:58:00", out)  # fmt: skip
    return out


def _cues(folder: Path, n_cues: int, every: int, length: int) -> tuple[Path, list[tuple[int, int]]]:
    """A sheet of cues of `length` pictures, one `every` so many; and their pictures, from the reel's first."""
    spans = [(24 + k * every, 24 + k * every + length) for k in range(n_cues)]
    path = folder / "cues.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["number", "in", "out", "prompt", "track"])
        for k, (start, end) in enumerate(spans, start=1):
            codes = [timecode_of(FIRST + frame, FPS, ":", 2) for frame in (start, end)]
            rows.writerow([k, *codes, PROMPTS[k - 1], f"FX {k % 3}"])
    return path, spans


@pytest.mark.parametrize(
    ("duration_s", "n_cues", "every", "length"),
    [pytest.param(180, 12, 340, 190, marks=pytest.mark.slow), pytest.param(20, 3, 140, 96, marks=pytest.mark.slow)],
)
def test_one_command_makes_preview_and_stems(
    render, tmp_path: Path, duration_s: int, n_cues: int, every: int, length: int
) -> None:
    reel, (sheet, spans) = _reel(tmp_path, duration_s), _cues(tmp_path, n_cues, every, length)
    out, folder = tmp_path / "preview.mov", tmp_path / "stems"
    told = render(
        reel, "--cues", sheet, "-o", out, "--stems", folder, "--takes", TAKES, "--name", "{cue}_{take}", "--json"
    )
    assert told.code == 0, told.err
    rest = soundfile.read(_sound_of(out, tmp_path))[0]
    names = {f"{k}_{take}.wav" for k in range(1, n_cues + 1) for take in range(1, TAKES + 1)}
    assert {path.name for path in folder.iterdir()} == {*names, "Room_1.wav", "CREDITS.txt"}
    handle = 9600
    for path in folder.glob("*.wav"):
        info, place = WavInfoReader(str(path)), 0
        if path.name != "Room_1.wav":
            start, end = spans[int(path.stem.split("_")[0]) - 1]
            place = round(start * 48000 / FPS) - handle
            assert info.data.frame_count == round(end * 48000 / FPS) - round(start * 48000 / FPS) + 2 * handle
        reference = FIRST * 1001 * 2 + place
        assert info.bext.time_reference == reference
        assert info.ixml.parsed.findtext("SPEED/TIMECODE_RATE") == "24000/1001"
        if ffprobe := shutil.which("ffprobe"):
            ask = [ffprobe, "-v", "error", "-show_format", "-of", "json", path]
            tags = json.loads(subprocess.run(ask, capture_output=True, check=True).stdout)["format"]["tags"]
            assert tags["time_reference"] == str(reference)
        if path.stem.endswith("_1"):
            samples = soundfile.read(path, always_2d=True)[0]
            rest[place : place + len(samples)] -= samples
    assert 20 * np.log10(np.abs(rest).max() + 1e-12) < -90


def _sound_of(video: Path, folder: Path) -> Path:
    """The PCM in a .mov, as it is."""
    run_ffmpeg("-i", video, "-map", "0:a", "-c", "copy", folder / "sound.wav")
    return folder / "sound.wav"
