"""V-AURA's synchronisation metric: the 21 offsets, their signs, and the shipped encoder as a scorer."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch

from foleycli.evaluation.metrics.offset import OFFSETS_S, SyncOffsets, mean_offset_ms, moved, offset_of
from foleycli.features import sync
from foleycli.hub.resolve import resolve
from foleycli.records import Stream
from foleycli.timebase import FEATURE_FPS
from foleycli.training.clips import ClipData, world_clips
from foleycli.training.sync import prepare_grey

RATE_HZ = 44100


class Told:
    """A scorer that answers from a list, one clip after the other."""

    def __init__(self, *offsets_s: float) -> None:
        self.best = iter(offsets_s)

    def scores(self, stream: Stream, samples: np.ndarray, rate_hz: int) -> np.ndarray:
        best = next(self.best)
        return -np.abs(np.array(OFFSETS_S, dtype=float) - best)


NOTHING = (Stream(torch.zeros(1, 1), FEATURE_FPS), np.zeros(1, np.float32), RATE_HZ)


def test_classes_are_the_papers():
    assert len(OFFSETS_S) == 21 and OFFSETS_S[0] == -2 and OFFSETS_S[10] == 0 and OFFSETS_S[-1] == 2
    assert {b - a for a, b in itertools.pairwise(OFFSETS_S)} == {Fraction(1, 5)}


def test_metric_is_the_mean_of_absolute_offsets():
    assert mean_offset_ms(Told(0, -0.4, 0.2), [NOTHING] * 3) == pytest.approx(200)
    assert mean_offset_ms(Told(*map(float, OFFSETS_S)), [NOTHING] * 21) == pytest.approx(1047.6, abs=0.1)
    with pytest.raises(ValueError, match="no clip"):
        mean_offset_ms(Told(), [])


def test_a_scorer_that_does_not_know_says_in_time():
    class Blank(Told):
        def scores(self, stream: Stream, samples: np.ndarray, rate_hz: int) -> np.ndarray:
            return np.zeros(21)

    assert offset_of(Blank(), *NOTHING) == 0


@pytest.mark.parametrize("offset_s", [OFFSETS_S[0], OFFSETS_S[9], OFFSETS_S[10], OFFSETS_S[11], OFFSETS_S[20]])
def test_taking_an_offset_back_brings_picture_and_sound_together(offset_s):
    """Frame 60 shows what sample 60 / 25 s + offset sounds."""
    values, samples = torch.zeros(125, 1), np.zeros(5 * RATE_HZ, np.float32)
    values[60], samples[round((Fraction(60, 25) + offset_s) * RATE_HZ)] = 1.0, 1.0
    stream, heard = moved(Stream(values, FEATURE_FPS), samples, RATE_HZ, offset_s)
    assert stream.values[:, 0].argmax().item() / 25 == pytest.approx(heard.argmax() / RATE_HZ, abs=1e-4)


def test_shipped_encoder_hears_which_way_a_sound_is_off():
    extractor = sync.load_extractor(resolve("sync-mini"), torch.device("cpu"), torch.float32)
    scorer, size_px, found = SyncOffsets(extractor), extractor.encoder.config.size_px, {0.6: [], -0.6: []}
    worlds = world_clips(ClipData(duration_s=4.0), 700, split="test")
    for clip in itertools.islice((clip for clip in worlds if len(clip.events_s) >= 3), 7):
        values = extractor.encoder.features(prepare_grey(clip.grey, size_px))[0]
        for shift_s, offsets in found.items():
            late = np.roll(clip.samples, round(shift_s * RATE_HZ))
            offsets.append(float(offset_of(scorer, Stream(values, FEATURE_FPS), late, RATE_HZ)))
    assert np.median(found[0.6]) == pytest.approx(0.6)
    assert np.median(found[-0.6]) == pytest.approx(-0.6)
