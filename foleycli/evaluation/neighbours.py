"""Nearest-neighbour classifier of sounds: labelled sounds in a network's embedding space."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from foleycli.errors import FoleyError
from foleycli.evaluation.embedders.base import AudioEmbedder, Embedding
from foleycli.records import Report, silent
from foleycli.soundset.held_out import held_out_of
from foleycli.soundset.sounds import ListedSound, list_sounds, read_sound

N_NEAREST = 3  # a label is as near as the mean of its so many nearest sounds
MAX_PER_LABEL = 24  # more sounds of one label are not embedded
MAX_S = 8.0  # of each


class NearestNeighbours:
    """Embeddings of labelled sounds."""

    def __init__(self, labels: Sequence[str], vectors: np.ndarray) -> None:
        """`vectors` [n, D] of unit length (`pooled`), one for each of `labels`; labels repeat."""
        self.vectors = vectors
        self.rows: dict[str, np.ndarray] = {}
        for label in dict.fromkeys(labels):
            self.rows[label] = np.flatnonzero([one == label for one in labels])

    @property
    def labels(self) -> list[str]:
        return list(self.rows)

    def classify(self, vector: np.ndarray, exclude: Sequence[int] = ()) -> str:
        """The label whose sounds are nearest to a vector [D], by cosine; rows to `exclude` do not count."""
        cosines = self.vectors @ vector
        cosines[list(exclude)] = -np.inf

        def nearness(label: str) -> float:
            own = cosines[self.rows[label]]
            nearest = np.sort(own[np.isfinite(own)])[-N_NEAREST:]
            return float(nearest.mean()) if len(nearest) else -np.inf

        return max(self.rows, key=nearness)


def pooled(embedding: Embedding) -> np.ndarray:
    """One vector [D] of unit length for a sound of any length: the mean over its blocks."""
    mean = embedding.vectors.mean(axis=0)
    return mean / max(float(np.linalg.norm(mean)), 1e-9)


def embed_labelled_sounds(embedder: AudioEmbedder, folder: Path, report: Report = silent) -> NearestNeighbours:
    """The sounds of a labelled folder, as `foley train` takes it: up to MAX_PER_LABEL of each, held-out ones first.

    Errors: FoleyError for a folder without two labels.
    """
    chosen = list(choose_sounds(list_sounds(folder)))
    labels = [one.category for one in chosen]
    if len(set(labels)) < 2:
        raise FoleyError(f"{folder} has sounds of one label only", "Its sub-folders, or index.jsonl, give the labels")
    vectors = []
    for done, one in enumerate(chosen):
        report("labels", done, len(chosen))
        samples = read_sound(one).as_float()[: round(MAX_S * embedder.rate_hz)]
        vectors.append(pooled(embedder.embed(samples)))
    report("labels", len(chosen), len(chosen))
    return NearestNeighbours(labels, np.stack(vectors))


def choose_sounds(listed: Iterable[ListedSound]) -> Iterator[ListedSound]:
    """Up to MAX_PER_LABEL of each label; those that no model was trained on come first."""
    by_label: dict[str, list[ListedSound]] = defaultdict(list)
    for one in listed:
        by_label[one.category].append(one)
    held_out = held_out_of(one.file for of_label in by_label.values() for one in of_label)
    for of_label in by_label.values():
        yield from sorted(of_label, key=lambda one: one.file not in held_out)[:MAX_PER_LABEL]


def label_in_text(text: str, labels: Iterable[str]) -> str | None:
    """The one label whose words are all in `text` ("drum" in "Drum hit"); None when none is, or several are."""
    words = set(text.lower().replace("_", " ").replace("-", " ").split())
    found = [label for label in labels if set(label.lower().replace("_", " ").split()) <= words]
    return found[0] if len(found) == 1 else None
