"""Pictures: events that cannot be seen do not count, motion peaks at hits, trajectories touch when they say so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from foleycli.synthetic import WorldConfig, make_scene
from foleycli.synthetic.clips import event_places, visible_events
from foleycli.synthetic.physics import MIN_GAP_S, bounces, event_times, grid, strike_height
from foleycli.synthetic.render import make_camera
from foleycli.synthetic.scenes import Props
from foleycli.synthetic.scenes.objects import bounce

PLAIN = WorldConfig(duration_s=4.0, size_px=112, difficulty=0.0)


def test_events_outside_the_picture_or_too_small_do_not_count() -> None:
    t = grid(4.0)
    rng = np.random.default_rng(3)
    stage = bounce(rng, t, Props(rng, "train", 0.0))
    camera = make_camera(rng, t, PLAIN)
    assert visible_events(stage, camera, t, PLAIN).any()
    assert not visible_events(stage, replace(camera, x=camera.x + 9), t, PLAIN).any()
    assert not visible_events(stage, replace(camera, zoom=camera.zoom * 0.01), t, PLAIN).any()


def test_the_place_of_an_event_moves_with_the_camera() -> None:
    t = grid(4.0)
    rng = np.random.default_rng(3)
    stage = bounce(rng, t, Props(rng, "train", 0.0))
    camera = make_camera(rng, t, PLAIN)
    places = event_places(stage, camera, t, PLAIN)
    assert places.shape == (len(stage.times), 2) and np.abs(places - 56).max() < 56
    aside = event_places(stage, replace(camera, x=camera.x + 0.5), t, PLAIN)
    assert (aside[:, 0] < places[:, 0] - 10).all() and np.allclose(aside[:, 1], places[:, 1])


def test_seen_events_lie_in_the_picture() -> None:
    for scene in ("bounce", "solid_drop"):
        _, track = make_scene(4, replace(PLAIN, difficulty=1.0, scene=scene))
        across = np.array([event.across for event in track.events])
        assert len(across) and np.abs(across).max() <= 1 and np.ptp(across) > 0


def test_an_unseen_event_is_not_in_the_track() -> None:
    config = WorldConfig(duration_s=3.0, size_px=48, scene="hit_and_fly")
    for seed in range(12):
        _, track = make_scene(seed, config)
        if not track.events:
            assert track.mode == "silence"


def test_a_tip_touches_at_strikes_and_only_there() -> None:
    rng = np.random.default_rng(0)
    t = grid(5.0)
    times, misses = np.array([1.0, 2.5, 4.0]), np.array([1.75])
    height = strike_height(rng, t, times=times, force=np.full(3, 0.8), misses=misses)
    assert height[[200, 500, 800]].max() < 0.02
    assert height[350] > 0.1  # the miss
    assert height[[195, 495, 795]].min() > 0.02  # still moving 25 ms before
    assert np.abs(np.diff(height)).max() < 0.35  # no jumps


def test_balls_touch_the_floor_when_they_bounce() -> None:
    for seed in range(5):
        t = grid(5.0)
        height, times, speeds = bounces(np.random.default_rng(seed), t, 0.7, 8.0)
        assert len(times) == len(speeds) > 0
        assert height[np.round(times * 200).astype(int)].max() < 0.05
        assert np.diff(times).min(initial=1.0) >= MIN_GAP_S * 0.99


def test_events_keep_their_distance() -> None:
    for seed in range(50):
        times = event_times(np.random.default_rng(seed), 5.0)
        assert np.diff(times).min(initial=1.0) >= MIN_GAP_S - 1e-9


def test_the_picture_moves_around_a_bounce() -> None:
    frames, track = make_scene(11, replace(PLAIN, scene="bounce"))
    motion = np.abs(np.diff(frames.astype(np.int16), axis=0)).mean(axis=(1, 2, 3))
    at = [round(event.time_s * 25) for event in track.events]
    assert np.median([motion[max(0, k - 2) : k + 2].max() for k in at]) > 0
