"""IB score: how near a sound and its picture lie to each other in ImageBind's space (Girdhar et al., arXiv 2305.05665).

The vision and the audio half of the published `imagebind_huge` (weights CC-BY-NC-SA 4.0).  As av-benchmark does it, the
picture is a frame every 2 s, each with the next one, in three crops; the sound is three pieces of 2 s.  The score is
the cosine of the two means.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.evaluation.listeners.base import filled, kaldi_bank, read_published
from foleycli.features.base import CLIP_MEAN, CLIP_STD
from foleycli.media.frames import read_frames
from foleycli.media.probe import probe

RATE_HZ = 16000
PIECE, N_PIECES = 2 * RATE_HZ, 3  # of the sound
WINDOW, HOP, FFT, N_MELS = 400, 160, 512, 128
LOW_HZ = 20.0
PRE_EMPHASIS = 0.97
FRAMES = 204  # of a piece's spectrogram; what is missing is zero
MEAN, DEVIATION = -4.268, 9.138  # of the spectrograms that it was trained on
SOUND_PATCH, SOUND_STRIDE, SOUND_GRID = 16, 10, (12, 19)
FPS = Fraction(1, 2)
N_CROPS = 3
SENSES = ("vision", "audio")
KEPT = tuple(f"modality_{part}.{sense}." for part in ("preprocessors", "trunks", "heads") for sense in SENSES)
BATCH = 4


@dataclass(frozen=True)
class ImageBindConfig:
    """The published network; smaller ones are for tests."""

    dim: int = 1024  # of the space that both halves share
    vision_width: int = 1280
    vision_blocks: int = 32
    vision_heads: int = 16
    audio_width: int = 768
    audio_blocks: int = 12
    audio_heads: int = 12
    side_px: int = 224
    patch_px: int = 14


class ImageBind(nn.Module):
    """Two senses, one space; names are the publisher's."""

    def __init__(self, config: ImageBindConfig) -> None:
        super().__init__()
        c, per_side, patch = config, config.side_px // config.patch_px, (2, config.patch_px, config.patch_px)
        pixels = nn.ModuleDict({"1": nn.Conv3d(3, c.vision_width, patch, patch, bias=False)})
        bands = nn.Conv2d(1, c.audio_width, SOUND_PATCH, SOUND_STRIDE, bias=False)
        self.modality_preprocessors = nn.ModuleDict({
            "vision": Tokens({"proj": pixels}, per_side**2, c.vision_width),
            "audio": Tokens({"proj": bands, "norm_layer": nn.LayerNorm(c.audio_width)},
                            SOUND_GRID[0] * SOUND_GRID[1], c.audio_width),
        })  # fmt: skip
        self.modality_trunks = nn.ModuleDict({
            "vision": Trunk(c.vision_width, c.vision_blocks, c.vision_heads, is_vision=True),
            "audio": Trunk(c.audio_width, c.audio_blocks, c.audio_heads, is_vision=False),
        })  # fmt: skip
        widths = {"vision": c.vision_width, "audio": c.audio_width}
        self.modality_heads = nn.ModuleDict({
            sense: nn.ModuleDict({"0": nn.LayerNorm(width, eps=1e-6), "2": nn.Linear(width, c.dim, bias=False)})
            for sense, width in widths.items()
        })  # fmt: skip

    def see(self, pixels: Tensor) -> Tensor:
        """Pairs of pictures [B, 3, 2, H, W], normalised, to vectors of unit length [B, D]."""
        stem = self.modality_preprocessors["vision"].rgbt_stem["proj"]["1"]
        return self._placed("vision", stem(pixels).flatten(2).transpose(1, 2))

    def hear(self, spectrograms: Tensor) -> Tensor:
        """Spectrograms [B, N_MELS, FRAMES], normalised, to vectors of unit length [B, D]."""
        stem = self.modality_preprocessors["audio"].rgbt_stem
        patches = stem["proj"](spectrograms[:, None]).flatten(2).transpose(1, 2)
        return self._placed("audio", stem["norm_layer"](patches))

    def _placed(self, sense: str, patches: Tensor) -> Tensor:
        x = self.modality_trunks[sense](self.modality_preprocessors[sense](patches))[:, 0]
        head = self.modality_heads[sense]
        return F.normalize(head["2"](head["0"](x)), dim=-1)


class Tokens(nn.Module):
    """Patches [B, T, D] behind a token of their own, with their places, [B, 1 + T, D]."""

    def __init__(self, stem: dict[str, nn.Module], n_patches: int, width: int) -> None:
        super().__init__()
        self.rgbt_stem = nn.ModuleDict(stem)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        places = nn.Parameter(torch.zeros(1, 1 + n_patches, width))
        self.pos_embedding_helper = nn.ParameterDict({"pos_embed": places})

    def forward(self, patches: Tensor) -> Tensor:
        x = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1)
        return x + self.pos_embedding_helper["pos_embed"]


