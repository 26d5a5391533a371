"""V-AURA's synchronisation metric: the 21 offsets, their signs, and the shipped encoder's estimates."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from foleycli.evaluation.metrics.offset import OFFSETS_S, best_offset_s
from foleycli.evaluation.pairs import PairMetrics, mean_metrics
from foleycli.evaluation.synchrony import estimate_offset_s, undo_offset
from foleycli.features import sync
from foleycli.hub.resolve import resolve
from foleycli.records import Stream
from foleycli.timebase import FEATURE_FPS
from foleycli.training.clips import ClipData, world_clips
from foleycli.training.sync import prepare_grey

RATE_HZ = 44100


NO_METRICS = PairMetrics(
    name="a", duration_s=5.0, real_onsets=0, generated_onsets=0, f1_60ms=0.0, above_60ms=0.0, f1_100ms=0.0,
    above_100ms=0.0, real_onsets_per_s=0.0, generated_onsets_per_s=0.0, envelope=0.0, spectral_distance_db=0.0,
    sync=None, real_sync=None, offset_s=None,
)  # fmt: skip


def test_classes_are_the_papers():
    assert len(OFFSETS_S) == 21 and OFFSETS_S[0] == -2 and OFFSETS_S[10] == 0 and OFFSETS_S[-1] == 2
    assert {b - a for a, b in itertools.pairwise(OFFSETS_S)} == {Fraction(1, 5)}


def test_metric_is_the_mean_of_absolute_offsets():
    def mean_s(*offsets_s: float | None) -> float | None:
        return mean_metrics([replace(NO_METRICS, offset_s=offset_s) for offset_s in offsets_s])["offset_s"]

    assert mean_s(0, -0.4, 0.2, None) == pytest.approx(0.2)
    assert mean_s(*map(float, OFFSETS_S)) == pytest.approx(1.0476, abs=1e-4)  # guessing
    assert mean_s(None) is None


def test_the_highest_score_wins_and_of_equal_ones_the_smallest_offset():
    scores = np.zeros(21)
    assert best_offset_s(scores) == 0
    scores[[3, 12]] = 1.0
    assert best_offset_s(scores) == Fraction(2, 5)


def test_a_clip_too_short_to_shift_has_no_offset():
    extractor = sync.load_extractor(resolve("sync-mini"), torch.device("cpu"), torch.float32)
    for n_frames, n_samples in ((99, 5 * RATE_HZ), (125, 4 * RATE_HZ - 1)):
        stream = Stream(torch.zeros(n_frames, extractor.dim), FEATURE_FPS)
        assert estimate_offset_s(extractor, stream, np.zeros(n_samples, np.float32), RATE_HZ) is None


@pytest.mark.parametrize("offset_s", [OFFSETS_S[0], OFFSETS_S[9], OFFSETS_S[10], OFFSETS_S[11], OFFSETS_S[20]])
def test_taking_an_offset_back_brings_picture_and_sound_together(offset_s):
    """Frame 60 shows what sample 60 / 25 s + offset sounds."""
    values, samples = torch.zeros(125, 1), np.zeros(5 * RATE_HZ, np.float32)
    values[60], samples[round((Fraction(60, 25) + offset_s) * RATE_HZ)] = 1.0, 1.0
    stream, heard = undo_offset(Stream(values, FEATURE_FPS), samples, RATE_HZ, offset_s)
    assert stream.values[:, 0].argmax().item() / 25 == pytest.approx(heard.argmax() / RATE_HZ, abs=1e-4)


def test_shipped_encoder_hears_which_way_a_sound_is_off():
    extractor = sync.load_extractor(resolve("sync-mini"), torch.device("cpu"), torch.float32)
    size_px, found = extractor.encoder.config.size_px, {0.6: [], -0.6: []}
    worlds = world_clips(ClipData(duration_s=4.0), 700, split="test")
    for clip in itertools.islice((clip for clip in worlds if len(clip.events_s) >= 3), 7):
        values = extractor.encoder.features(prepare_grey(clip.grey, size_px))[0]
        for shift_s, offsets in found.items():
            late = np.roll(clip.samples, round(shift_s * RATE_HZ))
            offsets.append(estimate_offset_s(extractor, Stream(values, FEATURE_FPS), late, RATE_HZ))
    assert np.median(found[0.6]) == pytest.approx(0.6)
    assert np.median(found[-0.6]) == pytest.approx(-0.6)
