"""What the trainings of all families share: batches of training windows, held-out onsets, the model folder.

A family's task is a subclass that builds its network and says its loss.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from foleycli.codecs.base import Codec
from foleycli.codecs.tokens import TokenCodec
from foleycli.datasets.reader import Dataset
from foleycli.dsp.onsets import agreement, detect_onsets
from foleycli.errors import FoleyError
from foleycli.families.base import Family
from foleycli.families.inputs import Inputs
from foleycli.families.spec import NetworkConfig
from foleycli.features.tagger import simulate_tagger
from foleycli.features.text import TextEncoder, WordLlamaText
from foleycli.hub.catalog import SHIPPED
from foleycli.hub.resolve import resolve
from foleycli.models.model import load_part, load_part_folder, load_vae_codec
from foleycli.records import Features, Stream
from foleycli.rendering.generate import decode, sample_latents
from foleycli.rendering.plan import plan_render
from foleycli.settings.checking import short_repr
from foleycli.settings.settings import Settings
from foleycli.timebase import FEATURE_FPS
from foleycli.training.clips import ClipData
from foleycli.training.examples import Example, ExamplePool, FamilyData, held_out_examples
from foleycli.training.loop import NetworkT, device_of, to_device
from foleycli.training.recipe import Recipe, from_dict
from foleycli.training.shard_clips import open_shards
from foleycli.training.shards import ShardPool, held_out_shard_examples
from foleycli.training.sources import check_sounds
from foleycli.weights.checkpoint import load_into
from foleycli.weights.config import WEIGHTS_NAME, ModelConfig, read_config
from foleycli.weights.folder import save

if TYPE_CHECKING:
    from typing_extensions import Self

SEMANTIC_RATE_HZ = Fraction(2)  # of `TrainingBatch.semantic`
MAX_REFERENCE = 88  # latent steps, about 2 s
MIN_REFERENCE = 16
P_WHOLE_LIBRARY_SOUND = 0.6

ConfigT = TypeVar("ConfigT", bound=NetworkConfig)


class TrainedConfig(Protocol):
    """What training reads of a family network's `config`."""

    window_steps: int
    latent_rate_hz: Fraction

    def to_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class ReferencePrefix:
    """The steps before a training window: of a library sound, of the same sound from elsewhere, or none."""

    n_steps: int = 0
    is_library_sound: bool = False


@dataclass(frozen=True)
class TrainingBatch:
    """B training windows of equal length, arranged as the windows of a render are."""

    latents: Tensor  # float32 [B, L, D], unit variance
    codes: Tensor  # int64 [B, L, K]
    audio_features: Tensor  # float32 [B, T / 2, D]: see `EncodedSounds.audio_features`
    sync: Tensor  # float32 [B, T, D]
    semantic: Tensor  # float32 [B, S, D] at 2 Hz: an image tagger's output, simulated from the words
    text: Tensor  # float32 [B, D]
    has_semantic: Tensor  # bool [B]
    has_text: Tensor  # bool [B]
    n_reference: Tensor  # int64 [B]: a window's first steps are a reference sound; 0: it has none


