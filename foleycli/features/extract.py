"""One pass over a video's frames that feeds every extractor: frames in, feature streams by name out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np

from foleycli.features.base import Extractor
from foleycli.records import Report, Stream, silent

STAGE = "features"


def extract_features(
    frame_chunks: Iterable[np.ndarray],
    extractors: Sequence[Extractor],
    n_frames: int = 0,
    report: Report = silent,
) -> dict[str, Stream]:
    """The streams of all extractors, by name.

    frame_chunks  uint8 [n, H, W, 3], consecutive frames of the 25 fps grid; none is kept after its turn
    n_frames      how many will come, for the progress report alone; 0: unknown

    Errors: ValueError for chunks of another dtype or shape.
    """
    sessions = [(extractor, extractor.start()) for extractor in extractors]
    n_done = 0
    for chunk in frame_chunks:
        if chunk.dtype != np.uint8 or chunk.ndim != 4 or chunk.shape[-1] != 3:
            raise ValueError(f"frames are {chunk.dtype} {chunk.shape}, the extractors expect uint8 (n, H, W, 3)")
        for extractor, session in sessions:
            session.push(chunk[frames_of_steps(n_done, len(chunk), extractor.frame_step)])  # [n, H, W, 3]
        n_done += len(chunk)
        report(STAGE, n_done, n_frames)
    if n_done != n_frames:
        report(STAGE, n_done, n_done)
    return {extractor.name: session.finish() for extractor, session in sessions}


def frames_of_steps(first_frame: int, n_frames: int, frame_step: Fraction | int) -> list[int]:
    """Indices, counted from `first_frame`, of those of the next `n_frames` frames that belong to a step.

    Step k is frame floor(k * frame_step): the one that is showing at the step's time, never a later one.
    """
    step_frames = Fraction(frame_step)
    first_step = math.ceil(first_frame / step_frames)
    end_step = math.ceil((first_frame + n_frames) / step_frames)
    return [math.floor(step * step_frames) - first_frame for step in range(first_step, end_step)]
