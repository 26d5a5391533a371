"""What the trainings of all families share: rows of training windows, held-out onsets, the model folder.

A family's task is a subclass that says how its network is built, what it is asked, and its loss.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from foleycli.codecs.tokens import TokenCodec
from foleycli.dsp.onsets import agreement, detect_onsets
from foleycli.errors import FoleyError
from foleycli.families.base import Family
from foleycli.families.inputs import Inputs
from foleycli.features.tagger import simulate_tagger
from foleycli.features.text import WordLlamaText
from foleycli.hub.catalog import SHIPPED
from foleycli.hub.resolve import resolve
from foleycli.models.model import load_vae_codec
from foleycli.records import Features, Stream
from foleycli.settings.settings import Settings
from foleycli.timebase import FEATURE_FPS
from foleycli.training.clips import ClipData
from foleycli.training.examples import Example, ExamplePool, FamilyData, held_out_examples
from foleycli.training.loop import to_device
from foleycli.training.recipe import Recipe, from_dict
from foleycli.training.sources import check_sounds
from foleycli.weights.folder import load_weights, read_config, save_folder

HEARD_RATE_HZ = FEATURE_FPS / 2
SEEN_RATE_HZ = Fraction(2)  # of `Rows.semantic`
MAX_REFERENCE = 88  # latent steps, about 2 s
MIN_REFERENCE = 16
P_WHOLE_REEL = 0.6


@dataclass(frozen=True)
class Lead:
    """What stands before a training window: steps of a reel or of the same sound from elsewhere; none."""

    n_steps: int = 0
    is_reel: bool = False


@dataclass(frozen=True)
class Rows:
    """B training windows of equal length, as they are laid out when a model is used."""

    latents: Tensor  # float32 [B, L, D], unit variance
    codes: Tensor  # int64 [B, L, K]
    heard: Tensor  # float32 [B, T / 2, D]: see `Example.heard`
    sync: Tensor  # float32 [B, T, D]
    semantic: Tensor  # float32 [B, S, D] at 2 Hz: what is seen, simulated from the words
    text: Tensor  # float32 [B, D]
    has_semantic: Tensor  # bool [B]
    has_text: Tensor  # bool [B]
    n_reference: Tensor  # int64 [B]: a row's first steps are a reference sound; 0: it has none


class FamilyTask:
    """Meets `training.loop.Task`, but for `loss`; subclasses set `name`, build the network and wrap it."""

    name: str  # of the family, in config.json
    # Settings that its models bring with them, in config.json too.  Words alone say little to a small network.
    default_settings: ClassVar[dict[str, Any]] = {"library": True}

    @property
    def validation_settings(self) -> Settings:
        return Settings(**self.default_settings)

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.data = from_dict(FamilyData, recipe.data, "recipe, data")
        self.clips = from_dict(ClipData, self.data.clips, "recipe, data.clips")
        for part in (self.data.codec, self.data.sync):
            resolve(part)  # refused here, not in a worker
        check_sounds(self.clips)
        self.network = self.build(recipe)
        if recipe.init_from:
            load_weights(self.network, resolve(recipe.init_from))
        self.text = WordLlamaText()
        self._vectors: dict[str, Tensor] = {"": torch.zeros(self.text.dim)}
        self._held_out: list[Example] = []

    def build(self, recipe: Recipe) -> nn.Module:
        """The network to train; it has a `config` with `window_steps` and `latent_rate_hz`, and `to_dict`."""
        raise NotImplementedError

    def family(self, network: nn.Module) -> Family:
        """The network as the pipeline sees it."""
        raise NotImplementedError

    def figures(self, average: nn.Module, rows: Rows) -> dict[str, float]:
        """Losses on held-out rows."""
        raise NotImplementedError

    def objective_dict(self) -> dict:
        """What the model folder says of the objective."""
        return {}

    def batches(self, first_step: int, rank: int, world_size: int) -> Iterator[Rows]:
        pool = ExamplePool(self.recipe, self.data, self.clips, first_step, rank, world_size)
        step = first_step
        while True:
            rng = np.random.default_rng((self.recipe.seed, 2, step, rank))
            pool.refresh()
            yield self.rows_of(pool.draw(self.recipe.batch_size, rng), rng)
            step += 1

    def rows_of(self, examples: list[Example], rng: np.random.Generator) -> Rows:
        """A random sound of each example as a window, some of them behind a reference."""
        config, data = self.network.config, self.data
        picks = [int(rng.integers(len(example.words))) for example in examples]
        leads = [self._lead(example, k, rng) for example, k in zip(examples, picks, strict=True)]
        laid = [
            lay_out(example, k, config.window_steps, lead)
            for example, k, lead in zip(examples, picks, leads, strict=True)
        ]
        words = [str(rng.choice(e.words[k])) for e, k in zip(examples, picks, strict=True)]
        text = torch.stack([self.vector(text) for text in words])  # [B, D]
        n_seen = int(config.window_steps / config.latent_rate_hz * SEEN_RATE_HZ) + 1
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        kind = torch.rand(len(examples), generator=generator)
        is_text_only = kind < data.p_text_only
        is_seen_only = ~is_text_only & (kind < data.p_text_only + data.p_seen_only)
        is_neither = kind > 1 - data.p_neither
        latents, codes, heard, frames = (torch.stack(parts) for parts in zip(*laid, strict=True))
        return Rows(
            latents, codes, heard, frames,
            semantic=simulate_tagger(text, n_seen, generator),
            text=text,
            has_semantic=~is_text_only & ~is_neither,
            has_text=~is_seen_only & ~is_neither & text.any(dim=1),
            n_reference=torch.tensor([lead.n_steps for lead in leads]),
        )  # fmt: skip

    def vector(self, words: str) -> Tensor:
        if words not in self._vectors:
            self._vectors[words] = torch.from_numpy(self.text.encode([words])[0])
        return self._vectors[words]

    def generator(self) -> torch.Generator:
        """For the draws of a loss: the loop seeds torch by step and process."""
        return torch.Generator().manual_seed(torch.initial_seed())

    @torch.no_grad()
    def validate(self, average: nn.Module) -> dict[str, float]:
        """Losses, and onset F1 at ±60 ms of the decoded sound, on held-out clips."""
        self._held_out = self._held_out or held_out_examples(self.data, self.clips)
        rows = self.rows_of(self._held_out, np.random.default_rng(0))
        device = next(average.parameters()).device
        return {**self.figures(average, to_device(rows, device)), **self._onsets(average)}

    def _onsets(self, average: nn.Module) -> dict[str, float]:
        family = self.family(average)
        chosen = [e for e in self._held_out if e.events_s is not None]
        if not chosen:  # of filmed clips no event times are known
            return {}
        vae_codec = load_vae_codec(resolve(self.data.codec), torch.device("cpu"))
        codec = TokenCodec(vae_codec) if family.spec.latents == "codes" else vae_codec
        n_steps = family.spec.window_steps
        features = [Features({"sync": Stream(e.sync.float(), FEATURE_FPS)}, self.vector(e.words[0][0])) for e in chosen]
        known = torch.zeros(len(chosen), n_steps, family.spec.latent_dim)
        rngs = [torch.Generator().manual_seed(k) for k in range(len(chosen))]
        made = family.sample(features, known, torch.zeros(known.shape[:2], dtype=torch.bool),
                             self.validation_settings, rngs)  # fmt: skip
        sounds = codec.decode(made.float().cpu())  # [B, N]
        duration_s = sounds.shape[1] / codec.rate_hz
        found = [detect_onsets(samples.numpy(), codec.rate_hz) for samples in sounds]
        pairs = list(zip(found, chosen, strict=True))
        scores = [agreement(f, np.sort(e.events_s), 0.06, duration_s) for f, e in pairs if len(e.events_s)]
        figures = {
            "f1_60ms": [score.f1 for score in scores],
            "f1_60ms_shifted": [score.shifted_f1 for score in scores],
            "onsets_per_s_in_silence": [len(f) / duration_s for f, e in pairs if not e.has_reel[0]],
        }
        return {name: float(np.mean(values)) for name, values in figures.items() if values}

    def state(self) -> dict:
        return {}

    def load_state(self, state: dict) -> None:
        """All of its state is in the networks."""

    def export(self, average: nn.Module, folder: Path, history: dict) -> None:
        parts = {part: bundle_part(resolve(getattr(self.data, part)), folder) for part in ("codec", "sync")}
        config = {"name": self.recipe.name, "kind": "family", "family": self.name, "version": 1, **parts}
        config |= {"settings": self.default_settings}
        figures = {**history, "objective": self.objective_dict()}
        save_folder(average, folder, {**config, "network": average.config.to_dict(), "training": figures})

    def _lead(self, example: Example, k: int, rng: np.random.Generator) -> Lead:
        """What a window of sound k begins with."""
        longest = min(MAX_REFERENCE, (self.network.config.window_steps - 1) // 2)
        kind = rng.random()
        if longest <= MIN_REFERENCE or kind >= self.data.p_reel + self.data.p_reference:
            return Lead()
        n_steps = int(rng.integers(MIN_REFERENCE, longest + 1))
        if kind >= self.data.p_reel:
            return Lead(n_steps)
        if not example.has_reel[k]:
            return Lead()
        # Mostly the whole reel; later windows hear less of it again.
        n_steps = longest if rng.random() < P_WHOLE_REEL else n_steps
        return Lead(min(n_steps, example.reels.latents.shape[1]), is_reel=True)


def inputs_of(rows: Rows) -> Inputs:
    """The rows as networks read them."""
    return Inputs(
        sync=rows.sync,
        semantic=rows.semantic,
        text=rows.text,
        has_sync=torch.ones_like(rows.has_text),
        has_semantic=rows.has_semantic,
        has_text=rows.has_text,
    )


def codebooks_for(config: Any, codec: str) -> Tensor:
    """The vectors of a codec's codes, float32 [K, codebook_size, codebook_dim].

    Errors: FoleyError where a network's config is for other codes.
    """
    codebooks = load_vae_codec(resolve(codec), torch.device("cpu")).codebooks()
    wanted = (config.n_codebooks, config.codebook_size, config.codebook_dim)
    if codebooks.shape != wanted:
        raise FoleyError(
            f"the network is for codes of shape {wanted}, {codec} has {tuple(codebooks.shape)}",
            "Set network.n_codebooks, network.codebook_size and network.codebook_dim to the codec's",
        )
    return codebooks


def sized_config(kind: type, sizes: dict[str, Any], network: dict) -> Any:
    """The `network` part of a recipe as a family's config: a size by name, and what differs from it."""
    size = network.get("size", "mini")
    if size not in sizes:
        raise FoleyError(f"recipe, network: unknown size {size!r}", f"One of: {', '.join(sizes)}")
    changes = {key: value for key, value in network.items() if key != "size"}
    checked = from_dict(kind, {**sizes[size].to_dict(), **changes}, "recipe, network")
    return kind.from_dict(checked.to_dict())  # rates become fractions


