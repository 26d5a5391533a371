"""Times: what people write comes back exact, and counts as the pages of SMPTE and another library count."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import opentimelineio as otio
import pytest
from clips import X264, run_ffmpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from foleycli.cues.times import ReelClock, can_drop
from foleycli.media.probe import probe
from foleycli.media.timecode import frame_number, frames_a_day, timecode_of

RATES = [Fraction(n, d) for n, d in ((24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1), (50, 1), (60000, 1001))]
FILM, NTSC = RATES[0], RATES[3]

rates = st.sampled_from([*RATES, Fraction(60)])
frames = st.integers(0, 24 * 3600 * 24 - 1)


@settings(max_examples=50)
@given(rates, frames, st.booleans())
def test_a_time_code_comes_back(fps: Fraction, number: int, wants_drop: bool) -> None:
    separator = ";" if wants_drop and can_drop(fps) else ":"
    number %= frames_a_day(fps, separator == ";")
    assert frame_number(timecode_of(number, fps, separator), fps) == number


@settings(max_examples=50)
@given(rates, frames, st.booleans())
def test_time_codes_are_those_of_opentimelineio(fps: Fraction, number: int, wants_drop: bool) -> None:
    """Given the nominal rate and the frame: its way from seconds and decimal rates is known to slip."""
    is_drop = wants_drop and can_drop(fps)
    number %= frames_a_day(fps, is_drop)
    # At 23.976 it counts as at 24, but refuses the rate unless it is spelled as it likes.
    nominal = float(fps) if is_drop else float(round(fps))
    told = otio.opentime.RationalTime(number, nominal).to_timecode(nominal, drop_frame=is_drop)
    assert timecode_of(number, fps, ";" if is_drop else ":") == told


@settings(max_examples=50)
@given(rates, frames, st.integers(0, 200_000), st.booleans())
def test_every_picture_of_a_reel_comes_back(fps: Fraction, start: int, frame: int, wants_drop: bool) -> None:
    start_timecode = timecode_of(start, fps, ";" if wants_drop and can_drop(fps) else ":")
    clock = ReelClock(fps, start_timecode)
    time_s = clock.parse(clock.timecode_of_frame(frame))
    assert time_s == frame / fps
    assert clock.frame(time_s) == frame == clock.frame(clock.parse(f"{frame}f"))


@settings(max_examples=30)
@given(rates, st.decimals(0, 100_000, places=6))
def test_seconds_come_back(fps: Fraction, seconds: object) -> None:
    assert ReelClock(fps).parse(f"{seconds}") == Fraction(str(seconds))


@pytest.mark.parametrize(
    ("text", "fps", "start", "time_s"),
    [
        ("00:59:58:00", FILM, "00:59:58:00", Fraction(0)),
        ("01:00:00:00", FILM, "00:59:58:00", Fraction(48 * 1001, 24000)),
        ("1:00:00:00", FILM, "00:59:58:00", Fraction(48 * 1001, 24000)),
        ("00:59:57:00", FILM, "00:59:58:00", Fraction(-24 * 1001, 24000)),
        ("00:00:01:00", FILM, "23:59:59:00", Fraction(48 * 1001, 24000)),  # the reel passes midnight
        ("01:01:00;02", NTSC, "01:00:59;28", Fraction(2 * 1001, 30000)),
        ("01:01:00:02", NTSC, "01:00:59;28", Fraction(2 * 1001, 30000)),  # the reel's own count
        ("01:01:00:02", NTSC, "01:00:59:28", Fraction(4 * 1001, 30000)),
        ("00:10:00;00", NTSC, "", Fraction(17982 * 1001, 30000)),
        ("00:01:00:00", RATES[6], "", Fraction(3600 * 1001, 60000)),
        ("120f", FILM, "01:00:00:00", Fraction(120 * 1001, 24000)),
        ("120 frames", Fraction(25), "", Fraction(120, 25)),
        ("2.5", FILM, "01:00:00:00", Fraction(5, 2)),
        (" 2.5 s ", FILM, "", Fraction(5, 2)),
        (".5", FILM, "", Fraction(1, 2)),
        ("1:02.5", FILM, "", Fraction(125, 2)),
        ("0:01:02,500", FILM, "", Fraction(125, 2)),
        ("00:00:05.50", FILM, "01:00:00:00", Fraction(11, 2)),
    ],
)
def test_what_is_written(text: str, fps: Fraction, start: str, time_s: Fraction) -> None:
    assert ReelClock(fps, start).parse(text) == time_s


@pytest.mark.parametrize(
    ("text", "fps", "start", "why"),
    [
        ("01:00:00;00", FILM, "", "drop-frame, which there is not at 23.976"),
        ("01:00:00;00", Fraction(30), "", "drop-frame, which there is not at 30"),
        ("01:00:02;00", NTSC, "01:00:00:00", "begins at 01:00:00:00 and leaves out no numbers"),
        ("01:01:00;01", NTSC, "01:00:00;00", "leaves out"),
        ("01:01:00;03", RATES[6], "01:00:00;00", "leaves out"),
        ("01:00:00:24", FILM, "", "frame 24, but a second has 24"),
        ("25:00:00:00", FILM, "", "hours above 23"),
        ("01:61:00:00", FILM, "", "hours above 23"),
        ("1:75", FILM, "", "60 or more"),
        ("", FILM, "", "no time"),
        ("soon", FILM, "", "no time"),
        ("nan", FILM, "", "no time"),
        ("1e3", FILM, "", "no time"),
        ("12.5f", FILM, "", "no time"),
    ],
)
def test_what_is_no_time(text: str, fps: Fraction, start: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        ReelClock(fps, start).parse(text)


@pytest.mark.parametrize(("rate", "start"), [("24000/1001", "00:59:58:00"), ("30000/1001", "00:59:58;02"), ("25", "")])
def test_the_clock_of_a_file(tmp_path: Path, rate: str, start: str) -> None:
    reel = tmp_path / "reel.mov"
    timecode = ["-timecode", start] if start else []
    run_ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=64x36:r={rate}:d=1", *X264, *timecode, reel)
    clock = ReelClock.of(probe(reel))
    assert clock == ReelClock(Fraction(rate), start)
    assert clock.timecode(Fraction(0)) == (start or "00:00:00:00")
