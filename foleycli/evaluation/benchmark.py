"""The table that papers print: several systems on the same clips, every figure with its confidence interval.

Published figures need published networks; what has no weights here is listed as not measured.  Every system is
measured on the clips that all of them have made, so that the columns compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from foleycli.errors import FoleyError
from foleycli.evaluation.embedders.base import Embedding
from foleycli.evaluation.embedders.clap import ClapEmbedder, cosine
from foleycli.evaluation.metrics.bootstrap import Interval, mean_interval, set_interval
from foleycli.evaluation.metrics.offset import mean_offset_ms
from foleycli.evaluation.networks import EMBEDDING_NETWORKS, LoadedNetworks, SetMetric
from foleycli.evaluation.pairs import (
    RATE_HZ,
    Pair,
    PairMetrics,
    PairSamples,
    measure_pair,
    media_in,
    pair_up,
    read_pair,
)
from foleycli.evaluation.synchrony import extract_stream
from foleycli.features.sync import SyncExtractor
from foleycli.media.audio import resample

REAL = "real"  # the row of the real sounds themselves
SET_DRAWS = 200  # of a distance between sets: each costs as much as the distance
N_DRAWS = 1000


@dataclass(frozen=True)
class Figure:
    """A column of the table."""

    key: str
    title: str
    better: Literal["less", "more", "near 0"]
    digits: int = 2
    scale: float = 1.0  # of what is shown; files hold the figure itself


FIGURES = (
    Figure("fad_vggish", "FAD VGGish", "less"),
    Figure("fad_aisfx", "FAD aisfx", "less"),
    Figure("fd_panns", "FD PANNs", "less"),
    Figure("fd_passt", "FD PaSST", "less"),
    Figure("fd_clap", "FD CLAP", "less", 3),
    Figure("kl_panns", "KL PANNs", "less"),
    Figure("kl_passt", "KL PaSST", "less"),
    Figure("is_panns", "IS PANNs", "more"),
    Figure("is_passt", "IS PaSST", "more"),
    Figure("ib_score", "IB", "more", scale=100),
    Figure("clap_score", "CLAP", "more", 3),
    Figure("desync_s", "DeSync s", "less", 3),
    Figure("sync_ms", "Sync ms", "less", 0),
    Figure("above_60ms", "onsets above chance 60 ms", "more", 3),
    Figure("above_100ms", "onsets above chance 100 ms", "more", 3),
    Figure("envelope", "loudness correlation", "more", 3),
    Figure("spectral_distance_db", "spectrum dB", "less", 1),
    Figure("sync_mini_ms", "offset by sync-mini ms", "less", 0),
)
OF_REAL = ("is_panns", "is_passt", "ib_score", "clap_score", "desync_s", "sync_ms", "sync_mini_ms")  # need no partner


@dataclass(frozen=True)
class System:
    """A folder of generated sounds, paired with the real ones."""

    name: str
    pairs: Mapping[str, Pair]  # by clip


@dataclass
class Measured:
    """What is collected of one system; everything has one entry a clip, in one order."""

    rows: list[PairMetrics] = field(default_factory=list)
    scores: dict[str, list[float]] = field(default_factory=dict)  # by key; NaN where a clip is too short
    generated: dict[str, list[Embedding]] = field(default_factory=dict)  # by network
    real: dict[str, list[Embedding]] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    name: str
    clips: int
    figures: Mapping[str, Interval]


@dataclass(frozen=True)
class Table:
    """The result."""

    rows: list[Row]
    clips: list[str]
    left_out: dict[str, list[str]]  # by system: clips that another has not
    not_measured: dict[str, str]  # by key, with what it needs

    @property
    def figures(self) -> list[Figure]:
        """The columns that at least one system has."""
        return [figure for figure in FIGURES if any(figure.key in row.figures for row in self.rows)]


def systems_of(real: Path, generated: Sequence[Path]) -> tuple[list[System], dict[str, list[str]]]:
    """The systems on the clips that all of them have, and what each has beside; names are those of the folders.

    Errors: FoleyError for folders of one name, none in common, and as `pair_up`.
    """
    names = _names(generated)
    found = {name: {pair.name: pair for pair in pair_up(real, folder).pairs} for name, folder in names.items()}
    shared = set.intersection(*(set(pairs) for pairs in found.values()))
    if not shared:
        raise FoleyError("no clip is in all folders", "Give folders with sounds for the same clips")
    n_real = len(media_in(real))
    systems = [System(name, {clip: pairs[clip] for clip in sorted(shared)}) for name, pairs in found.items()]
    left_out = {name: sorted(set(pairs) - shared) for name, pairs in found.items()}
    if n_real > len(shared):
        left_out[REAL] = sorted(set(media_in(real)) - shared)
    return systems, {name: clips for name, clips in left_out.items() if clips}


def _names(folders: Sequence[Path]) -> dict[str, Path]:
    """A name for each folder: its own, with its parent's where two are called alike."""
    own = [folder.resolve().name for folder in folders]
    long = [f"{folder.resolve().parent.name}/{name}" for folder, name in zip(folders, own, strict=True)]
    names = [name if own.count(name) == 1 and name != REAL else other for name, other in zip(own, long, strict=True)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise FoleyError(f"two folders are called {twice}", "Give each folder once, and rename one")
    return dict(zip(names, folders, strict=True))


class Benchmark:
    """Clips in one by one, the table out."""

    def __init__(self, systems: Sequence[System], loaded: LoadedNetworks, extractor: SyncExtractor) -> None:
        self.systems, self.loaded, self.extractor = systems, loaded, extractor
        self.clips: list[str] = []
        self.measured = {REAL: Measured(), **{system.name: Measured() for system in systems}}

    def add(self, clip: str, prompt: str = "") -> None:
        """Measure a clip of every system; errors: FoleyError when one cannot be read: then none of it counts."""
        pairs = [system.pairs[clip] for system in self.systems]
        first = pairs[0]
        real = Pair(first.name, first.real, first.real)
        sounds = [read_pair(pair) for pair in (real, *pairs)]
        stream = extract_stream(first.video, self.extractor) if first.video is not None else None
        known: dict[tuple[str, int], Embedding] = {}  # of the real sound, by network and length
        found = [
            self._measure(samples, measure_pair(samples, self.extractor, stream), prompt, known) for samples in sounds
        ]
        for name, of_clip in zip(self.measured, found, strict=True):
            _append(self.measured[name], of_clip)
        self.clips.append(clip)

    def _measure(
        self, sounds: PairSamples, row: PairMetrics, prompt: str, known: dict[tuple[str, int], Embedding]
    ) -> Measured:
        """One clip of one system."""
        found, pair, is_real = Measured([row]), sounds.pair, sounds.pair.real == sounds.pair.generated
        for name, embedder in self.loaded.embedders.items():
            key = (name, len(sounds.real))
            if key not in known:
                known[key] = embedder.embed(resample(sounds.real[None], RATE_HZ, embedder.rate_hz)[0])
            generated = (
                known[key]
                if is_real
                else embedder.embed(resample(sounds.generated[None], RATE_HZ, embedder.rate_hz)[0])
            )
            found.real[name], found.generated[name] = [known[key]], [generated]
            if isinstance(embedder, ClapEmbedder) and prompt:
                found.scores["clap_score"] = [cosine(generated, embedder.embed_words(prompt))]
        if pair.video is not None:
            for scorer in self.loaded.scorers.values():
                scores = scorer.scores(resample(sounds.generated[None], RATE_HZ, scorer.rate_hz)[0], pair.video)
                found.scores |= {key: [score] for key, score in scores.items()}
        return found

    def table(
        self, not_measured: Mapping[str, str], left_out: Mapping[str, list[str]], n_draws: int = N_DRAWS
    ) -> Table:
        """All figures; `not_measured`: what has no weights here.  `n_draws`: 0 gives no intervals."""
        missing = dict(not_measured)
        rows = []
        for name, measured in self.measured.items():
            figures = {**set_figures(measured, n_draws, missing), **clip_figures(measured, n_draws)}
            if name == REAL:
                figures = {key: figures[key] for key in OF_REAL if key in figures}
            rows.append(Row(name, len(self.clips), figures))
        for figure in FIGURES:
            if figure.key not in missing and not any(figure.key in row.figures for row in rows[1:]):
                missing[figure.key] = WHY_NOT.get(figure.key, "no clip has a picture, and sound that is long enough")
        return Table(rows, self.clips, dict(left_out), missing)


WHY_NOT = {"clap_score": "no clip has a prompt: --prompts FILE"}


def _append(to: Measured, one: Measured) -> None:
    """Add a clip; a score that it has not, or that none had before it, is NaN."""
    n = len(to.rows)
    to.rows += one.rows
    for key in {*to.scores, *one.scores}:
        to.scores.setdefault(key, [float("nan")] * n).extend(one.scores.get(key, [float("nan")]))
    for side, other in ((to.real, one.real), (to.generated, one.generated)):
        for name, embeddings in other.items():
            side.setdefault(name, []).extend(embeddings)


def set_figures(measured: Measured, n_draws: int, missing: dict[str, str]) -> dict[str, Interval]:
    """Figures of the whole set, by the networks that are loaded; what cannot be measured goes to `missing`."""
    figures: dict[str, Interval] = {}
    n, draws = len(measured.rows), min(n_draws, SET_DRAWS)
    for network in (one for one in EMBEDDING_NETWORKS if one.name in measured.generated):
        real, generated = measured.real[network.name], measured.generated[network.name]
        for key, metric in network.metrics.items():
            of_rows = partial(_of_rows, metric, real, generated)
            try:
                figures[key] = set_interval(of_rows, n, draws, seed=0)
            except ValueError as error:
                missing[key] = str(error)
    return figures


def _of_rows(metric: SetMetric, real: Sequence[Embedding], generated: Sequence[Embedding], rows: np.ndarray) -> float:
    return metric([real[k] for k in rows], [generated[k] for k in rows])


def clip_figures(measured: Measured, n_draws: int) -> dict[str, Interval]:
    """Means over clips; onsets count where the real sound has enough of them for timing to mean something."""
    rows = measured.rows
    values = {key: np.array(scores, np.float64) for key, scores in measured.scores.items()}
    for key in ("above_60ms", "above_100ms"):
        values[key] = np.array([getattr(row, key) if row.has_onsets else np.nan for row in rows])
    for key in ("envelope", "spectral_distance_db"):
        values[key] = np.array([getattr(row, key) for row in rows])
    values["sync_mini_ms"] = np.array(
        [np.nan if row.offset_s is None else mean_offset_ms([row.offset_s]) for row in rows]
    )
    found = {key: mean_interval(of_key, n_draws, seed=0) for key, of_key in values.items()}
    return {key: interval for key, interval in found.items() if interval is not None}
