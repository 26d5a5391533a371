"""MMAudio's published keys, and a model folder of every one of its parts in miniature with made-up weights."""

from __future__ import annotations

import json
import lzma
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from madeup import FIXTURES, made_up_state, made_up_weight
from safetensors.torch import save_file
from torch import Tensor, nn

from foleycli.codecs.mmaudio.vae import VAE_16K, Vae
from foleycli.codecs.mmaudio.vocoder import BIGVGAN_16K, BigVGAN
from foleycli.families.mmaudio.config import MMAudioConfig
from foleycli.families.mmaudio.network import MMAudio
from foleycli.features.dfn_clip import ClipConfig, ClipText, ClipVision
from foleycli.nn.motionformer import Motionformer, MotionformerConfig

KEPT = ("filter", "data_mean", "data_std")  # buffers whose real values the numbers were measured with
NETWORK = {"latent_dim": 20, "width": 64, "n_heads": 2, "n_joint": 2, "n_fused": 1, "latent_rate_hz": "125/4",
           "window_steps": 250, "clip_dim": 32, "sync_dim": 24, "text_dim": 32}  # fmt: skip
SYNC = {"width": 24, "n_heads": 2, "n_blocks": 1, "hidden": 32, "size_px": 32}
CLIP = {"dim": 32, "vision_width": 32, "vision_blocks": 1, "vision_heads": 2, "grid": 4, "picture_px": 58,
        "text_width": 32, "text_blocks": 1, "text_heads": 2}  # fmt: skip


@cache
def published(name: str) -> dict[str, list[int]]:
    """Keys and shapes of a published file."""
    return json.loads(lzma.decompress((FIXTURES / "mmaudio_keys.json.xz").read_bytes()))[name]


def shapes(module: nn.Module, prefix: str = "") -> dict[str, list[int]]:
    return {prefix + key: list(value.shape) for key, value in module.state_dict().items()}


def made_up(module: nn.Module, gain: float = 1.0, prefix: str = "") -> dict[str, Tensor]:
    """Weights by the recipe for every key; the real values of buffers stay."""
    return {
        prefix + key: value if key.rpartition(".")[2] in KEPT else made_up_weight(prefix + key, value.shape, gain)
        for key, value in module.state_dict().items()
    }


def error_of(measured: Tensor, expected: np.ndarray) -> float:
    """Largest difference, in parts of the largest number."""
    wanted = torch.from_numpy(expected)
    assert measured.shape == wanted.shape
    return float((measured - wanted).abs().max() / wanted.abs().max())


def write_miniature(folder: Path) -> Path:
    """A folder of models; returns the one that renders."""
    _write(folder / "synchformer", {"kind": "sync", "class": "synchformer", "network": SYNC, "weights": "sync.pth"})
    tower = made_up_state(shapes(Motionformer(MotionformerConfig(**SYNC)), "vfeat_extractor."))
    torch.save(tower | {"afeat_extractor.unused": torch.zeros(1)}, folder / "synchformer" / "sync.pth")

    _write(folder / "dfn5b-clip", {"kind": "clip", "class": "dfn-clip", "network": CLIP})
    config = ClipConfig(**CLIP)
    clip = made_up(ClipVision(config), prefix="visual.") | made_up(ClipText(config))
    clip |= {"text_projection": torch.zeros(32, 32), "logit_scale": torch.zeros(())}
    save_file(clip, folder / "dfn5b-clip" / "model.safetensors")

    codec = {"kind": "codec", "class": "mmaudio", "network": "16k", "vae": "vae.pth", "vocoder": "vocoder.pt"}
    _write(folder / "mmaudio-codec-16k", codec | {"vae_width": 8, "vocoder_width": 64})
    torch.save(made_up(Vae(_narrow(VAE_16K, 8))), folder / "mmaudio-codec-16k" / "vae.pth")
    vocoder = {"generator": made_up(BigVGAN(_narrow(BIGVGAN_16K, 64)), 0.75)}
    torch.save(vocoder, folder / "mmaudio-codec-16k" / "vocoder.pt")

    model = folder / "mmaudio-miniature"
    parts = {"codec": "mmaudio-codec-16k", "sync": "synchformer", "semantic": "dfn5b-clip", "text": "dfn5b-clip"}
    _write(model, {"name": "mmaudio-miniature", "kind": "family", "family": "mmaudio", "network": NETWORK,
                   "weights": "net.pth", "sha256": "0" * 64, **parts})  # fmt: skip
    net = made_up(MMAudio(MMAudioConfig.parse(NETWORK)), 1.2)
    torch.save({name: value.half() for name, value in net.items()} | {"latent_rot": torch.zeros(1)}, model / "net.pth")
    return model


def _narrow(config, width: int):  # noqa: ANN001, ANN202 (either configuration)
    return replace(config, width=width)


def _write(folder: Path, config: dict) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
