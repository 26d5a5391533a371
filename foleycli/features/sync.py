"""The synchronisation encoder: when does the picture sound?

SALSA-V's contrastive audio-visual encoder (papers.md 1.2) at laptop size: pictures at 25 per second in,
one vector per picture out.  A video tower and an audio tower are trained so that the sound and the
picture of the same 0.64 s of the same clip agree and all other pairs do not (sigmoid loss).  Two
small heads, event and loudness, are trained beside them; what they say rides along with the vector.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.dsp.mel import log_mel
from foleycli.dsp.peaks import pick_peaks
from foleycli.errors import FoleyError
from foleycli.features.base import Extractor
from foleycli.features.row_buffer import RowBuffer
from foleycli.records import Stream
from foleycli.timebase import FEATURE_FPS
from foleycli.weights.folder import load_weights, read_config

SNIPPET_FRAMES = 16  # 0.64 s at 25 fps: the unit of the contrastive loss
LOUDNESS_RANGE_DB = 60.0  # of the loudness head: 0 is so far below full scale, 1 is full scale
N_EXTRAS = 2  # event and loudness, appended to every vector


@dataclass(frozen=True)
class SyncConfig:
    """The shape of both towers."""

    size_px: int = 96  # pictures are brought to a square of this size
    inputs: str = "differences+picture"  # what of them the tower is shown: see INPUT_FORMS
    width: int = 128  # of the vectors
    video_channels: tuple[int, int, int] = (32, 64, 96)
    kernel_frames: int = 5  # of the convolutions over time in each cell
    n_queries: int = 4  # of the attention pool over the picture
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    audio_rate_hz: int = 44100
    n_mels: int = 64
    audio_channels: tuple[int, ...] = (32, 64, 96)

    def to_dict(self) -> dict:
        return asdict(self)

    @staticmethod
    def from_dict(values: dict) -> SyncConfig:
        return SyncConfig(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})

    @property
    def context_frames(self) -> int:
        """Pictures on either side that a vector can see: the overlap of chunked extraction."""
        return self.shown_frames + 2 * (self.kernel_frames // 2) + sum(self.dilations)

    @property
    def shown_frames(self) -> int:
        """How many pictures away the input of one picture reaches."""
        return {"picture": 0, "wide": 2}.get(self.inputs, 1)

    def __post_init__(self) -> None:
        if self.inputs not in INPUT_FORMS:
            raise FoleyError(f"inputs is {self.inputs!r}", f"one of: {', '.join(INPUT_FORMS)}")


def differences(grey: Tensor, apart: int = 1) -> list[Tensor]:
    """[B, T, H, W] to what changed since `apart` pictures before and what will have changed so long after.

    At the ends, where there is no before or no after, the difference is zero.
    """
    change = (grey[:, apart:] - grey[:, :-apart]) * 4  # differences are small: bring them to the picture's size
    blank = torch.zeros_like(grey[:, :apart])
    both = torch.cat([blank, change], dim=1), torch.cat([change, blank], dim=1)
    return [channel[:, : grey.shape[1]] for channel in both]


def normal_flow(grey: Tensor) -> list[Tensor]:
    """[B, T, H, W] to the motion along the brightness gradient, across and down, in pixels per picture (clipped).

    The part of optical flow that a single pixel tells (Horn and Schunck 1981, equation 2).
    """
    across, down = torch.gradient(grey, dim=(3, 2))
    before, _ = differences(grey)
    speed = -(before / 4) / (across.square() + down.square() + 1e-3)
    return [(speed * across).clamp(-2, 2), (speed * down).clamp(-2, 2)]


def _picture(grey: Tensor) -> list[Tensor]:
    return [grey - 0.5]


def _stacked(*forms: Callable[[Tensor], list[Tensor]]) -> Callable[[Tensor], Tensor]:
    """[B, T, H, W] to [B, T, C, H, W]: the channels of all forms."""
    return lambda grey: torch.stack([channel for form in forms for channel in form(grey)], dim=2)


# What the video tower can be shown, and its channels.  Change carried over from drawn to filmed video better than
# flow did; two pictures apart still see change where a slow camera's frames are repeated.
INPUT_FORMS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "differences+picture": (_stacked(differences, _picture), 3),
    "differences": (_stacked(differences), 2),
    "picture": (_stacked(_picture), 1),
    "wide": (_stacked(differences, _picture, lambda grey: differences(grey, apart=2)), 5),
    "flow+picture": (_stacked(normal_flow, _picture), 3),
}


class VideoTower(nn.Module):
    """Grey pictures [B, T, H, W] in 0..1 to one vector per picture [B, T, D]."""

    def __init__(self, config: SyncConfig) -> None:
        super().__init__()
        a, b, c = config.video_channels
        k = config.kernel_frames
        self.show, n_channels = INPUT_FORMS[config.inputs]
        self.stem = nn.Conv2d(n_channels, a, kernel_size=4, stride=4)
        self.down1 = nn.Conv2d(a, b, kernel_size=3, stride=2, padding=1)
        self.time1 = CellConvolution(b, k)
        self.down2 = nn.Conv2d(b, c, kernel_size=3, stride=2, padding=1)
        self.time2 = CellConvolution(c, k)
        self.pool = AttentionPool(c, config.n_queries)
        self.project = nn.Linear(c * (config.n_queries + 1), config.width)
        self.blocks = nn.ModuleList(TimeBlock(config.width, dilation) for dilation in config.dilations)

    def forward(self, grey: Tensor) -> Tensor:
        n_batch, n_frames = grey.shape[:2]
        x = self.stem(self.show(grey).flatten(0, 1))  # [B*T, a, H/4, W/4]
        x = self.time1(self.down1(F.relu(x)), n_frames)  # [B*T, b, H/8, W/8]
        x = self.time2(self.down2(F.relu(x)), n_frames)  # [B*T, c, H/16, W/16]
        x = self.project(self.pool(x)).unflatten(0, (n_batch, n_frames))  # [B, T, D]
        x = x.transpose(1, 2)  # [B, D, T]
        for block in self.blocks:
            x = block(x)
        return x.transpose(1, 2)


class CellConvolution(nn.Module):
    """A convolution over time in every cell of the picture, channel by channel, then across channels; residual."""

    def __init__(self, channels: int, kernel_frames: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        pad = (kernel_frames // 2, 0)
        self.over_time = nn.Conv2d(channels, channels, (kernel_frames, 1), padding=pad, groups=channels)
        self.mix = nn.Conv2d(channels, channels, kernel_size=1)

    def forward(self, x: Tensor, n_frames: int) -> Tensor:
        """[B*T, C, h, w] to the same shape."""
        _, channels, height, width = x.shape
        y = F.relu(self.norm(x)).unflatten(0, (-1, n_frames))  # [B, T, C, h, w]
        y = y.permute(0, 2, 1, 3, 4).flatten(3)  # [B, C, T, cells]
        y = self.mix(F.relu(self.over_time(y)))
        y = y.unflatten(3, (height, width)).permute(0, 2, 1, 3, 4)  # [B, T, C, h, w]
        return x + y.flatten(0, 1)


class AttentionPool(nn.Module):
    """A few learned questions to the cells of a picture (MAP head), and their mean."""

    def __init__(self, channels: int, n_queries: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.queries = nn.Conv2d(channels, n_queries, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] to [B, (queries + 1) * C]."""
        cells = F.relu(self.norm(x))
        weights = self.queries(cells).flatten(2).softmax(dim=2)  # [B, Q, cells]
        answers = weights @ cells.flatten(2).transpose(1, 2)  # [B, Q, C]
        return torch.cat([answers.flatten(1), cells.mean(dim=(2, 3))], dim=1)


