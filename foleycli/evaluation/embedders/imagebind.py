"""IB score: similarity of a sound and its picture in ImageBind's embedding space (Girdhar et al., arXiv 2305.05665).

The vision and the audio half of the published `imagebind_huge` (weights CC-BY-NC-SA 4.0).  As in av-benchmark, the
picture is a frame every 2 s, each with the next one, in three crops; the sound is three pieces of 2 s.  The score is
the cosine of the two means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.dsp.mel import mel_filterbank
from foleycli.evaluation.embedders.base import build, read_published
from foleycli.features.base import CLIP_MEAN, CLIP_STD
from foleycli.media.frames import read_frames
from foleycli.media.probe import probe

RATE_HZ = 16000
PIECE, N_PIECES = 2 * RATE_HZ, 3  # of the sound
WINDOW, HOP, FFT, N_MELS = 400, 160, 512, 128
LOW_HZ = 20.0
PRE_EMPHASIS = 0.97
FRAMES = 204  # of a piece's spectrogram; zeros where the piece is shorter
MEAN, DEVIATION = -4.268, 9.138  # of the spectrograms that it was trained on
AUDIO_PATCH, AUDIO_STRIDE, AUDIO_GRID = 16, 10, (12, 19)
FPS = Fraction(1, 2)
N_CROPS = 3
MODALITIES = ("vision", "audio")
KEPT = tuple(f"modality_{part}.{modality}." for part in ("preprocessors", "trunks", "heads") for modality in MODALITIES)
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
    """Pictures and sounds to one embedding space; names are the publisher's."""

    def __init__(self, config: ImageBindConfig) -> None:
        super().__init__()
        c, per_side, patch = config, config.side_px // config.patch_px, (2, config.patch_px, config.patch_px)
        # Where the published network has a layer without weights, an identity keeps the numbers of the others.
        pixels = nn.Sequential(nn.Identity(), nn.Conv3d(3, c.vision_width, patch, patch, bias=False))
        bands = nn.Conv2d(1, c.audio_width, AUDIO_PATCH, AUDIO_STRIDE, bias=False)
        self.modality_preprocessors = nn.ModuleDict({
            "vision": Tokens(pixels, nn.ModuleDict(), per_side**2, c.vision_width),
            "audio": Tokens(bands, nn.ModuleDict({"norm_layer": nn.LayerNorm(c.audio_width)}),
                            AUDIO_GRID[0] * AUDIO_GRID[1], c.audio_width),
        })  # fmt: skip
        self.modality_trunks = nn.ModuleDict({
            "vision": Trunk(c.vision_width, c.vision_blocks, c.vision_heads, is_vision=True),
            "audio": Trunk(c.audio_width, c.audio_blocks, c.audio_heads, is_vision=False),
        })  # fmt: skip
        widths = {"vision": c.vision_width, "audio": c.audio_width}
        self.modality_heads = nn.ModuleDict({
            modality: nn.Sequential(
                nn.LayerNorm(width, eps=1e-6), nn.Identity(), nn.Linear(width, c.dim, bias=False)
            )
            for modality, width in widths.items()
        })  # fmt: skip

    def embed_pictures(self, pixels: Tensor) -> Tensor:
        """Pairs of pictures [B, 3, 2, H, W], normalised, to vectors of unit length [B, D]."""
        return self._embed("vision", pixels)

    def embed_sound(self, spectrograms: Tensor) -> Tensor:
        """Spectrograms [B, N_MELS, FRAMES], normalised, to vectors of unit length [B, D]."""
        return self._embed("audio", spectrograms[:, None])

    def _embed(self, modality: str, inputs: Tensor) -> Tensor:
        tokens = self.modality_preprocessors[modality](inputs)
        return F.normalize(self.modality_heads[modality](self.modality_trunks[modality](tokens)[:, 0]), dim=-1)