class Trunk(nn.Module):
    """Pre-norm blocks in a row; the vision half is normed before them, the audio half attends to a learnt token too."""

    def __init__(self, width: int, n_blocks: int, n_heads: int, is_vision: bool) -> None:
        super().__init__()
        first = {"0": nn.LayerNorm(width, eps=1e-6)} if is_vision else {}
        self.pre_transformer_layer = nn.ModuleDict(first)
        self.blocks = nn.ModuleList(Block(width, n_heads, has_bias_kv=not is_vision) for _ in range(n_blocks))

    def forward(self, x: Tensor) -> Tensor:
        for layer in (*self.pre_transformer_layer.values(), *self.blocks):
            x = layer(x)
        return x


class Block(nn.Module):
    """Attention and two layers, each normalised before and added, [B, T, D]."""

    def __init__(self, width: int, n_heads: int, has_bias_kv: bool) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = nn.MultiheadAttention(width, n_heads, add_bias_kv=has_bias_kv, batch_first=True)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm_1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm_2(x))))


class ImageBindWitness:
    """A picture and a sound to the cosine of what they mean."""

    rate_hz = RATE_HZ

    def __init__(self, network: ImageBind, config: ImageBindConfig, device: torch.device) -> None:
        self.network, self.config, self.device = network.to(device), config, device

    @torch.inference_mode()
    def measure(self, samples: np.ndarray, picture: Path) -> float | None:
        """IB score, -1..1, of mono [N] at RATE_HZ with a video; None where the sound is shorter than a window."""
        if len(samples) < WINDOW:
            return None
        spectrograms = torch.stack([log_mel(piece) for piece in pieces(torch.from_numpy(samples))])
        heard = self._mean(self.network.hear, spectrograms)
        seen = self._mean(self.network.see, pairs(self._frames(picture)))
        return float(F.cosine_similarity(heard, seen, dim=0))

    def _mean(self, network, inputs: Tensor) -> Tensor:  # noqa: ANN001
        return torch.cat([network(batch.to(self.device)) for batch in inputs.split(BATCH)]).mean(dim=0)

    def _frames(self, picture: Path) -> Tensor:
        """A frame every 2 s in its three crops, normalised, [T, N_CROPS, 3, H, W]."""
        video, side_px = probe(picture), self.config.side_px
        short_px = min(video.width_px, video.height_px)
        sizes = [px * side_px // short_px for px in (video.width_px, video.height_px)]
        chunks = read_frames(video, FPS, *sizes, fit="squash", scaling="bicubic")
        frames = torch.from_numpy(np.concatenate(list(chunks))).permute(0, 3, 1, 2) / 255.0  # [T, 3, H, W]
        mean, deviation = (torch.tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
        return crops((frames - mean) / deviation, side_px)


def pieces(samples: Tensor) -> list[Tensor]:
    """N_PIECES of 2 s, evenly from the first to the last that fit [N]; of less than 2 s the whole, as often."""
    last = max(0, len(samples) - PIECE)
    starts = [int(last * k / (N_PIECES - 1)) for k in range(N_PIECES)]
    return [samples[start : start + PIECE] for start in starts]


def pairs(frames: Tensor) -> Tensor:
    """Each frame of [T, N_CROPS, 3, H, W] with the next, crop by crop, [B, 3, 2, H, W]; a lone one with itself."""
    if len(frames) == 1:
        frames = frames.repeat(2, 1, 1, 1, 1)
    return torch.stack([frames[:-1], frames[1:]], dim=3).flatten(0, 1)


def crops(frames: Tensor, side_px: int) -> Tensor:
    """Squares from both ends and the middle of the longer side of [T, 3, H, W]: [T, N_CROPS, 3, side, side]."""
    height_px, width_px = frames.shape[-2:]
    spare_px = max(height_px, width_px) - side_px
    starts = (0, -(-spare_px // 2), spare_px)
    side = slice(0, side_px)
    cut = [frames[..., s : s + side_px, side] if height_px > width_px else frames[..., side, s : s + side_px]
           for s in starts]  # fmt: skip
    return torch.stack(cut, dim=1)


def log_mel(samples: Tensor) -> Tensor:
    """Scaled log of power in mel bands of a piece [N], frames as Kaldi cuts them: [N_MELS, FRAMES]."""
    frames = (samples - samples.mean()).unfold(0, WINDOW, HOP)  # [T, WINDOW], none beyond the end
    frames = frames - frames.mean(dim=1, keepdim=True)
    before = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
    shaped = (frames - PRE_EMPHASIS * before) * torch.hann_window(WINDOW, periodic=False)
    power = torch.from_numpy(mel_bank()) @ torch.fft.rfft(shaped, FFT).abs().square().T  # [N_MELS, T]
    level = power.clamp_min(torch.finfo(torch.float32).eps).log()[:, :FRAMES]
    return (F.pad(level, (0, FRAMES - level.shape[1])) - MEAN) / DEVIATION


@cache
def mel_bank() -> np.ndarray:
    """See `kaldi_bank`, float32 [N_MELS, 1 + FFT / 2]."""
    return kaldi_bank(RATE_HZ, FFT, N_MELS, LOW_HZ, RATE_HZ / 2)


def load(path: Path, device: torch.device, config: ImageBindConfig | None = None) -> ImageBindWitness:
    """From `imagebind_huge.pth`; what it knows of text, depth, heat and motion is left out."""
    config = config or ImageBindConfig()
    state = {key: value for key, value in read_published(path).items() if key.startswith(KEPT)}
    return ImageBindWitness(filled(lambda: ImageBind(config), state, path), config, device)
