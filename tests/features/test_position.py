"""MotionPosition: motion is found where it is, whatever the camera does; cuts and flashes are not motion."""

from __future__ import annotations

import numpy as np
import pytest

from foleycli.features.position import MotionPosition
from foleycli.records import Stream

N = 30


def landscape(width_px: int = 700, seed: int = 0) -> np.ndarray:
    """Soft grey blobs, float [224, W]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:224, 0:width_px]
    picture = np.full((224, width_px), 110.0)
    for _ in range(width_px // 8):
        distance = np.hypot(y - rng.uniform(0, 224), x - rng.uniform(0, width_px))
        picture += rng.uniform(-60, 60) * np.exp(-((distance / rng.uniform(12, 40)) ** 2))
    return picture


def film(pan_px: float = 0.0, ball_px: float | None = None, noise: float = 2.0, seed: int = 0) -> np.ndarray:
    """A camera that pans `pan_px` a frame, and a ball that bounces `ball_px` from the left, uint8 [N, 224, 224, 3]."""
    rng, picture = np.random.default_rng(seed), landscape(seed=seed)
    y, x = np.mgrid[0:224, 0:224]
    frames = []
    for k in range(N):
        place = pan_px * k
        left, share = int(place), place - int(place)
        frame = (1 - share) * picture[:, left : left + 224] + share * picture[:, left + 1 : left + 225]
        if ball_px is not None:
            frame = np.where(np.hypot(x - ball_px, y - 60 - 8 * (k % 12)) < 12, 220, frame)
        frames.append(frame + noise * rng.standard_normal((224, 224)))
    grey = np.clip(np.stack(frames), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=3)


def position_of(frames: np.ndarray, chunk: int = 50) -> np.ndarray:
    session = MotionPosition().start()
    for first in range(0, len(frames), chunk):
        session.push(frames[first : first + chunk])
    session.push(frames[:0])
    stream: Stream = session.finish()
    assert stream.rate_hz == 25 and stream.values.shape == (len(frames), 4)
    return stream.values.numpy()


def centre(position: np.ndarray) -> float:
    return float(np.average(position[:, 0], weights=position[:, 1]))


@pytest.mark.parametrize("ball_px", [30, 112, 194])
@pytest.mark.parametrize("pan_px", [0.0, 1.5, 5.0])
def test_a_bouncing_ball_is_found_through_pans(ball_px: float, pan_px: float):
    found = position_of(film(pan_px, ball_px))
    assert centre(found) == pytest.approx(2 * ball_px / 224 - 1, abs=0.12)
    assert found[0, 1] == 0  # before the first frame there is nothing to compare with


@pytest.mark.parametrize("pan_px", [0.0, 1.5, 5.0])
def test_the_camera_alone_weighs_little(pan_px: float):
    assert position_of(film(pan_px))[:, 1].mean() < 0.1 * position_of(film(pan_px, 112))[:, 1].mean()


def test_a_cut_a_flash_and_a_change_of_light_weigh_nothing():
    one, other = film(seed=1), film(seed=2)
    assert position_of(np.concatenate([one, other]))[N, 1] == 0
    flash = one.copy()
    flash[10] = 255
    assert position_of(flash)[10:12, 1].max() == 0
    darker = np.concatenate([one, (0.7 * one).astype(np.uint8)])
    assert position_of(darker)[N, 1] < 0.05


def test_chunks_make_no_difference():
    frames = film(1.5, 60)
    assert np.allclose(position_of(frames), position_of(frames, chunk=7), atol=1e-3)


def test_smaller_frames_show_the_same():
    frames = film(0.0, 30)
    small = frames.reshape(N, 56, 4, 56, 4, 3).mean(axis=(2, 4)).astype(np.uint8)
    assert centre(position_of(small)) == pytest.approx(centre(position_of(frames)), abs=0.05)


def test_a_video_without_frames_has_no_position():
    assert position_of(np.zeros((0, 224, 224, 3), np.uint8)).shape == (0, 4)


def test_the_size_of_motion_is_told_for_the_picture_and_for_its_most_moving_place():
    still, ball = position_of(film(noise=1.0)), position_of(film(ball_px=112, noise=1.0))
    assert ball[1:, 2].mean() > 5 * still[1:, 2].mean() and ball[1:, 3].mean() > 3 * still[1:, 3].mean()
    assert (ball[1:, 3] > 10 * ball[1:, 2]).mean() > 0.8  # a small thing moves much
    assert (ball[:, 2] >= ball[:, 1] - 1e-6).all() and (ball[0] == 0).all()
