"""Which label has the sounds that a sound is nearest to: labelled sounds in, a label out, by a network's embeddings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from foleycli.errors import FoleyError
from foleycli.evaluation.listeners.base import Heard, Listener
from foleycli.records import Report, silent
from foleycli.soundset.held_out import held_out_of
from foleycli.soundset.sounds import Listed, list_sounds, read_sound

NEAREST = 3  # a label is as near as the mean of its so many nearest sounds
A_LABEL = 24  # more sounds of one label are not asked for
LONGEST_S = 8.0


class Neighbours:
    """Labelled sounds, as a network hears them."""

    def __init__(self, labels: Sequence[str], vectors: np.ndarray) -> None:
        """`vectors` [n, D] as `pooled` makes them, one for each label given; labels repeat."""
        self.vectors = vectors
        self.rows: dict[str, np.ndarray] = {}
        for label in dict.fromkeys(labels):
            self.rows[label] = np.flatnonzero([one == label for one in labels])

    @property
    def labels(self) -> list[str]:
        return list(self.rows)

    def nearest(self, vector: np.ndarray, without: Sequence[int] = ()) -> str:
        """The label whose sounds are nearest to a vector [D], by cosine; rows `without` do not count."""
        cosines = self.vectors @ vector
        cosines[list(without)] = -np.inf
        return max(self.rows, key=lambda label: _mean_of_nearest(cosines[self.rows[label]]))


def _mean_of_nearest(cosines: np.ndarray) -> float:
    finite = np.sort(cosines[np.isfinite(cosines)])[-NEAREST:]
    return float(finite.mean()) if len(finite) else -np.inf


def pooled(heard: Heard) -> np.ndarray:
    """One vector [D] of unit length for a sound of any length: the mean over its blocks."""
    mean = heard.embeddings.mean(axis=0)
    return mean / max(float(np.linalg.norm(mean)), 1e-9)


def hear_labelled(listener: Listener, folder: Path, report: Report = silent) -> Neighbours:
    """The sounds of a labelled folder, as `foley train` takes it: up to A_LABEL of each label, held-out ones first.

    Errors: FoleyError for a folder without two labels.
    """
    chosen = list(choose(list_sounds(folder)))
    labels = [one.category for one in chosen]
    if len(set(labels)) < 2:
        raise FoleyError(f"{folder} has sounds of one label only", "its sub-folders, or index.jsonl, say the labels")
    vectors = []
    for done, one in enumerate(chosen):
        report("labels", done, len(chosen))
        samples = read_sound(folder, one).as_float()[: round(LONGEST_S * listener.rate_hz)]
        vectors.append(pooled(listener.hear(samples)))
    report("labels", len(chosen), len(chosen))
    return Neighbours(labels, np.stack(vectors))


def choose(listed: Iterable[Listed]) -> Iterator[Listed]:
    """Up to A_LABEL of each label; those that trainings keep back come first."""
    by_label: dict[str, list[Listed]] = defaultdict(list)
    for one in listed:
        by_label[one.category].append(one)
    kept_back = held_out_of(one.file for of_label in by_label.values() for one in of_label)
    for of_label in by_label.values():
        yield from sorted(of_label, key=lambda one: one.file not in kept_back)[:A_LABEL]


def label_in(words: str, labels: Iterable[str]) -> str | None:
    """The one label whose words are all in `words` ("drum" in "Drum hit"); None when none is, or several are."""
    said = set(words.lower().replace("_", " ").replace("-", " ").split())
    found = [label for label in labels if set(label.lower().replace("_", " ").split()) <= said]
    return found[0] if len(found) == 1 else None
