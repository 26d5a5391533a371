"""A set of made sounds against the set of real ones, as published networks hear them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from foleycli.evaluation.compare import RATE_HZ, Sounds
from foleycli.evaluation.listeners.base import Heard, Listener
from foleycli.evaluation.neighbours import Neighbours, label_in, pooled
from foleycli.evaluation.networks import NETWORKS
from foleycli.media.audio import resample

LABELS, LABELS_OF_REAL = "label_accuracy_aisfx", "label_accuracy_aisfx_of_real"


@dataclass
class Hearing:
    """What the networks said so far, pair by pair."""

    listeners: Mapping[str, Listener]
    neighbours: Neighbours | None = None  # as aisfx hears them
    real: dict[str, list[Heard]] = field(default_factory=dict)
    made: dict[str, list[Heard]] = field(default_factory=dict)
    named: list[tuple[str, str, str]] = field(default_factory=list)  # expected, of the real and of the made sound

    def add(self, sounds: Sounds, words: str = "") -> None:
        """Let every network hear a pair; `words` (else its folder's or its own name) say what it should sound like."""
        for name, listener in self.listeners.items():
            for side, samples in ((self.real, sounds.real), (self.made, sounds.made)):
                heard = listener.hear(resample(samples[None], RATE_HZ, listener.rate_hz)[0])
                side.setdefault(name, []).append(heard)
        if self.neighbours is None:
            return
        pair, labels = sounds.pair, self.neighbours.labels
        said = (words, pair.folder.replace("/", " "), pair.name.rpartition("/")[2])
        expected = next((label for text in said if (label := label_in(text, labels))), None)
        if expected is not None:
            sides = (self.real["aisfx"][-1], self.made["aisfx"][-1])
            self.named.append((expected, *(self.neighbours.nearest(pooled(heard)) for heard in sides)))

    def scores(self) -> tuple[dict[str, float], dict[str, str]]:
        """Every metric that can be measured, and why not those that cannot, by key."""
        measured: dict[str, float] = {}
        missing: dict[str, str] = {}
        for network in (network for network in NETWORKS if network.name in self.listeners):
            for key, metric in network.metrics.items():
                try:
                    measured[key] = metric(self.real.get(network.name, []), self.made.get(network.name, []))
                except ValueError as error:
                    missing[key] = str(error)
        if self.named:
            measured[LABELS] = sum(made == label for label, _, made in self.named) / len(self.named)
            measured[LABELS_OF_REAL] = sum(real == label for label, real, _ in self.named) / len(self.named)
        elif self.neighbours is not None:
            missing[LABELS] = "no prompt, folder or file name says one of the labels: " + ", ".join(
                self.neighbours.labels
            )
        return measured, missing
