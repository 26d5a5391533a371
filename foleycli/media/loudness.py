"""Loudness (EBU R 128) and true peak of what ffmpeg makes, and of files of ours."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer

from foleycli.dsp.loudness import SILENT_LUFS, LoudnessMeter, PeakMeter
from foleycli.errors import FoleyError
from foleycli.media import ffmpeg
from foleycli.records import Report, silent

PRINTED_DB = 0.05  # ffmpeg prints loudness and peak to a tenth of a decibel
LOUDEST_DBTP = 60.0  # above full scale: what is louder is no sound but broken numbers
END_SAMPLES = 64  # of silence after the sound: ffmpeg's meter does not see the peaks of the last 16 otherwise
METERED_FRAMES = 400  # of an encoder, some 10 s, at once
METERS_DIFFER_DB = 0.1  # true-peak meters, by so much
BROKEN_HINT = "Convert it to 16 or 24 bit, or make it again"
COUNTS = "Number_of_NaNs+Number_of_Infs"
UNMEASURED_LUFS = -100.0  # the meter's own values before its first window is full, and for silence, are below


@dataclass(frozen=True)
class Loudness:
    """Integrated loudness and true peak; -inf dBTP and -70 LUFS for silence."""

    lufs: float
    peak_dbtp: float
    range_lu: float | None = None  # LRA of EBU Tech 3342; None: too short to have one
    max_momentary_lufs: float | None = None  # of 0.4 s; None: shorter, or silent
    max_short_term_lufs: float | None = None  # of 3 s

    @property
    def is_silent(self) -> bool:
        return self.lufs <= SILENT_LUFS


def measure(
    stream: Any,
    *options: str,
    what: str = "the sound",
    report: Report = silent,
    total_s: float = 0.0,
) -> Loudness:
    """Measure an ffmpeg-python audio stream by decoding it once.

    Errors: FoleyError, which names `what`, where values are not finite or far above full scale.
    """
    counted = stream.filter("astats", measure_perchannel="none", measure_overall=COUNTS)
    meter = counted.filter("apad", pad_len=END_SAMPLES)
    meter = meter.filter("ebur128", peak="true", framelog="verbose", metadata=1).filter("ametadata", "print", file="-")
    args = ffmpeg.command(meter.output("pipe:1", format="null"), *options, loglevel="info")
    args[args.index("pipe:1")] = "-"  # the meter's readings have the pipe; the null format writes nothing
    readings = _Readings(report, total_s)
    said = ffmpeg.run_lines(args, "measuring the loudness", readings.read_line)
    # The summary is spoken once, at the very end; its digits are fewer, but it knows the peaks of the last block.
    lufs = re.findall(r"I:\s+(\S+) LUFS", said)
    peaks = re.findall(r"Peak:\s+(\S+) dBFS", said)
    if not lufs or not peaks:
        raise FoleyError("could not read ffmpeg's loudness measurement", "Use another ffmpeg; see foley doctor")
    n_broken = sum(float(count) for count in re.findall(r"Number of (?:NaNs|Infs): (\S+)", said))
    peak_dbtp = _number(peaks[-1])
    if n_broken or peak_dbtp > LOUDEST_DBTP:
        fault = "values that are not finite" if n_broken else f"a peak {peak_dbtp:.0f} dB above full scale"
        raise FoleyError(f"{what} has {fault}", BROKEN_HINT)
    if total_s:
        report("loudness", total_s, total_s)
    integrated = readings.last.get("I", _number(lufs[-1]))
    return Loudness(
        integrated if abs(integrated - _number(lufs[-1])) < 2 * PRINTED_DB else _number(lufs[-1]),
        peak_dbtp,
        range_lu=readings.last.get("LRA"),
        max_momentary_lufs=readings.most.get("M"),
        max_short_term_lufs=readings.most.get("S"),
    )


@dataclass
class _Readings:
    """What the meter says ten times a second: the last integrated values, and the greatest of short windows."""

    report: Report
    total_s: float
    last: dict[str, float] = field(default_factory=dict)
    most: dict[str, float] = field(default_factory=dict)

    def read_line(self, line: str) -> None:
        """Take in `lavfi.r128.I=-23.012`, or progress from `frame:69 pts:331200 pts_time:6.9`."""
        name, _, value = line.removeprefix("lavfi.r128.").partition("=")
        if name in ("I", "LRA", "M", "S"):
            number = _number(value)
            self.last[name] = number
            if number > UNMEASURED_LUFS:
                self.most[name] = max(number, self.most.get(name, -math.inf))
        elif "pts_time:" in line and self.total_s:
            done_s = _number(line.partition("pts_time:")[2])
            self.report("loudness", min(max(0.0, done_s), self.total_s), self.total_s)


def measure_file(path: Path) -> Loudness:
    """Loudness and true peak of the first sound in a file, by ffmpeg's meter."""
    return measure(ffmpeg.open_input(path).audio, what=f"the sound of {path.name}")


def meter_file(path: Path) -> Loudness:
    """Loudness and true peak of the first sound, of one or two channels, in a file that we have just written."""
    with av.open(f"file:{path}") as container:
        stream = container.streams.audio[0]
        meter = LoudnessMeter(stream.rate, stream.channels)
        _feed(meter, container, stream)
    return Loudness(meter.lufs, meter.peak_dbtp)


def peak_of_file(path: Path) -> float:
    """True peak of the first sound in a file that we have just written; -inf for silence."""
    with av.open(f"file:{path}") as container:
        stream = container.streams.audio[0]
        meter = PeakMeter(stream.rate, stream.channels)
        _feed(meter, container, stream)
    return meter.peak_dbtp


def _feed(meter: PeakMeter, container: InputContainer, stream: AudioStream) -> None:
    """Have a meter hear all of a stream."""
    to_float, held = av.AudioResampler(format="fltp"), []
    for frame in container.decode(stream):
        held += [each.to_ndarray() for each in to_float.resample(frame)]
        if len(held) >= METERED_FRAMES:
            meter.push(np.concatenate(held, axis=1))
            held = []
    held += [each.to_ndarray() for each in to_float.resample(None)]
    meter.push(np.concatenate([np.zeros((stream.channels, 0), np.float32), *held], axis=1), is_last=True)


def _number(text: str) -> float:
    value = float(text)
    return -math.inf if math.isnan(value) else value
