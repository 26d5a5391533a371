"""The values that the synthetic worlds hand out: configuration, events, tracks and clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from foleycli.soundset.kinds import EVEN_KINDS, RATE_HZ, Split

if TYPE_CHECKING:
    import numpy as np

__all__ = ["GRID_HZ", "RATE_HZ", "SILENT_WORDS", "VERSION", "Clip", "Event", "Mode", "Split", "Track", "WorldConfig"]

# How a scene sounds: at single moments, following a speed, evenly throughout, not at all.
Mode = Literal["hits", "driven", "texture", "silence"]
GRID_HZ = 200  # of every trajectory
VERSION = 3  # one more when the same seed makes another clip, so that examples kept from before are not taken for it

SILENT_WORDS = ("silence", "no sound", "quiet")


@dataclass(frozen=True)
class WorldConfig:
    """How clips are made; `difficulty` 0 is plain and 1 all randomisation (for a curriculum)."""

    duration_s: float = 5.0
    fps: int = 25
    size_px: int = 112  # picture width; the height too unless `height_px` is given
    difficulty: float = 1.0
    split: Split = "train"
    height_px: int | None = None
    scene: str | None = None  # only this scene kind; None draws one
    scene_weights: Mapping[str, float] = field(default_factory=dict, hash=False)  # in place of the usual ones
    even_kinds: tuple[str, ...] = EVEN_KINDS  # what may sound over a still view: see `SoundBank.even_kinds`

    @property
    def n_frames(self) -> int:
        return round(self.duration_s * self.fps)

    @property
    def picture_px(self) -> tuple[int, int]:
        """Width and height."""
        return self.size_px, self.height_px or self.size_px


@dataclass(frozen=True)
class Event:
    """One audible moment: its exact time, its strength 0..1, what sounds ("wood hit") and where it is seen."""

    time_s: float
    strength: float
    category: str
    across: float = 0.0  # from -1, the picture's left edge, to 1, its right edge


@dataclass(frozen=True)
class Track:
    """Everything about a picture that its sound depends on; the sound can be drawn again from it."""

    duration_s: float
    fps: int
    split: Split
    mode: Mode
    sound_kinds: tuple[str, ...]  # kinds of sound that fit, best first; the first with takes is used
    events: tuple[Event, ...]
    scene: str
    drive: np.ndarray | None = field(default=None, compare=False)  # float32 [duration x GRID_HZ], 0..1
    bed: str | None = None  # kind of sound of a quiet ambience under it
    bed_db: float = -45.0
    reverb_s: float = 0.0  # 0: dry
    peak_db: float = -3.0
    sound_seed: int = 0


@dataclass(frozen=True)
class Clip:
    """One synthetic clip; picture, sound and the truth about both."""

    frames: np.ndarray  # uint8 [T, H, W, 3], RGB
    samples: np.ndarray  # float32 [N], mono at RATE_HZ
    events: list[Event]
    loudness: np.ndarray  # float32 [T]: RMS of the sound without ambience, dB, -80..0
    label: str
    words: list[str]  # other ways to say the label
    scene: str
