"""All that `foley evaluate` measures: pairs of sounds in one by one, their figures and those of the set out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from foleycli.errors import UsageError
from foleycli.evaluation import networks
from foleycli.evaluation.compare import Compared, compare, means, read
from foleycli.evaluation.hearing import LABELS, Hearing
from foleycli.evaluation.metrics.neighbours import hear_labelled
from foleycli.evaluation.pairs import Pair
from foleycli.features.sync import SyncExtractor, load_extractor
from foleycli.hub.resolve import resolve
from foleycli.records import Report, silent
from foleycli.soundset.sounds import list_sounds

JUDGE = "sync-mini"  # for every model the same, so that figures compare


@dataclass(frozen=True)
class Sources:
    """Where the networks' files and the labelled sounds are; checked, not yet read."""

    files: Mapping[str, Path]  # by network
    labels: Path | None


def check_sources(aisfx: Path | None, labels: Path | None) -> Sources:
    """Find what metrics need; errors: FoleyError for a file or folder that is given but is not there."""
    found = networks.find({"aisfx": aisfx} if aisfx else {})
    if labels is not None:
        if "aisfx" not in found:
            raise UsageError("--labels needs aisfx's weights, which are not here", networks.how_to_get("aisfx"))
        list_sounds(labels)
    return Sources(found, labels)


@dataclass(frozen=True)
class Summary:
    """What is said of a set."""

    files: int
    means: dict[str, float | None]
    files_with_onsets: int
    means_with_onsets: dict[str, float | None]  # over the pairs whose real sound strikes: there timing says something
    metrics: dict[str, float]  # of published networks
    not_measured: dict[str, str]  # and what those need that could not be measured


@dataclass
class Evaluation:
    """What sees and hears, loaded, and the figures so far."""

    extractor: SyncExtractor
    hearing: Hearing
    sources: Sources
    rows: list[Compared] = field(default_factory=list)

    def add(self, pair: Pair, words: str = "") -> Compared:
        """Measure a pair; errors: FoleyError when one of its sounds cannot be read."""
        sounds = read(pair)
        row = compare(sounds, self.extractor)
        self.hearing.add(sounds, words)
        self.rows.append(row)
        return row

    def summary(self) -> Summary:
        """Means and set metrics over all that was added."""
        struck = [row for row in self.rows if row.is_struck]
        measured, missing = self.hearing.scores()
        absent = networks.needs(self.sources.files)
        if self.sources.labels is None:
            absent[LABELS] = "needs aisfx's weights and --labels DIR, a folder of labelled sounds"
        return Summary(len(self.rows), means(self.rows), len(struck), means(struck), measured, {**absent, **missing})


def begin(sources: Sources, device: torch.device, report: Report = silent) -> Evaluation:
    """Load the judge and every network whose file is there."""
    loaded = networks.load(sources.files, device)
    neighbours = hear_labelled(loaded["aisfx"], sources.labels, report) if sources.labels else None
    extractor = load_extractor(resolve(JUDGE), device, torch.float32)
    return Evaluation(extractor, Hearing(loaded, neighbours), sources)
