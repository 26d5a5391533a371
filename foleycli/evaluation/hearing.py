"""A set of made sounds against the set of real ones, as published networks hear them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from foleycli.evaluation.compare import RATE_HZ, Sounds, picture_of
from foleycli.evaluation.listeners.base import Heard, Listener, Witness
from foleycli.evaluation.metrics.neighbours import Neighbours, label_in, pooled
from foleycli.evaluation.networks import NETWORKS
from foleycli.evaluation.pairs import Pair
from foleycli.media.audio import resample

LABELS, LABELS_OF_REAL, LABELLED = "label_accuracy_aisfx", "label_accuracy_aisfx_of_real", "labelled_files"


@dataclass
class Hearing:
    """What the networks said so far, pair by pair."""

    networks: Mapping[str, Listener | Witness]
    neighbours: Neighbours | None = None  # as aisfx hears them
    real: dict[str, list[Heard]] = field(default_factory=dict)
    made: dict[str, list[Heard]] = field(default_factory=dict)
    witnessed: dict[str, list[float]] = field(default_factory=dict)  # of made sounds with their pictures
    named: list[tuple[str, str, str]] = field(default_factory=list)  # expected, of the real and of the made sound

    def add(self, sounds: Sounds, words: str = "") -> None:
        """Let every network hear a pair; `words` (else its folder's or its own name) say what it should sound like."""
        for network in (one for one in NETWORKS if one.name in self.networks):
            if network.witnessed:
                self._see(network.name, sounds)
            else:
                self._hear(network.name, sounds)
        if self.neighbours is not None:
            self._name(sounds.pair, words, self.neighbours)

    def _hear(self, name: str, sounds: Sounds) -> None:
        listener = self.networks[name]
        for side, samples in ((self.real, sounds.real), (self.made, sounds.made)):
            heard = listener.hear(resample(samples[None], RATE_HZ, listener.rate_hz)[0])
            side.setdefault(name, []).append(heard)

    def _see(self, name: str, sounds: Sounds) -> None:
        witness, picture = self.networks[name], picture_of(sounds.pair)
        if picture is None:
            return
        figure = witness.measure(resample(sounds.made[None], RATE_HZ, witness.rate_hz)[0], picture)
        if figure is not None:
            self.witnessed.setdefault(name, []).append(figure)

    def _name(self, pair: Pair, words: str, neighbours: Neighbours) -> None:
        """What both sounds are taken for, where it is said what they should be."""
        said = (words, pair.folder.replace("/", " "), pair.name.rpartition("/")[2])
        expected = next((label for text in said if (label := label_in(text, neighbours.labels))), None)
        if expected is not None:
            sides = (self.real["aisfx"][-1], self.made["aisfx"][-1])
            self.named.append((expected, *(neighbours.nearest(pooled(heard)) for heard in sides)))

    def scores(self) -> tuple[dict[str, float], dict[str, str]]:
        """Every metric that can be measured, and why not those that cannot, by key."""
        measured: dict[str, float] = {}
        missing: dict[str, str] = {}
        for network in (one for one in NETWORKS if one.name in self.networks):
            for key, metric in network.metrics.items():
                try:
                    measured[key] = metric(self.real[network.name], self.made[network.name])
                except ValueError as error:
                    missing[key] = str(error)
            if network.witnessed and network.name in self.witnessed:
                measured[network.witnessed] = float(np.mean(self.witnessed[network.name]))
            elif network.witnessed:
                missing[network.witnessed] = "no pair has a picture and sound that are long enough"
        if self.named:
            measured[LABELS] = float(np.mean([made == label for label, _, made in self.named]))
            measured[LABELS_OF_REAL] = float(np.mean([real == label for label, real, _ in self.named]))
            measured[LABELLED] = len(self.named)
        elif self.neighbours is not None:
            labels = ", ".join(self.neighbours.labels)
            missing[LABELS] = f"no prompt, folder or file name says one of the labels: {labels}"
        return measured, missing
