"""How the loudness of a video moves over seconds, by the shipped head; see `features.dynamics`."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from foleycli.features.dynamics import DynamicsHead, curves_of, load
from foleycli.hub.resolve import resolve

HEAD = "dynamics-mini"


@torch.inference_mode()
def predict_dynamics_db(loudness_db: np.ndarray | None, motion: np.ndarray | None) -> np.ndarray | None:
    """Loudness over seconds, float32 [T] in dB of any reference; None where no loudness is predicted at all.

    loudness_db   [T], by the encoder
    motion        float32 [T, 2], the last two columns of `features.position.MotionPosition`; None: as if nothing moved
    """
    if loudness_db is None or not len(loudness_db):
        return None
    if motion is None or not len(motion):
        motion = np.zeros((len(loudness_db), 2), np.float32)
    predicted: np.ndarray = _shipped_head()(curves_of(loudness_db, motion)[None])[0].numpy()
    return predicted


@cache
def _shipped_head() -> DynamicsHead:
    """The shipped head, on the CPU; read once in a process."""
    return load(resolve(HEAD))
