"""Training clips: cuts from films with their sound in time, films that are held out, clips kept, the pool."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from clips import FLASH_FRAME

from foleycli.media.probe import probe
from foleycli.training.clips import ClipData, TrainingClip, _cut, cached_clips, filmed_clips, world_clips
from foleycli.training.pool import Pool


@pytest.mark.parametrize(("name", "beep_s"), [("plain.mp4", FLASH_FRAME / 25), ("offset.mp4", FLASH_FRAME / 25 - 0.4)])
@pytest.mark.parametrize("start_s", [0.0, 0.04])
def test_picture_and_sound_of_a_cut_are_in_time(clips, name, beep_s, start_s):
    """In offset.mp4 the picture starts 0.4 s after the sound."""
    clip = _cut(probe(clips(name)), start_s, ClipData(duration_s=1.2, size_px=32), "door")
    assert clip.grey.shape == (30, 32, 32) and clip.samples.shape == (round(1.2 * 44100),)
    assert int(np.argmax(clip.grey.min(axis=(1, 2)))) == FLASH_FRAME - round(start_s * 25)
    assert np.argmax(np.abs(clip.samples) > 0.1) / 44100 == pytest.approx(beep_s - start_s, abs=0.004)
    assert int(np.argmax(clip.loudness_db)) - (beep_s - start_s) * 25 < 2
    assert clip.events_s is None and clip.words == ("door",)


def test_films_that_are_held_out_are_never_trained_on(clips, tmp_path):
    for k, name in enumerate(["plain.mp4", "reordered.mp4", "silent.mp4", "long_sound.mp4"]):
        folder = tmp_path / f"kind{k}"
        folder.mkdir()
        shutil.copy(clips(name), folder / name)
    data = ClipData(videos=str(tmp_path), duration_s=1.0, size_px=16)
    trained = {clip.words[0] for clip in islice(filmed_clips(data, seed=0), 8)}
    held_out = {clip.words[0] for clip in islice(filmed_clips(data, seed=0, held_out=True), 3)}
    assert len(held_out) == 1 and held_out.isdisjoint(trained)
    assert trained | held_out == {"kind0", "kind1", "kind3"}  # kind2 has no sound


def test_clips_are_kept_for_the_next_training(tmp_path):
    data = ClipData(duration_s=1.0, size_px=16, cache=str(tmp_path))
    made = next(world_clips(data, 5))
    first = list(islice(cached_clips(data, 5), 2))
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    second = list(islice(cached_clips(replace(data, pool=7), 5), 2))  # how clips are used does not change them
    assert len(files) == 2 and files == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    for clip in (first[0], second[0]):
        assert clip.words == made.words
        for name in ("grey", "samples", "events_s", "loudness_db"):
            assert np.array_equal(getattr(clip, name), getattr(made, name)), name
    next(cached_clips(replace(data, size_px=24), 5))
    assert len({path.parent for path in tmp_path.rglob("*.npz")}) == 2


def test_pool_keeps_the_latest_clips_and_no_more() -> None:
    def clip(k: int) -> TrainingClip:
        return TrainingClip(np.full((1, 1, 1), k, np.uint8), np.zeros(1), None, np.zeros(1), ())

    pool = Pool(map(clip, range(100)), 4)
    pool.take(3)
    assert {int(c.grey[0, 0, 0]) for c in pool.draw(50, np.random.default_rng(0))} == {0, 1, 2}
    pool.take(6)
    assert {int(c.grey[0, 0, 0]) for c in pool.draw(80, np.random.default_rng(0))} == {5, 6, 7, 8}
