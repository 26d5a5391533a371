"""DeSync: by how much a sound is out of time with its picture, by Synchformer (Iashin et al., arXiv 2401.16423).

The whole published network, `24-01-04T16-39-21`: the visual tower that MMAudio uses, an audio spectrogram transformer,
and a transformer over both that classifies one of 21 offsets, -2 to 2 s.  As in av-benchmark, the first and the last
4.8 s are classified; DeSync is the mean of both absolute offsets.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.dsp.mel import mel_filterbank
from foleycli.evaluation.embedders.base import build, read_published
from foleycli.evaluation.metrics.offset import OFFSETS_S, mean_offset_ms
from foleycli.evaluation.synchrony import extract_stream
from foleycli.features.synchformer import PREFIX, Synchformer
from foleycli.nn.motionformer import MotionformerConfig, PatchPooling, load_tower

RATE_HZ = 16000
SEGMENT, STEP = 10240, 5120  # samples: 0.64 s, as many as the visual tower's 16 pictures
N_SEGMENTS = 14  # classified at once: 4.8 s
N_STEPS = 8  # vectors that the visual tower makes of a segment
FFT, WINDOW, HOP, N_MELS = 1024, 400, 160, 128
FRAMES = 66  # of a segment's spectrogram
MEAN, DEVIATION = -4.2677393, 4.5689974  # of the spectrograms that it was trained on
PATCH, STRIDE = 16, 10
GRID = (12, 6)  # patches of a segment over frequency and time


class AudioTower(nn.Module):
    """Spectrograms [B, N_MELS, FRAMES] to vectors [B, 6, D]; names are the publisher's."""

    def __init__(self, shape: MotionformerConfig) -> None:
        super().__init__()
        self.ast = SpectrogramTransformer(shape)
        self.freq_attn_agg = PatchPooling(shape)

    def forward(self, spectrograms: Tensor) -> Tensor:
        patches = self.ast(spectrograms)[:, 2:].unflatten(1, GRID).transpose(1, 2)  # [B, 6, 12, D]
        return self.freq_attn_agg.pool(patches.flatten(0, 1)).unflatten(0, (-1, GRID[1]))


class SpectrogramTransformer(nn.Module):
    """The Hub's audio spectrogram transformer: [B, N_MELS, FRAMES] to [B, 2 + 72, D]."""

    def __init__(self, shape: MotionformerConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(shape.width)
        self.encoder = nn.ModuleDict({"layer": nn.Sequential(*(AstLayer(shape) for _ in range(shape.n_blocks)))})
        self.layernorm = nn.LayerNorm(shape.width, eps=1e-12)

    def forward(self, spectrograms: Tensor) -> Tensor:
        return self.layernorm(self.encoder["layer"](self.embeddings(spectrograms)))


class Embeddings(nn.Module):
    """Patches of a spectrogram after two tokens of their own, [B, 2 + 72, D]."""

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


class AttentionHeads(nn.Module):
    """Multi-head attention [B, T, D] up to its last projection."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            linear(x).unflatten(2, (self.n_heads, -1)).transpose(1, 2) for linear in (self.query, self.key, self.value)
        )
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


class SelfAttention(AttentionHeads):
    """Multi-head attention [B, T, D]."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__(width, n_heads)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(super().forward(x))


class AstLayer(nn.Module):
    """A pre-norm transformer layer under the names of the Hub's network."""

    def __init__(self, shape: MotionformerConfig) -> None:
        super().__init__()
        width = shape.width
        self.layernorm_before, self.layernorm_after = (nn.LayerNorm(width, eps=1e-12) for _ in range(2))
        self.attention = nn.ModuleDict({
            "attention": AttentionHeads(width, shape.n_heads),
            "output": nn.Sequential(OrderedDict(dense=nn.Linear(width, width))),
        })  # fmt: skip
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, shape.hidden)})
        self.output = nn.ModuleDict({"dense": nn.Linear(shape.hidden, width)})

    def forward(self, x: Tensor) -> Tensor:
        attended = self.attention["attention"](self.layernorm_before(x))
        x = x + self.attention["output"](attended)
        return x + self.output["dense"](F.gelu(self.intermediate["dense"](self.layernorm_after(x))))


class OffsetTransformer(nn.Module):
    """Pictures [B, 14 * 8, D] and sound [B, 14 * 6, D] to logits over OFFSETS_S [B, 21]."""

    def __init__(self, width: int, n_blocks: int = 3, n_heads: int = 8) -> None:
        super().__init__()
        n_tokens = 2 + N_SEGMENTS * (N_STEPS + GRID[1])
        self.vis_in_lnorm, self.aud_in_lnorm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.OFF_tok = nn.Parameter(torch.zeros(1, 1, width))
        self.MOD_tok = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_emb_cfg = nn.ParameterDict({"pos_emb": nn.Parameter(torch.zeros(1, n_tokens, width))})
        self.blocks = nn.Sequential(*(OffsetBlock(width, n_heads) for _ in range(n_blocks)))
        self.ln_f = nn.LayerNorm(width)
        self.off_head = nn.Linear(width, len(OFFSETS_S))

    def forward(self, pictures: Tensor, sound: Tensor) -> Tensor:
        offset, separator = (token.expand(len(pictures), -1, -1) for token in (self.OFF_tok, self.MOD_tok))
        x = torch.cat([offset, self.vis_in_lnorm(pictures), separator, self.aud_in_lnorm(sound)], dim=1)
        x = self.blocks(x + self.pos_emb_cfg["pos_emb"])
        return self.off_head(self.ln_f(x)[:, 0])


