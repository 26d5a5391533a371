"""What a validation tells: agreement where something strikes, and what is invented where nothing does."""

from __future__ import annotations

import numpy as np
import pytest

from foleycli.training.clips import TrainingClip
from foleycli.training.sync import best_f1

DURATION_S, N = 2.0, 50


def clip(events_s: list[float] | None) -> TrainingClip:
    events = None if events_s is None else np.array(events_s)
    return TrainingClip(np.zeros((N, 8, 8), np.uint8), np.zeros(10, np.float32), events, np.zeros(N), ("a",))


def curve(*frames: int) -> np.ndarray:
    out = np.zeros(N)
    out[list(frames)] = 0.9
    return out


def test_peaks_at_events_are_right_and_peaks_without_events_are_counted():
    clips = [clip([0.4, 1.2]), clip([]), clip(None)]
    figures = best_f1([curve(10, 30), curve(5, 20, 40), curve(7)], clips, DURATION_S)
    assert figures["f1_60ms"] == 1 and figures["f1_60ms_shifted"] < 0.5
    assert figures["peaks_per_s_without_events"] == pytest.approx(1.5)


def test_clips_without_any_event_have_no_f1():
    assert best_f1([curve(5)], [clip([])], DURATION_S) == {}
