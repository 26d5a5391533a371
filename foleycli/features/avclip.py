"""Segment-AVCLIP's visual tower (Iashin et al., arXiv 2401.16423): pictures in, 12.5 vectors of 768 per second out.

As V-AURA (Viertola et al., arXiv 2409.13689) uses it: at 25 frames per second, segments of 16 frames without overlap go
through a Motionformer, which gives eight vectors each.  Frames come with a short side of 256, cut to a square; the
middle 224 x 224 of it is read, in -1..1.
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
from foleycli.weights.checkpoint import load_strict
from foleycli.weights.config import network_config, read_config

SEGMENTS_AT_ONCE = 4
FRAME_PER_CROP = Fraction(256, 224)  # side of a frame over that of its middle, which is read


class AvclipExtractor(Extractor):
    """Extractor of V-AURA's visual features."""

    name = "avclip"
    frame_step = 1

    def __init__(self, tower: Motionformer) -> None:
        config = tower.config
        self.tower = tower
        self.dim = config.width
        self.frame_format = FrameFormat(round(config.size_px * FRAME_PER_CROP), fit="crop", scaling="bilinear")
        self.rate_hz = FEATURE_FPS / config.tube_frames

    def start(self) -> AvclipSession:
        return AvclipSession(self.tower, self.rate_hz)


class AvclipSession:
    """One video on its way through the tower, a few segments at a time."""

    def __init__(self, tower: Motionformer, rate_hz: Fraction) -> None:
        self.tower, self.rate_hz = tower, rate_hz
        self.pending: list[Tensor] = []  # frames uint8 [n, H, W, 3] of segments that are not complete, cropped
        self.n_pending = 0
        self.n_frames = 0
        self.vectors = RowBuffer(tower.config.width)

    def push(self, frames: np.ndarray) -> None:
        if len(frames) == 0:
            return
        self.pending.append(centre_crop(torch.from_numpy(frames), self.tower.config.size_px))
        self.n_pending += len(frames)
        self.n_frames += len(frames)
        n_batch = SEGMENTS_AT_ONCE * self.tower.config.n_frames
        while self.n_pending >= n_batch:
            self._encode(n_batch)

    def finish(self) -> Stream:
        """The last segment is filled up with its last frame; as many steps as the frames cover."""
        if self.n_pending:
            missing = -self.n_pending % self.tower.config.n_frames
            self.pending.append(torch.cat(self.pending)[-1:].expand(missing, -1, -1, -1))
            self._encode(self.n_pending + missing)
        n_steps = -(-self.n_frames // self.tower.config.tube_frames)
        return Stream(self.vectors.all()[:n_steps], self.rate_hz)

    @torch.inference_mode()
    def _encode(self, n_frames: int) -> None:
        """Move the first `n_frames` pending frames, whole segments of them, through the tower."""
        frames, weight = torch.cat(self.pending), self.tower.pos_embed
        segments = frames[:n_frames].unflatten(0, (-1, self.tower.config.n_frames))  # [S, 16, H, W, 3]
        pixels = segments.to(weight.device).permute(0, 4, 1, 2, 3).float() / 127.5 - 1  # [S, 3, 16, H, W]
        vectors = self.tower(pixels.to(weight.dtype))  # [S, steps, D]
        self.vectors.append(vectors.flatten(0, 1))
        self.pending = [frames[n_frames:].clone()]  # a view would keep all frames in memory
        self.n_pending = len(self.pending[0])


def centre_crop(frames: Tensor, size_px: int) -> Tensor:
    """The square of side `size_px` in the middle of frames [n, H, W, 3]."""
    top, left = ((side_px - size_px) // 2 for side_px in frames.shape[1:3])
    return frames[:, top : top + size_px, left : left + size_px]


def load(folder: Path, device: torch.device | str, dtype: torch.dtype = torch.float32) -> AvclipExtractor:
    """The extractor from its weights folder."""
    config = read_config(folder)
    shape = network_config(MotionformerConfig, config.network, f"{folder}/config.json: network")
    tower = load_strict(lambda: Motionformer(shape), folder / config.weights, device=device, dtype=dtype)
    return AvclipExtractor(tower.eval().requires_grad_(False))
