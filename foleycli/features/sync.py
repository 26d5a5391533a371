"""The synchronisation encoder: when does what the picture shows make a sound, and how loud?

SALSA-V's contrastive audio-visual encoder (arXiv 2510.02916) at laptop size: 25 frames per second in, one vector per
frame out.  A video tower and an audio tower are trained so that sound and picture of the same 0.64 s of the same clip
are near each other and all other pairs are not (sigmoid loss: Zhai et al., arXiv 2303.15343).  Two small heads, event
and loudness, are trained beside them; their outputs are appended to the vector.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foleycli.dsp.mel import log_mel
from foleycli.dsp.peaks import pick_peaks
from foleycli.errors import FoleyError
from foleycli.features.base import Extractor
from foleycli.features.row_buffer import RowBuffer
from foleycli.nn.linear import Linear
from foleycli.records import Stream
from foleycli.settings.checking import bounded, short_repr
from foleycli.timebase import FEATURE_FPS
from foleycli.weights.checkpoint import load_strict
from foleycli.weights.config import network_config, read_config

SNIPPET_FRAMES = 16  # 0.64 s at 25 fps: the unit of the contrastive loss
LOUDNESS_RANGE_DB = 60.0  # of the loudness head, whose output 0 is so far below full scale and 1 full scale
N_EXTRAS = 2  # event and loudness, appended to every vector
NO_EVENT, SURE_EVENT = 0.02, 0.95  # of the event column, where an event is marked by hand
MARKED_STEPS = 2.5  # to either side of it
PIECE_FRAMES = 200  # encoded at once, with some 40 more around them


@dataclass(frozen=True)
class SyncConfig:
    """The shape of both towers."""

    size_px: int = bounded(16, 1024, default=96)  # frames are resized to a square of this side
    inputs: str = "differences+picture"  # the tower's input channels: see INPUT_FORMS
    width: int = 128  # of the vectors
    video_channels: tuple[int, int, int] = (32, 64, 96)
    kernel_frames: int = bounded(1, 64, default=5)  # of the convolutions over time in each cell
    n_queries: int = 4  # of the attention pooling over the frame
    dilations: tuple[int, ...] = bounded(1, 1024, default=(1, 2, 4, 8))
    audio_rate_hz: int = bounded(8000, 384_000, default=44100)
    n_mels: int = 64
    audio_channels: tuple[int, ...] = (32, 64, 96)

    def __post_init__(self) -> None:
        if self.inputs not in INPUT_FORMS:
            raise FoleyError(f"inputs is {short_repr(self.inputs)}", f"One of: {', '.join(INPUT_FORMS)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for config.json."""
        return asdict(self)

    @property
    def context_frames(self) -> int:
        """Frames to either side that a vector depends on: the overlap of chunked extraction."""
        input_frames = {"picture": 0, "wide": 2}.get(self.inputs, 1)
        return input_frames + 2 * (self.kernel_frames // 2) + sum(self.dilations)


def differences(grey: Tensor, apart: int = 1) -> list[Tensor]:
    """Grey frames [B, T, H, W] to their differences from the frame `apart` before, and to the one `apart` after.

    At the ends, where there is no such frame, the difference is zero.
    """
    change = (grey[:, apart:] - grey[:, :-apart]) * 4  # differences are small: bring them to the size of grey values
    blank = torch.zeros_like(grey[:, :apart])
    both = torch.cat([blank, change], dim=1), torch.cat([change, blank], dim=1)
    return [channel[:, : grey.shape[1]] for channel in both]


def normal_flow(grey: Tensor) -> list[Tensor]:
    """Grey frames [B, T, H, W] to motion along the brightness gradient, across and down, in pixels per frame, clipped.

    The part of optical flow that a single pixel determines (Horn and Schunck, 1981, equation 2).
    """
    across, down = torch.gradient(grey, dim=(3, 2))
    before, _ = differences(grey)
    speed = -(before / 4) / (across.square() + down.square() + 1e-3)
    return [(speed * across).clamp(-2, 2), (speed * down).clamp(-2, 2)]


def _picture(grey: Tensor) -> list[Tensor]:
    return [grey - 0.5]


def _stacked(*forms: Callable[[Tensor], list[Tensor]]) -> Callable[[Tensor], Tensor]:
    """A function that makes the channels of all forms: [B, T, H, W] to [B, T, C, H, W]."""
    return lambda grey: torch.stack([channel for form in forms for channel in form(grey)], dim=2)


# What the video tower can take in, and how many channels that makes.  Differences carried over from drawn to filmed
# video better than flow did; "wide" still finds differences where a slow camera's frames are repeated.
INPUT_FORMS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "differences+picture": (_stacked(differences, _picture), 3),
    "differences": (_stacked(differences), 2),
    "picture": (_stacked(_picture), 1),
    "wide": (_stacked(differences, _picture, lambda grey: differences(grey, apart=2)), 5),
    "flow+picture": (_stacked(normal_flow, _picture), 3),
}


