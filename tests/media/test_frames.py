"""Pictures on the grid: the right one at every time, turned, exactly so many, from any start."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from clips import FLASH_FRAME, Clips

from foleycli.errors import FoleyError
from foleycli.media.frames import read_frames
from foleycli.media.probe import probe

FPS = Fraction(25)


def _read(clips: Clips, name: str, **options: object) -> np.ndarray:
    video = probe(clips(name))
    return np.concatenate(list(read_frames(video, FPS, 32, 16, **options)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["plain.mp4", "reordered.mp4", "23976.mp4", "2997.mp4", "hevc_10bit.mp4", "odd_size.mkv", "offset.mp4",
             "portrait.mp4"]
)  # fmt: skip
def test_flash_stands_where_it_is_shown(clips: Clips, name: str) -> None:
    video, frames = probe(clips(name)), _read(clips, name)
    on_time_s = Fraction(1, 1000)  # so little late counts as on time: containers round
    shown_s = FLASH_FRAME / video.fps - on_time_s, (FLASH_FRAME + 1) / video.fps - on_time_s
    wanted = [k for k in range(len(frames)) if shown_s[0] <= k / FPS < shown_s[1]]
    assert [k for k in range(len(frames)) if frames[k].min() > 230] == wanted
    assert len(frames) == math.ceil(round(video.duration_s, 3) * 25 - 0.001)


def test_every_start_gives_the_same_pictures(clips: Clips) -> None:
    whole = _read(clips, "reordered.mp4")
    for first in (1, 11, 51, 58):
        part = _read(clips, "reordered.mp4", start_s=first / 25, duration_s=0.08)
        np.testing.assert_array_equal(part, whole[first : first + 2])


def test_variable_rate_holds_a_picture_until_the_next(clips: Clips) -> None:
    frames = _read(clips, "variable.mp4")
    changes = [k for k in range(1, len(frames)) if not np.array_equal(frames[k], frames[k - 1])]
    assert changes == [*range(1, 11), 15, 20, 25, *range(26, 42)]


def test_rotation_is_a_players(clips: Clips) -> None:
    upright = _read(clips, "silent.mp4")[0].astype(int)
    turned = _read(clips, "upside_down.mp4")[0].astype(int)
    assert np.abs(turned - np.rot90(upright, 2)).mean() < 3
    video, plain = probe(clips("portrait.mp4")), probe(clips("silent.mp4"))
    (portrait, *_), (flat, *_) = (list(read_frames(v, FPS, 48, 48)) for v in (video, plain))
    clockwise = np.rot90(flat[0].astype(int), -video.rotation_deg // 90)
    assert np.abs(portrait[0].astype(int) - clockwise).mean() < 3
    assert video.rotation_deg == 270  # made with 90 counterclockwise


def test_pads_with_the_last_picture_and_warns(clips: Clips) -> None:
    from dataclasses import replace

    video, said = probe(clips("silent.mp4")), []
    longer = replace(video, duration_s=3.0)
    frames = np.concatenate(list(read_frames(longer, FPS, 32, 16, warn=said.append)))
    assert len(frames) == 75
    assert np.array_equal(frames[39], frames[74])
    assert len(said) == 1 and "1.4 s" in said[0]


def test_broken_file_is_used_as_far_as_it_goes(clips: Clips) -> None:
    video = probe(clips("broken.mkv"))
    assert sum(len(chunk) for chunk in read_frames(video, FPS, 32, 16)) == math.ceil(video.duration_s * 25 - 0.001)


def test_no_picture_at_all_is_an_error(clips: Clips) -> None:
    from dataclasses import replace

    not_film = replace(probe(clips("silent.mp4")), path=clips("text.mp4"))
    with pytest.raises(FoleyError, match="text.mp4"):
        list(read_frames(not_film, FPS, 32, 16))


def test_closing_early_ends_ffmpeg(clips: Clips) -> None:
    before = _children()
    reading = read_frames(probe(clips("plain.mp4")), FPS, 320, 180, chunk_frames=1)
    next(reading)
    assert len(_children()) == len(before) + 1
    reading.close()  # type: ignore[attr-defined]
    assert _children() == before


def _children() -> list[str]:
    import os
    from pathlib import Path

    listing = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    if not listing.exists():
        pytest.skip("needs Linux's list of children")
    return listing.read_text().split()


def test_chunks(clips: Clips) -> None:
    video = probe(clips("plain.mp4"))
    assert [len(chunk) for chunk in read_frames(video, FPS, 32, 16, chunk_frames=15)] == [15, 15, 10]


def test_a_crop_to_an_odd_size_is_the_picture_of_the_even_one(clips: Clips) -> None:
    """In YCbCr, whose colours have half the size, it must not become a pixel smaller."""
    video = probe(clips("portrait.mp4"))
    odd, even = (
        np.concatenate(list(read_frames(video, Fraction(25), width_px, height_px, fit="crop", duration_s=0.2)))
        for width_px, height_px in ((33, 17), (32, 16))
    )
    assert odd.shape == (5, 17, 33, 3)
    near = [k * 33 // 32 for k in range(32)]
    assert np.abs(odd[:, :16][:, :, near].astype(float) - even).mean() < 25
