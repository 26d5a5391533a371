"""DeSync: by how much a sound is out of time with its picture, by Synchformer (Iashin et al., arXiv 2401.16423).

The whole published network, `24-01-04T16-39-21`: the visual tower that MMAudio uses, an audio spectrogram transformer,
and three blocks that look at both and name one of 21 offsets, -2 to 2 s.  As av-benchmark does, the first and the last
4.8 s are asked; DeSync is the mean of both absolute offsets.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.evaluation.compare import watched
from foleycli.evaluation.listeners.base import filled, read_published, triangles
from foleycli.evaluation.metrics.offset import OFFSETS_S
from foleycli.features.synchformer import PREFIX, Synchformer
from foleycli.nn.motionformer import Gather, MotionformerConfig, load_tower

RATE_HZ = 16000
SEGMENT, STEP = 10240, 5120  # samples: 0.64 s, as many as the visual tower's 16 pictures
N_SEGMENTS = 14  # that are compared at once: 4.8 s
N_STEPS = 8  # vectors that the visual tower makes of a segment
FFT, WINDOW, HOP, N_MELS = 1024, 400, 160, 128
FRAMES = 66  # of a segment's spectrogram
MEAN, DEVIATION = -4.2677393, 4.5689974  # of the spectrograms that it was trained on
PATCH, STRIDE = 16, 10
GRID = (12, 6)  # patches of a segment over frequency and time


class SoundTower(nn.Module):
    """Spectrograms [B, N_MELS, FRAMES] to what is heard, [B, 6, D]; names are the publisher's."""

    def __init__(self, shape: MotionformerConfig) -> None:
        super().__init__()
        width = shape.width
        self.ast = nn.ModuleDict({
            "embeddings": Embeddings(width),
            "encoder": nn.ModuleDict({"layer": nn.ModuleList(Layer(shape) for _ in range(shape.n_blocks))}),
            "layernorm": nn.LayerNorm(width, eps=1e-12),
        })  # fmt: skip
        self.freq_attn_agg = Gather(shape)

    def forward(self, spectrograms: Tensor) -> Tensor:
        x = self.ast["embeddings"](spectrograms)
        for layer in self.ast["encoder"]["layer"]:
            x = layer(x)
        patches = self.ast["layernorm"](x)[:, 2:].unflatten(1, GRID).transpose(1, 2)  # [B, 6, 12, D]
        return self.freq_attn_agg(patches.flatten(0, 1)).unflatten(0, (-1, GRID[1]))


class Embeddings(nn.Module):
    """Patches of a spectrogram behind two tokens of their own, [B, 2 + 72, D]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.distillation_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position_embeddings = nn.Parameter(torch.zeros(1, 2 + GRID[0] * GRID[1], width))
        self.patch_embeddings = nn.ModuleDict({"projection": nn.Conv2d(1, width, PATCH, STRIDE)})

    def forward(self, spectrograms: Tensor) -> Tensor:
        patches = self.patch_embeddings["projection"](spectrograms[:, None]).flatten(2).transpose(1, 2)
        first = torch.cat([self.cls_token, self.distillation_token], dim=1).expand(len(patches), -1, -1)
        return torch.cat([first, patches], dim=1) + self.position_embeddings


class Layer(nn.Module):
    """Attention and two layers, each normalised before and added, under the names of a Hub network."""

    def __init__(self, shape: MotionformerConfig) -> None:
        super().__init__()
        width, self.n_heads = shape.width, shape.n_heads
        self.layernorm_before, self.layernorm_after = (nn.LayerNorm(width, eps=1e-12) for _ in range(2))
        heads = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        out = nn.ModuleDict({"dense": nn.Linear(width, width)})
        self.attention = nn.ModuleDict({"attention": heads, "output": out})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, shape.hidden)})
        self.output = nn.ModuleDict({"dense": nn.Linear(shape.hidden, width)})

    def forward(self, x: Tensor) -> Tensor:
        heard = attended(self.attention["attention"], self.layernorm_before(x), self.n_heads)
        x = x + self.attention["output"]["dense"](heard)
        return x + self.output["dense"](F.gelu(self.intermediate["dense"](self.layernorm_after(x))))


class Comparison(nn.Module):
    """What is seen and heard, [B, 14 * 8, D] and [B, 14 * 6, D], to logits over OFFSETS_S [B, 21]."""

    def __init__(self, width: int, n_blocks: int = 3, n_heads: int = 8) -> None:
        super().__init__()
        n_tokens = 2 + N_SEGMENTS * (N_STEPS + GRID[1])
        self.vis_in_lnorm, self.aud_in_lnorm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.OFF_tok = nn.Parameter(torch.zeros(1, 1, width))
        self.MOD_tok = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_emb_cfg = nn.ParameterDict({"pos_emb": nn.Parameter(torch.zeros(1, n_tokens, width))})
        self.blocks = nn.Sequential(*(Joint(width, n_heads) for _ in range(n_blocks)))
        self.ln_f = nn.LayerNorm(width)
        self.off_head = nn.Linear(width, len(OFFSETS_S))

    def forward(self, seen: Tensor, heard: Tensor) -> Tensor:
        answer, between = (token.expand(len(seen), -1, -1) for token in (self.OFF_tok, self.MOD_tok))
        x = torch.cat([answer, self.vis_in_lnorm(seen), between, self.aud_in_lnorm(heard)], dim=1)
        x = self.blocks(x + self.pos_emb_cfg["pos_emb"])
        return self.off_head(self.ln_f(x)[:, 0])


class Joint(nn.Module):
    """Attention and two layers, each normalised before and added."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value", "proj")})
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn["proj"](attended(self.attn, self.ln1(x), self.n_heads))
        return x + self.mlp(self.ln2(x))


