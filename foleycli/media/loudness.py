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
PRINTED_DB = 0.05  # ffmpeg tells loudness and peak to a tenth of a decibel
SILENT_LUFS = -70.0  # the absolute gate of BS.1770: what is softer has no loudness


@dataclass(frozen=True)
class Loudness:
    """Integrated loudness and true peak; -inf dBTP and -70 LUFS for silence."""

    lufs: float
    peak_dbtp: float

    @property
    def is_silent(self) -> bool:
        return self.lufs <= SILENT_LUFS


def measure(stream: Any, *options: str, report: Report = silent, total_s: float = 0.0) -> Loudness:
    """Measure an ffmpeg-python audio stream by decoding it once."""
    meter = stream.filter("ebur128", peak="true", framelog="verbose")
    args = ffmpeg.command(meter.output("pipe:1", format="null"), *options, loglevel="info")
    args[args.index("pipe:1")] = "-"  # the progress has the pipe; the null format writes nothing
    said = ffmpeg.run(args, "measuring the loudness", report, "loudness", total_s)
    # The meter speaks once per instance, at the very end.
    lufs = re.findall(r"I:\s+(\S+) LUFS", said)
    peaks = re.findall(r"Peak:\s+(\S+) dBFS", said)
    if not lufs or not peaks:
        raise FoleyError("ffmpeg told no loudness", "Use another ffmpeg; see foley doctor.")
    return Loudness(_number(lufs[-1]), _number(peaks[-1]))


def measure_file(path: Path) -> Loudness:
    """Loudness and true peak of the first sound in a file."""
    return measure(ffmpeg.open_input(path).audio)


def _number(text: str) -> float:
    value = float(text)
    return -math.inf if math.isnan(value) else value
