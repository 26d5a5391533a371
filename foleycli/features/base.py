"""The contract of picture features: frames go in piece by piece, one small stream comes out.

An `Extractor` holds weights and facts and never changes; what it remembers of one video lives in the
`Session` that `start` gives, so that an hour of video needs no more memory than its features.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple, Protocol

import numpy as np

from foleycli.records import Stream

FRAME_PX = 224


class FrameKind(NamedTuple):
    """How pictures are prepared for an extractor: see `media.frames.read_frames`."""

    side_px: int = FRAME_PX  # they are square, RGB
    fit: str = "squash"
    scaling: str = "area"


class Session(Protocol):
    """One video on its way through an extractor."""

    def push(self, frames: np.ndarray) -> None:
        """Take the next wanted frames, uint8 [n, H, W, 3], in order; n may be 0."""
        ...

    def finish(self) -> Stream:
        """The features of all frames pushed so far, one step per frame; called once."""
        ...


class Extractor(Protocol):
    """A kind of picture feature; `watch` feeds it.

    It may also have `frame_px`, `frame_fit` and `frame_scaling`, where it wants other pictures than
    `FrameKind`'s; `shaped(aspect)`, the same extractor for videos of that shape; `events_s(stream)`, when
    something sounds; `loudness_db(stream)`, how loud each step should be; and `gives_way_to_prompt`, true
    for a stream that says in words what a prompt says better.
    """

    name: str  # of the stream: "sync", "semantic", "cuts"
    rate_hz: Fraction  # steps of the stream per second
    frame_step: Fraction | int  # it is given frame floor(k * frame_step) of the 25 fps grid as its step k
    dim: int

    def start(self) -> Session: ...


def frame_kind(extractor: Extractor) -> FrameKind:
    """The pictures that it wants."""
    usual = FrameKind()
    return FrameKind(
        getattr(extractor, "frame_px", usual.side_px),
        getattr(extractor, "frame_fit", usual.fit),
        getattr(extractor, "frame_scaling", usual.scaling),
    )


def shaped(extractor: Extractor, aspect: float) -> Extractor:
    """The same extractor for videos whose width is `aspect` times their height."""
    return extractor.shaped(aspect) if hasattr(extractor, "shaped") else extractor


def events_s(extractor: Extractor, stream: Stream) -> list[float]:
    """When something sounds; empty for extractors that cannot tell."""
    return extractor.events_s(stream) if hasattr(extractor, "events_s") else []


def loudness_db(extractor: Extractor, stream: Stream) -> np.ndarray | None:
    """How loud each step of the stream should be, dB [T]; None for extractors that cannot tell."""
    return extractor.loudness_db(stream) if hasattr(extractor, "loudness_db") else None
