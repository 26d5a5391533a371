"""Training clips: cuts from films with their sound in time, films that are held out, clips kept, the pool."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import soundfile
from clips import FLASH_FRAME

from foleycli.errors import FoleyError
from foleycli.media.probe import probe
from foleycli.soundset.kinds import EVEN_KINDS
from foleycli.training.clips import ClipData, TrainingClip, _cut, cached_clips, filmed_clips, world_clips, world_config
from foleycli.training.pool import Pool
from foleycli.training.recipe import from_dict
from foleycli.training.sources import check_sounds


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


def test_worlds_take_their_sounds_from_one_folder_or_several(tmp_path):
    for name, sub in (("one", "waves"), ("other", "shower")):
        (tmp_path / name).mkdir()
        rows = [{"file": f"{k}.wav", "category": "water", "sub": sub} for k in range(3)]
        for row in rows:
            soundfile.write(tmp_path / name / row["file"], np.random.default_rng(0).uniform(-0.5, 0.5, 44100), 44100)
        (tmp_path / name / "index.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    folders = [str(tmp_path / name) for name in ("one", "other")]
    read = [from_dict(ClipData, {"sounds": sounds}, "recipe") for sounds in (folders[0], folders)]
    assert [world_config(data, "train").even_kinds[len(EVEN_KINDS) :] for data in read] == [
        ("waves",),
        ("waves", "shower"),
    ]
    assert read[0].described() != read[1].described()  # what is cached of one is not taken for the other
    with pytest.raises(FoleyError, match="nowhere"):
        check_sounds(ClipData(sounds=(folders[0], str(tmp_path / "nowhere"))))


def test_a_damaged_clip_of_the_cache_is_made_again(tmp_path):
    data = ClipData(duration_s=1.0, size_px=16, cache=str(tmp_path))
    made = next(cached_clips(data, 5))
    (path,) = tmp_path.rglob("*.npz")
    for damaged in (b"", path.read_bytes()[:1000], b"no archive"):
        path.write_bytes(damaged)
        again = next(cached_clips(data, 5))
        assert np.array_equal(again.samples, made.samples) and path.stat().st_size > 1000