def attended(heads: nn.ModuleDict, x: Tensor, n_heads: int) -> Tensor:
    """Attention of tokens [B, T, D] to one another, before its last projection."""
    split = (heads[name](x).unflatten(2, (n_heads, -1)).transpose(1, 2) for name in ("query", "key", "value"))
    return F.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2)


class Judge(nn.Module):
    """All of the file but its visual tower."""

    def __init__(self, shape: MotionformerConfig) -> None:
        super().__init__()
        self.afeat_extractor = SoundTower(shape)
        self.vproj, self.aproj = nn.Linear(shape.width, shape.width), nn.Linear(shape.width, shape.width)
        self.transformer = Comparison(shape.width)


class Desync:
    """A picture and a sound to seconds out of time."""

    rate_hz = RATE_HZ

    def __init__(self, eyes: Synchformer, judge: Judge, device: torch.device) -> None:
        self.eyes, self.judge, self.device = eyes, judge.to(device), device

    @torch.inference_mode()
    def measure(self, samples: np.ndarray, picture: Path) -> float | None:
        """DeSync in s of mono [N] at RATE_HZ with a video; None where they share less than 4.8 s."""
        if len(samples) < SEGMENT + (N_SEGMENTS - 1) * STEP:
            return None
        segments = torch.from_numpy(samples).unfold(0, SEGMENT, STEP)  # [S, SEGMENT]
        seen = watched(picture, self.eyes).values.unflatten(1, (N_STEPS, -1))  # [S, 8, D]
        if (n := min(len(seen), len(segments))) < N_SEGMENTS:
            return None
        spectrograms = log_mel(segments[:n].to(self.device))
        heard = torch.cat([self.judge.afeat_extractor(batch) for batch in spectrograms.split(8)])  # [S, 6, D]
        return float(np.mean([abs(self.offset_s(seen[part], heard[part])) for part in first_and_last(n)]))

    def offset_s(self, seen: Tensor, heard: Tensor) -> float:
        """The likeliest of OFFSETS_S for 14 segments, [14, 8, D] and [14, 6, D]."""
        seen = self.judge.vproj(seen.to(self.device)).flatten(0, 1)[None]
        logits = self.judge.transformer(seen, self.judge.aproj(heard).flatten(0, 1)[None])
        return float(OFFSETS_S[int(logits.argmax())])


def first_and_last(n: int) -> tuple[slice, slice]:
    """The segments that are compared, of n."""
    return slice(0, N_SEGMENTS), slice(n - N_SEGMENTS, n)


def load(path: Path, device: torch.device, shape: MotionformerConfig | None = None) -> Desync:
    """From `synchformer_state_dict.pth`, the file that MMAudio and av-benchmark use."""
    state, shape = read_published(path), shape or MotionformerConfig()
    rest = {key: value for key, value in state.items() if not key.startswith(PREFIX)}
    judge = filled(lambda: Judge(shape), rest, path)
    tower = load_tower(state, PREFIX, shape).to(device)
    return Desync(Synchformer(tower, batch=16 if device.type == "cuda" else 2), judge, device)


def log_mel(segments: Tensor) -> Tensor:
    """Scaled log of power in mel bands of each segment [S, SEGMENT]: [S, N_MELS, FRAMES], the last frame empty."""
    window = torch.hann_window(WINDOW, device=segments.device)
    spectrum = torch.stft(segments, FFT, HOP, WINDOW, window, return_complex=True, pad_mode="reflect")
    power = torch.from_numpy(mel_bank()).to(segments.device) @ spectrum.abs().square()
    level = F.pad((power + 1e-6).log(), (0, FRAMES - spectrum.shape[2]))
    return (level - MEAN) / (2 * DEVIATION)


@cache
def mel_bank() -> np.ndarray:
    """Triangles of height 1, straight in Hz, between edges on O'Shaughnessy's mel scale: [N_MELS, 1 + FFT / 2]."""
    edges_hz = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + RATE_HZ / 2 / 700), N_MELS + 2) / 2595) - 1)
    return triangles(edges_hz, np.linspace(0, RATE_HZ / 2, 1 + FFT // 2)).astype(np.float32)
