"""The values that cross folder borders, and the letters of the axes.  Imports no torch.

Axis letters, the same everywhere:
    B batch          T video frames or feature steps     L latent steps
    D width          K codebooks                         C audio channels
    N audio samples  H W pixels
Flow time runs from 0 (noise) to 1 (data).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

# How the library reports progress, to whoever draws it: stage name, units done, units in all (0: unknown).
Report = Callable[[str, float, float], None]


def silent(stage: str, done: float, total: float) -> None:
    """A `Report` that nobody reads."""


@dataclass(frozen=True)
class Video:
    """What a probe found out about a video file; times are seconds on the file's own clock."""

    path: Path
    duration_s: float  # from the first picture to the end of the last one
    start_s: float  # time stamp of the first picture; 0 in most files
    fps: Fraction  # average over the file when the rate varies
    n_frames: int  # exact when the container says so, else duration x fps
    width_px: int  # as shown, after rotation
    height_px: int
    rotation_deg: int  # 0, 90, 180 or 270, clockwise, that a player applies
    video_codec: str
    pixel_format: str
    has_audio: bool
    audio_rate_hz: int  # 0 without sound
    audio_channels: int  # 0 without sound
    audio_codec: str = ""  # ffmpeg's name, such as "pcm_s24le" or "aac"; "" without sound
    is_mirrored: bool = False  # left and right are swapped by a player, after the rotation
    notes: tuple[str, ...] = ()  # what is odd about the file, for the user


@dataclass(frozen=True)
class Audio:
    """Sound in memory: float32 samples [C, N] in -1..1 at `rate_hz`."""

    samples: np.ndarray
    rate_hz: int

    @property
    def duration_s(self) -> float:
        return self.samples.shape[-1] / self.rate_hz


@dataclass(frozen=True)
class Stream:
    """One feature on its own time line: step k is at k / rate_hz seconds from the video's start."""

    values: Tensor  # float32 [T, D]
    rate_hz: Fraction
    late_s: float = 0.0  # in a window: how much later its steps begin, since its grid is the whole video's


@dataclass(frozen=True)
class Features:
    """A family's inputs from a video (or from one window of it)."""

    streams: dict[str, Stream]  # by extractor name: "sync", "semantic"
    text: Tensor  # the prompt, float32 [D] or, for families that read sequences, [T, D]; zeros: there is none
    negative_text: Tensor | None = None  # like `text`; None: the learned empty condition


@dataclass(frozen=True)
class Window:
    """A piece of the latent axis that is sampled at once.

    Latent steps [start_step, start_step + n_steps); the first `n_context` of them were generated
    before and are passed in as known.
    """

    index: int
    start_step: int
    n_steps: int
    n_context: int  # known prefix carried over from what is already generated; 0 after a scene cut
    n_reference: int = 0  # steps that are left free before it, for a reference

    @property
    def end_step(self) -> int:
        return self.start_step + self.n_steps
