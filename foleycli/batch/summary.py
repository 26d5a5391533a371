"""How a batch fares: counts, pace, exit code, and a table of all rows."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from foleycli.batch.work import Outcome
from foleycli.errors import EXIT_FAILED, EXIT_SOME_FAILED
from foleycli.media.output import replacing

TABLE_NAME = "summary.csv"
COLUMNS = (
    "row", "input", "status", "output", "take", "seed", "prompt", "duration_s", "lufs", "peak_dbtp", "sync_score",
    "spent_s", "worker", "error",
)  # fmt: skip


@dataclass
class Tally:
    """Rows by how they fared, and how quick it goes."""

    n_rows: int = 0
    done: int = 0
    skipped: int = 0
    failed: int = 0
    sound_s: float = 0.0  # that was made
    left_s: float = 0.0  # of sound that is still to be made
    began_s: float = field(default_factory=time.monotonic)

    def expect(self, sound_s: float) -> None:
        """The work begins: so much sound is to be made."""
        self.left_s, self.began_s = sound_s, time.monotonic()

    def add(self, outcome: Outcome) -> None:
        """Count a row."""
        setattr(self, outcome.status, getattr(self, outcome.status) + 1)
        if outcome.status == "done":
            self.sound_s += outcome.length_s
            self.left_s -= outcome.length_s

    @property
    def exit_code(self) -> int:
        """0: all done, EXIT_FAILED: none, EXIT_SOME_FAILED: some."""
        if not self.failed:
            return 0
        return EXIT_FAILED if self.failed == self.n_rows else EXIT_SOME_FAILED

    def pace(self, n_left: int) -> str:
        """Rate and time left, by the length of what is made: `31 rows/min, 2.4 x real time, 14 min left`."""
        spent_s = max(time.monotonic() - self.began_s, 1e-6)
        said = [f"{60 * self.done / spent_s:.3g} rows/min", f"{self.sound_s / spent_s:.2g} x real time"]
        if n_left and self.sound_s:
            said.append(f"{duration(self.left_s * spent_s / self.sound_s)} left")
        if self.failed:
            said.append(f"{self.failed} failed")
        return ", ".join(said)

    def summary(self, spent_s: float) -> dict[str, str]:
        """The whole batch in one line, by heading."""
        working_s = max(time.monotonic() - self.began_s, 1e-6)
        return {
            "done": str(self.done),
            "done before": str(self.skipped),
            "failed": str(self.failed),
            "sound": duration(self.sound_s),
            "time": duration(spent_s),
            "rows/min": f"{60 * self.done / working_s:.3g}",
            "x real time": f"{self.sound_s / working_s:.2g}",
        }


def duration(time_s: float) -> str:
    """`40 s`, `14 min`, `3 h 20 min`."""
    if time_s < 90:
        return f"{time_s:.0f} s"
    minutes = round(time_s / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def write_table(out_dir: Path, outcomes: Sequence[Outcome]) -> Path:
    """summary.csv: a line a result, and one for each row that failed."""
    path = out_dir / TABLE_NAME
    with replacing(path) as part, part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", extrasaction="ignore")
        writer.writeheader()
        for outcome in outcomes:
            of_row = {"row": outcome.number, "input": outcome.source, "status": outcome.status, "error": outcome.error}
            if outcome.results:
                of_row |= {"spent_s": round(outcome.spent_s, 3), "worker": outcome.worker}
            for facts in outcome.results or [{}]:
                prompt = facts["settings"]["prompt"] if facts else ""
                writer.writerow({**facts, **of_row, "prompt": prompt})
    return path
