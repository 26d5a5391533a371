"""Synchformer's visual tower (Iashin et al., arXiv 2401.16423) as MMAudio uses it: pictures in, the "sync" stream out.

Segments of 16 pictures, a new one every 8; each gives 8 vectors.  A step of the stream is a whole segment,
since its 8 vectors belong together.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from foleycli.features.base import Extractor, FrameFormat
from foleycli.features.row_buffer import RowBuffer
from foleycli.nn.motionformer import Motionformer, MotionformerConfig, load_tower
from foleycli.records import Stream
from foleycli.timebase import FEATURE_FPS
from foleycli.weights import checkpoint as checkpoints
from foleycli.weights.folder import WEIGHTS_NAME, read_config

PREFIX = "vfeat_extractor."  # the rest of the file is the scorer of offsets
SEGMENT_FRAMES, SEGMENT_STEP = 16, 8
RATE_HZ = Fraction(FEATURE_FPS, SEGMENT_STEP)


class Synchformer(Extractor):
    """Extractor of [segments, 8 * 768] at 3.125 per second; segment k begins with picture 8 k."""

    name = "sync"
    rate_hz = RATE_HZ
    frame_step = 1

    def __init__(self, tower: Motionformer, batch: int = 2) -> None:
        """`batch` is how many segments go through at once."""
        self.tower, self.batch = tower, batch
        self.frame_format = FrameFormat(tower.config.size_px, fit="crop", scaling="bicubic")
        self.dim = tower.config.n_steps * tower.config.width

    def start(self) -> SynchformerSession:
        return SynchformerSession(self)

    @torch.inference_mode()
    def look(self, segments: Tensor) -> Tensor:
        """uint8 [S, 16, H, W, 3] to float32 [S, 8 * D] on the CPU."""
        weight = self.tower.pos_embed
        pixels = segments.to(weight.device).permute(0, 4, 1, 2, 3)  # [S, 3, 16, H, W]
        pixels = (pixels.float() / 127.5 - 1).to(weight.dtype)
        return self.tower(pixels).flatten(1).float().cpu()


class SynchformerSession:
    """One video on its way through the tower; holds the pictures of unfinished segments alone."""

    def __init__(self, extractor: Synchformer) -> None:
        self.extractor = extractor
        side_px = extractor.frame_format.side_px
        self.frames = np.zeros((0, side_px, side_px, 3), np.uint8)
        self.made = RowBuffer(extractor.dim)

    def push(self, frames: np.ndarray) -> None:
        self.frames = np.concatenate([self.frames, frames])  # [T, H, W, 3]
        wanted = SEGMENT_FRAMES + (self.extractor.batch - 1) * SEGMENT_STEP
        while len(self.frames) >= wanted:
            self._make(self.extractor.batch)

    def finish(self) -> Stream:
        if len(self.frames) and not len(self.made) and len(self.frames) < SEGMENT_FRAMES:
            # Less than 0.64 s of video: its last picture stands until the segment is full.
            missing = SEGMENT_FRAMES - len(self.frames)
            self.frames = np.concatenate([self.frames, np.repeat(self.frames[-1:], missing, axis=0)])
        while len(self.frames) >= SEGMENT_FRAMES:
            self._make(1)
        return Stream(self.made.all(), RATE_HZ)  # [segments, 8 * D]

    def _make(self, n_segments: int) -> None:
        frames = torch.from_numpy(self.frames)
        starts = range(0, n_segments * SEGMENT_STEP, SEGMENT_STEP)
        segments = torch.stack([frames[start : start + SEGMENT_FRAMES] for start in starts])  # [S, 16, H, W, 3]
        self.made.append(self.extractor.look(segments))
        self.frames = self.frames[n_segments * SEGMENT_STEP :]


def load(folder: Path, device: torch.device, dtype: torch.dtype = torch.float32) -> Synchformer:
    """The tower from a published file, either the whole Synchformer or its visual part."""
    config = read_config(folder)
    shape = MotionformerConfig(**config.get("network", {}))
    tower = load_tower(checkpoints.read_tensors(folder / config.get("weights", WEIGHTS_NAME)), PREFIX, shape)
    return Synchformer(tower.to(device, dtype), batch=16 if device.type == "cuda" else 2)