class VideoTower(nn.Module):
    """Grey frames [B, T, H, W] in 0..1 to one vector per frame [B, T, D]."""

    def __init__(self, config: SyncConfig) -> None:
        super().__init__()
        a, b, c = config.video_channels
        k = config.kernel_frames
        self.to_channels, n_channels = INPUT_FORMS[config.inputs]
        self.stem = nn.Conv2d(n_channels, a, kernel_size=4, stride=4)
        self.down1 = nn.Conv2d(a, b, kernel_size=3, stride=2, padding=1)
        self.time1 = CellConvolution(b, k)
        self.down2 = nn.Conv2d(b, c, kernel_size=3, stride=2, padding=1)
        self.time2 = CellConvolution(c, k)
        self.pool = AttentionPool(c, config.n_queries)
        self.project = Linear(c * (config.n_queries + 1), config.width)
        self.blocks = nn.ModuleList(TimeBlock(config.width, dilation) for dilation in config.dilations)

    def forward(self, grey: Tensor) -> Tensor:
        n_batch, n_frames = grey.shape[:2]
        x = self.stem(self.to_channels(grey).flatten(0, 1))  # [B*T, a, H/4, W/4]
        x = self.time1(self.down1(F.relu(x)), n_frames)  # [B*T, b, H/8, W/8]
        x = self.time2(self.down2(F.relu(x)), n_frames)  # [B*T, c, H/16, W/16]
        x = self.project(self.pool(x)).unflatten(0, (n_batch, n_frames))  # [B, T, D]
        x = x.transpose(1, 2)  # [B, D, T]
        for block in self.blocks:
            x = block(x)
        return x.transpose(1, 2)


