"""Segment-AVCLIP's visual tower: pictures at 25 per second in, 12.5 vectors of 768 per second out.

Segments of 16 pictures without overlap go through a Motionformer, which gives eight vectors each
(V-AURA; papers.md section 3).  Pictures come with a
short side of 256, cut to a square; the middle 224 x 224 of it is looked at, in -1..1.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from foleycli.features.base import Extractor, FrameFormat
from foleycli.features.row_buffer import RowBuffer
from foleycli.nn.motionformer import Motionformer, MotionformerConfig
from foleycli.records import Stream
from foleycli.timebase import FEATURE_FPS
from foleycli.weights.folder import load_weights, read_config

SEGMENTS_AT_ONCE = 4
SHORT_SIDE = Fraction(256, 224)  # of the picture, when its cut-out middle has side 1


class AvclipExtractor(Extractor):
    """The tower as one of the picture features: see `features.base.Extractor`."""

    name = "avclip"
    frame_step = 1

    def __init__(self, tower: Motionformer) -> None:
        config = tower.config
        self.tower = tower
        self.dim = config.width
        self.frame_format = FrameFormat(round(config.size_px * SHORT_SIDE), fit="crop", scaling="bilinear")
        self.rate_hz = FEATURE_FPS / config.tube_frames

    def start(self) -> AvclipSession:
        return AvclipSession(self.tower, self.rate_hz)


class AvclipSession:
    """One video on its way through the tower, a few segments at a time."""

    def __init__(self, tower: Motionformer, rate_hz: Fraction) -> None:
        self.tower, self.rate_hz = tower, rate_hz
        self.waiting: list[Tensor] = []  # pictures uint8 [n, H, W, 3], their middles alone
        self.n_waiting = 0
        self.n_frames = 0
        self.made = RowBuffer(tower.config.width)

    def push(self, frames: np.ndarray) -> None:
        if len(frames) == 0:
            return
        self.waiting.append(middle(torch.from_numpy(frames), self.tower.config.size_px))
        self.n_waiting += len(frames)
        self.n_frames += len(frames)
        n_batch = SEGMENTS_AT_ONCE * self.tower.config.n_frames
        while self.n_waiting >= n_batch:
            self._make(n_batch)

    def finish(self) -> Stream:
        """The last segment is filled up with its last picture; as many steps as pictures came."""
        if self.n_waiting:
            missing = -self.n_waiting % self.tower.config.n_frames
            self.waiting.append(torch.cat(self.waiting)[-1:].expand(missing, -1, -1, -1))
            self._make(self.n_waiting + missing)
        n_steps = -(-self.n_frames // self.tower.config.tube_frames)
        return Stream(self.made.all()[:n_steps], self.rate_hz)

    @torch.inference_mode()
    def _make(self, n_frames: int) -> None:
        """Vectors of the first `n_frames` waiting pictures, whole segments of them."""
        pictures, weight = torch.cat(self.waiting), self.tower.pos_embed
        segments = pictures[:n_frames].unflatten(0, (-1, self.tower.config.n_frames))  # [S, 16, H, W, 3]
        pixels = segments.to(weight.device).permute(0, 4, 1, 2, 3).float() / 127.5 - 1  # [S, 3, 16, H, W]
        vectors = self.tower(pixels.to(weight.dtype))  # [S, steps, D]
        self.made.append(vectors.flatten(0, 1))
        self.waiting = [pictures[n_frames:].clone()]  # a view would keep the whole
        self.n_waiting = len(self.waiting[0])


def middle(frames: Tensor, size_px: int) -> Tensor:
    """The square of side `size_px` in the middle of pictures [n, H, W, 3]."""
    top, left = ((side_px - size_px) // 2 for side_px in frames.shape[1:3])
    return frames[:, top : top + size_px, left : left + size_px]


def load(folder: Path, device: torch.device | str, dtype: torch.dtype = torch.float32) -> AvclipExtractor:
    """The extractor from its weights folder."""
    tower = Motionformer(MotionformerConfig(**read_config(folder).get("network", {})))
    load_weights(tower, folder)
    return AvclipExtractor(tower.eval().requires_grad_(False).to(device, dtype))
