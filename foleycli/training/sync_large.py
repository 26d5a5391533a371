"""Trains SALSA-V's synchronisation encoder at its own size (`features.sync_large`).

The loss is the paper's (arXiv 2510.02916): a sigmoid loss over all pairs of a batch's snippets, of which only same clip
and same time are positive.  VideoPrism stays frozen, with its published weights from `objective.backbone`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from foleycli.datasets.reader import ShardStream, StoredExample
from foleycli.errors import FoleyError
from foleycli.features.sync_large import SNIPPET_FRAMES, SyncLarge, SyncLargeConfig
from foleycli.hub.resolve import resolve
from foleycli.media.audio import resample
from foleycli.training.clips import FPS, ClipData, TrainingClip
from foleycli.training.loop import device_of
from foleycli.training.recipe import Recipe, from_dict
from foleycli.training.shard_clips import CLIP_RATE_HZ, held_out_stored, open_shards
from foleycli.training.sources import check_sounds, clip_pool, held_out_clips
from foleycli.training.sync import sigmoid_loss
from foleycli.training.workers import Mapped, iterate_in_workers
from foleycli.weights.checkpoint import load_into
from foleycli.weights.config import WEIGHTS_NAME, ModelConfig
from foleycli.weights.folder import save

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class SyncLargeData(ClipData):
    """The `data` part of the recipe; pictures are in colour where they come from shards."""

    snippets: int = 14  # of a clip, side by side


@dataclass(frozen=True)
class SyncLargeObjective:
    """What is frozen, and how much is validated on."""

    backbone: str = ""  # VideoPrism's published weights, a safetensors file or its folder; "": it starts from noise
    freeze_backbone: bool = True
    validation_clips: int = 64


@dataclass(frozen=True)
class Snippets:
    """S snippets of one clip or, with an axis more, of B clips."""

    pictures: Tensor  # uint8 [S, 16, H, W, 3]
    samples: Tensor  # float32 [S, N] at the encoder's rate


class SyncLargeTask:
    """Meets `training.loop.Task` for the large synchronisation encoder."""

    def __init__(self, recipe: Recipe) -> None:
        self._describe(recipe)
        self.data = from_dict(SyncLargeData, recipe.data, "recipe, data")
        check_sounds(self.data)
        needed_s = self.data.snippets * SNIPPET_FRAMES / FPS
        if needed_s > self.data.duration_s + 1e-6:
            raise FoleyError(
                f"{self.data.snippets} snippets last {needed_s:g} s, a clip of the recipe {self.data.duration_s:g} s",
                "Set data.snippets lower, or data.duration_s higher",
            )
        if self.objective.backbone:
            path = Path(self.objective.backbone)
            load_into(self.network.picture.backbone, path / WEIGHTS_NAME if path.is_dir() else path)
        elif self.objective.freeze_backbone and not recipe.init_from:
            raise FoleyError(
                "recipe, objective: freeze_backbone without weights for it",
                "Name VideoPrism's file (objective.backbone), or set objective.freeze_backbone: false",
            )
        if recipe.init_from:
            load_into(self.network, resolve(recipe.init_from) / WEIGHTS_NAME)
        else:
            start_bias(self.network, recipe.batch_size * self.data.snippets)
        self._held_out: list[Snippets] = []

    def _describe(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.objective = from_dict(SyncLargeObjective, recipe.objective, "recipe, objective")
        self.network = SyncLarge(from_dict(SyncLargeConfig, recipe.network, "recipe, network"))
        self.network.picture.backbone.requires_grad_(not self.objective.freeze_backbone)

    @classmethod
    def without_data(cls, recipe: Recipe) -> Self:
        """The network and its loss alone, for a plan."""
        task = cls.__new__(cls)
        task._describe(recipe)
        return task

    def blank_batch(self, n_rows: int) -> Snippets:
        """Snippets of nothing."""
        config, n = self.network.config, int(self.recipe.data.get("snippets", SyncLargeData.snippets))
        side_px = config.size_px
        pictures = torch.zeros(n_rows, n, SNIPPET_FRAMES, side_px, side_px, 3, dtype=torch.uint8, device="cpu")
        return Snippets(pictures, torch.randn(n_rows, n, config.snippet_samples, device="cpu"))

    def batches(self, first_step: int, rank: int, world_size: int) -> Iterator[Snippets]:
        """From shards each clip once an epoch; else from a pool of the latest drawn or filmed clips."""
        n_rows, step = self.recipe.batch_size, first_step
        if self.data.shards:
            stream = ShardStream(
                open_shards(self.data.shards, self.data.kept, self.data.duration_s),
                kind="media",
                seed=self.recipe.seed,
                first=first_step * n_rows,
                part=rank,
                n_parts=world_size,
                shards_at_once=1,
            )
            clips = iterate_in_workers(Mapped(stream, self.cut_drawn), self.recipe.workers, prefetch=n_rows)
            while True:
                yield joined([next(clips) for _ in range(n_rows)])
        pool = clip_pool(self.data, self.recipe, first_step, rank, world_size)
        while True:
            rng = np.random.default_rng((self.recipe.seed, 1, step, rank))
            pool.take(self.data.fresh_per_step)
            # The same clip twice would be its own negative.
            yield joined([self.cut_grey(clip, rng) for clip in pool.draw_distinct(n_rows, rng)])
            step += 1

    def cut_grey(self, clip: TrainingClip, rng: np.random.Generator | None = None) -> Snippets:
        """Snippets of a clip whose pictures are grey."""
        pictures = np.repeat(clip.grey[..., None], 3, axis=-1)
        return self.cut(pictures, clip.samples, CLIP_RATE_HZ, rng)

    def cut(
        self, pictures: np.ndarray, samples: np.ndarray, rate_hz: int, rng: np.random.Generator | None = None
    ) -> Snippets:
        """Snippets side by side from uint8 [T, H, W, 3] and [N]; with `rng` from anywhere, half of them mirrored."""
        config, n = self.network.config, self.data.snippets
        spare = len(pictures) - n * SNIPPET_FRAMES
        first = int(rng.integers(spare + 1)) if rng is not None and spare > 0 else 0
        if rng is not None and rng.random() < 0.5:
            pictures = pictures[:, :, ::-1]
        frames = torch.from_numpy(np.ascontiguousarray(pictures[first : first + n * SNIPPET_FRAMES]))
        if frames.shape[1] != config.size_px or frames.shape[2] != config.size_px:
            frames = _resized(frames, config.size_px)
        sound = resample(samples[None], rate_hz, config.audio_rate_hz)[0]
        start, n_samples = round(first / FPS * config.audio_rate_hz), config.snippet_samples
        filled = np.zeros(n * n_samples, np.float32)
        found = sound[start : start + n * n_samples]
        filled[: len(found)] = found
        return Snippets(frames.unflatten(0, (n, SNIPPET_FRAMES)), torch.from_numpy(filled).unflatten(0, (n, n_samples)))

    def loss(
        self, network: SyncLarge, average: SyncLarge, batch: Snippets, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        seen, heard = network(batch.pictures, batch.samples)
        return sigmoid_loss(seen, heard, network.log_scale, network.bias), {"scale": network.log_scale.exp()}

    @torch.no_grad()
    def validate(self, average: SyncLarge) -> dict[str, float]:
        """How often a held-out snippet finds its own sound among those of its clip, and among all."""
        self._held_out = self._held_out or self._held_out_snippets()
        device = device_of(average)
        pairs = [average(s.pictures[None].to(device), s.samples[None].to(device)) for s in self._held_out]
        own = [
            (seen[0] @ heard[0].T).argmax(dim=1) == torch.arange(len(seen[0]), device=device) for seen, heard in pairs
        ]
        seen, heard = (torch.cat([pair[k][0] for pair in pairs]) for k in (0, 1))
        of_all = (seen @ heard.T).argmax(dim=1) == torch.arange(len(seen), device=device)
        return {"own_snippet": torch.cat(own).float().mean().item(), "own_of_all": of_all.float().mean().item()}

    def _held_out_snippets(self) -> list[Snippets]:
        n = self.objective.validation_clips
        if not self.data.shards:
            return [self.cut_grey(clip) for clip in held_out_clips(self.data, n)]
        dataset = open_shards(self.data.shards, self.data.kept, self.data.duration_s)
        return [self.cut_stored(stored) for stored in held_out_stored(dataset, n, "media")]

    def cut_stored(self, stored: StoredExample, rng: np.random.Generator | None = None) -> Snippets:
        """Snippets of an example of media shards."""
        side_px = self.network.config.size_px
        return self.cut(stored.pictures(side_px, side_px), *stored.sound(), rng)

    def cut_drawn(self, stored: StoredExample) -> Snippets:
        """Snippets from a place in the example that differs from epoch to epoch."""
        return self.cut_stored(stored, np.random.default_rng((stored.epoch, *stored.key.encode()[-8:])))

    def state(self) -> dict[str, Any]:
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """All of its state is in the networks."""

    def export(self, average: SyncLarge, folder: Path, history: dict[str, Any]) -> None:
        config = ModelConfig(
            name=self.recipe.name,
            kind="sync",
            loader_class="sync-large",
            network=average.config.to_dict(),
            training={**history, **self.validate(average), "objective": asdict(self.objective)},
        )
        save(average.state_dict(), folder, config, torch.float16)


@torch.no_grad()
def start_bias(network: SyncLarge, n_snippets: int) -> None:
    """Set the loss's bias to the log odds that two of a batch's snippets belong together.

    SigLIP starts at -10 (arXiv 2303.15343), which suits batches of 32,768.  In small ones it makes every right pair
    seem so unlikely that within ten steps both towers give the same vector for everything.
    """
    network.bias.fill_(-math.log(max(2, n_snippets) - 1))


def joined(clips: list[Snippets]) -> Snippets:
    """Clips as one batch."""
    return Snippets(torch.stack([c.pictures for c in clips]), torch.stack([c.samples for c in clips]))


def _resized(frames: Tensor, side_px: int) -> Tensor:
    """uint8 [T, H, W, 3] to squares of another size."""
    pixels = torch.nn.functional.interpolate(
        frames.movedim(-1, 1).float(), (side_px, side_px), mode="bilinear", antialias=True
    )
    return pixels.round().clamp(0, 255).to(torch.uint8).movedim(1, -1)