class CellConvolution(nn.Module):
    """A convolution over time in every cell of the frame, channel by channel, then across channels; residual."""

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
    """Attention pooling of a frame's cells by a few learned queries (MAP head), and the mean of all cells."""

    def __init__(self, channels: int, n_queries: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.queries = nn.Conv2d(channels, n_queries, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] to [B, (queries + 1) * C]."""
        cells = F.relu(self.norm(x))
        weights = self.queries(cells).flatten(2).softmax(dim=2)  # [B, Q, cells]
        pooled = weights @ cells.flatten(2).transpose(1, 2)  # [B, Q, C]
        return torch.cat([pooled.flatten(1), cells.mean(dim=(2, 3))], dim=1)


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
    """Sound [B, N] to one vector per snippet [B, S, D], snippets of 16 frames in a row."""

    def __init__(self, config: SyncConfig) -> None:
        super().__init__()
        self.config = config
        sizes = [1, *config.audio_channels]
        self.layers = nn.ModuleList(
            nn.Conv2d(n_in, n_out, 3, stride=2, padding=1) for n_in, n_out in zip(sizes, sizes[1:], strict=False)
        )
        n_bands = config.n_mels // 2 ** len(config.audio_channels)
        self.project = Linear(sizes[-1] * n_bands, config.width)

    def forward(self, samples: Tensor, starts: Tensor) -> Tensor:
        """`starts`, int64 [S]: the first frame of each snippet."""
        x = self.frames(samples)
        first = starts // 2  # two frames per audio step
        return torch.stack([x[:, f : f + SNIPPET_FRAMES // 2].mean(dim=1) for f in first.tolist()], dim=1)

    def frames(self, samples: Tensor) -> Tensor:
        """Sound [B, N] to one vector per 80 ms, [B, T, D] at 12.5 Hz."""
        hop = self.config.audio_rate_hz // 100
        x = log_mel(samples, self.config.audio_rate_hz, n_fft=2048, hop=hop, n_mels=self.config.n_mels)  # at 100 Hz
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
        self.heads = Linear(config.width, N_EXTRAS)
        nn.init.constant_(self.heads.bias, -2.0)
        self.to_shared = Linear(config.width, config.width)
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
        """The stream that generators read, [B, T, D + 2]: vector, event probability, loudness."""
        vectors, event, loudness = self(grey)
        return torch.cat([vectors, event.sigmoid()[..., None], loudness[..., None]], dim=2)

    def video_snippets(self, vectors: Tensor, starts: Tensor) -> Tensor:
        """Mean over each snippet's frames, in the space that both towers share: [B, S, D], unit length."""
        pieces = [vectors[:, s : s + SNIPPET_FRAMES].mean(dim=1) for s in starts.tolist()]
        return F.normalize(self.to_shared(torch.stack(pieces, dim=1)), dim=2)

    def audio_snippets(self, samples: Tensor, starts: Tensor) -> Tensor:
        """Sound [B, N] to the same space: [B, S, D], unit length."""
        return F.normalize(self.audio(samples, starts).float(), dim=2)  # [B, S, D]


def to_grey(frames: Tensor, size_px: int) -> Tensor:
    """Frames uint8 [B, T, H, W, 3] of any size to grey [B, T, size, size] in 0..1."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=frames.device)
    is_of_size = frames.shape[2:4] == (size_px, size_px)
    if frames.device.type == "cpu" and not is_of_size:  # torch makes whole numbers smaller in half the time there
        pictures = frames.flatten(0, 1).permute(0, 3, 1, 2)  # [B * T, 3, H, W]
        frames, is_of_size = _resized(pictures, size_px).permute(0, 2, 3, 1).unflatten(0, frames.shape[:2]), True
    grey = (frames.float() @ weights) / 255  # [B, T, H, W]
    return grey if is_of_size else _resized(grey, size_px)


def _resized(pictures: Tensor, size_px: int) -> Tensor:
    """Pictures [n, C, H, W] at the size of a square."""
    return F.interpolate(pictures, size=(size_px, size_px), mode="bilinear", antialias=True, align_corners=False)


def load(folder: Path, device: torch.device) -> SyncEncoder:
    """A trained encoder from its weights folder."""
    config = read_config(folder)
    shape = network_config(SyncConfig, config.network, f"{folder}/config.json: network")
    encoder = load_strict(lambda: SyncEncoder(shape), folder / config.weights, device=device, on_meta=False)
    return encoder.eval().requires_grad_(False)


def load_extractor(folder: Path, device: torch.device, dtype: torch.dtype) -> SyncExtractor:
    """The encoder as an extractor; it is small and runs in float32, whatever the model's `dtype`."""
    threshold = read_config(folder).event_threshold
    if threshold is None:
        raise FoleyError(f"{folder}/config.json: 'event_threshold' is missing", "Get the model folder again")
    return SyncExtractor(load(folder, device), threshold)


class SyncExtractor(Extractor):
    """Extractor of the encoder's stream, whose last two columns are event probability and loudness."""

    name = "sync"
    rate_hz = FEATURE_FPS
    frame_step = 1

    def __init__(self, encoder: SyncEncoder, event_threshold: float) -> None:
        self.encoder, self.event_threshold = encoder, event_threshold
        self.dim = encoder.dim

    def start(self) -> SyncSession:
        return SyncSession(self.encoder)

    def events_s(self, stream: Stream) -> list[float]:
        """Seconds at which something makes a sound: the peaks of the event head above the threshold."""
        curve = stream.values[:, -N_EXTRAS].float().cpu().numpy()
        return [float(time) for time in pick_peaks(curve, float(self.rate_hz), self.event_threshold)]

    def event_strengths(self, stream: Stream, events_s: list[float]) -> np.ndarray:
        """The event probability at each event, float [E]."""
        curve = stream.values[:, -N_EXTRAS].float().cpu().numpy()
        steps = np.clip(np.round(np.asarray(events_s, np.float64) * float(self.rate_hz)).astype(int), 0, len(curve) - 1)
        return np.array([curve[max(0, step - 1) : step + 2].max() for step in steps])

    def mark_events(self, stream: Stream, events_s: Sequence[float] | None, start_s: float, end_s: float) -> Stream:
        """See `Extractor.mark_events`: the event column is lowered outside, and has a peak at each event that is given.

        The vectors stay as the picture made them.
        """
        values = stream.values.clone()
        curve = values[:, -N_EXTRAS]
        times_s = torch.arange(len(values)) / float(self.rate_hz)
        is_inside = ((times_s >= start_s - 1e-6) & (times_s < end_s - 1e-6)).to(curve.device)
        curve[~is_inside] = curve[~is_inside].clamp(max=NO_EVENT)
        if events_s is not None:
            curve[is_inside] = NO_EVENT
            for time_s in events_s:
                near = 1 - (times_s - time_s).abs() * float(self.rate_hz) / MARKED_STEPS
                curve[:] = torch.maximum(curve, SURE_EVENT * near.clamp(min=0).to(curve.device))
        return replace(stream, values=values)

    def loudness_db(self, stream: Stream) -> np.ndarray:
        """The loudness head's prediction: dB [T], -LOUDNESS_RANGE_DB to 0."""
        predicted = stream.values[:, -1].float().cpu().numpy()
        return (np.clip(predicted, 0.0, 1.0) - 1.0) * LOUDNESS_RANGE_DB


class SyncSession:
    """One video on its way through the encoder, in overlapping pieces.

    A vector depends on `context_frames` to either side, so that pieces with so much overlap give exactly what the whole
    video at once would give.
    """

    def __init__(self, encoder: SyncEncoder) -> None:
        self.encoder = encoder
        self.margin = encoder.config.context_frames
        side_px = encoder.config.size_px
        self.grey = torch.zeros(1, 0, side_px, side_px, device=encoder.bias.device)  # frames that are still needed
        self.n_before = 0  # of them, the first: context only
        self.vectors = RowBuffer(encoder.dim)

    def push(self, frames: np.ndarray) -> None:
        if len(frames) == 0:
            return
        pixels = torch.from_numpy(frames).to(self.grey.device)[None]
        grey = to_grey(pixels, self.encoder.config.size_px)  # [1, n, H, W]
        self.grey = torch.cat([self.grey, grey], dim=1)
        while self.grey.shape[1] >= self.n_before + PIECE_FRAMES + self.margin:
            self._encode(PIECE_FRAMES, self.margin)

    def finish(self) -> Stream:
        self._encode(self.grey.shape[1] - self.n_before, 0)
        return Stream(self.vectors.all(), FEATURE_FPS)

    @torch.inference_mode()
    def _encode(self, n_new: int, n_after: int) -> None:
        """Encode the next `n_new` frames with `n_after` more as context; forget those that no later vector needs."""
        if n_new == 0:
            return
        frames = self.grey[:, : self.n_before + n_new + n_after]
        vectors = self.encoder.features(frames)[0, self.n_before : self.n_before + n_new]  # [n_new, D]
        self.vectors.append(vectors)
        kept = min(self.margin, self.n_before + n_new)
        self.grey = self.grey[:, self.n_before + n_new - kept :]
        self.n_before = kept
