"""What the families are trained on: clips as picture features, with latents and codes of sounds that fit them.

Making an example costs more than learning from it: worker processes draw a clip, compute its picture features with the
trained synchronisation encoder and encode several sounds for it: the right one, and other kinds at the same times, so
that words and not the drawing decide what sounds.  With `data.cache` each is written to a folder, which all families
can share and a resumed training reads again; `python -m foleycli.lab examples` makes them ahead.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from foleycli.codecs.vae import VaeCodec
from foleycli.features import sync
from foleycli.hub.resolve import resolve
from foleycli.media.output import replacing
from foleycli.models.model import load_vae_codec
from foleycli.soundset.kinds import Split
from foleycli.soundset.library_sound import N_SAMPLES
from foleycli.synthetic.config import VERSION
from foleycli.synthetic.variants import SoundVariant, own_sound, sounds_for
from foleycli.training.clips import ClipData, TrainingClip, filmed_clips
from foleycli.training.recipe import Recipe
from foleycli.training.sources import HELD_OUT_SEED, world_clips_with_tracks
from foleycli.training.sync import prepare_grey
from foleycli.training.workers import iterate_in_workers
from foleycli.weights.folder import sha256_of

FORMAT = 3  # one more when an example holds other things
SEED_STRIDE = 10_000_000  # examples between the first ones of two recipe seeds


@dataclass(frozen=True)
class FamilyData:
    """The `data` part of a family's recipe."""

    codec: str  # names or folders of the trained codec and encoder, which stay as they are
    sync: str
    clips: dict = field(default_factory=dict)
    shards: str = ""  # a data set of `foley data prepare`, in place of clips: see `training.shards`
    kept: str = ""  # the list of `foley data curate`: the examples of it that are used; "" uses all
    semantic: str = ""  # what says what the picture shows, as a model's config.json names it; "": foley's image tagger
    text: str = ""  # the encoder of words, in the same way; "": foley's word vectors
    cache: str = ""  # a folder in which examples are kept; "" keeps none
    sounds_per_clip: int = 3  # of each picture: its own kind, then others at the same times
    pool: int = 3000  # batches are drawn from so many of the latest examples
    first: int = 0  # examples that the first step waits for; 0: twice the batch
    fresh_per_step: int = 2
    p_reference: float = 0.2  # windows that begin with up to 2 s of the same sound from elsewhere
    p_library_sound: float = 0.0  # windows that begin with what sounds by itself, as the library has it
    p_text_only: float = 0.45  # a prompt, and no labels of what the picture shows
    p_labels_only: float = 0.35  # labels of what the picture shows, and no prompt
    p_neither: float = 0.08  # the rest has both
    validation_clips: int = 24


@dataclass(frozen=True)
class EncodedSounds:
    """S sounds of one length, as the codec and the sync encoder's audio tower encode them."""

    latents: Tensor  # float16 [S, L, D]
    codes: Tensor  # int16 [S, L, K]
    audio_features: Tensor  # float16 [S, T / 2, D], 12.5 Hz


@dataclass(frozen=True)
class Example:
    """One picture with its features, and S sounds that fit its motion."""

    sync: Tensor  # float16 [T, D], 25 Hz
    sounds: EncodedSounds
    library_sounds: EncodedSounds  # of each sound: what sounds in it, by itself
    has_library_sound: Tensor  # bool [S]
    words: tuple[tuple[str, ...], ...]  # of each sound: ways to say what it is
    events_s: np.ndarray | None  # None: not known
    semantic: Tensor | None = None  # float16 [S, D] at the encoder's rate; None: simulated from the words


class ExampleStream(IterableDataset):
    """Endless examples from number `first` on, `stride` apart, in one or more worker processes."""

    def __init__(self, data: FamilyData, clips: ClipData, first: int, stride: int = 1, split: Split = "train") -> None:
        self.data, self.clips, self.first, self.stride, self.split = data, clips, first, stride, split

    def __iter__(self) -> Iterator[Example]:
        info = get_worker_info()
        index, n_workers = (info.id, info.num_workers) if info else (0, 1)
        if info:
            torch.set_num_threads(1)
        first, stride = self.first + index * self.stride, self.stride * n_workers
        maker = ExampleMaker(self.data, self.clips, self.split)
        if not self.data.cache:
            yield from maker.stream(first, stride)
            return
        folder = cache_folder(self.data, self.clips, self.split)
        for number in itertools.count(first, stride):
            path = folder / f"{number}.npz"
            example = read_example(path)
            if example is None:
                example = next(maker.stream(number, 1))
                write_example(example, path)
            yield example


class ExampleMaker:
    """Clips to examples; the encoders are loaded when the first is made."""

    def __init__(self, data: FamilyData, clips: ClipData, split: Split) -> None:
        self.data, self.clips, self.split = data, clips, split
        self._encoders: tuple[sync.SyncEncoder, VaeCodec] | None = None

    def stream(self, first: int, stride: int) -> Iterator[Example]:
        """Endless examples, numbers `first`, `first + stride`, and so on."""
        if self._encoders is None:
            cpu = torch.device("cpu")
            self._encoders = sync.load(resolve(self.data.sync), cpu), load_vae_codec(resolve(self.data.codec), cpu)
        for clip, sounds in self._clips(first, stride):
            yield make_example(clip, sounds, *self._encoders)

    def _clips(self, first: int, stride: int) -> Iterator[tuple[TrainingClip, list[SoundVariant]]]:
        if self.clips.videos:
            for clip in filmed_clips(self.clips, seed=first, held_out=self.split == "test"):
                yield clip, [SoundVariant(clip.samples, clip.words, None)]
        else:
            for clip, track, bank in world_clips_with_tracks(self.clips, first, stride, self.split):
                rng = np.random.default_rng((first, track.sound_seed))
                others = sounds_for(track, bank, rng, self.data.sounds_per_clip - 1)
                yield clip, [own_sound(track, bank), *others]