def lay_out(example: Example, k: int, n_steps: int, lead: Lead) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sound k as a window: latents [n_steps, D], codes [n_steps, K], heard [T / 2, D] and sync features [T, D].

    The reference is the sound's reel, or the end of the sound itself, and the window is the sound's beginning, so
    that nothing that is to be made stands in it; over the reference the picture's first frame stands still, as in
    `windows.compose`.
    """
    frames = example.sync.float()
    n_held = round(lead.n_steps / n_steps * len(frames))
    frames = torch.cat([frames[:1].expand(n_held, -1), frames[: len(frames) - n_held]])
    sounds, reels = example.sounds, example.reels
    pairs = (
        (_of_length(sounds.latents[k].float(), n_steps), reels.latents[k].float()),
        (_of_length(sounds.codes[k].long(), n_steps), reels.codes[k].long()),
        (sounds.heard[k].float(), reels.heard[k].float()),
    )
    behind = [_behind(x, reel if lead.is_reel else None, round(lead.n_steps * len(x) / n_steps)) for x, reel in pairs]
    return *behind, frames


def _of_length(x: Tensor, n_steps: int) -> Tensor:
    """Exactly so many steps of [L, D]: cut, or the last one held."""
    return x[torch.arange(n_steps).clamp(max=len(x) - 1)]


def _behind(x: Tensor, reel: Tensor | None, n: int) -> Tensor:
    """The beginning of x [L, D] behind n steps of a reel, or of its own end."""
    before = x[len(x) - n :] if reel is None else _of_length(reel, n)
    return torch.cat([before, x[: len(x) - n]])


def bundle_part(part: Path, folder: Path) -> str:
    """The name of a codec or encoder; one that does not ship with foley is copied into the model's folder."""
    name = read_config(part).get("name", part.name)
    if part.resolve().parent != SHIPPED:
        shutil.copytree(part, folder / name, dirs_exist_ok=True)
    return name
