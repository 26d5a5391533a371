"""extract_features: every extractor gets exactly the frames of its own grid, however the video is chunked."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foleycli.features.base import Extractor
from foleycli.features.extract import extract_features, frames_of_steps
from foleycli.records import Stream


class FrameNumbers(Extractor):
    """An extractor whose feature is the number painted into the frame."""

    dim = 1

    def __init__(self, name: str, rate_hz: Fraction) -> None:
        self.name, self.rate_hz, self.frame_step = name, rate_hz, Fraction(25) / rate_hz

    def start(self) -> FrameNumbersSession:
        return FrameNumbersSession(self.rate_hz)


class FrameNumbersSession:
    def __init__(self, rate_hz: Fraction) -> None:
        self.rate_hz, self.numbers = rate_hz, []

    def push(self, frames: np.ndarray) -> None:
        self.numbers += [int(n) for n in frames[:, 0, 0, 0]]

    def finish(self) -> Stream:
        return Stream(torch.tensor(self.numbers, dtype=torch.float32)[:, None], self.rate_hz)


def numbered(n: int) -> np.ndarray:
    return np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, 4, 4, 3))


RATES = st.sampled_from([Fraction(25), Fraction(2), Fraction(8), Fraction(5)])


@given(st.integers(1, 200), st.integers(1, 60), RATES)
def test_each_step_is_the_frame_showing_at_its_time(n: int, chunk: int, rate_hz: Fraction) -> None:
    frames = numbered(n)
    pieces = (frames[k : k + chunk] for k in range(0, n, chunk))
    streams = extract_features(pieces, [FrameNumbers("low", rate_hz), FrameNumbers("all", Fraction(25))])
    # Written independently of the code: step k, at k / rate_hz seconds, shows frame floor(25 k / rate_hz).
    expected = [25 * k * rate_hz.denominator // rate_hz.numerator for k in range(n + 1)]
    assert streams["low"].values[:, 0].tolist() == [frame for frame in expected if frame < n]
    assert streams["all"].values[:, 0].tolist() == list(range(n))
    assert streams["low"].rate_hz == rate_hz


def test_progress_is_told_once_per_chunk() -> None:
    told: list[tuple[str, float, float]] = []
    chunks = iter([numbered(3), numbered(2)])
    extract_features(chunks, [FrameNumbers("all", Fraction(25))], 5, lambda *what: told.append(what))
    assert told == [("features", 3, 5), ("features", 5, 5)]


def test_integer_steps_are_exact() -> None:
    assert frames_of_steps(10, 5, 3) == [2]
    assert frames_of_steps(0, 4, 1) == [0, 1, 2, 3]


@pytest.mark.parametrize("bad", [np.zeros((2, 4, 4, 3), np.float32), np.zeros((4, 4, 3), np.uint8)])
def test_wrong_frames_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expect uint8"):
        extract_features([bad], [])
