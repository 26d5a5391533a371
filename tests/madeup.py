"""Made-up weights and inputs by a recipe that can be repeated; the numbers in tests/fixtures/ were measured with them.

A value depends on its name and shape alone: `X = Generator(PCG64(crc32("W:" + key)))`, scaled by what the key is.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FIXTURES = Path(__file__).parent / "fixtures"
SMALL = ("sync_pos_emb", "pos_embed", "temp_embed", "cls_token", "positional_embedding", "class_embedding")
EMPTY = ("empty_string_feat", "empty_clip_feat", "empty_sync_feat")


def made_up_weight(key: str, shape: Sequence[int], gain: float = 1.0) -> Tensor:
    """float32 `shape`; tensors of two dimensions and more are multiplied with `gain`."""
    x = _draw("W:" + key, shape)
    leaf = key.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    if leaf == "latent_mean" or leaf in ("alpha", "beta", "learnable_gain") or key.endswith(SMALL):
        x = 0.1 * x
    elif leaf in ("latent_std", "running_var"):
        x = 1 + 0.1 * abs(x)
    elif leaf in EMPTY:
        x = 0.5 * x
    elif leaf.endswith("bias"):
        x = 0.05 * x
    elif len(shape) == 1 and leaf == "weight":
        x = 1 + 0.1 * x
    else:
        x = x / math.sqrt(math.prod(shape[1:])) if len(shape) >= 2 else 0.1 * x
    made = torch.from_numpy(np.asarray(x, np.float32))
    return made * gain if made.ndim >= 2 else made


def made_up_state(shapes: Mapping[str, Sequence[int]], gain: float = 1.0, prefix: str = "") -> dict[str, Tensor]:
    """A state dict of these keys; the recipe sees each key with `prefix` before it."""
    return {key: made_up_weight(prefix + key, shape, gain) for key, shape in shapes.items()}


def made_up_input(name: str, shape: Sequence[int], scale: float = 1.0) -> Tensor:
    return torch.from_numpy((scale * _draw("X:" + name, shape)).astype(np.float32))


def made_up_codes(name: str, shape: Sequence[int], n_codes: int) -> Tensor:
    """int64 `shape` in 0..n_codes - 1."""
    return torch.from_numpy(_generator("X:" + name).integers(0, n_codes, shape, np.int64))


def _draw(name: str, shape: Sequence[int]) -> np.ndarray:
    return np.asarray(_generator(name).standard_normal(tuple(shape)))


def _generator(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
