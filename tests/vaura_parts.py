"""A small V-AURA checkpoint under the published names, filled with made-up weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from madeup import made_up_state

from foleycli.codecs.dac import Dac, DacConfig
from foleycli.families.vaura.config import VAuraConfig
from foleycli.families.vaura.network import VAura
from foleycli.nn.motionformer import Motionformer, MotionformerConfig

NETWORK = VAuraConfig(width=192, n_heads=2, n_layers=2, codebook_size=16, visual_width=64, visual_dim=64)
TOWER = MotionformerConfig(width=64, n_heads=1, n_blocks=1, hidden=32, size_px=32)
CODEC = DacConfig(encoder_dim=4, decoder_dim=32, codebook_size=16)


def checkpoint_weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    codec = {f"audio_encoder.{key}": value.half() for key, value in Dac(CODEC).state_dict().items()}
    state = {}
    for prefix, build in (
        ("sampler.", lambda: VAura(NETWORK)),
        ("visual_feature_extractor.", lambda: Motionformer(TOWER)),
    ):
        with torch.device("meta"):
            shapes = {key: value.shape for key, value in build().state_dict().items()}
        made = made_up_state(shapes, gain=1.2, prefix=prefix)
        state |= {prefix + key: value for key, value in made.items()}
    state["visual_feature_extractor.patch_embed.proj.weight"] = torch.zeros(64, 3, 16, 16)
    state["visual_feature_extractor.patch_embed.proj.bias"] = torch.zeros(64)
    return state | codec


def save_checkpoint(path: Path, state: dict[str, torch.Tensor] | None = None, **more: Any) -> Path:
    """A file as Lightning writes it."""
    state = checkpoint_weights() if state is None else state
    torch.save({"epoch": 3, "global_step": 10, "pytorch-lightning_version": "2.2.0", "state_dict": state, **more}, path)
    return path
