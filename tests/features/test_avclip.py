"""Segment-AVCLIP: which pictures it sees, in which segments, and how many vectors come out."""

from dataclasses import asdict, replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from foleycli.features import avclip
from foleycli.features.avclip import AvclipExtractor
from foleycli.features.extract import extract_features
from foleycli.nn.motionformer import Motionformer, MotionformerConfig
from foleycli.weights.config import ModelConfig
from foleycli.weights.folder import save

TINY = MotionformerConfig(width=24, n_heads=2, n_blocks=1, hidden=32, size_px=32)


@pytest.fixture(scope="module")
def tower() -> Motionformer:
    torch.manual_seed(0)
    made = Motionformer(TINY)
    for weight in (made.cls_token, made.pos_embed, made.temp_embed, made.spatial_attn_agg.cls_token):
        torch.nn.init.normal_(weight)
    return made.eval().requires_grad_(False)


def film(n_frames: int, height: int = 40, width: int = 60) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n_frames, height, width, 3), np.uint8)


def extract(extractor: AvclipExtractor, frames: np.ndarray, chunk: int) -> torch.Tensor:
    chunks = (frames[start : start + chunk] for start in range(0, len(frames), chunk))
    stream = extract_features(chunks, [extractor])["avclip"]
    assert stream.rate_hz == Fraction(25, 2)
    return stream.values


@pytest.mark.parametrize("n_frames", [1, 2, 15, 16, 17, 63, 64, 65, 150])
def test_two_pictures_a_vector_for_any_length(tower, n_frames):
    assert extract(AvclipExtractor(tower), film(n_frames), 50).shape == (-(-n_frames // 2), 24)


def test_chunks_change_nothing(tower):
    frames = film(150)
    whole = extract(AvclipExtractor(tower), frames, 150)
    for chunk in (1, 7, 50):
        assert torch.allclose(extract(AvclipExtractor(tower), frames, chunk), whole, atol=1e-5)


def test_a_picture_is_seen_in_its_own_segment_alone(tower):
    frames, other = film(64), film(64)
    other[37] = 255 - other[37]
    change = (extract(AvclipExtractor(tower), frames, 50) - extract(AvclipExtractor(tower), other, 50)).abs().sum(1)
    assert (change[16:24] > 1e-4).all()  # pictures 32..47
    assert change[:16].max() < 1e-6 and change[24:].max() < 1e-6


def test_last_segment_is_filled_with_the_last_picture(tower):
    frames = film(21)
    full = np.concatenate([frames, np.repeat(frames[-1:], 11, axis=0)])
    short = extract(AvclipExtractor(tower), frames, 50)
    assert torch.allclose(short, extract(AvclipExtractor(tower), full, 50)[:11], atol=1e-5)


def test_segments_are_what_the_tower_is_given(tower):
    frames = film(32)
    pictures = torch.from_numpy(frames[:, 4:36, 14:46]).permute(0, 3, 1, 2) / 127.5 - 1
    by_hand = tower(torch.stack([pictures[:16], pictures[16:]]).transpose(1, 2)).flatten(0, 1)
    assert torch.allclose(extract(AvclipExtractor(tower), frames, 32), by_hand, atol=1e-5)


def test_the_middle_of_the_picture_is_looked_at(tower):
    assert AvclipExtractor(Motionformer(replace(TINY, size_px=224))).frame_format.side_px == 256
    frames, other = film(16, 36, 36), film(16, 36, 36)
    assert AvclipExtractor(tower).frame_format.side_px == 37
    outside = np.ones((36, 36), bool)
    outside[2:34, 2:34] = False
    other[:, outside] = 0
    same = extract(AvclipExtractor(tower), frames, 16)
    assert torch.equal(same, extract(AvclipExtractor(tower), other, 16))
    other[:, 2, 2] = 255 - other[:, 2, 2]
    assert not torch.equal(same, extract(AvclipExtractor(tower), other, 16))


def test_folder_goes_there_and_back(tower, tmp_path):
    save(
        tower.state_dict(),
        tmp_path,
        ModelConfig(kind="sync", loader_class="avclip", network=asdict(TINY)),
        torch.float16,
    )
    loaded = avclip.load(tmp_path, "cpu")
    frames = film(32)
    made = [extract(each, frames, 32) for each in (AvclipExtractor(tower), loaded)]
    assert torch.allclose(*made, atol=0.02)
