"""What comes out of a job: a file and every fact about how it was generated."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from foleycli.cues.cue import Cue
from foleycli.library.library import Match, Recording
from foleycli.records import Report, Window
from foleycli.settings.settings import Settings

if TYPE_CHECKING:
    from foleycli.rendering.job import SpanEdit

STAGES = ("decode", "features", "sampler", "codec", "mux")


@dataclass(frozen=True)
class CueResult:
    """What was made for one cue of a sheet; times are seconds from the reel's first picture."""

    cue: Cue
    settings: Settings
    model: str
    seeds: tuple[int, ...]  # of its takes; the first is in the mix
    events_s: tuple[float, ...]  # that were struck: its hits, or what was seen
    windows: int
    labels: tuple[tuple[str, float], ...] = ()
    reference: Path | None = None
    recordings: tuple[Match, ...] = ()
    spans: tuple[tuple[int, SpanEdit], ...] = ()  # that were made anew, each after the take that it is in


@dataclass(frozen=True)
class RenderResult:
    """One written file; times count from `start_s` of the video."""

    out: Path
    duration_s: float
    start_s: float
    settings: Settings
    model: str
    model_sha256: str
    device: str
    windows: list[Window]
    cuts_s: list[float]
    labels: list[tuple[str, float]]  # what the picture shows, with a confidence, most confident first
    events_s: list[float]  # predicted by the synchronisation encoder
    stage_s: dict[str, float]  # seconds spent in each of STAGES
    peak_dbtp: float | None = None  # None: silence, or not measured
    lufs: float | None = None
    applied_db: float = 0.0  # what the sound was multiplied with to be the file's, all reasons together
    take: int | None = None  # rank among several, 1 for the best; their `stage_s` are of all together
    sync_score: float | None = None  # how well it fits the picture: comparable within one render
    reference: Path | None = None  # the sound whose timbre is matched, given or found in a library
    recordings: list[Match] = field(default_factory=list)  # that are placed along the picture
    room_tone: Recording | None = None  # the recording under everything
    cues: tuple[CueResult, ...] = ()  # of a cue sheet
    files: tuple[Path, ...] = ()  # that were written beside it: stems, credits, timelines
    notes: tuple[str, ...] = ()  # what the user should know: streams left out, tracks mixed, a part cut short


@dataclass
class StageClock:
    """Seconds spent in each stage."""

    spent_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.spent_s[name] += time.perf_counter() - began


def subprogress(report: Report, first: int, count: int, n: int) -> Report:
    """Progress on `count` of `n` alike pieces of work, `first` of which are done."""

    def within(stage: str, done: float, total: float) -> None:
        report(stage, first * total + count * done, n * total)

    return within
