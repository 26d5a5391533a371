"""The contract of visual features: frames go in chunk by chunk, one small feature stream comes out.

An `Extractor` holds weights and never changes; what it remembers of one video lives in the `Session` that
`start` gives, so that an hour of video needs no more memory than its features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple, Protocol

import numpy as np

from foleycli.media.frames import Fit, Scaling
from foleycli.records import Stream

FRAME_PX = 224
# Mean and standard deviation of RGB in 0..1 with which OpenAI's CLIP and its successors normalise pictures.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class FrameFormat(NamedTuple):
    """The pictures that an extractor expects, square and RGB; the arguments of `media.frames.read_frames`."""

    side_px: int = FRAME_PX
    fit: Fit = "squash"  # how a picture becomes square: "squash" or "crop"
    scaling: Scaling = "area"  # ffmpeg's scaling algorithm


class Session(Protocol):
    """One video on its way through an extractor."""

    def push(self, frames: np.ndarray) -> None:
        """Take the next frames of the extractor's grid, uint8 [n, H, W, 3], in order; n may be 0."""
        ...

    def finish(self) -> Stream:
        """The features of all frames pushed so far, one step per frame; called once."""
        ...


class Extractor(ABC):
    """A kind of visual feature; `extract.extract_features` feeds it."""

    name: str  # of its stream: "sync", "semantic", "cuts"
    dim: int
    rate_hz: Fraction  # steps of the stream per second
    frame_step: Fraction | int  # step k is computed from frame floor(k * frame_step) of the 25 fps grid
    frame_format: FrameFormat = FrameFormat()
    replaced_by_prompt: bool = False  # the stream says in words what a prompt says better: drop it where there is one

    @abstractmethod
    def start(self) -> Session:
        """A session for one video."""

    def for_aspect(self, aspect: float) -> Extractor:
        """The same extractor for videos whose width is `aspect` times their height; most do not depend on it."""
        return self

    def events_s(self, stream: Stream) -> list[float]:
        """Seconds at which something makes a sound, read from this extractor's stream; empty where it predicts none."""
        return []

    def event_strengths(self, stream: Stream, events_s: list[float]) -> np.ndarray:
        """How sure each event of `events_s` is, float [E] from 0 to 1; all alike where this extractor cannot tell."""
        return np.ones(len(events_s))

    def mark_events(self, stream: Stream, events_s: Sequence[float] | None, start_s: float, end_s: float) -> Stream:
        """The stream as if these events alone were seen between two times, and none outside; None: those that are.

        Unchanged where this extractor's stream says nothing of events.
        """
        return stream

    def loudness_db(self, stream: Stream) -> np.ndarray | None:
        """Predicted loudness of each step of this extractor's stream, dB [T]; None where it predicts none."""
        return None
