"""Hard scene cuts: frames in, a stream out that is 1 at the first frame of each new shot.

A cut changes both the colours and the layout of the picture, at once and for good.  A shaking camera keeps the colours,
a lamp that is switched keeps the layout, a whip pan changes both but over several frames, a flash changes both but
goes back.  A frame is decided on half a second later, from small signatures; memory does not grow.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch

from foleycli.features.base import Extractor
from foleycli.records import Stream
from foleycli.timebase import FEATURE_FPS

SPAN = 12  # frames before and after a cut that must differ: longer than a flash
NEAR = 5  # frames on either side whose own changes count as motion
CUT_TO_MOTION = 2.5  # a cut changes so many times as much as the motion around it
MIN_SHOT = 3  # frames that a shot lasts at least; a shorter one makes no difference to the sound
HISTOGRAM_CHANGE = 0.16  # 0 the same colours, 1 none in common
LAYOUT_CHANGE = 0.35  # 0 the same picture but for brightness and contrast, 1 nothing in common
BINS = 16
LAYOUT_PX = 28  # side of the small grey picture that layouts are compared on
SHIFT_PX = 3  # of those, by which a shake may move the picture: a tenth of its width
FLAT = 2.0  # standard deviation in grey levels below which a picture has no layout


@dataclass(frozen=True)
class Signature:
    """The colours and the layout of a frame."""

    histogram: np.ndarray  # float32 [4 * 3 * BINS] that sums to 1: of each quarter and colour channel
    grey: np.ndarray  # float32 [LAYOUT_PX, LAYOUT_PX]


class CutDetector(Extractor):
    """Extractor of hard cuts; `cut_times` reads its stream."""

    name = "cuts"
    rate_hz = FEATURE_FPS
    frame_step = Fraction(1)
    dim = 1

    def start(self) -> CutSession:
        return CutSession()


class CutSession:
    """One video on its way through `CutDetector`."""

    def __init__(self) -> None:
        self.n_frames = 0
        self.cuts: list[int] = []  # first frames of new shots
        self.recent: deque[Signature] = deque(maxlen=2 * SPAN)
        self.changes: deque[float] = deque(maxlen=2 * SPAN)  # from the frame before to this one

    def push(self, frames: np.ndarray) -> None:
        for signature in _signatures(frames):
            before = self.recent[-1] if self.recent else signature
            self.changes.append(_histogram_change(before, signature))
            self.recent.append(signature)
            self.n_frames += 1
            self._decide(self.n_frames - SPAN)

    def finish(self) -> Stream:
        for frame in range(max(1, self.n_frames - SPAN + 1), self.n_frames):
            self._decide(frame)
        values = torch.zeros(self.n_frames, 1)  # [T, 1]
        values[self.cuts] = 1.0
        return Stream(values, CutDetector.rate_hz)

    def _decide(self, frame: int) -> None:
        """Note a cut if `frame` begins a new shot, compared with up to SPAN frames to either side."""
        index = frame - (self.n_frames - len(self.recent))  # in the deques
        if frame < MIN_SHOT or self.n_frames - frame < MIN_SHOT or index < 1:
            return
        if self.changes[index] < HISTOGRAM_CHANGE or not self._exceeds_motion(index):
            return
        recent = list(self.recent)
        before, after = recent[max(0, index - SPAN) : index], recent[index : index + SPAN]
        if not all(_differ(before[-1], later) for later in after):
            return  # the picture comes back: a flash began
        if not all(_differ(earlier, after[0]) for earlier in before):
            return  # the picture is back: a flash ended
        if self.cuts and frame - self.cuts[-1] < MIN_SHOT:
            self.cuts[-1] = frame  # black frames between two shots: the later picture is the new shot
        else:
            self.cuts.append(frame)

    def _exceeds_motion(self, index: int) -> bool:
        """Whether the second largest change nearby is much smaller; the largest may be another cut."""
        changes = list(self.changes)
        near = changes[max(0, index - NEAR) : index] + changes[index + 1 : index + 1 + NEAR]
        motion = sorted(near)[-2] if len(near) > 1 else 0.0
        return changes[index] > CUT_TO_MOTION * motion


def cut_times(stream: Stream) -> list[float]:
    """Seconds at which new shots begin, from the stream of `CutDetector`."""
    frames = stream.values[:, 0].nonzero()[:, 0].tolist()
    return [float(frame / stream.rate_hz) for frame in frames]


def _signatures(frames: np.ndarray) -> list[Signature]:
    """Small pictures of frames uint8 [n, H, W, 3]; H and W are multiples of LAYOUT_PX or are cut to one."""
    n, height, width, _ = frames.shape
    rows, columns = height // LAYOUT_PX, width // LAYOUT_PX
    cropped = frames[:, : rows * LAYOUT_PX, : columns * LAYOUT_PX]
    # Every other pixel of a block is enough for its mean.  Sums of rows, then of columns: numpy takes six times as long
    # for the mean of both at once.
    whole = np.uint16 if rows * columns <= 4 * 256 else np.uint32
    by_row = sum_of([cropped[:, k::rows] for k in range(0, rows, 2)], whole)  # [n, 28, W, 3]
    by_row = by_row.reshape(n, LAYOUT_PX, LAYOUT_PX, columns, 3)
    total = sum_of([by_row[:, :, :, k] for k in range(0, columns, 2)], whole)  # [n, 28, 28, 3]
    small = total.astype(np.float32) / (-(-rows // 2) * -(-columns // 2))
    return [Signature(_histogram(picture), picture.mean(axis=-1)) for picture in small]


def sum_of(parts: list[np.ndarray], dtype: type[np.unsignedinteger]) -> np.ndarray:
    """The sum of arrays of one shape, as whole numbers of a type that holds it."""
    total = parts[0].astype(dtype)
    for part in parts[1:]:
        total += part
    return total


def _histogram(picture: np.ndarray) -> np.ndarray:
    """Colours of the four quarters of [28, 28, 3]; each value counts in its two nearest bins, by distance."""
    half = LAYOUT_PX // 2
    quarters = picture.reshape(2, half, 2, half, 3).transpose(0, 2, 4, 1, 3).reshape(12, -1)  # [12, 196]
    position = quarters * ((BINS - 1) / 255.0)
    low = np.minimum(position.astype(np.int64), BINS - 2)
    high_weight = position - low
    first = low + BINS * np.arange(12)[:, None]
    counts = np.bincount(first.ravel(), (1 - high_weight).ravel(), 12 * BINS)
    counts += np.bincount(first.ravel() + 1, high_weight.ravel(), 12 * BINS)
    return (counts / quarters.size).astype(np.float32)


def _histogram_change(one: Signature, other: Signature) -> float:
    return 0.5 * float(np.abs(one.histogram - other.histogram).sum())


def _differ(one: Signature, other: Signature) -> bool:
    return _histogram_change(one, other) >= HISTOGRAM_CHANGE and _layout_change(one, other) >= LAYOUT_CHANGE


def _layout_change(one: Signature, other: Signature) -> float:
    """One minus the best correlation of the two grey pictures over small shifts."""
    size = LAYOUT_PX - 2 * SHIFT_PX
    middle = _normalised(one.grey[SHIFT_PX:-SHIFT_PX, SHIFT_PX:-SHIFT_PX][None])[0]  # [22, 22]
    views = np.lib.stride_tricks.sliding_window_view(other.grey, (size, size))  # [7, 7, 22, 22]
    best = (_normalised(views.reshape(-1, size, size)) * middle).sum(axis=(1, 2)).max()
    return 1.0 - float(best)


def _normalised(pictures: np.ndarray) -> np.ndarray:
    """[n, h, w] at mean 0 and length 1, so that the sum of a product is a correlation; flat ones are zero."""
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    length = np.sqrt((centred**2).sum(axis=(1, 2), keepdims=True))
    flat = FLAT * np.sqrt(pictures[0].size)
    return np.where(length < flat, 0.0, centred / np.maximum(length, flat))
