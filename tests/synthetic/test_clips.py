"""Clips: the same seed gives the same clip, shapes are right, splits do not share scenes, works without sounds."""

from __future__ import annotations

import numpy as np
import pytest

from foleycli.errors import FoleyError
from foleycli.synthetic import (
    RATE_HZ,
    SoundBank,
    WorldConfig,
    make_clip,
    make_scene,
    scene_names,
    sound_of,
)
from foleycli.synthetic.clips import WEIGHTS
from foleycli.synthetic.physics import grid
from foleycli.synthetic.render import make_camera
from foleycli.synthetic.scenes import HELD_OUT, SCENES

SHORT = WorldConfig(duration_s=2.0, size_px=48)


@pytest.fixture(scope="module")
def bank() -> SoundBank:
    return SoundBank()


def test_the_same_seed_gives_the_same_clip(bank: SoundBank) -> None:
    a, b = make_clip(5, SHORT, bank), make_clip(5, SHORT, SoundBank())
    assert np.array_equal(a.frames, b.frames)
    assert np.array_equal(a.samples, b.samples)
    assert a.events == b.events
    assert a.label == b.label


def test_another_seed_gives_another_clip(bank: SoundBank) -> None:
    assert not np.array_equal(make_clip(5, SHORT, bank).frames, make_clip(6, SHORT, bank).frames)


@pytest.mark.parametrize("scene", sorted(SCENES))
def test_every_scene_has_the_promised_shapes(scene: str, bank: SoundBank) -> None:
    config = WorldConfig(duration_s=2.0, size_px=48, split="test", scene=scene)
    clip = make_clip(3, config, bank)
    assert clip.frames.shape == (50, 48, 48, 3)
    assert clip.frames.dtype == np.uint8
    assert clip.samples.shape == (2 * RATE_HZ,)
    assert clip.loudness.shape == (50,)
    assert np.isfinite(clip.samples).all()
    assert np.abs(clip.samples).max() <= 1.0
    assert all(0 <= e.time_s < 2.0 and 0 < e.strength <= 1 for e in clip.events)
    assert clip.label in clip.words


def test_quiet_scenes_are_silent_but_for_the_bed(bank: SoundBank) -> None:
    for scene in ("near_misses", "waving", "passing"):
        clip = make_clip(1, WorldConfig(duration_s=2.0, size_px=48, scene=scene), bank)
        assert clip.events == []
        assert clip.loudness.max() == -80


def test_the_sound_can_be_drawn_again(bank: SoundBank) -> None:
    _, track = make_scene(2, WorldConfig(duration_s=2.0, size_px=48, scene="bounce"))
    first, second = (sound_of(track, bank, np.random.default_rng(k)) for k in (1, 2))
    assert first.shape == second.shape
    assert not np.array_equal(first, second)


def test_held_out_scenes_are_for_tests_only() -> None:
    assert HELD_OUT.isdisjoint(scene_names(SHORT))
    assert set(scene_names(WorldConfig(split="test"))) == set(WEIGHTS)
    with pytest.raises(FoleyError, match="tapping"):
        make_scene(1, WorldConfig(scene="tapping"))


def test_scenes_are_drawn_as_often_as_the_weights_say() -> None:
    weights = {name: 0.0 for name in WEIGHTS if name not in ("door", "roll")}
    config = WorldConfig(duration_s=1.5, size_px=32, scene_weights=weights)
    assert {make_scene(seed, config)[1].scene for seed in range(12)} == {"door", "roll"}
    with pytest.raises(FoleyError, match="dor"):
        make_scene(1, WorldConfig(scene_weights={"dor": 1.0}))


def test_the_splits_show_different_pictures() -> None:
    train = make_scene(4, WorldConfig(duration_s=1.0, size_px=48, scene="strike"))[0]
    test = make_scene(4, WorldConfig(duration_s=1.0, size_px=48, scene="strike", split="test"))[0]
    assert not np.array_equal(train, test)


def test_a_long_clip_pans_and_zooms_around_its_middle() -> None:
    """What is drawn lies in the picture at the middle, however long the clip: zoom is 0.3 to 1.7 there."""
    t = grid(60.0)
    cameras = [make_camera(np.random.default_rng(seed), t, WorldConfig(duration_s=60.0)) for seed in range(60)]
    whole = [camera for camera in cameras if camera.cut_s > t[-1]]
    assert sum(camera.zoom[0] != camera.zoom[-1] for camera in whole) > 10
    assert all(0.29 < camera.zoom[len(t) // 2] < 1.71 for camera in whole)


def test_what_sounds_over_a_still_view_is_one_of_the_even_kinds_that_are_given() -> None:
    config = WorldConfig(duration_s=1.0, size_px=32, scene="still_view", even_kinds=("phone", "waves"))
    assert {make_scene(seed, config)[1].sound_kinds[0] for seed in range(12)} == {"phone", "waves"}
