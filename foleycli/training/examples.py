"""What the families learn from: clips as picture features and the latents and codes of sounds that fit them.

Making one costs more than learning from it: worker processes draw a clip, look at it with the trained
synchronisation encoder and encode several sounds for it: the right one, and other kinds struck at the same
times, so that words and not the drawing decide what sounds.  With `data.kept` each is written to a folder,
which all families can share and a resumed training reads again:

    python -m foleycli.training.examples --config presets/train/maskvat-mini.yaml --count 1600
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
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
from foleycli.training.recipe import Recipe, from_dict, read_recipe
from foleycli.training.sources import HELD_OUT_SEED, world_seeds
from foleycli.training.sync import prepare_grey
from foleycli.training.workers import items_of
from foleycli.weights.folder import sha256_of

FORMAT = 2  # one more when an example holds other things
FIRST_OF_SEED = 10_000_000  # examples apart that two recipe seeds begin


@dataclass(frozen=True)
class FamilyData:
    """The `data` part of a family's recipe."""

    codec: str  # names or folders of the parts that stay as they are
    sync: str
    clips: dict
    kept: str = ""  # a folder in which examples are kept; "" keeps none
    sounds_per_clip: int = 3  # of each picture: its own kind, then others struck at the same times
    pool: int = 3000  # the latest so many are drawn from
    first: int = 0  # examples that the first step waits for; 0: twice the batch
    fresh_per_step: int = 2
    p_reference: float = 0.2  # rows that begin with up to 2 s of the same sound from elsewhere
    p_reel: float = 0.0  # rows that begin with what sounds by itself, as a reel of the library
    p_text_only: float = 0.45  # a prompt and no look at the picture
    p_seen_only: float = 0.35  # a look at the picture and no prompt
    p_neither: float = 0.08  # the rest has both
    validation_clips: int = 24


@dataclass(frozen=True)
class Sounds:
    """S sounds of one length, as the codec and the sync encoder's audio tower know them."""

    latents: Tensor  # float16 [S, L, D]
    codes: Tensor  # int16 [S, L, K]
    heard: Tensor  # float16 [S, T / 2, D], 12.5 Hz


@dataclass(frozen=True)
class Example:
    """One picture with its features, and S sounds that fit its motion."""

    sync: Tensor  # float16 [T, D], 25 Hz
    sounds: Sounds
    reels: Sounds  # of each sound: what sounds in it, by itself
    has_reel: Tensor  # bool [S]
    words: tuple[tuple[str, ...], ...]  # of each sound: ways to say what it is
    events_s: np.ndarray | None  # None: not known


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
        if not self.data.kept:
            yield from maker.stream(first, stride)
            return
        folder = kept_folder(self.data, self.clips, self.split)
        for number in itertools.count(first, stride):
            path = folder / f"{number}.npz"
            if not path.exists():
                write_example(next(maker.stream(number, 1)), path)
            yield read_example(path)


class ExampleMaker:
    """Clips to examples; the encoders are loaded when the first is made."""

    def __init__(self, data: FamilyData, clips: ClipData, split: Split) -> None:
        self.data, self.clips, self.split = data, clips, split
        self._parts: tuple[sync.SyncEncoder, VaeCodec] | None = None

    def stream(self, first: int, stride: int) -> Iterator[Example]:
        if self._parts is None:
            cpu = torch.device("cpu")
            self._parts = sync.load(resolve(self.data.sync), cpu), load_vae_codec(resolve(self.data.codec), cpu)
        for clip, sounds in self._clips(first, stride):
            yield make_example(clip, sounds, *self._parts)

    def _clips(self, first: int, stride: int) -> Iterator[tuple[TrainingClip, list[SoundVariant]]]:
        if self.clips.videos:
            for clip in filmed_clips(self.clips, seed=first, held_out=self.split == "test"):
                yield clip, [SoundVariant(clip.samples, clip.words, None)]
        else:
            for clip, track, bank in world_seeds(self.clips, first, stride, self.split):
                rng = np.random.default_rng((first, track.sound_seed))
                others = sounds_for(track, bank, rng, self.data.sounds_per_clip - 1)
                yield clip, [own_sound(track, bank), *others]


