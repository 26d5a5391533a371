"""Trains SALSA-V on clips whose picture features and latents are made while it learns.

A worker process makes clips, looks at them with the trained synchronisation encoder and encodes several
sounds for each picture: the right one, and other kinds struck at the same times, so that words and not
the drawing decide what sounds.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from foleycli.codecs import dacvae
from foleycli.errors import FoleyError
from foleycli.evaluation.onsets import agreement, detect_onsets
from foleycli.families.salsav.config import SIZES, SalsaVConfig
from foleycli.families.salsav.family import NAME, SalsaVFamily
from foleycli.families.salsav.network import Inputs, SalsaV
from foleycli.families.salsav.objective import Batch, ObjectiveConfig, training_loss
from foleycli.features import sync
from foleycli.features.seen import simulate
from foleycli.features.text import WordLlamaText
from foleycli.hub.catalog import SHIPPED
from foleycli.hub.resolve import resolve
from foleycli.records import Features, Settings, Stream
from foleycli.training.clips import ClipData, TrainingClip, filmed_clips
from foleycli.training.loop import to_device
from foleycli.training.recipe import Recipe, from_dict
from foleycli.training.sources import HELD_OUT_SEED, world_seeds
from foleycli.training.sync import prepare_grey
from foleycli.training.worlds.variants import sounds_for
from foleycli.weights import load_weights, read_config, save_folder

VALIDATION_STEPS = 8


@dataclass(frozen=True)
class SalsaVData:
    """The `data` part of a recipe."""

    codec: str  # names or folders of the parts that stay as they are
    sync: str
    clips: dict
    sounds_per_clip: int = 3  # of each picture: its own kind, then others struck at the same times
    pool: int = 3000
    fresh_per_step: int = 2
    p_reference: float = 0.2  # rows that begin with up to 2 s of the same sound from elsewhere
    p_text_only: float = 0.45  # a prompt and no look at the picture
    p_seen_only: float = 0.35  # a look at the picture and no prompt
    p_neither: float = 0.08  # the rest has both
    validation_clips: int = 24


@dataclass(frozen=True)
class Example:
    """One picture with its features, and the latents of some sounds that fit its motion."""

    sync: Tensor  # float16 [T, D]
    latents: Tensor  # float16 [S, L, D]
    words: tuple[tuple[str, ...], ...]  # of each sound: ways to say what it is
    events_s: np.ndarray | None


class ExampleStream(IterableDataset):
    """Endless examples, in one or more worker processes."""

    def __init__(self, data: SalsaVData, clips: ClipData, first: int, stride: int, split: str = "train") -> None:
        self.data, self.clips, self.first, self.stride, self.split = data, clips, first, stride, split

    def __iter__(self) -> Iterator[Example]:
        info = get_worker_info()
        index, n_workers = (info.id, info.num_workers) if info else (0, 1)
        if info:
            torch.set_num_threads(1)
        cpu = torch.device("cpu")
        codec = dacvae.load(resolve(self.data.codec), cpu)
        encoder = sync.load(resolve(self.data.sync), cpu)
        first, stride = self.first + index * self.stride, self.stride * n_workers
        for clip, sounds in self._clips(first, stride):
            yield make_example(clip, sounds, encoder, codec)

    def _clips(self, first: int, stride: int) -> Iterator[tuple[TrainingClip, list]]:
        if self.clips.videos:
            for clip in filmed_clips(self.clips, seed=first, held_out=self.split == "test"):
                yield clip, [(clip.samples, clip.words)]
        else:
            for clip, track, bank in world_seeds(self.clips, first, stride, self.split):
                rng = np.random.default_rng((first, track.sound_seed))
                others = sounds_for(track, bank, rng, self.data.sounds_per_clip - 1)
                yield clip, [(clip.samples, clip.words), *others]


@torch.inference_mode()
def make_example(clip: TrainingClip, sounds: list, encoder: sync.SyncEncoder, codec: dacvae.DacVae) -> Example:
    """Features of the picture, latents of each (samples, words)."""
    features = encoder.features(prepare_grey(clip.grey, encoder.config.size_px))[0]  # [T, D]
    samples = torch.from_numpy(np.stack([samples for samples, _ in sounds]))  # [S, N]
    latents = codec.encode(samples)  # [S, L, D]
    words = tuple(tuple(words) for _, words in sounds)
    return Example(features.half(), latents.half(), words, clip.events_s)


class SalsaVTask:
    """What the training loop needs to know about SALSA-V."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.data = from_dict(SalsaVData, recipe.data, "recipe, data")
        self.clips = from_dict(ClipData, self.data.clips, "recipe, data.clips")
        self.objective = from_dict(ObjectiveConfig, recipe.objective, "recipe, objective")
        for part in (self.data.codec, self.data.sync):
            resolve(part)  # refused here, not in a worker
        self.network = SalsaV(_config(recipe.network))
        if recipe.init_from:
            load_weights(self.network, resolve(recipe.init_from))
        self.text = WordLlamaText()
        self._vectors: dict[str, Tensor] = {"": torch.zeros(self.text.dim)}
        self._held_out: list[Example] = []
        self._codec: dacvae.DacVae | None = None

    @property
    def config(self) -> SalsaVConfig:
        return self.network.config

    def batches(self, first_step: int, rank: int, world_size: int) -> Iterator[Batch]:
        data, n_fresh = self.data, self.data.fresh_per_step
        first = self.recipe.seed * 10_000_000 + first_step * n_fresh * world_size + rank
        stream = ExampleStream(data, self.clips, first, world_size)
        workers = self.recipe.workers
        if workers:
            stream = DataLoader(stream, batch_size=None, num_workers=workers, prefetch_factor=16)
        examples = iter(stream)
        pool = [next(examples) for _ in range(2 * self.recipe.batch_size)]
        step = first_step
        while True:
            rng = np.random.default_rng((self.recipe.seed, 2, step, rank))
            for _ in range(n_fresh):
                if len(pool) >= data.pool:
                    pool.pop(0)
                pool.append(next(examples))
            drawn = [pool[k] for k in rng.integers(len(pool), size=self.recipe.batch_size)]
            yield self.collate(drawn, rng)
            step += 1

    def collate(self, examples: list[Example], rng: np.random.Generator) -> Batch:
        """A batch of random sounds of the examples, some of them behind a reference."""
        n_steps = self.config.window_steps
        picks = [int(rng.integers(len(example.latents))) for example in examples]
        rows = [_row(e, k, n_steps, self._reference_steps(rng), rng) for e, k in zip(examples, picks, strict=True)]
        words = [str(rng.choice(e.words[k])) for e, k in zip(examples, picks, strict=True)]
        text = torch.stack([self.vector(text) for text in words])  # [B, D]
        n_seen = int(n_steps / self.config.latent_rate_hz * self.config.semantic_rate_hz) + 1
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        kind = torch.rand(len(examples), generator=generator)
        is_text_only = kind < self.data.p_text_only
        is_seen_only = ~is_text_only & (kind < self.data.p_text_only + self.data.p_seen_only)
        is_neither = kind > 1 - self.data.p_neither
        inputs = Inputs(
            sync=torch.stack([row[1] for row in rows]),
            semantic=simulate(text, n_seen, generator),
            text=text,
            has_sync=torch.ones(len(examples), dtype=torch.bool),
            has_semantic=~is_text_only & ~is_neither,
            has_text=~is_seen_only & ~is_neither & text.any(dim=1),
        )
        return Batch(torch.stack([row[0] for row in rows]), inputs, torch.tensor([row[2] for row in rows]))

    def vector(self, words: str) -> Tensor:
        if words not in self._vectors:
            self._vectors[words] = torch.from_numpy(self.text.encode([words])[0])
        return self._vectors[words]

    def loss(self, network: SalsaV, average: SalsaV, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        # The loop seeds torch by step and process; without the process's part all would draw the same noise.
        generator = torch.Generator().manual_seed(torch.initial_seed())
        teacher = average if step >= self.objective.shortcut_from else None
        loss, figures = training_loss(network, teacher, batch, generator, self.objective)
        figures.pop("loss", None)
        return loss, figures

    @torch.no_grad()
    def validate(self, average: SalsaV) -> dict[str, float]:
        """Flow loss, and onset F1 at ±60 ms of the decoded sound, on held-out clips."""
        if not self._held_out:
            stream = iter(ExampleStream(self.data, self.clips, HELD_OUT_SEED, 1, split="test"))
            self._held_out = [next(stream) for _ in range(self.data.validation_clips)]
            self._codec = dacvae.load(resolve(self.data.codec), torch.device("cpu"))
        batch = to_device(self.collate(self._held_out, np.random.default_rng(0)), average.audio_in.weight.device)
        generator = torch.Generator().manual_seed(0)
        _, figures = training_loss(average, None, batch, generator, self.objective)
        return {"flow": figures["flow"].item(), **self._onsets(average)}

    def _onsets(self, average: SalsaV) -> dict[str, float]:
        family, settings = SalsaVFamily(average), Settings(steps=VALIDATION_STEPS)
        chosen = [e for e in self._held_out if e.events_s is not None and len(e.events_s)]
        if not chosen:  # of filmed clips no event times are known
            return {}
        n_steps, dim = self.config.window_steps, self.config.latent_dim
        features = [
            Features({"sync": Stream(e.sync.float(), Fraction(25))}, self.vector(e.words[0][0])) for e in chosen
        ]
        nothing = torch.zeros(len(chosen), n_steps, dim), torch.zeros(len(chosen), n_steps, dtype=torch.bool)
        rngs = [torch.Generator().manual_seed(k) for k in range(len(chosen))]
        made = self._codec.decode(family.sample(features, *nothing, settings, rngs).float().cpu())  # [B, N]
        duration_s = made.shape[1] / self._codec.rate_hz
        scores = [
            agreement(detect_onsets(samples.numpy(), self._codec.rate_hz), np.sort(e.events_s), 0.06, duration_s)
            for samples, e in zip(made, chosen, strict=True)
        ]
        return {
            "f1_60ms": float(np.mean([score.f1 for score in scores])),
            "f1_60ms_shifted": float(np.mean([score.shifted_f1 for score in scores])),
        }

    def state(self) -> dict:
        return {}

    def load_state(self, state: dict) -> None:
        """All of its state is in the networks."""

    def export(self, average: SalsaV, folder: Path, history: dict) -> None:
        parts = {part: _bring(resolve(getattr(self.data, part)), folder) for part in ("codec", "sync")}
        config = {"name": self.recipe.name, "kind": "family", "family": NAME, "version": 1, **parts}
        figures = {**history, "objective": asdict(self.objective)}
        save_folder(average, folder, {**config, "network": average.config.to_dict(), "training": figures})

    def _reference_steps(self, rng: np.random.Generator) -> int:
        """How many steps of reference a row begins with; 0 for most."""
        return int(rng.integers(16, self.objective.max_span + 1)) if rng.random() < self.data.p_reference else 0


def _config(network: dict) -> SalsaVConfig:
    """The `network` part of a recipe: a size by name, and what differs from it."""
    size = network.get("size", "mini")
    if size not in SIZES:
        raise FoleyError(f"recipe, network: unknown size {size!r}", f"one of: {', '.join(SIZES)}")
    changes = {key: value for key, value in network.items() if key != "size"}
    checked = from_dict(SalsaVConfig, {**SIZES[size].to_dict(), **changes}, "recipe, network")
    return SalsaVConfig.from_dict(checked.to_dict())  # rates become fractions


def _bring(part: Path, folder: Path) -> str:
    """The name of a codec or encoder; one that does not ship with foley is copied into the model's folder."""
    name = read_config(part).get("name", part.name)
    if part.resolve().parent != SHIPPED:
        shutil.copytree(part, folder / name, dirs_exist_ok=True)
    return name


def _row(
    example: Example, k: int, n_steps: int, n_reference: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, int]:
    """Latents [n_steps, D], sync features [T, D] and the length of the reference, as a window is laid out.

    The reference is the end of the same sound and the window is its beginning, so that nothing that is to
    be made stands in it; over the reference the picture's first frame stands still, as in `windows.compose`.
    """
    latents, frames = example.latents[k].float(), example.sync.float()
    if len(latents) < n_steps:
        latents = torch.cat([latents, latents[-1:].expand(n_steps - len(latents), -1)])
    if n_reference == 0:
        return latents[:n_steps], frames, 0
    frames_before = round(n_reference / n_steps * len(frames))
    latents = torch.cat([latents[n_steps - n_reference : n_steps], latents[: n_steps - n_reference]])
    frames = torch.cat([frames[:1].expand(frames_before, -1), frames[: len(frames) - frames_before]])
    return latents, frames, n_reference
