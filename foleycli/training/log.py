"""The log of a training: JSON lines, and on request the same figures for TensorBoard."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from foleycli.media.output import replacing

LOG_NAME = "log.jsonl"
TENSORBOARD_FOLDER = "tensorboard"
WITHOUT_TENSORBOARD = (
    f"TensorBoard's log is left out, {LOG_NAME} has all figures; to have both: pip install 'foleycli[tensorboard]'"
)


class TrainingLog:
    """Figures by step in `out`/log.jsonl, and in `out`/tensorboard where that is asked for and installed."""

    def __init__(self, out: Path, with_tensorboard: bool = False) -> None:
        self.path = out / LOG_NAME
        self._writer: Any = None
        self.note = ""  # what a user should read
        if with_tensorboard:
            try:
                from tensorboardX import SummaryWriter
            except ModuleNotFoundError:
                self.note = WITHOUT_TENSORBOARD
            else:
                # Its own names differ by the second alone: a quick resume would overwrite the file before it.
                self._writer = SummaryWriter(str(out / TENSORBOARD_FOLDER), filename_suffix=f".{time.time_ns()}")

    def write(self, step: int, spent_s: float, figures: dict[str, Any]) -> None:
        """One line of JSON; a figure that is not finite is null, which every JSON parser reads."""
        line = {"step": step, "minutes": round(spent_s / 60, 2), **_finite(figures)}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")
        if self._writer is not None:
            for name, value in _scalars(figures):
                # As an array without axes: of a number tensorboardX 2.6 makes one that numpy 2.4 takes for no scalar.
                self._writer.add_scalar(name, np.asarray(value), step)
            self._writer.flush()

    def trim(self, step: int) -> None:
        """Take out what a killed training left: half a line, and steps after `step`, which will be done again."""
        if self.path.is_file():
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
            kept = [line for line in lines if _step_of(line) <= step]
            if kept != lines or not self.path.read_bytes().endswith(b"\n"):
                with replacing(self.path) as part:
                    part.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        if self._writer is not None:
            from tensorboardX.proto.event_pb2 import Event, SessionLog

            # What TensorBoard itself leaves out: all that was written from this step on before now.
            start = Event(step=step + 1, session_log=SessionLog(status=SessionLog.START))
            self._writer.file_writer.add_event(start, step + 1)


def _finite(figures: dict[str, Any]) -> dict[str, Any]:
    """The same figures, nested as they are, with None for what is NaN or infinite."""
    finite: dict[str, Any] = {}
    for key, value in figures.items():
        is_odd = isinstance(value, float) and not math.isfinite(value)
        finite[key] = _finite(value) if isinstance(value, dict) else None if is_odd else value
    return finite


def _scalars(figures: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every number of nested figures with its path: ("validation/flow", 0.9)."""
    for key, value in figures.items():
        if isinstance(value, dict):
            yield from _scalars(value, f"{prefix}{key}/")
        elif isinstance(value, (int, float)):
            yield prefix + key, float(value)


def _step_of(line: str) -> float:
    """The step of a line of the log; infinite for what is no such line."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        return math.inf
