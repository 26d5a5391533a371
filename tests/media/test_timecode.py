"""Time codes: counted as SMPTE ST 12-1 counts, and found in a part where an editor looks for them."""

from __future__ import annotations

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from boxes import timecode_track
from clips import X264, run_ffmpeg

from foleycli.media.mux import mux
from foleycli.media.part import copyable_part
from foleycli.media.probe import probe
from foleycli.media.timecode import advance_timecode

NTSC, FAST = Fraction(30000, 1001), Fraction(60000, 1001)


@pytest.mark.parametrize(
    ("timecode", "n_frames", "fps", "later"),
    [
        ("01:00:00:00", 50, Fraction(25), "01:00:02:00"),
        ("00:59:59:23", 1, Fraction(24000, 1001), "01:00:00:00"),
        ("01:00:59;28", 2, NTSC, "01:01:00;02"),  # ;00 and ;01 are left out at the minute
        ("01:09:59;29", 1, NTSC, "01:10:00;00"),  # but not at each tenth
        ("00:00:00;00", 17982, NTSC, "00:10:00;00"),
        ("00:00:00;00", 107892, NTSC, "01:00:00;00"),
        ("00:00:59;59", 1, FAST, "00:01:00;04"),
        ("00:00:00.00", 1800, NTSC, "00:01:00.02"),
        ("23:59:59;29", 1, NTSC, "00:00:00;00"),
        ("23:59:59:49", 1, Fraction(50), "00:00:00:00"),
        ("01:00:00:090", 40, Fraction(120), "01:00:01:010"),
        ("reel 7", 40, Fraction(25), "reel 7"),
    ],
)
def test_counting(timecode: str, n_frames: int, fps: Fraction, later: str) -> None:
    assert advance_timecode(timecode, n_frames, fps) == later


def _frame_number(timecode: str, rate: int) -> int:
    """Frames from midnight: the long way round, number by number of a minute."""
    hours, minutes, seconds, frames = (int(text) for text in timecode.replace(";", ":").split(":"))
    n = 0
    for minute in range(60 * hours + minutes):
        n += 60 * rate - (rate // 15 if ";" in timecode and minute % 10 else 0)
    dropped = rate // 15 if ";" in timecode and minutes % 10 else 0
    return n + seconds * rate + frames - dropped


CASES = [
    ("24000/1001", "01:00:59:20"),
    ("24", "10:00:00:00"),
    ("25", "00:59:59:00"),
    ("30000/1001", "01:00:58;20"),
    ("30000/1001", "01:00:58:20"),
    ("30", "23:59:59:00"),
    ("50", "02:00:00:48"),
    ("60000/1001", "09:09:58;30"),
]


@pytest.mark.parametrize(
    ("rate", "timecode", "start_s"), [(*case, 2.0) for case in CASES] + [(*case, 0.0) for case in CASES[3:5]]
)
@pytest.mark.parametrize("ending", [".mov", ".mp4", ".mkv"])
def test_a_part_begins_at_its_own_time_code(
    tmp_path: Path, rate: str, timecode: str, ending: str, start_s: float
) -> None:
    source, out, fps = tmp_path / "source.mov", tmp_path / f"out{ending}", Fraction(rate)
    run_ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=64x36:r={rate}:d=3", *X264, "-g", 1, "-timecode", timecode, source)
    video = probe(source)
    part = copyable_part(video, out, start_s, 0.8 if start_s else None)
    sound = tmp_path / "sound.wav"
    soundfile.write(sound, np.zeros((round(part.duration_s * 48000), 2)), 48000)
    muxed = mux(video, sound, out, **({"start_s": part.start_s, "duration_s": part.duration_s} if start_s else {}))
    assert muxed.notes == ()
    expected = advance_timecode(timecode, round(part.start_s * fps), fps)
    with av.open(str(out)) as container:
        tags = [container.metadata, *(stream.metadata for stream in container.streams)]
    told = {value for tag in tags for key, value in tag.items() if key.lower() == "timecode"}
    assert told == {expected}
    if ending != ".mkv":
        number, is_drop, per_second = timecode_track(out)
        assert (number, is_drop, per_second) == (_frame_number(expected, round(fps)), ";" in timecode, round(fps))
    ffprobe = shutil.which("ffprobe")
    if ffprobe:
        args = [
            ffprobe,
            "-v",
            "error",
            "-show_entries",
            "stream_tags=timecode:format_tags=timecode",
            "-of",
            "csv=p=0",
            out,
        ]
        lines = subprocess.run(args, capture_output=True, text=True).stdout.split()
        assert set(lines) == {expected}