class FamilyTask(Generic[NetworkT]):
    """Meets `training.loop.Task`, but for `loss`; subclasses set `name`, build the network and wrap it."""

    name: str  # of the family, in config.json
    # Settings that its models bring with them, in config.json too.  Words alone say little to a small network.
    default_settings: ClassVar[dict[str, Any]] = {"library": True}

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.data = from_dict(FamilyData, recipe.data, "recipe, data")
        self.clips = from_dict(ClipData, self.data.clips, "recipe, data.clips")
        for part in (self.data.codec, self.data.sync):
            resolve(part)  # refused here, not in a worker
        if not self.data.shards:
            check_sounds(self.clips)
        self.network: NetworkT = self.build(recipe)
        self.fill(self.network)
        self.shards: Dataset | None = None
        if self.data.shards:
            parts = {"codec": self.data.codec, "sync": self.data.sync}
            parts |= {"semantic": self.data.semantic} if self.data.semantic else {}
            self.shards = open_shards(self.data.shards, self.data.kept, float(self.window_s), **parts)
        if recipe.init_from:
            load_into(self.network, resolve(recipe.init_from) / WEIGHTS_NAME)
        self.text = text_encoder(self.data.text, getattr(self.network.config, "text_dim", 0))
        self._embeddings: dict[str, Tensor] = {"": torch.zeros(self.text.dim)}
        self._held_out: list[Example] = []

    @classmethod
    def without_data(cls, recipe: Recipe) -> Self:
        """The network and its loss alone, for a plan: no data, codec or encoder is looked for."""
        task = cls.__new__(cls)
        task.recipe = recipe
        task.network = task.build(recipe)
        return task

    def build(self, recipe: Recipe) -> NetworkT:
        """The network to train; its `config` is a `TrainedConfig`."""
        raise NotImplementedError

    def fill(self, network: NetworkT) -> None:
        """Weights that the network has from the codec or from trainings before; most have none."""

    def blank_batch(self, n_rows: int) -> TrainingBatch:
        """Windows of random numbers in the shapes that the network reads, to measure costs with."""
        return blank_batch(self.network.config, n_rows)

    def family(self, network: NetworkT) -> Family:
        """The network as rendering uses it."""
        raise NotImplementedError

    def figures(self, average: NetworkT, batch: TrainingBatch) -> dict[str, float]:
        """Losses on held-out windows."""
        raise NotImplementedError

    def objective_dict(self) -> dict[str, Any]:
        """What the model folder says of the objective."""
        return {}

    @property
    def validation_settings(self) -> Settings:
        return Settings(**self.default_settings)

    @property
    def window_s(self) -> Fraction:
        """How long a training window is."""
        config = config_of(self.network)
        return config.window_steps / config.latent_rate_hz

    def batches(self, first_step: int, rank: int, world_size: int) -> Iterator[TrainingBatch]:
        pool: ExamplePool | ShardPool
        if self.shards is not None:
            pool = ShardPool(self.shards, self.recipe, self.window_s, step=first_step, rank=rank, n_ranks=world_size)
        else:
            pool = ExamplePool(self.recipe, self.data, self.clips, step=first_step, rank=rank, n_ranks=world_size)
        step = first_step
        while True:
            rng = np.random.default_rng((self.recipe.seed, 2, step, rank))
            pool.refresh()
            yield self.make_batch(pool.draw(self.recipe.batch_size, rng), rng)
            step += 1

    def make_batch(self, examples: list[Example], rng: np.random.Generator) -> TrainingBatch:
        """A random sound of each example as a window, some of them after a reference."""
        config, data = config_of(self.network), self.data
        picks = [int(rng.integers(len(example.words))) for example in examples]
        prefixes = [self._draw_prefix(example, k, rng) for example, k in zip(examples, picks, strict=True)]
        windows = [
            make_window(example, k, config.window_steps, prefix)
            for example, k, prefix in zip(examples, picks, prefixes, strict=True)
        ]
        words = [str(rng.choice(e.words[k])) for e, k in zip(examples, picks, strict=True)]
        text = torch.stack([self.embed(text) for text in words])  # [B, D]
        rate_hz = getattr(config, "semantic_rate_hz", SEMANTIC_RATE_HZ)
        n_semantic = int(config.window_steps / config.latent_rate_hz * rate_hz) + 1
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        draw = torch.rand(len(examples), generator=generator)
        is_text_only = draw < data.p_text_only
        is_labels_only = ~is_text_only & (draw < data.p_text_only + data.p_labels_only)
        is_neither = draw > 1 - data.p_neither
        latents, codes, audio_features, sync = (torch.stack(parts) for parts in zip(*windows, strict=True))
        return TrainingBatch(
            latents=latents,
            codes=codes,
            audio_features=audio_features,
            sync=sync,
            semantic=semantic_streams(examples, simulate_tagger(text, n_semantic, generator)),
            text=text,
            has_semantic=~is_text_only & ~is_neither,
            has_text=~is_labels_only & ~is_neither & text.any(dim=1),
            n_reference=torch.tensor([prefix.n_steps for prefix in prefixes]),
        )

    def embed(self, words: str) -> Tensor:
        """The text embedding of a phrase, float32 [D], computed once."""
        if words not in self._embeddings:
            self._embeddings[words] = torch.from_numpy(self.text.encode([words])[0])
        return self._embeddings[words]

    def generator(self) -> torch.Generator:
        """For the draws of a loss: the loop seeds torch by step and process."""
        return torch.Generator().manual_seed(torch.initial_seed())

    def held_out(self) -> list[Example]:
        """The same few examples every time, which nothing is trained on."""
        if not self._held_out and self.shards is not None:
            self._held_out = held_out_shard_examples(self.shards, self.data, self.window_s)
        self._held_out = self._held_out or held_out_examples(self.data, self.clips)
        return self._held_out

    @torch.no_grad()
    def validate(self, average: NetworkT) -> dict[str, float]:
        """Losses, and onset F1 at ±60 ms of the decoded sound, on held-out clips."""
        batch = self.make_batch(self.held_out(), np.random.default_rng(0))
        return {**self.figures(average, to_device(batch, device_of(average))), **self.onset_figures(average)}

    def onset_figures(self, average: NetworkT) -> dict[str, float]:
        """Agreement of the onsets of generated sound with the events; {} for filmed clips, whose events are unknown."""
        chosen = [(example, example.events_s) for example in self._held_out if example.events_s is not None]
        if not chosen:
            return {}
        family = self.family(average)
        trained = load_vae_codec(resolve(self.data.codec), torch.device("cpu"))
        codec: Codec = TokenCodec(trained) if family.spec.latents == "codes" else trained
        sounds = [
            self._render_example(family, codec, example, seed=k) for k, (example, _) in enumerate(chosen)
        ]  # float32 [N] each
        duration_s = len(sounds[0]) / codec.rate_hz
        found = [detect_onsets(samples, codec.rate_hz) for samples in sounds]
        pairs = list(zip(found, chosen, strict=True))
        scores = [agreement(f, np.sort(events_s), 0.06, duration_s) for f, (_, events_s) in pairs if len(events_s)]
        figures = {
            "f1_60ms": [score.f1 for score in scores],
            "f1_60ms_shifted": [score.shifted_f1 for score in scores],
            "onsets_per_s_in_silence": [len(f) / duration_s for f, (e, _) in pairs if not e.has_library_sound[0]],
        }
        return {name: float(np.mean(values)) for name, values in figures.items() if values}

    def state(self) -> dict[str, Any]:
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """All of its state is in the networks."""

    def _render_example(self, family: Family, codec: Codec, example: Example, *, seed: int) -> np.ndarray:
        """One window of sound for an example, by the stages of a render: float32 [N]."""
        spec = family.spec
        features = Features({"sync": Stream(example.sync.float(), FEATURE_FPS)}, self.embed(example.words[0][0]))
        plan = plan_render(
            spec.window_steps / spec.latent_rate_hz, spec, self.validation_settings, n_steps=spec.window_steps
        )
        [latents] = sample_latents(family, features, plan, self.validation_settings, [seed])
        return decode(codec, latents.cpu())

    def export(self, average: NetworkT, folder: Path, history: dict[str, Any]) -> None:
        config = ModelConfig(
            name=self.recipe.name,
            kind="family",
            family=self.name,
            codec=bundle_part(resolve(self.data.codec), folder),
            sync=bundle_part(resolve(self.data.sync), folder),
            semantic=self.data.semantic,
            text=self.data.text,
            settings=self.default_settings,
            network=config_of(average).to_dict(),
            training={**history, "objective": self.objective_dict()},
        )
        save(average.state_dict(), folder, config, torch.float16)

    def _draw_prefix(self, example: Example, k: int, rng: np.random.Generator) -> ReferencePrefix:
        """What a window of sound k begins with."""
        longest = min(MAX_REFERENCE, (config_of(self.network).window_steps - 1) // 2)
        draw = rng.random()
        if longest <= MIN_REFERENCE or draw >= self.data.p_library_sound + self.data.p_reference:
            return ReferencePrefix()
        n_steps = int(rng.integers(MIN_REFERENCE, longest + 1))
        if draw >= self.data.p_library_sound:
            return ReferencePrefix(n_steps)
        if not example.has_library_sound[k]:
            return ReferencePrefix()
        # Mostly the whole library sound; of later windows' prefixes it is a part.
        n_steps = longest if rng.random() < P_WHOLE_LIBRARY_SOUND else n_steps
        return ReferencePrefix(min(n_steps, example.library_sounds.latents.shape[1]), is_library_sound=True)


def semantic_streams(examples: list[Example], simulated: Tensor) -> Tensor:
    """What an image tagger sees in each example: its own stream where it has one, else the simulated [B, S, D]."""
    n_steps = simulated.shape[1]
    own = [
        simulated[row] if example.semantic is None else cut_or_hold(example.semantic.float(), n_steps)
        for row, example in enumerate(examples)
    ]
    return torch.stack(own)


def config_of(network: nn.Module) -> TrainedConfig:
    """The configuration that every family's network carries."""
    return cast(TrainedConfig, network.config)


def blank_batch(config: Any, n_rows: int) -> TrainingBatch:
    """Windows of random numbers in the shapes that a network of this config reads; 0 wide is what it does not read."""
    duration_s = config.window_steps / config.latent_rate_hz
    n_levels, n_codes = getattr(config, "n_codebooks", 1), getattr(config, "codebook_size", 2)
    n_frames = round(duration_s * getattr(config, "sync_rate_hz", FEATURE_FPS))
    n_semantic = int(duration_s * getattr(config, "semantic_rate_hz", SEMANTIC_RATE_HZ)) + 1
    sync_dim = getattr(config, "sync_dim", 0) or getattr(config, "visual_dim", 0)
    there = torch.ones(n_rows, dtype=torch.bool)

    def random(*shape: int) -> Tensor:
        return torch.randn(n_rows, *shape, device="cpu")

    return TrainingBatch(
        latents=random(config.window_steps, getattr(config, "latent_dim", 1)),
        codes=torch.randint(n_codes, (n_rows, config.window_steps, n_levels), device="cpu"),
        audio_features=random(n_frames // 2, getattr(config, "heard_dim", 0)),
        sync=random(n_frames, sync_dim),
        semantic=random(n_semantic, getattr(config, "semantic_dim", 0)),
        text=random(getattr(config, "text_dim", 0)),
        has_semantic=there,
        has_text=there,
        n_reference=torch.zeros(n_rows, dtype=torch.int64),
    )


def text_encoder(name: str, expected_dim: int) -> TextEncoder:
    """The encoder of words that a recipe names; errors: FoleyError where the network reads vectors of another width."""
    encoder: TextEncoder = WordLlamaText()
    if name:
        encoder = load_part(Path(), ModelConfig(text=name), "text", torch.device("cpu"), torch.float32)
    if expected_dim not in (0, encoder.dim):
        raise FoleyError(
            f"the network reads words as {expected_dim} numbers, {name or 'foley'}'s encoder gives {encoder.dim}",
            "Set data.text to the encoder that the network is for, or network.text_dim to the encoder's",
        )
    return encoder


def network_inputs(batch: TrainingBatch) -> Inputs:
    """The batch's conditions as networks read them."""
    return Inputs(
        sync=batch.sync,
        semantic=batch.semantic,
        text=batch.text,
        has_sync=torch.ones_like(batch.has_text),
        has_semantic=batch.has_semantic,
        has_text=batch.has_text,
    )


def codec_codebooks(codec: str, n_codebooks: int, codebook_size: int, codebook_dim: int) -> Tensor:
    """The vectors of a codec's codes, float32 [n_codebooks, codebook_size, codebook_dim].

    Errors: FoleyError where the codec's codes are of another shape, the one that a network's config says.
    """
    loaded = load_part_folder(resolve(codec), "codec", torch.device("cpu"), True)
    if not hasattr(loaded, "codebooks"):
        raise FoleyError(f"the codec {codec} has no codes", "Choose mel-mini, DAC, or a codec from foley train codec")
    codebooks: Tensor = loaded.codebooks()
    expected = (n_codebooks, codebook_size, codebook_dim)
    if codebooks.shape != expected:
        raise FoleyError(
            f"the network is for codes of shape {expected}, {codec} has {tuple(codebooks.shape)}",
            "Set network.n_codebooks, network.codebook_size and network.codebook_dim to the codec's",
        )
    return codebooks


def config_of_size(sizes: Mapping[str, ConfigT], network: dict[str, Any]) -> ConfigT:
    """The `network` part of a recipe as a family's config: a size by name, and what differs from it."""
    size = network.get("size", "mini")
    if size not in sizes:
        raise FoleyError(f"recipe, network: unknown size {short_repr(size)}", f"One of: {', '.join(sizes)}")
    changes = {key: value for key, value in network.items() if key != "size"}
    return from_dict(type(sizes[size]), {**sizes[size].to_dict(), **changes}, "recipe, network")


def make_window(
    example: Example, k: int, n_steps: int, prefix: ReferencePrefix
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sound k as a window: latents [n_steps, D], codes [n_steps, K], audio features [T / 2, D], sync features [T, D].

    The reference is the library sound, or the end of the sound itself, and the window is the sound's beginning, so
    that it has nothing that is to be generated; over the reference the picture's first frame is repeated, as in
    `windows.compose`.
    """
    sync = example.sync.float()
    n_held = round(prefix.n_steps / n_steps * len(sync))
    sync = torch.cat([sync[:1].expand(n_held, -1), sync[: len(sync) - n_held]])
    sounds, references = example.sounds, example.library_sounds

    def after_reference(sound: Tensor, library_sound: Tensor) -> Tensor:
        n = round(prefix.n_steps * len(sound) / n_steps)
        return prepend(sound, library_sound if prefix.is_library_sound else None, n)

    return (
        after_reference(cut_or_hold(sounds.latents[k].float(), n_steps), references.latents[k].float()),
        after_reference(cut_or_hold(sounds.codes[k].long(), n_steps), references.codes[k].long()),
        after_reference(sounds.audio_features[k].float(), references.audio_features[k].float()),
        sync,
    )


def cut_or_hold(x: Tensor, n_steps: int) -> Tensor:
    """Exactly so many steps of [L, D]: cut, or the last one held."""
    return x[torch.arange(n_steps).clamp(max=len(x) - 1)]


def prepend(x: Tensor, library_sound: Tensor | None, n: int) -> Tensor:
    """The beginning of x [L, D] after n steps of a library sound, or of its own end."""
    before = x[len(x) - n :] if library_sound is None else cut_or_hold(library_sound, n)
    return torch.cat([before, x[: len(x) - n]])


def bundle_part(part: Path, folder: Path) -> str:
    """The name of a codec or encoder; one that does not ship with foley is copied into the model's folder."""
    name = read_config(part).name or part.name
    if part.resolve().parent != SHIPPED:
        shutil.copytree(part, folder / name, dirs_exist_ok=True)
    return name
