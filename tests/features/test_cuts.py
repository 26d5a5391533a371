"""CutDetector: hard cuts at known frames are found exactly; flashes, shakes, pans and lamps are not cuts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from foleycli.features.cuts import CutDetector, cut_times
from foleycli.records import Stream

N = 40  # frames per shot


def scene(seed: int, width_px: int = 600) -> np.ndarray:
    """A landscape of soft coloured blobs, uint8 [224, W, 3], each seed with colours of its own."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:224, 0:width_px]
    picture = np.ones((224, width_px, 3)) * rng.uniform(40, 160, 3)
    for _ in range(width_px // 12):
        distance = np.hypot(y - rng.uniform(0, 224), x - rng.uniform(0, width_px))
        picture += rng.uniform(-110, 110, 3) * (distance < rng.uniform(10, 50))[..., None]
    return np.clip(picture, 0, 255).astype(np.uint8)


def shot(seed: int, n: int = N, speed_px: float = 1.0) -> np.ndarray:
    """The camera moves slowly along a landscape, with sensor noise: uint8 [n, 224, 224, 3]."""
    rng, picture = np.random.default_rng(1000 + seed), scene(seed)
    starts = [int(speed_px * k) for k in range(n)]
    noise = rng.integers(-8, 9, (224, 448, 3), dtype=np.int16)
    frames = [picture[:, start : start + 224] + np.roll(noise, 31 * start, 1)[:, :224] for start in starts]
    return np.clip(np.stack(frames), 0, 255).astype(np.uint8)


def cuts_of(frames: np.ndarray, chunk: int = 50) -> list[int]:
    session = CutDetector().start()
    for first in range(0, len(frames), chunk):
        session.push(frames[first : first + chunk])
    stream: Stream = session.finish()
    assert stream.values.shape == (len(frames), 1)
    return [round(time_s * 25) for time_s in cut_times(stream)]


@pytest.mark.parametrize("seed", (0, 10))
def test_hard_cuts_are_found_at_their_frame(seed: int) -> None:
    lengths = [40, 15, 26, 60, 8]
    frames = np.concatenate([shot(seed + k, n) for k, n in enumerate(lengths)])
    assert cuts_of(frames) == np.cumsum(lengths)[:-1].tolist()


def test_chunks_do_not_matter() -> None:
    frames = np.concatenate([shot(1), shot(2)])
    assert cuts_of(frames, 7) == cuts_of(frames, 80) == [N]


def test_a_low_frame_rate_is_no_row_of_cuts() -> None:
    """8 pictures per second on the 25 fps grid: still, jump, still, jump."""
    frames = np.repeat(np.concatenate([shot(3, 14, 4.0), shot(4, 14, 4.0)]), 3, axis=0)
    assert cuts_of(frames) == [42]


def _flash(frames: np.ndarray, n: int) -> np.ndarray:
    frames[20 : 20 + n] = np.clip(frames[20 : 20 + n].astype(int) + 150, 0, 255)
    return frames


def _shake(frames: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([np.roll(f, tuple(rng.integers(-14, 15, 2)), (0, 1)) for f in frames])


def _whip_pan(frames: np.ndarray) -> np.ndarray:
    """Over 300 px in eight frames, each smeared by its own motion."""
    picture = scene(7).astype(np.float32)
    for k in range(8):
        smear = [picture[:, 40 * k + d : 40 * k + d + 224] for d in range(0, 40, 5)]
        frames[16 + k] = np.mean(smear, axis=0)
    frames[24:] = picture[:, 320:544].astype(np.uint8)
    return frames


def _lamp(frames: np.ndarray) -> np.ndarray:
    frames[20:] = frames[20:] // 2
    return frames


def _jerk(frames: np.ndarray) -> np.ndarray:
    frames[20:] = np.roll(frames[20:], 18, axis=2)
    return frames


def _fade(frames: np.ndarray) -> np.ndarray:
    other, share = shot(8), np.clip((np.arange(N) - 10) / 20, 0, 1)[:, None, None, None]
    return (frames * (1 - share) + other * share).astype(np.uint8)


@pytest.mark.parametrize(
    "happens",
    [lambda f: _flash(f, 1), lambda f: _flash(f, 3), lambda f: _flash(f, 8), _shake, _whip_pan, _lamp, _jerk, _fade],
    ids=["flash 1", "flash 3", "flash 8", "shake", "whip pan", "lamp", "jerk", "fade"],
)
def test_what_is_no_cut(happens: Callable[[np.ndarray], np.ndarray]) -> None:
    assert cuts_of(happens(shot(7).copy())) == []


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_very_short_videos(n: int) -> None:
    assert cuts_of(shot(1, max(n, 1))[:n]) == []


def test_black_frames_between_shots_are_one_cut() -> None:
    black = np.zeros((2, 224, 224, 3), np.uint8)
    assert cuts_of(np.concatenate([shot(1), black, shot(2)])) == [N + 2]


def test_memory_stays_flat() -> None:
    session = CutDetector().start()
    frames = shot(1)
    for _ in range(5):
        session.push(frames)
    assert len(session.recent) == len(session.changes) <= 24