class TimeBlock(nn.Module):
    """Two convolutions over time, residual."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.mix = nn.Conv1d(width, width, kernel_size=3, dilation=dilation, padding=dilation)
        self.out = nn.Conv1d(width, width, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, D, T] to the same shape."""
        return x + self.out(F.gelu(self.mix(F.gelu(self.norm(x)))))


class ChannelNorm(nn.Module):
    """Layer norm over the channels of [B, D, T]: no statistics over time, so that chunks agree."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


class AudioTower(nn.Module):
    """Sound [B, N] to one vector per snippet [B, S, D], snippets of 16 pictures in a row."""

    def __init__(self, config: SyncConfig) -> None:
        super().__init__()
        self.config = config
        sizes = [1, *config.audio_channels]
        self.layers = nn.ModuleList(
            nn.Conv2d(n_in, n_out, 3, stride=2, padding=1) for n_in, n_out in zip(sizes, sizes[1:], strict=False)
        )
        n_bands = config.n_mels // 2 ** len(config.audio_channels)
        self.project = nn.Linear(sizes[-1] * n_bands, config.width)

    def forward(self, samples: Tensor, starts: Tensor) -> Tensor:
        """`starts`, int64 [S]: the first picture of each snippet."""
        x = self.frames(samples)
        first = starts // 2  # two pictures per audio step
        return torch.stack([x[:, f : f + SNIPPET_FRAMES // 2].mean(dim=1) for f in first.tolist()], dim=1)

    def frames(self, samples: Tensor) -> Tensor:
        """Sound [B, N] to what is heard, [B, T, D] at 12.5 Hz."""
        hop = self.config.audio_rate_hz // 100
        x = log_mel(samples, self.config.audio_rate_hz, 2048, hop, self.config.n_mels)  # [B, mels, frames], 100 Hz
        x = (x[:, None].transpose(2, 3) + 3.5) / 1.5  # [B, 1, frames, mels], about -1..1
        for layer in self.layers:
            x = F.gelu(layer(x))
        return self.project(x.transpose(1, 2).flatten(2))


class SyncEncoder(nn.Module):
    """Both towers, the two heads and the sigmoid loss's temperature and bias."""

    def __init__(self, config: SyncConfig) -> None:
        super().__init__()
        self.config = config
        self.video = VideoTower(config)
        self.audio = AudioTower(config)
        self.norm = nn.LayerNorm(config.width)
        self.heads = nn.Linear(config.width, N_EXTRAS)
        nn.init.constant_(self.heads.bias, -2.0)
        self.to_shared = nn.Linear(config.width, config.width)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))  # SigLIP's start: t' = log 10, b = -10
        self.bias = nn.Parameter(torch.tensor(-10.0))

    @property
    def dim(self) -> int:
        """Width of a feature vector: the tower's, and event and loudness."""
        return self.config.width + N_EXTRAS

    def forward(self, grey: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Grey [B, T, H, W] to vectors [B, T, D], event logits [B, T] and loudness [B, T] (0: -60 dB, 1: 0 dB)."""
        vectors = self.norm(self.video(grey).float())  # [B, T, D]
        event, loudness = self.heads(vectors).float().unbind(dim=2)
        return vectors, event, loudness

    def features(self, grey: Tensor) -> Tensor:
        """What a generator reads, [B, T, D + 2]: the vector, event probability, loudness."""
        vectors, event, loudness = self(grey)
        return torch.cat([vectors, event.sigmoid()[..., None], loudness[..., None]], dim=2)

    def video_snippets(self, vectors: Tensor, starts: Tensor) -> Tensor:
        """Mean over each snippet's pictures, in the space that both towers share: [B, S, D], unit length."""
        pieces = [vectors[:, s : s + SNIPPET_FRAMES].mean(dim=1) for s in starts.tolist()]
        return F.normalize(self.to_shared(torch.stack(pieces, dim=1)), dim=2)

    def audio_snippets(self, samples: Tensor, starts: Tensor) -> Tensor:
        return F.normalize(self.audio(samples, starts).float(), dim=2)  # [B, S, D]


def prepare(frames: Tensor, size_px: int) -> Tensor:
    """Pictures uint8 [B, T, H, W, 3] (any size) to grey [B, T, size, size] in 0..1."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=frames.device)
    grey = (frames.float() @ weights) / 255  # [B, T, H, W]
    if grey.shape[-2:] == (size_px, size_px):
        return grey
    return F.interpolate(grey, size=(size_px, size_px), mode="bilinear", antialias=True, align_corners=False)


def load(folder: Path, device: torch.device) -> SyncEncoder:
    """A trained encoder from its weights folder."""
    encoder = SyncEncoder(SyncConfig.from_dict(read_config(folder)["network"]))
    load_weights(encoder, folder)
    return encoder.eval().requires_grad_(False).to(device)


def load_extractor(folder: Path, device: torch.device, dtype: torch.dtype) -> SyncExtractor:
    """The encoder as an extractor; it runs in float32 whatever the model's `dtype`: it is small."""
    return SyncExtractor(load(folder, device), read_config(folder)["event_threshold"])


class SyncExtractor(Extractor):
    """The encoder as one of the picture features: see `features.base.Extractor`."""

    name = "sync"
    rate_hz = FEATURE_FPS
    frame_step = 1

    def __init__(self, encoder: SyncEncoder, event_threshold: float) -> None:
        self.encoder, self.event_threshold = encoder, event_threshold
        self.dim = encoder.dim

    def start(self) -> SyncSession:
        return SyncSession(self.encoder)

    def events_s(self, stream: Stream) -> list[float]:
        """When something sounds, by the event head."""
        curve = stream.values[:, -N_EXTRAS].float().cpu().numpy()
        return [float(time) for time in pick_peaks(curve, float(self.rate_hz), self.event_threshold)]

    def loudness_db(self, stream: Stream) -> np.ndarray:
        """How loud it is, by the loudness head: dB [T], LOUDNESS_RANGE_DB of them at most."""
        seen = stream.values[:, -1].float().cpu().numpy()
        return (np.clip(seen, 0.0, 1.0) - 1.0) * LOUDNESS_RANGE_DB


class SyncSession:
    """One video on its way through the encoder, in overlapping pieces.

    A vector sees `context_frames` on either side, so that pieces with so much overlap give exactly what
    the whole video at once would give.
    """

    PIECE_FRAMES = 100

    def __init__(self, encoder: SyncEncoder) -> None:
        self.encoder = encoder
        self.margin = encoder.config.context_frames
        self.grey: Tensor | None = None  # [1, T, H, W], what is still needed
        self.n_before = 0  # of its first pictures: context only
        self.made = RowBuffer(encoder.dim)

    def push(self, frames: np.ndarray) -> None:
        if len(frames) == 0:
            return
        device = self.encoder.bias.device
        grey = prepare(torch.from_numpy(frames).to(device)[None], self.encoder.config.size_px)  # [1, n, H, W]
        self.grey = grey if self.grey is None else torch.cat([self.grey, grey], dim=1)
        while self.grey.shape[1] >= self.n_before + self.PIECE_FRAMES + self.margin:
            self._make(self.PIECE_FRAMES, self.margin)

    def finish(self) -> Stream:
        if self.grey is not None:
            self._make(self.grey.shape[1] - self.n_before, 0)
        return Stream(self.made.all(), FEATURE_FPS)

    @torch.inference_mode()
    def _make(self, n_new: int, n_after: int) -> None:
        """Vectors of the next `n_new` pictures; then forget what no later vector can see."""
        if n_new == 0:
            return
        seen = self.grey[:, : self.n_before + n_new + n_after]
        vectors = self.encoder.features(seen)[0, self.n_before : self.n_before + n_new]  # [n_new, D]
        self.made.append(vectors)
        kept = min(self.margin, self.n_before + n_new)
        self.grey = self.grey[:, self.n_before + n_new - kept :]
        self.n_before = kept
