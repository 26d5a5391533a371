"""The values that cross folder borders, and the letters of the axes.  Imports no torch.

Axis letters, the same everywhere:
    B batch          T video frames or feature steps     L latent steps
    D width          K codebooks                         C audio channels
    N audio samples  H W pixels
Flow time runs from 0 (noise) to 1 (data).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

# What the library tells whoever draws progress: stage name, units done, units in all (0: unknown).
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
    is_variable_rate: bool
    width_px: int  # as shown, after rotation
    height_px: int
    rotation_deg: int  # 0, 90, 180 or 270, clockwise, that a player applies
    video_codec: str
    pixel_format: str
    has_audio: bool
    audio_rate_hz: int  # 0 without sound
    audio_channels: int  # 0 without sound


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
    """One feature on its own time line: step k stands for the time k / rate_hz from the video's start."""

    values: Tensor  # float32 [T, D]
    rate_hz: Fraction
    late_s: float = 0.0  # in a window: how much later its steps begin, since its grid is the whole video's


@dataclass(frozen=True)
class Features:
    """All that a family is told about a video (or about one window of it)."""

    streams: dict[str, Stream]  # by extractor name: "sync", "semantic"
    text: Tensor  # the prompt, float32 [D] or, for families that read sequences, [T, D]; zeros: there is none
    negative_text: Tensor | None = None  # like `text`; None: the learned empty condition


@dataclass(frozen=True)
class Window:
    """A piece of the latent axis that is sampled at once.

    Latent steps [start_step, start_step + n_steps); the first `n_context` of them were made before
    and are handed in as known.
    """

    index: int
    start_step: int
    n_steps: int
    n_context: int  # known prefix carried over from what is already made; 0 after a scene cut
    n_reference: int = 0  # steps that are left free before it, for a reference

    @property
    def end_step(self) -> int:
        return self.start_step + self.n_steps


def _setting(
    default: object,
    help: str,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[int, ...] = (),
) -> object:
    """One definition of a setting: its default, its bounds (or choices) and what `--help` says."""
    return field(default=default, metadata={"help": help, "low": low, "high": high, "choices": choices})


@dataclass(frozen=True)
class Settings:
    """How a sound is made: what presets and options set.  Paths and devices are not settings."""

    prompt: str = _setting("", "What is heard, in words; without it the tool looks at the picture.")
    negative_prompt: str = _setting("", "What must not be heard.")
    steps: int = _setting(8, "Sampler steps; 4 is a draft, 32 is fine.", 1, 64)
    guidance: float = _setting(5.0, "How strongly picture and words steer; 1 is none.", 0.0, 20.0)
    words_guidance: float = _setting(7.0, "How strongly words, or what is seen, choose the sound.", 0.0, 40.0)
    seed: int = _setting(0, "Same seed, same sound.", 0, 2**63 - 1)
    context_s: float = _setting(0.5, "Seconds of the finished sound that each window continues.", 0.0, 2.0)
    cuts: bool = _setting(True, "Start afresh at scene cuts.")
    library: bool = _setting(False, "Take the timbre of a recording that the words name, where no --ref does.")
    ride: float = _setting(0.5, "How far a render's level follows the loudness seen; 0: not at all.", 0.0, 1.0)
    ref_s: float = _setting(2.0, "Seconds of the reference that are used, at most.", 0.1, 2.0)
    rate_hz: int = _setting(48000, "Sample rate of the result: 48000 or 44100.", choices=(44100, 48000))
    channels: int = _setting(0, "1 or 2; 0 is 2 in a video and 1 in a sound file.", 0, 2)
    loudness_lufs: float | None = _setting(None, "Integrated loudness of the result.", -60.0, -5.0)
    gain_db: float = _setting(0.0, "Gain of the made sound.", -60.0, 24.0)
    mix: bool = _setting(False, "Keep the video's own sound under ours.")
    original_gain_db: float = _setting(0.0, "Gain of the video's own sound when it is kept.", -60.0, 24.0)
