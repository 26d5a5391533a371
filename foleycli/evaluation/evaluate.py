"""All that `foley evaluate` measures: pairs of sounds in one by one, their figures and those of the set out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from foleycli.errors import UsageError
from foleycli.evaluation import networks
from foleycli.evaluation.embedders.base import Embedding
from foleycli.evaluation.neighbours import NearestNeighbours, embed_labelled_sounds, label_in_text, pooled
from foleycli.evaluation.networks import EMBEDDING_NETWORKS, SCORING_NETWORKS, LoadedNetworks
from foleycli.evaluation.pairs import RATE_HZ, Pair, PairMetrics, PairSamples, mean_metrics, measure_pair, read_pair
from foleycli.evaluation.synchrony import SYNC_ENCODER
from foleycli.features.sync import SyncExtractor, load_extractor
from foleycli.hub.resolve import resolve
from foleycli.media.audio import resample
from foleycli.models.model import Model
from foleycli.recordings.mix import USUAL_ROOM_DB
from foleycli.records import Report, Video, silent
from foleycli.rendering.job import RenderJob
from foleycli.settings.settings import Settings
from foleycli.soundset.sounds import list_sounds

LABEL_ACCURACY = "label_accuracy_aisfx"


@dataclass(frozen=True)
class Sources:
    """Where the networks' files and the labelled sounds are; checked, not yet read."""

    files: Mapping[str, Path]  # by network
    labels: Path | None


@dataclass(frozen=True)
class Summary:
    """The figures of a set."""

    files: int
    means: dict[str, float | None]
    files_with_onsets: int
    means_with_onsets: dict[str, float | None]  # over the pairs whose real sound has onsets: there timing counts
    metrics: dict[str, float]  # of published networks
    not_measured: dict[str, str]  # metrics that could not be measured, each with what it needs


@dataclass
class SetMetrics:
    """Collects what published networks say of each pair; the figures of the whole set come out."""

    loaded: LoadedNetworks
    neighbours: NearestNeighbours | None = None  # labelled sounds in aisfx's embedding space
    real: dict[str, list[Embedding]] = field(default_factory=dict)  # by network
    generated: dict[str, list[Embedding]] = field(default_factory=dict)
    pair_scores: dict[str, list[float]] = field(default_factory=dict)  # of generated sounds with pictures, by key
    labels: list[tuple[str, str, str]] = field(default_factory=list)  # expected, of the real and of the generated sound

    def add(self, sounds: PairSamples, prompt: str = "") -> None:
        """Ask every network about a pair; `prompt`, else its folder's or its own name, gives the expected label."""
        for name, embedder in self.loaded.embedders.items():
            for side, samples in ((self.real, sounds.real), (self.generated, sounds.generated)):
                embedding = embedder.embed(resample(samples[None], RATE_HZ, embedder.rate_hz)[0])
                side.setdefault(name, []).append(embedding)
        if (video := sounds.pair.video) is not None:
            for scorer in self.loaded.scorers.values():
                scores = scorer.scores(resample(sounds.generated[None], RATE_HZ, scorer.rate_hz)[0], video)
                for key, score in scores.items():
                    self.pair_scores.setdefault(key, []).append(score)
        if self.neighbours is not None:
            self._add_labels(sounds.pair, prompt, self.neighbours)

    def _add_labels(self, pair: Pair, prompt: str, neighbours: NearestNeighbours) -> None:
        texts = (prompt, pair.folder.replace("/", " "), pair.name.rpartition("/")[2])
        expected = next((label for text in texts if (label := label_in_text(text, neighbours.labels))), None)
        if expected is not None:
            real, generated = (neighbours.classify(pooled(side["aisfx"][-1])) for side in (self.real, self.generated))
            self.labels.append((expected, real, generated))

    def results(self) -> tuple[dict[str, float], dict[str, str]]:
        """Every metric that can be measured, and why not those that cannot, by key."""
        measured: dict[str, float] = {}
        missing: dict[str, str] = {}
        for network in (one for one in EMBEDDING_NETWORKS if one.name in self.loaded.embedders):
            for key, metric in network.metrics.items():
                try:
                    measured[key] = metric(self.real[network.name], self.generated[network.name])
                except ValueError as error:
                    missing[key] = str(error)
        for scoring in (one for one in SCORING_NETWORKS if one.name in self.loaded.scorers):
            for key in scoring.keys:
                if scores := self.pair_scores.get(key):
                    measured[key] = float(np.mean(scores))
                else:
                    missing[key] = "no pair has a picture and sound that are long enough"
        if self.labels:
            measured[LABEL_ACCURACY] = float(np.mean([generated == expected for expected, _, generated in self.labels]))
            measured[f"{LABEL_ACCURACY}_of_real"] = float(np.mean([real == label for label, real, _ in self.labels]))
            measured["labelled_files"] = len(self.labels)
        elif self.neighbours is not None:
            known = ", ".join(self.neighbours.labels)
            missing[LABEL_ACCURACY] = f"no prompt, folder or file name contains one of the labels: {known}"
        return measured, missing


