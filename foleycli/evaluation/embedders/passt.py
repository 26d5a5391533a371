"""PaSST (Koutini et al., Interspeech 2022): logits of AudioSet's 527 classes, and an embedding of 768.

A vision transformer over a mel spectrogram of 10 s, in patches of 16 by 16 every 10.  As in av-benchmark, shorter
sounds are padded with silence, longer ones cut into pieces of 10 s, the last one padded.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.dsp.mel import mel_filterbank
from foleycli.evaluation.embedders.base import Embedding, build, read_published

RATE_HZ = 32000
PIECE = 10 * RATE_HZ
FFT, WINDOW, HOP, N_MELS = 1024, 800, 320, 128
HIGH_HZ = 15000.0
PRE_EMPHASIS = 0.97
PATCH, STRIDE = 16, 10
GRID = (12, 99)  # patches over frequency and over 10 s
N_CLASSES = 527
UNUSED = "head_dist."  # the head of the distillation token


class Passt(nn.Module):
    """Sound [B, N] of up to 10 s to embeddings [B, D] and logits [B, N_CLASSES]; names are the publisher's."""

    def __init__(self, width: int = 768, n_blocks: int = 12, n_heads: int = 12) -> None:
        super().__init__()
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(1, width, PATCH, STRIDE)})
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.dist_token = nn.Parameter(torch.zeros(1, 1, width))
        self.new_pos_embed = nn.Parameter(torch.zeros(1, 2, width))  # of the two tokens
        self.freq_new_pos_embed = nn.Parameter(torch.zeros(1, width, GRID[0], 1))
        self.time_new_pos_embed = nn.Parameter(torch.zeros(1, width, 1, GRID[1]))
        self.blocks = nn.Sequential(*(Block(width, n_heads) for _ in range(n_blocks)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, N_CLASSES))

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        patches = self.patch_embed["proj"](log_mel(samples)[:, None])  # [B, D, 12, T]
        patches = patches + self.time_new_pos_embed[..., : patches.shape[3]] + self.freq_new_pos_embed
        tokens = torch.cat([self.cls_token, self.dist_token], dim=1) + self.new_pos_embed
        x = torch.cat([tokens.expand(len(samples), -1, -1), patches.flatten(2).transpose(1, 2)], dim=1)
        embeddings = self.norm(self.blocks(x))[:, :2].mean(dim=1)
        return embeddings, self.head(embeddings)


class Block(nn.Module):
    """Attention and two layers, each normalised before and added, [B, T, D]."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.attn["qkv"](self.norm1(x)).unflatten(2, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(*qkv).transpose(1, 2).flatten(2)  # [B, T, D]
        x = x + self.attn["proj"](attended)
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class PasstEmbedder:
    """The network on sound of any length: an embedding for every 10 s, the mean of their logits."""

    rate_hz = RATE_HZ

    def __init__(self, network: Passt, device: torch.device) -> None:
        self.network, self.device = network.to(device), device

    @torch.inference_mode()
    def embed(self, samples: np.ndarray) -> Embedding:
        n_pieces = max(1, -(-len(samples) // PIECE))
        pieces = np.pad(samples, (0, n_pieces * PIECE - len(samples))).reshape(n_pieces, PIECE)
        outputs = [self.network(torch.from_numpy(piece)[None].to(self.device)) for piece in pieces]
        embeddings, logits = (torch.cat(part).float().cpu().numpy() for part in zip(*outputs, strict=True))
        return Embedding(embeddings, logits.mean(axis=0))


def load(path: Path, device: torch.device) -> PasstEmbedder:
    """From PaSST's file, passt-s-f128-p16-s10-ap.476-swa.pt."""
    state = {key: value for key, value in read_published(path).items() if not key.startswith(UNUSED)}
    return PasstEmbedder(build(Passt, state, path), device)


def log_mel(samples: Tensor) -> Tensor:
    """Scaled log of power in mel bands of [B, N] at 32 kHz: [B, N_MELS, T], frames centred."""
    emphasised = samples[:, 1:] - PRE_EMPHASIS * samples[:, :-1]
    window = torch.hann_window(WINDOW, periodic=False, device=samples.device)
    spectrum = torch.stft(
        emphasised, FFT, hop_length=HOP, win_length=WINDOW, window=window, return_complex=True, pad_mode="reflect"
    )
    filters = mel_filterbank(RATE_HZ, FFT, N_MELS, high_hz=HIGH_HZ, scale="htk", linear_in="mel")
    power = filters.float().to(samples.device) @ spectrum.abs().square()
    return ((power + 1e-5).log() + 4.5) / 5
