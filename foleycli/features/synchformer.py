"""Synchformer's visual tower (Iashin et al., arXiv 2401.16423) as MMAudio uses it: frames in, the "sync" stream out.

Segments of 16 frames, a new one every 8; each gives 8 vectors.  A step of the stream is a whole segment, since its
8 vectors belong together.
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
from foleycli.weights.config import network_config, read_config
from foleycli.weights.mapped import give_back

PREFIX = "vfeat_extractor."  # of the tower in the published file, whose rest compares it with sound
SEGMENT_FRAMES, SEGMENT_STEP = 16, 8
RATE_HZ = Fraction(FEATURE_FPS, SEGMENT_STEP)


class Synchformer(Extractor):
    """Extractor of [segments, 8 * 768] at 3.125 per second; segment k begins with frame 8 k."""

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
    def encode(self, segments: Tensor) -> Tensor:
        """Segments uint8 [S, 16, H, W, 3] to vectors float32 [S, 8 * D] on the CPU."""
        weight = self.tower.pos_embed
        pixels = segments.to(weight.device).permute(0, 4, 1, 2, 3)  # [S, 3, 16, H, W]
        pixels = (pixels.float() / 127.5 - 1).to(weight.dtype)
        return self.tower(pixels).flatten(1).float().cpu()


class SynchformerSession:
    """One video on its way through the tower; holds the frames of incomplete segments alone."""

    def __init__(self, extractor: Synchformer) -> None:
        self.extractor = extractor
        side_px = extractor.frame_format.side_px
        self.pending = np.zeros((0, side_px, side_px, 3), np.uint8)
        self.vectors = RowBuffer(extractor.dim)

    def push(self, frames: np.ndarray) -> None:
        self.pending = np.concatenate([self.pending, frames])  # [n, H, W, 3]
        n_batch = SEGMENT_FRAMES + (self.extractor.batch - 1) * SEGMENT_STEP
        while len(self.pending) >= n_batch:
            self._encode(self.extractor.batch)

    def finish(self) -> Stream:
        if len(self.pending) and not len(self.vectors) and len(self.pending) < SEGMENT_FRAMES:
            # Less than 0.64 s of video: its last frame is repeated until the segment is full.
            missing = SEGMENT_FRAMES - len(self.pending)
            self.pending = np.concatenate([self.pending, np.repeat(self.pending[-1:], missing, axis=0)])
        while len(self.pending) >= SEGMENT_FRAMES:
            self._encode(1)
        give_back(self.extractor.tower.parameters())
        return Stream(self.vectors.all(), RATE_HZ)  # [segments, 8 * D]

    def _encode(self, n_segments: int) -> None:
        """Move the first pending segments through the tower."""
        frames = torch.from_numpy(self.pending)
        starts = range(0, n_segments * SEGMENT_STEP, SEGMENT_STEP)
        segments = torch.stack([frames[start : start + SEGMENT_FRAMES] for start in starts])  # [S, 16, H, W, 3]
        self.vectors.append(self.extractor.encode(segments))
        self.pending = self.pending[n_segments * SEGMENT_STEP :]


def load(folder: Path, device: torch.device, dtype: torch.dtype = torch.float32) -> Synchformer:
    """The tower from a published file, either the whole Synchformer or its visual part."""
    config = read_config(folder)
    shape = network_config(MotionformerConfig, config.network, f"{folder}/config.json: network")
    tower = load_tower(folder / config.weights, PREFIX, shape, device=device, dtype=dtype)
    return Synchformer(tower, batch=16 if device.type == "cuda" else 2)
