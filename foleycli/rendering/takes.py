"""Several takes of one video: seeds that follow one another, ranked by how well each fits the picture.

The score is that of a synchronisation encoder; takes that cannot be among those kept are removed at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from foleycli.features.sync import SyncExtractor, load_extractor
from foleycli.features.sync_score import sync_score_of_file
from foleycli.hub.resolve import resolve
from foleycli.models.model import Model
from foleycli.records import Stream

SCORER = "sync-scorer"  # no model is conditioned on it: an encoder favours the sound that follows it


@dataclass(frozen=True)
class Take:
    """One take as decoded: mono, in a temporary file."""

    seed: int
    score: float | None  # None: there is only one
    wav: Path


def load_scorer(model: Model) -> SyncExtractor:
    """An encoder that scores how well a sound fits the pictures it watched, and that no model is conditioned on."""
    scorer = load_extractor(resolve(SCORER), model.device, model.dtype)
    scorer.name = SCORER  # the model's own stream is called "sync" too
    return scorer


def score_take(scorer: SyncExtractor | None, stream: Stream | None, wav: Path) -> float | None:
    """How well a take fits the pictures of `stream`; None where there is no scorer."""
    return sync_score_of_file(scorer, stream, wav) if scorer is not None and stream is not None else None


def keep_best(takes: list[Take], take: Take, n_kept: int) -> list[Take]:
    """The best `n_kept` takes, best first, equals in the order in which they came; the file of one too many goes."""
    ranked = sorted([*takes, take], key=lambda one: -(one.score or 0.0))
    for dropped in ranked[n_kept:]:
        dropped.wav.unlink()  # half an hour of sound is 0.3 GB
    return ranked[:n_kept]
