"""The score that chooses among takes: the right alignment wins, and nothing breaks it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import soundfile
import soxr
import torch

from foleycli.features import sync
from foleycli.features.sync import SyncExtractor
from foleycli.features.sync_score import (
    OF_SILENCE,
    UNSEEN_FRAMES,
    band_energy,
    correlation,
    from_start,
    levels,
    onset_strength,
    resampled_blocks,
    score_chunks,
    sync_score,
    sync_score_of_file,
)
from foleycli.hub.resolve import resolve
from foleycli.records import Stream
from foleycli.timebase import FEATURE_FPS
from foleycli.training.clips import ClipData, TrainingClip, world_clips
from foleycli.training.sync import prepare_grey

RATE_HZ = 44100
N_CLIPS = 6
SHIFTS_S = (-1.0, -0.4, -0.2, 0.2, 0.4, 1.0)


@dataclass
class Seen:
    clip: TrainingClip
    stream: Stream


@pytest.fixture(scope="module")
def extractor() -> SyncExtractor:
    return sync.load_extractor(resolve("sync-mini"), torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def seen(extractor) -> list[Seen]:
    """Held-out worlds with at least three events, looked at by the shipped encoder."""
    worlds = world_clips(ClipData(duration_s=4.0), 700, split="test")
    clips = itertools.islice((clip for clip in worlds if len(clip.events_s) >= 3), N_CLIPS)
    size_px, made = extractor.encoder.config.size_px, []
    for clip in clips:
        values = extractor.encoder.features(prepare_grey(clip.grey, size_px))[0]
        made.append(Seen(clip, Stream(values, FEATURE_FPS)))
    return made


def test_the_right_alignment_scores_above_shifted_ones(extractor, seen):
    better = [
        sync_score(extractor, one.stream, one.clip.samples, RATE_HZ)
        > sync_score(extractor, one.stream, np.roll(one.clip.samples, round(shift_s * RATE_HZ)), RATE_HZ)
        for one in seen
        for shift_s in SHIFTS_S
    ]
    assert np.mean(better) >= 0.85


@pytest.mark.parametrize("n_frames", [0, 1, 9, 40])
def test_silence_and_short_sounds_have_a_score(extractor, seen, n_frames):
    stream = Stream(seen[0].stream.values[:n_frames], FEATURE_FPS)
    for samples in (np.zeros(44100, np.float32), np.zeros(100, np.float32), seen[0].clip.samples):
        assert np.isfinite(sync_score(extractor, stream, samples, RATE_HZ))


@pytest.mark.parametrize("silence", [np.zeros(RATE_HZ), np.full(RATE_HZ, 0.3), np.zeros(0)], ids=["zero", "DC", "none"])
def test_silence_fits_worse_than_any_sound(extractor, seen, silence, tmp_path):
    one = seen[0]
    noise = np.random.default_rng(0).standard_normal(RATE_HZ // 2).astype(np.float32)
    for sound in (noise, noise[:4410], -one.clip.samples[::-1].copy()):
        assert sync_score(extractor, one.stream, silence.astype(np.float32), RATE_HZ) < sync_score(
            extractor, one.stream, sound, RATE_HZ
        )
    soundfile.write(tmp_path / "silence.wav", silence, RATE_HZ, subtype="FLOAT")
    assert sync_score_of_file(extractor, one.stream, tmp_path / "silence.wav") == OF_SILENCE


def test_rate_and_gain_hardly_matter(extractor, seen):
    one = seen[0]
    twice = np.repeat(one.clip.samples, 2)
    scores = [sync_score(extractor, one.stream, x, r) for x, r in (
        (one.clip.samples, RATE_HZ), (0.2 * one.clip.samples, RATE_HZ), (twice, 2 * RATE_HZ),
    )]  # fmt: skip
    assert scores[1:] == pytest.approx(scores[:1] * 2, abs=0.05)


def test_onsets_and_levels_stand_at_their_frames():
    samples = torch.zeros(2 * RATE_HZ)
    for frame in (10, 33):
        first = round(frame / 25 * RATE_HZ)
        samples[first : first + 2000] = torch.randn(2000, generator=torch.Generator().manual_seed(frame))
    rises = onset_strength(band_energy(samples, RATE_HZ))
    level = levels(samples.unflatten(0, (-1, RATE_HZ // 25)).square().mean(dim=1))
    assert len(rises) == len(level) == 50
    assert set(rises.topk(2).indices.tolist()) == {10, 33}
    assert set(level.topk(2).indices.tolist()) == {10, 33}


def test_what_an_encoder_predicts_of_the_first_pictures_does_not_count(extractor, seen):
    """It has seen no change there and predicts silence, which fits every sound that begins softly."""
    one = seen[0]
    loud, silent = one.stream.values.clone(), one.stream.values.clone()
    loud[:UNSEEN_FRAMES, -2:], silent[:UNSEEN_FRAMES, -2:] = 1.0, 0.0
    scores = [score_chunks(extractor, Stream(x, FEATURE_FPS), [one.clip.samples], RATE_HZ) for x in (loud, silent)]
    assert scores[0].loudness == pytest.approx(scores[1].loudness, abs=1e-6)
    assert abs(scores[0].onsets - scores[1].onsets) < 0.15  # by smoothing a little of it is in what follows


def test_short_curves_keep_their_beginning():
    short, longer = torch.arange(20.0)[None], torch.arange(40.0)[None]
    assert torch.equal(from_start(short), short)
    assert torch.equal(from_start(longer)[:, UNSEEN_FRAMES:], longer[:, UNSEEN_FRAMES:])
    assert from_start(longer)[0, :UNSEEN_FRAMES].tolist() == [22.5] * UNSEEN_FRAMES


def test_a_sound_a_picture_late_still_fits(extractor, seen):
    """Its score falls by little, that of a sound five pictures late by more."""
    falls = {frames: [] for frames in (1, 5)}
    for one in seen:
        scores = {
            frames: score_chunks(
                extractor, one.stream, [np.roll(one.clip.samples, frames * RATE_HZ // 25)], RATE_HZ
            ).onsets
            for frames in (0, 1, 5)
        }
        for frames in falls:
            falls[frames].append(scores[0] - scores[frames])
    assert np.mean(falls[1]) < 0.3 * np.mean(falls[5])


def test_a_flat_curve_correlates_with_nothing():
    assert correlation(torch.ones(9), torch.arange(9.0)) == 0.0
    assert correlation(torch.arange(9.0), torch.arange(9.0)) == pytest.approx(1.0)


@pytest.mark.parametrize("rate_hz", [RATE_HZ, 48000])
def test_a_sound_in_pieces_comes_in_even_blocks_at_the_asked_rate(rate_hz):
    sound = np.random.default_rng(0).standard_normal(3 * rate_hz + 17).astype(np.float32)
    cut = [sound[:5], sound[5 : 2 * rate_hz], sound[2 * rate_hz :]]
    blocks = list(resampled_blocks(cut, rate_hz, RATE_HZ, RATE_HZ))
    assert [len(block) for block in blocks[:3]] == [RATE_HZ] * 3 and 0 < len(blocks[3]) < RATE_HZ
    whole = soxr.resample(sound, rate_hz, RATE_HZ)
    joined = np.concatenate(blocks)
    assert abs(len(joined) - len(whole)) <= 1
    n = min(len(joined), len(whole))
    assert np.abs(joined[:n] - whole[:n]).max() < 1e-4


def test_a_long_file_is_scored_as_its_samples_are_in_the_memory_of_one_block(extractor, seen, tmp_path, monkeypatch):
    values = torch.cat([one.stream.values for one in seen] * 2)
    stream = Stream(values, FEATURE_FPS)
    samples = np.concatenate([one.clip.samples for one in seen] * 2)
    soundfile.write(tmp_path / "long.wav", samples, RATE_HZ, subtype="FLOAT")
    assert len(samples) > 40 * RATE_HZ
    lengths = []
    monkeypatch.setattr(
        "foleycli.features.sync_score.band_energy", lambda x, rate: lengths.append(len(x)) or band_energy(x, rate)
    )
    score = sync_score_of_file(extractor, stream, tmp_path / "long.wav")
    assert len(lengths) == 3 and max(lengths) <= 21 * RATE_HZ
    assert score == pytest.approx(sync_score(extractor, stream, samples, RATE_HZ), abs=1e-5)


def test_what_one_has_beyond_the_others_end_is_not_compared(extractor, seen):
    one = seen[0]
    longer = np.concatenate([one.clip.samples, one.clip.samples[::-1]])
    parts = score_chunks(extractor, one.stream, np.array_split(longer, 7), RATE_HZ)
    n = len(one.stream.values) * RATE_HZ // 25
    whole = score_chunks(extractor, one.stream, [longer[:n]], RATE_HZ)
    assert parts.embedding == pytest.approx(whole.embedding, abs=1e-5)
    assert parts.loudness == pytest.approx(whole.loudness, abs=1e-4)
