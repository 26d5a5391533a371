"""Loudness (EBU R 128) and true peak of an ffmpeg audio stream."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foleycli.errors import FoleyError
from foleycli.media import ffmpeg
from foleycli.records import Report, silent

CEILING_DBTP = -1.0  # no result peaks above this
PRINTED_DB = 0.05  # ffmpeg prints loudness and peak to a tenth of a decibel
SILENT_LUFS = -70.0  # the absolute gate of BS.1770: what is softer has no loudness
LOUDEST_DBTP = 60.0  # above full scale: what is louder is no sound but broken numbers
END_SAMPLES = 64  # of silence after the sound: ffmpeg's meter does not see the peaks of the last 16 otherwise
COUNTS = "Number_of_NaNs+Number_of_Infs"


@dataclass(frozen=True)
class Loudness:
    """Integrated loudness and true peak; -inf dBTP and -70 LUFS for silence."""

    lufs: float
    peak_dbtp: float

    @property
    def is_silent(self) -> bool:
        return self.lufs <= SILENT_LUFS


def measure(
    stream: Any, *options: str, what: str = "the sound", report: Report = silent, total_s: float = 0.0
) -> Loudness:
    """Measure an ffmpeg-python audio stream by decoding it once.

    Errors: FoleyError, which names `what`, where values are not finite or far above full scale.
    """
    counted = stream.filter("astats", measure_perchannel="none", measure_overall=COUNTS)
    meter = counted.filter("apad", pad_len=END_SAMPLES).filter("ebur128", peak="true", framelog="verbose")
    args = ffmpeg.command(meter.output("pipe:1", format="null"), *options, loglevel="info")
    args[args.index("pipe:1")] = "-"  # the progress has the pipe; the null format writes nothing
    said = ffmpeg.run(args, "measuring the loudness", report, "loudness", total_s)
    # The meter speaks once per instance, at the very end.
    lufs = re.findall(r"I:\s+(\S+) LUFS", said)
    peaks = re.findall(r"Peak:\s+(\S+) dBFS", said)
    if not lufs or not peaks:
        raise FoleyError("could not read ffmpeg's loudness measurement", "Use another ffmpeg; see foley doctor")
    n_broken = sum(float(count) for count in re.findall(r"Number of (?:NaNs|Infs): (\S+)", said))
    peak_dbtp = _number(peaks[-1])
    if n_broken or peak_dbtp > LOUDEST_DBTP:
        fault = "values that are not finite" if n_broken else f"a peak {peak_dbtp:.0f} dB above full scale"
        raise FoleyError(f"{what} has {fault}", "Convert it to 16 or 24 bit, or make it again")
    return Loudness(_number(lufs[-1]), peak_dbtp)


def measure_file(path: Path) -> Loudness:
    """Loudness and true peak of the first sound in a file of ours."""
    return measure(ffmpeg.open_input(path).audio, what=f"the sound of {path.name}")


def _number(text: str) -> float:
    value = float(text)
    return -math.inf if math.isnan(value) else value