@dataclass
class Evaluation:
    """The networks, loaded, and the figures so far."""

    extractor: SyncExtractor
    set_metrics: SetMetrics
    sources: Sources
    rows: list[PairMetrics] = field(default_factory=list)

    def add(self, pair: Pair, prompt: str = "") -> PairMetrics:
        """Measure a pair; errors: FoleyError when one of its sounds cannot be read."""
        sounds = read_pair(pair)
        row = measure_pair(sounds, self.extractor)
        self.set_metrics.add(sounds, prompt)
        self.rows.append(row)
        return row

    def summary(self) -> Summary:
        """Means and set metrics over all that was added."""
        with_onsets = [row for row in self.rows if row.has_onsets]
        measured, missing = self.set_metrics.results()
        absent = networks.missing_metrics(self.sources.files)
        if self.sources.labels is None:
            absent[LABEL_ACCURACY] = "needs aisfx's weights and --labels DIR, a folder of labelled sounds"
        return Summary(
            files=len(self.rows),
            means=mean_metrics(self.rows),
            files_with_onsets=len(with_onsets),
            means_with_onsets=mean_metrics(with_onsets),
            metrics=measured,
            not_measured={**absent, **missing},
        )


def check_sources(aisfx: Path | None, labels: Path | None) -> Sources:
    """Find what metrics need; errors: FoleyError for a file or folder that is given but does not exist."""
    found = networks.find({"aisfx": aisfx} if aisfx else {})
    if labels is not None:
        if "aisfx" not in found:
            hint = f"Get them: {networks.how_to_get('aisfx')}"
            raise UsageError("--labels needs aisfx's weights, which are not here", hint)
        list_sounds(labels)
    return Sources(found, labels)


def begin(sources: Sources, device: torch.device, report: Report = silent) -> Evaluation:
    """Load the synchronisation encoder and every network whose file is there."""
    loaded = networks.load(sources.files, device)
    neighbours = None
    if sources.labels is not None:
        neighbours = embed_labelled_sounds(loaded.embedders["aisfx"], sources.labels, report)
    extractor = load_extractor(resolve(SYNC_ENCODER), device, torch.float32)
    return Evaluation(extractor, SetMetrics(loaded, neighbours), sources)


def rendered_path(clip: Path, folder: Path) -> Path:
    """The path of the sound that is rendered for a clip."""
    return folder / f"{clip.stem}.foley.wav"


def render_pair(video: Video, model: Model, settings: Settings, folder: Path, report: Report = silent) -> Pair:
    """A clip's own sound beside the one that `foley render` makes for it, as a WAV in `folder`."""
    generated = rendered_path(video.path, folder)
    # A film's own sound has the tone of its place: so has what is compared with it, though it is a sound file.
    in_video = replace(settings, room=USUAL_ROOM_DB) if settings.room == "auto" else settings
    RenderJob(video, generated, in_video).run(model, report)
    return Pair(video.path.stem, video.path, generated)
