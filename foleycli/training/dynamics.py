"""Trains the head that predicts loudness over seconds (`features.dynamics`), on film and on worlds.

The encoder stays as it is.  What counts is how well the predicted curve correlates with the sound's own level within a
clip, not its height: one loud film would else say more than all others.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foleycli.features.dynamics import DynamicsConfig, DynamicsHead, curves_of
from foleycli.features.position import MotionPosition
from foleycli.features.sync import SyncExtractor, load_extractor
from foleycli.hub.resolve import resolve
from foleycli.records import Stream
from foleycli.timebase import FEATURE_FPS
from foleycli.training.clips import ClipData, TrainingClip
from foleycli.training.film import film_clips
from foleycli.training.pool import Pool
from foleycli.training.recipe import Recipe, from_dict
from foleycli.training.sources import HELD_OUT_SEED, check_sounds, clip_stream, held_out_clips
from foleycli.training.sync import prepare_grey
from foleycli.weights.config import ModelConfig
from foleycli.weights.folder import save

STEADY_DB = 1.0  # a level that moves less (standard deviation) says nothing
FIGURES = ("head", "encoder")


@dataclass(frozen=True)
class DynamicsObjective:
    """What the head is measured by, and how far its prediction moves."""

    encoder: str = "sync-mini"  # whose loudness is read
    spread_db: float = 5.0  # the standard deviation that a prediction has in the middle one of the validation clips
    validation_clips: int = 48  # of the film, and as many worlds


@dataclass(frozen=True)
class Curves:
    """One clip: what the head reads, float32 [T, 3], and the level of its sound, dB float32 [T]."""

    seen: Tensor
    level_db: Tensor


class DynamicsTask:
    """Meets `training.loop.Task` for the dynamics head."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.data = from_dict(ClipData, recipe.data, "recipe, data")
        check_sounds(self.data)
        self.weights = from_dict(DynamicsObjective, recipe.objective, "recipe, objective")
        self.network = DynamicsHead(from_dict(DynamicsConfig, recipe.network, "recipe, network"))
        self.encoder = load_extractor(resolve(self.weights.encoder), torch.device("cpu"), torch.float32)
        self._held_out: dict[str, list[Curves]] = {}

    def batches(self, first_step: int, rank: int, world_size: int) -> Iterator[dict[str, Tensor]]:
        """Batches from a pool of clips as curves, a few of which are new at every step."""
        fresh = self.data.fresh_per_step
        clips = clip_stream(self.data, self.recipe, first_clip=first_step * fresh, rank=rank, world_size=world_size)
        pool = Pool((one for clip in clips if is_moving(one := watch(clip, self.encoder))), self.data.pool)
        pool.take(2 * self.recipe.batch_size)
        for step in itertools.count(first_step):
            pool.take(fresh)
            drawn = pool.draw(self.recipe.batch_size, np.random.default_rng((self.recipe.seed, 1, step, rank)))
            yield {
                "seen": torch.stack([one.seen for one in drawn]),  # [B, T, 3]
                "level_db": torch.stack([one.level_db for one in drawn]),  # [B, T]
            }

    def loss(
        self, network: DynamicsHead, average: DynamicsHead, batch: dict[str, Tensor], step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        correlation = correlations(network(batch["seen"]), batch["level_db"]).mean()
        return 1 - correlation, {"correlation": correlation}

    @torch.no_grad()
    def validate(self, average: DynamicsHead) -> dict[str, float]:
        """Mean correlation with the real level on held-out film and worlds, and that of the encoder's own loudness."""
        self._held_out = self._held_out or self._make_held_out()
        figures = {}
        for name, clips in self._held_out.items():
            of_head = [correlations(average(one.seen[None]), one.level_db[None]) for one in clips]
            of_encoder = [correlations(one.seen[None, :, 0], one.level_db[None]) for one in clips]
            for figure, values in zip(FIGURES, (of_head, of_encoder), strict=True):
                figures[f"{name}_{figure}"] = float(torch.cat(values).mean()) if values else 0.0
        return figures

    def _make_held_out(self) -> dict[str, list[Curves]]:
        n = self.weights.validation_clips
        found = {"worlds": held_out_clips(self.data, n)}
        if self.data.film:
            found["film"] = list(itertools.islice(film_clips(self.data, HELD_OUT_SEED, held_out=True), n))
        watched = {name: [watch(clip, self.encoder) for clip in clips] for name, clips in found.items()}
        return {name: [one for one in clips if is_moving(one)] for name, clips in watched.items()}

    def state(self) -> dict[str, Any]:
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """All of its state is in the networks."""

    @torch.no_grad()
    def export(self, average: DynamicsHead, folder: Path, history: dict[str, Any]) -> None:
        """Write the head, its prediction scaled to `spread_db`."""
        figures = self.validate(average)
        clips = [one for clips in self._held_out.values() for one in clips]
        spreads_db = [float(average(one.seen[None]).std()) for one in clips]
        middle_db = float(np.median(spreads_db)) if spreads_db else 1.0
        tensors = {"log_weight": average.log_weight + float(np.log(self.weights.spread_db / max(middle_db, 1e-6)))}
        config = ModelConfig(
            name=self.recipe.name,
            kind="dynamics",
            network=average.config.to_dict(),
            training={**history, **figures},
        )
        save(tensors, folder, config, torch.float32)


@torch.no_grad()
def watch(clip: TrainingClip, encoder: SyncExtractor) -> Curves:
    """A clip as the head reads it: by the encoder and by its motion."""
    features = encoder.encoder.features(prepare_grey(clip.grey, encoder.encoder.config.size_px))[0]  # [T, D + 2]
    motion = MotionPosition().start()
    motion.push(np.repeat(clip.grey[..., None], 3, axis=3))
    loudness_db = encoder.loudness_db(Stream(features, FEATURE_FPS))
    seen = curves_of(loudness_db, motion.finish().values.numpy()[:, 2:])
    return Curves(seen, torch.from_numpy(clip.loudness_db[: len(seen)]).float())


def is_moving(one: Curves) -> bool:
    """Whether a clip's level moves enough to learn from."""
    return bool(one.level_db.std() > STEADY_DB)


def correlations(one: Tensor, other: Tensor) -> Tensor:
    """Pearson correlation of each row of [B, T] with that of another: [B]; 0 where one of them is flat."""
    one, other = (rows - rows.mean(dim=1, keepdim=True) for rows in (one, other))
    return (one * other).sum(dim=1) / (one.norm(dim=1) * other.norm(dim=1)).clamp_min(1e-6)