class Tokens(nn.Module):
    """Pixels or spectrograms to patches after a token of their own, with position embeddings: [B, 1 + T, D]."""

    def __init__(self, projection: nn.Module, norms: nn.ModuleDict, n_patches: int, width: int) -> None:
        super().__init__()
        self.rgbt_stem = nn.ModuleDict({"proj": projection, **norms})
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        positions = nn.Parameter(torch.zeros(1, 1 + n_patches, width))
        self.pos_embedding_helper = nn.ParameterDict({"pos_embed": positions})

    def forward(self, inputs: Tensor) -> Tensor:
        patches = self.rgbt_stem["proj"](inputs).flatten(2).transpose(1, 2)  # [B, T, D]
        if "norm_layer" in self.rgbt_stem:
            patches = self.rgbt_stem["norm_layer"](patches)
        x = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1)
        return x + self.pos_embedding_helper["pos_embed"]


class Trunk(nn.Module):
    """Pre-norm blocks; vision is normed before them, audio attends to a learnt key and value too."""

    def __init__(self, width: int, n_blocks: int, n_heads: int, is_vision: bool) -> None:
        super().__init__()
        norms = [nn.LayerNorm(width, eps=1e-6)] if is_vision else []
        self.pre_transformer_layer = nn.Sequential(*norms)
        self.blocks = nn.Sequential(*(Block(width, n_heads, has_bias_kv=not is_vision) for _ in range(n_blocks)))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.pre_transformer_layer(x))


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


class ImageBindScorer:
    """A video and a sound to the IB score."""

    rate_hz = RATE_HZ

    def __init__(self, network: ImageBind, config: ImageBindConfig, device: torch.device) -> None:
        self.network, self.config, self.device = network.to(device), config, device
        self._latest: tuple[Path, Tensor] | None = None  # a video with its embedding [D]

    def scores(self, samples: np.ndarray, video: Path) -> dict[str, float]:
        """The IB score by its key."""
        score = self.score(samples, video)
        return {} if score is None else {"ib_score": score}

    @torch.inference_mode()
    def score(self, samples: np.ndarray, video: Path) -> float | None:
        """IB score, -1..1, of mono [N] at RATE_HZ with a video; None where the sound is shorter than a window."""
        if len(samples) < WINDOW:
            return None
        spectrograms = torch.stack([log_mel(piece) for piece in pieces(torch.from_numpy(samples))])
        sound = self._mean(self.network.embed_sound, spectrograms)
        if self._latest is None or self._latest[0] != video:
            self._latest = video, self._mean(self.network.embed_pictures, pairs(self.read_crops(video)))
        pictures = self._latest[1]
        return float(F.cosine_similarity(sound, pictures, dim=0))

    def _mean(self, network: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
        return torch.cat([network(batch.to(self.device)) for batch in inputs.split(BATCH)]).mean(dim=0)

    def read_crops(self, path: Path) -> Tensor:
        """A frame every 2 s in its three crops, normalised, [T, N_CROPS, 3, H, W]."""
        video, side_px = probe(path), self.config.side_px
        short_px = min(video.width_px, video.height_px)
        width_px, height_px = (px * side_px // short_px for px in (video.width_px, video.height_px))
        chunks = read_frames(video, FPS, width_px, height_px, fit="squash", scaling="bicubic")
        frames = torch.from_numpy(np.concatenate(list(chunks))).permute(0, 3, 1, 2) / 255.0  # [T, 3, H, W]
        mean, deviation = (torch.tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
        return crops((frames - mean) / deviation, side_px)


def pieces(samples: Tensor) -> list[Tensor]:
    """N_PIECES of 2 s, evenly spaced over [N]; of less than 2 s the whole, as often."""
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
    filters = mel_filterbank(RATE_HZ, FFT, N_MELS, low_hz=LOW_HZ, scale="htk", linear_in="mel")
    power = filters.float() @ torch.fft.rfft(shaped, FFT).abs().square().T  # [N_MELS, T]
    level = power.clamp_min(torch.finfo(torch.float32).eps).log()[:, :FRAMES]
    return (F.pad(level, (0, FRAMES - level.shape[1])) - MEAN) / DEVIATION


def load(path: Path, device: torch.device, config: ImageBindConfig | None = None) -> ImageBindScorer:
    """From `imagebind_huge.pth`; its parts for text, depth, thermal images and motion are left out."""
    config = config or ImageBindConfig()
    state = {key: value for key, value in read_published(path).items() if key.startswith(KEPT)}
    return ImageBindScorer(build(lambda: ImageBind(config), state, path), config, device)