class OffsetBlock(nn.Module):
    """A pre-norm transformer layer, [B, T, D]."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = SelfAttention(width, n_heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class OffsetClassifier(nn.Module):
    """All of the file but its visual tower."""

    def __init__(self, shape: MotionformerConfig) -> None:
        super().__init__()
        self.afeat_extractor = AudioTower(shape)
        self.vproj, self.aproj = nn.Linear(shape.width, shape.width), nn.Linear(shape.width, shape.width)
        self.transformer = OffsetTransformer(shape.width)


class DesyncScorer:
    """A video and a sound to DeSync."""

    rate_hz = RATE_HZ

    def __init__(self, visual_tower: Synchformer, classifier: OffsetClassifier, device: torch.device) -> None:
        self.visual_tower, self.classifier, self.device = visual_tower, classifier.to(device), device
        self._latest: tuple[Path, Tensor] | None = None

    def scores(self, samples: np.ndarray, video: Path) -> dict[str, float]:
        """DeSync in s, and V-AURA's Sync in ms: the absolute offset of the clip's first 4.8 s."""
        offsets_s = self.offsets_s(samples, video)
        if offsets_s is None:
            return {}
        return {"desync_s": float(np.mean(np.abs(offsets_s))), "sync_ms": mean_offset_ms(offsets_s[:1])}

    def score(self, samples: np.ndarray, video: Path) -> float | None:
        """DeSync in s of mono [N] at RATE_HZ with a video; None where they share less than 4.8 s."""
        return self.scores(samples, video).get("desync_s")

    @torch.inference_mode()
    def offsets_s(self, samples: np.ndarray, video: Path) -> tuple[float, float] | None:
        """By how much the first and the last 4.8 s are late; None where sound and video share less."""
        if len(samples) < SEGMENT + (N_SEGMENTS - 1) * STEP:
            return None
        segments = torch.from_numpy(samples).unfold(0, SEGMENT, STEP)  # [S, SEGMENT]
        pictures = self._pictures(video)
        if (n := min(len(pictures), len(segments))) < N_SEGMENTS:
            return None
        spectrograms = log_mel(segments[:n].to(self.device))
        sound = torch.cat([self.classifier.afeat_extractor(batch) for batch in spectrograms.split(8)])  # [S, 6, D]
        first, last = (self.offset_s(pictures[part], sound[part]) for part in first_and_last(n))
        return first, last

    def _pictures(self, video: Path) -> Tensor:
        """What the visual tower makes of a video, [S, 8, D]; that of the latest one is kept."""
        if self._latest is None or self._latest[0] != video:
            self._latest = video, extract_stream(video, self.visual_tower).values.unflatten(1, (N_STEPS, -1))
        return self._latest[1]

    def offset_s(self, pictures: Tensor, sound: Tensor) -> float:
        """The likeliest of OFFSETS_S for 14 segments, [14, 8, D] and [14, 6, D]."""
        pictures = self.classifier.vproj(pictures.to(self.device)).flatten(0, 1)[None]
        logits = self.classifier.transformer(pictures, self.classifier.aproj(sound).flatten(0, 1)[None])
        return float(OFFSETS_S[int(logits.argmax())])


def first_and_last(n: int) -> tuple[slice, slice]:
    """The segments that are classified, of n."""
    return slice(0, N_SEGMENTS), slice(n - N_SEGMENTS, n)


def load(path: Path, device: torch.device, shape: MotionformerConfig | None = None) -> DesyncScorer:
    """From `synchformer_state_dict.pth`, the file that MMAudio and av-benchmark use."""
    state, shape = read_published(path), shape or MotionformerConfig()
    rest = {key: value for key, value in state.items() if not key.startswith(PREFIX)}
    classifier = build(lambda: OffsetClassifier(shape), rest, path)
    tower = load_tower(path, PREFIX, shape, tensors=state, device=device)
    return DesyncScorer(Synchformer(tower, batch=16 if device.type == "cuda" else 2), classifier, device)


def log_mel(segments: Tensor) -> Tensor:
    """Scaled log of power in mel bands of each segment [S, SEGMENT]: [S, N_MELS, FRAMES], the last frame empty."""
    window = torch.hann_window(WINDOW, device=segments.device)
    spectrum = torch.stft(
        segments, FFT, hop_length=HOP, win_length=WINDOW, window=window, return_complex=True, pad_mode="reflect"
    )
    filters = mel_filterbank(RATE_HZ, FFT, N_MELS, scale="htk")
    power = filters.float().to(segments.device) @ spectrum.abs().square()
    level = F.pad((power + 1e-6).log(), (0, FRAMES - spectrum.shape[2]))
    return (level - MEAN) / (2 * DEVIATION)
