"""Where in the picture something moves, and how much: frames in, the centre of motion and its size out.

Motion is what of the difference between two frames no movement of the camera explains.  A pan, a roll or a zoom moves
every pixel by an affine function of its place, and changes it by that movement times the brightness gradient (optical
flow: Horn and Schunck, 1981, equation 2; affine: Bergen et al., "Hierarchical model-based motion estimation", 1992,
section 3.1).  The six numbers of the movement, and two for light and contrast, are fitted to the whole picture by least
squares in which pixels that disagree count less and less; the squares of what is left are the motion.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F

from foleycli.features.base import Extractor
from foleycli.features.cuts import sum_of
from foleycli.features.row_buffer import RowBuffer
from foleycli.records import Stream
from foleycli.timebase import FEATURE_FPS

SIDE_PX = 56  # of the small grey picture on which motion is measured
REWEIGHTINGS = 2  # least-squares fits of the camera's movement
NOISE_LEVELS = 0.5  # grey levels (of 255) that differ in every still picture
OUTLIER_FACTOR = 2.0  # pixels that disagree by so many times the typical difference count a quarter in the next fit
MOTION_FACTOR = 3.0  # what exceeds so many times the typical difference is motion
CAMERA_FACTOR = 0.7  # and so much of the change that the camera explains: at strong edges it explains it badly
RISING_SHARE = 0.2  # of the weight of what moves downwards: what strikes, steps or drops comes down
# Typical differences at which the whole picture is another one (a cut, a flash): so many grey levels; or fewer, but so
# many times those of the frames around it.
WHOLE_LEVELS, WHOLE_JUMP_LEVELS, WHOLE_JUMP = 20.0, 4.0, 2.5


class MotionPosition(Extractor):
    """Extractor of the centre of motion, a stream of four columns.

    column 0   -1 (left edge) to 1 (right edge): mean place of the motion since the frame before
    column 1   its weight: the mean over all pixels of the square root of the grey levels it changes; 0: nothing moves,
               or the whole picture is another one
    column 2   the same mean where downwards does not count more than upwards, and whatever the picture does
    column 3   and the largest of its pixels
    """

    name = "position"
    rate_hz = FEATURE_FPS
    frame_step = Fraction(1)
    dim = 4

    def start(self) -> PositionSession:
        return PositionSession()


@dataclass
class PositionSession:
    """One video on its way through `MotionPosition`."""

    rows: RowBuffer = field(default_factory=lambda: RowBuffer(5))  # centre, weight, mean, largest, typical difference
    last: np.ndarray | None = None  # float32 [1, SIDE_PX, SIDE_PX]: the frame before, smoothed

    def push(self, frames: np.ndarray) -> None:
        if not len(frames):
            return
        grey = _smooth(_small_grey(frames))
        grey = np.concatenate([grey[:1] if self.last is None else self.last, grey])
        self.last = grey[-1:].copy()
        self.rows.append(torch.from_numpy(_centre_of_motion(grey)))

    def finish(self) -> Stream:
        rows = self.rows.all()  # [T, 5]
        values, typical = rows[:, :4].clone(), rows[:, 4]
        padded = F.pad(typical, (1, 1))
        around = torch.maximum(padded[:-2], padded[2:])
        is_another = (typical > WHOLE_JUMP_LEVELS) & (typical > WHOLE_JUMP * around)
        values[is_another | (typical > WHOLE_LEVELS), 1] = 0
        return Stream(values, MotionPosition.rate_hz)


def _small_grey(frames: np.ndarray) -> np.ndarray:
    """Frames uint8 [n, H, W, 3], H and W multiples of SIDE_PX, as grey pictures float32 [n, SIDE_PX, SIDE_PX]."""
    step = 2 if min(frames.shape[1:3]) >= 4 * SIDE_PX else 1  # every other pixel is enough for the mean of a block
    n, height, width, _ = frames.shape
    rows, columns = height // SIDE_PX, width // SIDE_PX
    whole = np.uint16 if rows * columns <= 64 else np.uint32
    by_row = sum_of([frames[:, k::rows] for k in range(0, rows, step)], whole)  # [n, 56, W, 3]
    by_row = by_row.reshape(n, SIDE_PX, SIDE_PX, columns, 3)
    total = sum_of([by_row[:, :, :, k, colour] for k in range(0, columns, step) for colour in range(3)], whole)
    return total.astype(np.float32) / np.float32(3 * -(-rows // step) * -(-columns // step))


def _smooth(grey: np.ndarray) -> np.ndarray:
    """Pictures [n, H, W] with each pixel mixed with its neighbours (1 2 1), so that gradients hold over a pixel."""
    padded = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]
    return (across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]) / 16


def _centre_of_motion(grey: np.ndarray) -> np.ndarray:
    """Smoothed grey pictures [n + 1, H, W] to the columns of `PositionSession.rows` of all but the first, [n, 5]."""
    mean, change = (grey[1:] + grey[:-1]) / 2, grey[1:] - grey[:-1]
    down, across = np.gradient(mean, axis=(1, 2))
    left, typical = _unexplained(change, mean, across, down)
    doubtful = MOTION_FACTOR * typical[:, None, None] + CAMERA_FACTOR * np.abs(change - left)
    moving = np.sqrt(np.maximum(np.abs(left) - doubtful, 0))
    mean_motion, largest = moving.mean(axis=(1, 2)), moving.max(axis=(1, 2))
    moving[left * down > 0] *= RISING_SHARE  # the brightness moves against its gradient's sign: upwards
    columns = moving.mean(axis=1)  # [n, W]
    weight = columns.mean(axis=1)
    centre = columns @ _axis(columns.shape[1]) / (columns.shape[1] * np.maximum(weight, 1e-9))
    return np.stack([centre, weight, mean_motion, largest, typical], axis=1).astype(np.float32)


def _unexplained(
    change: np.ndarray, mean: np.ndarray, across: np.ndarray, down: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What of a change [n, H, W] of pictures no movement of the camera explains, [n, H, W], and its typical size [n].

    across, down   the gradients of the pictures `mean` between before and after, all [n, H, W]

    The typical size is the median without its sign, as a standard deviation, and at least NOISE_LEVELS.
    """
    y, x = np.meshgrid(_axis(change.shape[1]), _axis(change.shape[2]), indexing="ij")
    sparse = np.s_[:, ::2, ::2]  # enough for eight unknowns
    a, d = across[sparse], down[sparse]
    u, v = x[::2, ::2], y[::2, ::2]
    causes = np.stack([a, a * u, a * v, d, d * u, d * v, np.ones_like(a), mean[sparse] / 64], axis=-1)
    causes, wanted = causes.reshape(len(a), -1, 8), change[sparse].reshape(len(a), -1, 1)
    weights, ridge = np.ones_like(wanted), 0.01 * np.eye(8, dtype=np.float32)
    for _ in range(REWEIGHTINGS):
        weighted = (causes * weights).transpose(0, 2, 1)
        found = np.linalg.solve(weighted @ causes + ridge, weighted @ wanted)  # [n, 8, 1]
        left = np.abs(wanted - causes @ found)
        typical = 1.48 * np.median(left, axis=1, keepdims=True) + NOISE_LEVELS  # [n, 1, 1]
        weights = 1 / np.square(1 + np.square(left / (OUTLIER_FACTOR * typical)))
    c = found[:, :, :, None]  # [n, 8, 1, 1]
    camera = across * (c[:, 0] + c[:, 1] * x + c[:, 2] * y) + down * (c[:, 3] + c[:, 4] * x + c[:, 5] * y)
    return change - camera - c[:, 6] - c[:, 7] * mean / 64, typical[:, 0, 0]


def _axis(n: int) -> np.ndarray:
    """Places of `n` pixels from edge to edge, -1 to 1, float32 [n]."""
    return ((2 * np.arange(n) + 1) / n - 1).astype(np.float32)
