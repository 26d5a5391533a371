"""Synchformer as an extractor: segments, pieces, short videos.  The tower itself: tests/nn/test_motionformer.py."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from mmaudio_parts import write_miniature

from foleycli.features.synchformer import Synchformer, load


@pytest.fixture(scope="module")
def extractor(tmp_path_factory) -> Synchformer:
    models = tmp_path_factory.mktemp("models")
    write_miniature(models)
    return load(models / "synchformer", torch.device("cpu"))


def pictures(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3), np.uint8)


def features(extractor: Synchformer, *pieces: np.ndarray) -> torch.Tensor:
    session = extractor.start()
    for piece in pieces:
        session.push(piece)
    stream = session.finish()
    assert stream.rate_hz == Fraction(25, 8)
    return stream.values


@pytest.mark.parametrize(("n_frames", "n_segments"), [(0, 0), (1, 1), (15, 1), (16, 1), (23, 1), (24, 2), (200, 24)])
def test_segments_of_sixteen_pictures_every_eight(extractor, n_frames, n_segments):
    assert features(extractor, pictures(n_frames)).shape == (n_segments, 8 * 24)


def test_a_stream_does_not_depend_on_how_pictures_come(extractor):
    frames = pictures(70)
    whole = features(extractor, frames)
    assert torch.allclose(whole, features(extractor, frames[:5], frames[5:5], frames[5:41], frames[41:]), atol=1e-5)


def test_a_segment_sees_its_own_pictures_alone(extractor):
    frames = pictures(48)
    other = frames.copy()
    other[20] = 255 - other[20]
    changed = (features(extractor, frames) - features(extractor, other)).abs().amax(dim=1) > 1e-6
    assert changed.tolist() == [False, True, True, False, False]  # segments 8..23 and 16..31


def test_pictures_are_brought_to_minus_one_to_one(extractor):
    black, white = np.zeros((16, 32, 32, 3), np.uint8), np.full((16, 32, 32, 3), 255, np.uint8)
    tower = extractor.tower
    for frames, value in ((black, -1.0), (white, 1.0)):
        with torch.inference_mode():
            wanted = tower(torch.full((1, 3, 16, 32, 32), value)).flatten(1)
        assert torch.allclose(features(extractor, frames), wanted, atol=1e-5)
