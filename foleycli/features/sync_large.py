"""SALSA-V's contrastive audio-visual encoder at its own size (arXiv 2510.02916): one vector a frame, and its sound's.

A frozen VideoPrism under trained layers for the picture, an audio spectrogram transformer (AST, arXiv 2104.01778) for
the sound; both see snippets of 16 frames, 0.64 s at 25 fps (the paper: 24).  No weights are published: `foley train
sync-large` makes them.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.device import full_precision
from foleycli.dsp.mel import mel_spectrogram
from foleycli.features.base import Extractor, FrameFormat
from foleycli.features.row_buffer import RowBuffer
from foleycli.nn.embedding import random_vectors
from foleycli.nn.linear import Linear
from foleycli.nn.transformer import PlainBlock, attend, rotary_table
from foleycli.nn.videoprism import VideoPrism, VideoPrismConfig
from foleycli.records import Stream
from foleycli.settings.checking import bounded
from foleycli.timebase import FEATURE_FPS, exact_div
from foleycli.weights.checkpoint import load_strict
from foleycli.weights.config import network_config, read_config

SNIPPET_FRAMES = 16
SNIPPET_S = SNIPPET_FRAMES / float(FEATURE_FPS)
SNIPPETS_AT_ONCE = 8  # through the picture's tower, whose patches are many
MEL_HZ = 100  # frames of the spectrogram a second
PATCH, STRIDE = 16, 10  # of the spectrogram's patches (AST)
LOG_MEAN, LOG_STD = -4.2677, 4.5690  # of AudioSet's log-mels (AST)


@dataclass(frozen=True)
class SyncLargeConfig:
    """VideoPrism-B under 4 spatial and 2 temporal layers, and AST-B, as the paper has them; 768 wide throughout."""

    width: int = 768  # of the vectors that both towers give
    n_heads: int = 12
    n_spatial: int = 4  # trained layers over the patches of a frame
    n_temporal: int = 2  # and over the frames of a snippet
    size_px: int = bounded(16, 1024, default=288)
    patch_px: int = bounded(2, 256, default=18)
    backbone_width: int = 768
    backbone_heads: int = 12
    backbone_hidden: int = 3072
    backbone_spatial: int = 12
    backbone_temporal: int = 4
    audio_rate_hz: int = bounded(8000, 384_000, default=16000)
    n_mels: int = bounded(16, 1024, default=128)
    audio_width: int = 768
    audio_heads: int = 12
    n_audio: int = 12  # layers of the sound's tower

    def to_dict(self) -> dict[str, Any]:
        """Plain values for config.json."""
        return asdict(self)

    @property
    def backbone(self) -> VideoPrismConfig:
        return VideoPrismConfig(
            width=self.backbone_width,
            n_heads=self.backbone_heads,
            hidden=self.backbone_hidden,
            n_spatial=self.backbone_spatial,
            n_temporal=self.backbone_temporal,
            size_px=self.size_px,
            patch_px=self.patch_px,
            n_frames=SNIPPET_FRAMES,
        )

    @property
    def snippet_samples(self) -> int:
        return round(SNIPPET_S * self.audio_rate_hz)


class AttentionPool(nn.Module):
    """Tokens [N, L, D] to one vector [N, D]: a learned query attends to them (MAP head, arXiv 2106.04560)."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = random_vectors(width)
        self.key_value, self.attended = Linear(width, 2 * width), Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.inner, self.out = Linear(width, 4 * width), Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        key, value = (
            self.key_value(x).unflatten(-1, (2, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        )  # [N, H, L, head_dim]
        query = self.query.to(key.dtype).unflatten(0, (1, self.n_heads, 1, -1)).expand(len(x), -1, -1, -1)
        pooled = self.attended(attend(query, key, value)[:, 0])
        return pooled + self.out(F.gelu(self.inner(self.norm(pooled))))


class PictureTower(nn.Module):
    """Snippets [N, 16, 3, H, W], RGB in 0..1, to a vector a frame [N, 16, D]."""

    def __init__(self, config: SyncLargeConfig) -> None:
        super().__init__()
        width, n_heads = config.width, config.n_heads
        self.head_dim = exact_div(width, n_heads)
        self.backbone = VideoPrism(config.backbone)
        self.inner = Linear(config.backbone_width, width)
        self.spatial = nn.ModuleList(PlainBlock(width, n_heads, 4 * width) for _ in range(config.n_spatial))
        self.pool = AttentionPool(width, n_heads)
        self.temporal = nn.ModuleList(PlainBlock(width, n_heads, 4 * width) for _ in range(config.n_temporal))
        self.norm = nn.LayerNorm(width)

    def forward(self, snippets: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.backbone.layernorm1.weight.requires_grad):
            patches = self.backbone(snippets)  # [N, 16, P, D]
        x = self.inner(patches.flatten(0, 1))  # [N*16, P, D]
        table = rotary_table(x.shape[1], self.head_dim, device=x.device)
        for block in self.spatial:
            x = block(x, table)
        x = self.pool(x).unflatten(0, snippets.shape[:2])  # [N, 16, D]
        table = rotary_table(x.shape[1], self.head_dim, device=x.device)
        for block in self.temporal:
            x = block(x, table)
        return self.norm(x)


class SoundTower(nn.Module):
    """Sound of snippets [N, samples] to their tokens [N, time steps, bands, D] (AST without its class tokens)."""

    def __init__(self, config: SyncLargeConfig) -> None:
        super().__init__()
        self.config = config
        width = config.audio_width
        self.head_dim = exact_div(width, config.audio_heads)
        self.n_steps, self.n_bands = ((n - PATCH) // STRIDE + 1 for n in (round(SNIPPET_S * MEL_HZ), config.n_mels))
        self.patches = nn.Conv2d(1, width, PATCH, stride=STRIDE)
        self.positions = random_vectors(self.n_steps * self.n_bands, width, std=0.02)
        self.blocks = nn.ModuleList(PlainBlock(width, config.audio_heads, 4 * width) for _ in range(config.n_audio))
        self.norm = nn.LayerNorm(width)

    def forward(self, samples: Tensor) -> Tensor:
        x = self.patches(self.spectrogram(samples)[:, None]).flatten(2).transpose(1, 2) + self.positions
        table = rotary_table(x.shape[1], self.head_dim, device=x.device)
        for block in self.blocks:
            x = block(x, table)
        return self.norm(x).unflatten(1, (self.n_steps, self.n_bands))

    @torch.no_grad()
    def spectrogram(self, samples: Tensor) -> Tensor:
        """Log-mels [N, frames, mels], brought to AudioSet's mean and spread."""
        rate_hz = self.config.audio_rate_hz
        with full_precision(samples.device):
            mels = mel_spectrogram(
                samples, rate_hz=rate_hz, n_fft=rate_hz // 40, hop=rate_hz // MEL_HZ, n_mels=self.config.n_mels
            )
        frames = mels[..., : round(SNIPPET_S * MEL_HZ)].float().square().clamp_min(1e-10).log().transpose(1, 2)
        return (frames - LOG_MEAN) / (2 * LOG_STD)


class SyncLarge(nn.Module):
    """Both towers, and the sigmoid loss's temperature and bias."""

    def __init__(self, config: SyncLargeConfig) -> None:
        super().__init__()
        self.config = config
        self.picture = PictureTower(config)
        self.sound = SoundTower(config)
        self.sound_out = Linear(config.audio_width, config.width)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))  # SigLIP's start: t' = log 10, b = -10
        self.bias = nn.Parameter(torch.tensor(-10.0))

    def forward(self, pictures: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Snippets uint8 [B, S, 16, H, W, 3] and their sound [B, S, N] to vectors [B, S, D] each, of length 1."""
        shape = pictures.shape[:2]
        seen = self.frames(pictures.flatten(0, 1)).mean(dim=1)
        heard = self.sound_out(self.sound(samples.flatten(0, 1)).mean(dim=(1, 2)))
        return tuple(F.normalize(x.float(), dim=-1).unflatten(0, shape) for x in (seen, heard))  # type: ignore[return-value]  # of two

    def frames(self, pictures: Tensor) -> Tensor:
        """Snippets uint8 [N, 16, H, W, 3] to a vector a frame [N, 16, D]."""
        parts = [part.movedim(-1, 2).float() / 255 for part in pictures.split(SNIPPETS_AT_ONCE)]
        return torch.cat([self.picture(part) for part in parts])

    def audio_features(self, samples: Tensor) -> Tensor:
        """Sound [1, N] to a vector for two frames, [1, T / 2, D]: what MaskVAT's encoder learns to predict."""
        n, n_samples = self.config.snippet_samples, samples.shape[1]
        padded = F.pad(samples, (0, -n_samples % n)).unflatten(1, (-1, n))[0]  # [S, n]
        tokens = self.sound_out(self.sound(padded).mean(dim=2)).transpose(1, 2)  # [S, D, steps]
        even = F.interpolate(tokens, SNIPPET_FRAMES // 2, mode="linear").transpose(1, 2)  # [S, 8, D]
        return even.flatten(0, 1)[None, : round(n_samples / self.config.audio_rate_hz * float(FEATURE_FPS) / 2)]


def load(folder: Path, device: torch.device) -> SyncLarge:
    """A trained encoder from its weights folder."""
    config = read_config(folder)
    shape = network_config(SyncLargeConfig, config.network, f"{folder}/config.json: network")
    encoder = load_strict(lambda: SyncLarge(shape), folder / config.weights, device=device)
    return encoder.eval().requires_grad_(False)


def load_extractor(folder: Path, device: torch.device, dtype: torch.dtype) -> SyncLargeExtractor:
    """The encoder as an extractor."""
    return SyncLargeExtractor(load(folder, device).to(dtype))


class SyncLargeExtractor(Extractor):
    """Extractor of one vector a frame; it predicts no events."""

    name = "sync"
    rate_hz = FEATURE_FPS
    frame_step = 1

    def __init__(self, encoder: SyncLarge) -> None:
        self.encoder, self.dim = encoder, encoder.config.width
        self.frame_format = FrameFormat(encoder.config.size_px)

    def start(self) -> SyncLargeSession:
        return SyncLargeSession(self.encoder)


class SyncLargeSession:
    """One video on its way through the encoder, snippet by snippet."""

    def __init__(self, encoder: SyncLarge) -> None:
        side_px = encoder.config.size_px
        self.encoder = encoder
        self.pending = np.zeros((0, side_px, side_px, 3), np.uint8)  # frames of incomplete snippets
        self.vectors = RowBuffer(encoder.config.width)

    def push(self, frames: np.ndarray) -> None:
        self.pending = np.concatenate([self.pending, frames])
        n_whole = len(self.pending) // SNIPPET_FRAMES * SNIPPET_FRAMES
        if n_whole:
            self._encode(self.pending[:n_whole], n_whole)
            self.pending = self.pending[n_whole:]

    def finish(self) -> Stream:
        if n_left := len(self.pending):  # the last frame is repeated until the snippet is full
            filled = np.concatenate([self.pending, np.repeat(self.pending[-1:], SNIPPET_FRAMES - n_left, axis=0)])
            self._encode(filled, n_left)
        return Stream(self.vectors.all(), FEATURE_FPS)

    @torch.inference_mode()
    def _encode(self, frames: np.ndarray, n_kept: int) -> None:
        pictures = torch.from_numpy(frames).to(self.encoder.bias.device).unflatten(0, (-1, SNIPPET_FRAMES))
        self.vectors.append(self.encoder.frames(pictures).flatten(0, 1)[:n_kept].float().cpu())