@torch.inference_mode()
def make_example(clip: TrainingClip, sounds: list[SoundVariant], encoder: sync.SyncEncoder, codec: VaeCodec) -> Example:
    """Features of the picture; every sound, and what sounds in it by itself, encoded."""
    features = encoder.features(prepare_grey(clip.grey, encoder.config.size_px))[0]  # [T, D]
    encoded = encode_sounds(np.stack([sound.samples for sound in sounds]), encoder, codec)
    blank = np.zeros(N_SAMPLES, np.float32)
    library_sounds = [blank if sound.library_sound is None else sound.library_sound for sound in sounds]
    return Example(
        sync=features.half(),
        sounds=replace(encoded, audio_features=encoded.audio_features[:, : len(features) // 2]),
        library_sounds=encode_sounds(np.stack(library_sounds), encoder, codec),
        has_library_sound=torch.tensor([sound.library_sound is not None for sound in sounds]),
        words=tuple(tuple(sound.words) for sound in sounds),
        events_s=clip.events_s,
    )


def encode_sounds(samples: np.ndarray, encoder: sync.SyncEncoder, codec: VaeCodec) -> EncodedSounds:
    """Sounds float32 [S, N] as networks are given them."""
    sounds = torch.from_numpy(samples)
    # Not `encode`, which decodes three times to move levels by a decibel or so: making examples would take long.
    raw = codec.posterior(sounds).mean  # [S, D, L]
    codes = codec.quantise(raw).to(torch.int16)
    return EncodedSounds(codec.normalise(raw).half(), codes, encoder.audio.frames(sounds).half())


def cache_folder(data: FamilyData, clips: ClipData, split: Split) -> Path:
    """Where examples of these clips by these encoders are kept: other encoders or clips get another folder."""
    encoders = [sha256_of(resolve(part) / "model.safetensors") for part in (data.codec, data.sync)]
    described = json.dumps([VERSION, FORMAT, clips.described(), data.sounds_per_clip, split, *encoders], sort_keys=True)
    return Path(data.cache) / hashlib.sha256(described.encode()).hexdigest()[:12]


def write_example(example: Example, path: Path) -> None:
    """One example to a file, written aside and renamed into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"sync": example.sync, "has_library_sound": example.has_library_sound}
    for kind, sounds in (("sounds", example.sounds), ("library_sounds", example.library_sounds)):
        arrays |= {f"{kind}_{field.name}": getattr(sounds, field.name) for field in fields(EncodedSounds)}
    plain: dict[str, Any] = {name: array.numpy() for name, array in arrays.items()}
    plain["words"] = np.array(json.dumps(example.words))
    if example.events_s is not None:
        plain["events_s"] = example.events_s
    with replacing(path) as part:  # two trainings may make the same example
        np.savez(part, **plain)


def read_example(path: Path) -> Example | None:
    """What `write_example` wrote; None where there is none, or a damaged file."""
    try:
        with np.load(path, allow_pickle=False) as held:
            sounds, library_sounds = (
                EncodedSounds(*(torch.from_numpy(held[f"{kind}_{field.name}"]) for field in fields(EncodedSounds)))
                for kind in ("sounds", "library_sounds")
            )
            return Example(
                sync=torch.from_numpy(held["sync"]),
                sounds=sounds,
                library_sounds=library_sounds,
                has_library_sound=torch.from_numpy(held["has_library_sound"]),
                words=tuple(map(tuple, json.loads(str(held["words"])))),
                events_s=held.get("events_s"),
            )
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None


class ExamplePool:
    """The latest examples of a stream, for random batches."""

    def __init__(self, recipe: Recipe, data: FamilyData, clips: ClipData, step: int, rank: int, n_ranks: int) -> None:
        self.data, n_fresh = data, data.fresh_per_step
        n_first = data.first or 2 * recipe.batch_size
        # Where examples are kept, a resumed training reads again what the stopped one had.
        n_before = min(step * n_fresh, data.pool) if data.cache else 0
        first = recipe.seed * SEED_STRIDE + (step * n_fresh - n_before) * n_ranks + rank
        stream = ExampleStream(data, clips, first, stride=n_ranks)
        self._examples: Iterator[Example] = iterate_in_workers(stream, recipe.workers, prefetch=16)
        self._latest = [next(self._examples) for _ in range(n_first + n_before)][-data.pool :]

    def refresh(self) -> None:
        """Take in what a step brings."""
        for _ in range(self.data.fresh_per_step):
            if len(self._latest) >= self.data.pool:
                self._latest.pop(0)
            self._latest.append(next(self._examples))

    def draw(self, n: int, rng: np.random.Generator) -> list[Example]:
        return [self._latest[k] for k in rng.integers(len(self._latest), size=n)]


def make_ahead(recipe: Recipe, data: FamilyData, clips: ClipData, count: int, workers: int = 0) -> None:
    """Fill the cache with the held-out examples and the first `count` ones of a recipe, by so many processes."""
    held_out_examples(data, clips)
    stream = ExampleStream(data, clips, recipe.seed * SEED_STRIDE)
    for _ in itertools.islice(iterate_in_workers(stream, workers), count):
        pass


def held_out_examples(data: FamilyData, clips: ClipData) -> list[Example]:
    """The same few every time, of takes, textures and scenes that are never trained on."""
    stream = ExampleStream(data, clips, HELD_OUT_SEED, split="test")
    return list(itertools.islice(stream, data.validation_clips))