@torch.inference_mode()
def make_example(clip: TrainingClip, sounds: list[SoundVariant], encoder: sync.SyncEncoder, codec: VaeCodec) -> Example:
    """Features of the picture; latents, codes and what is heard of each sound, and of each sound's reel."""
    features = encoder.features(prepare_grey(clip.grey, encoder.config.size_px))[0]  # [T, D]
    whole = _known(np.stack([sound.samples for sound in sounds]), encoder, codec)
    blank = np.zeros(N_SAMPLES, np.float32)
    return Example(
        features.half(),
        replace(whole, heard=whole.heard[:, : len(features) // 2]),
        _known(
            np.stack([blank if sound.library_sound is None else sound.library_sound for sound in sounds]),
            encoder,
            codec,
        ),
        torch.tensor([sound.library_sound is not None for sound in sounds]),
        tuple(tuple(sound.words) for sound in sounds),
        clip.events_s,
    )


def _known(samples: np.ndarray, encoder: sync.SyncEncoder, codec: VaeCodec) -> Sounds:
    """Sounds float32 [S, N] as networks know them."""
    given = torch.from_numpy(samples)
    # Not `encode`, which decodes three times to move levels by a decibel or so: making examples would take long.
    raw = codec.posterior(given).mean  # [S, D, L]
    codes = codec.quantise(raw).to(torch.int16)
    return Sounds(codec.normalise(raw).half(), codes, encoder.audio.frames(given).half())


def kept_folder(data: FamilyData, clips: ClipData, split: Split) -> Path:
    """Where examples of these clips by these encoders are kept: other parts or clips get another folder."""
    parts = [sha256_of(resolve(part) / "model.safetensors") for part in (data.codec, data.sync)]
    described = json.dumps([VERSION, FORMAT, clips.described(), data.sounds_per_clip, split, *parts], sort_keys=True)
    return Path(data.kept) / hashlib.sha256(described.encode()).hexdigest()[:12]


def write_example(example: Example, path: Path) -> None:
    """One example to a file, written aside and renamed into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"sync": example.sync, "has_reel": example.has_reel}
    for kind, sounds in (("sounds", example.sounds), ("reels", example.reels)):
        arrays |= {f"{kind}_{field.name}": getattr(sounds, field.name) for field in fields(Sounds)}
    known = {} if example.events_s is None else {"events_s": example.events_s}
    with replacing(path) as part:  # each its own: two trainings may make the same example
        words = np.array(json.dumps(example.words))
        np.savez(part, words=words, **{name: array.numpy() for name, array in arrays.items()}, **known)


def read_example(path: Path) -> Example:
    with np.load(path, allow_pickle=False) as held:
        sync_features, has_reel = (torch.from_numpy(held[name]) for name in ("sync", "has_reel"))
        sounds, reels = (
            Sounds(*(torch.from_numpy(held[f"{kind}_{field.name}"]) for field in fields(Sounds)))
            for kind in ("sounds", "reels")
        )
        words = tuple(map(tuple, json.loads(str(held["words"]))))
        return Example(sync_features, sounds, reels, has_reel, words, held.get("events_s"))


class ExamplePool:
    """The latest examples of a stream, for random batches."""

    def __init__(self, recipe: Recipe, data: FamilyData, clips: ClipData, step: int, rank: int, n_ranks: int) -> None:
        self.data, n_fresh = data, data.fresh_per_step
        n_first = data.first or 2 * recipe.batch_size
        # Where examples are kept, a resumed training reads again what the killed one had.
        n_seen = min(step * n_fresh, data.pool) if data.kept else 0
        first = recipe.seed * FIRST_OF_SEED + (step * n_fresh - n_seen) * n_ranks + rank
        self._examples = items_of(ExampleStream(data, clips, first, n_ranks), recipe.workers, prefetch=16)
        self._kept = [next(self._examples) for _ in range(n_first + n_seen)][-data.pool :]

    def refresh(self) -> None:
        """Take in what a step brings."""
        for _ in range(self.data.fresh_per_step):
            if len(self._kept) >= self.data.pool:
                self._kept.pop(0)
            self._kept.append(next(self._examples))

    def draw(self, n: int, rng: np.random.Generator) -> list[Example]:
        return [self._kept[k] for k in rng.integers(len(self._kept), size=n)]


def held_out_examples(data: FamilyData, clips: ClipData) -> list[Example]:
    """The same few every time, of takes, textures and scenes that are never trained on."""
    stream = ExampleStream(data, clips, HELD_OUT_SEED, split="test")
    return list(itertools.islice(stream, data.validation_clips))


def main(
    config: Annotated[Path, typer.Option(help="A family's recipe with data.kept.")],
    count: Annotated[int, typer.Option(help="How many examples.", min=1)] = 1000,
    workers: Annotated[int, typer.Option(help="Processes.", min=0)] = 0,
) -> None:
    """Make the first examples of a recipe ahead of its training."""
    recipe = read_recipe(config)
    data = from_dict(FamilyData, recipe.data, "recipe, data")
    if not data.kept:
        raise typer.BadParameter(f"{config} keeps no examples: set data.kept to a folder")
    clips = from_dict(ClipData, data.clips, "recipe, data.clips")
    stream = ExampleStream(data, clips, recipe.seed * FIRST_OF_SEED)
    held_out_examples(data, clips)
    for _ in itertools.islice(items_of(stream, workers), count):
        pass
    typer.echo(f"{count} examples in {data.kept}")


if __name__ == "__main__":
    typer.run(main)
