"""Solid worlds: blows come when mechanics says, near misses are silent, materials choose the sound, seeds repeat."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("panda3d")

from foleycli.errors import FoleyError
from foleycli.soundset.kinds import SOUND_KINDS
from foleycli.synthetic import WorldConfig, make_scene, scene_names
from foleycli.synthetic.solid import SOLID_HELD_OUT, SOLID_SCENES
from foleycli.synthetic.solid.bodies import GRAVITY, Body, Grip, Piece, Workshop
from foleycli.synthetic.solid.camera import Shot, project
from foleycli.synthetic.solid.film import Room, Thing, shoot
from foleycli.synthetic.solid.materials import MATERIALS, sound_kinds_of, step_sound_kinds, surface_number
from foleycli.synthetic.solid.rolling import touching
from foleycli.synthetic.solid.scene import blows_of, merged
from foleycli.synthetic.solid.simulation import STEP_HZ, Push, simulate
from foleycli.synthetic.solid.strikes import solid_strike
from foleycli.synthetic.solid.walking import solid_walk
from foleycli.synthetic.solid.world import events_in_shot

SMALL = WorldConfig(duration_s=2.0, size_px=48, split="test")
FLOOR = Body((Piece("box", (400, 400, 4), material="stone"),), at=(0, 0, -2), fixed=True)
BALL = Body((Piece("ball", (1.0, 1.0, 1.0), material="plastic"),), at=(0, 0, 5.5), bouncy=1.0)


def _digest(scene: str, seed: int) -> str:
    frames, track = make_scene(seed, replace(SMALL, scene=scene, duration_s=1.0))
    return hashlib.sha1(frames.tobytes() + repr(track).encode()).hexdigest()


@pytest.mark.parametrize("scene", sorted(SOLID_SCENES))
def test_every_kind_builds_and_repeats(scene: str) -> None:
    frames, track = make_scene(3, replace(SMALL, scene=scene))
    assert frames.shape == (50, 48, 48, 3)
    assert frames.dtype == np.uint8
    assert frames.std() > 5
    assert track.scene == scene
    assert all(0 <= event.time_s < 2.0 and 0 < event.strength <= 1 for event in track.events)
    assert all(name in SOUND_KINDS for name in track.sound_kinds)
    first = _digest(scene, 4)
    _digest(scene, 5)  # what was drawn before must not matter
    assert _digest(scene, 4) == first


def test_a_forked_worker_makes_the_same_clip() -> None:
    here = _digest("solid_drop", 5)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, _digest("solid_drop", 5).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 100).decode() == here


def test_a_dropped_ball_hits_when_gravity_says() -> None:
    motion = simulate([FLOOR, BALL], 2.0)
    fall_s = np.sqrt(2 * 5.0 / GRAVITY)
    assert motion.contacts.time_s[0] == pytest.approx(fall_s, abs=1.01 / STEP_HZ)
    rise = motion.contacts.speed[0] - GRAVITY * fall_s  # what the impulse left after it stopped the fall
    assert 0.4 < rise / (GRAVITY * fall_s) <= MATERIALS["stone"].restitution
    assert np.diff(motion.contacts.time_s)[0] == pytest.approx(2 * rise / GRAVITY, abs=3 / STEP_HZ)


def test_a_held_thing_falls_when_it_is_let_go() -> None:
    motion = simulate([FLOOR, replace(BALL, grips=(Grip(0.0, 1.0, BALL.at),))], 2.0)
    assert motion.contacts.time_s[0] == pytest.approx(1.0 + np.sqrt(2 * 5.0 / GRAVITY), abs=2 / STEP_HZ)
    assert np.ptp(motion.places[: STEP_HZ - 2, 1, 2]) < 0.05


def test_balls_that_pass_each_other_are_silent_and_balls_that_meet_are_not() -> None:
    a = replace(BALL, at=(-3.0, 0, 0.5), bouncy=0.9)
    push = Push(0.5, 1, (20 * a.mass, 0, 0))
    for aside, meets in ((0.0, True), (1.3, False)):
        motion = simulate([FLOOR, a, replace(a, at=(0.0, aside, 0.5))], 1.5, [push])
        pairs = {(int(i), int(j)) for i, j in zip(motion.contacts.a, motion.contacts.b, strict=True)}
        assert ((1, 2) in pairs) == meets
        if meets:  # 3 dm between the centres, 1 dm of them the balls themselves
            k = int(np.flatnonzero(motion.contacts.a == 1)[0])
            assert motion.contacts.time_s[k] == pytest.approx(0.5 + 2 / 20, abs=0.02)


def test_the_tip_touches_at_blows_and_stays_away_at_misses() -> None:
    for seed in range(12):
        scene = solid_strike(Workshop(np.random.default_rng(seed), "train", 1.0), 5.0)
        tip, at = scene.paths[0], np.round(scene.blows.times * STEP_HZ).astype(int)
        away = np.linalg.norm(tip - scene.blows.positions[0], axis=1)
        step = np.linalg.norm(np.diff(tip, axis=0, append=tip[-1:]), axis=1)
        assert (away[at] <= 0.55 * np.maximum(step[at - 1], step[at]) + 0.02).all()  # no further than half a step
        arrivals = np.flatnonzero((away[1:] < 0.1) & (away[:-1] >= 0.1)) + 1
        assert all(np.abs(at - k).min() <= 0.03 * STEP_HZ for k in arrivals)


def test_blows_are_merged_and_faint_ones_dropped() -> None:
    kept = merged(np.array([1.0, 1.03, 1.5, 2.0, 2.03]), np.array([0.8, 0.9, 0.01, 0.1, 0.9]))
    assert [(round(t, 2), level) for t, level, _ in kept] == [(1.0, 0.9), (2.03, 0.9)]


def test_every_pair_of_materials_has_sounds() -> None:
    for a in MATERIALS:
        for b in MATERIALS:
            assert sound_kinds_of(a, b) == sound_kinds_of(b, a)
            assert all(name in SOUND_KINDS for name in sound_kinds_of(a, b))
        assert all(name in SOUND_KINDS for name in step_sound_kinds(a, np.random.default_rng(0)))
    assert sound_kinds_of("wood", "wood")[0] == "wood"
    assert sound_kinds_of("water", "stone") == ("splash",)


def test_the_materials_of_a_blow_choose_its_sound() -> None:
    for material, sound_kind in (("wood", "wood"), ("metal", "metal"), ("stone", "stone")):
        floor = replace(FLOOR, pieces=(replace(FLOOR.pieces[0], material=material),))
        ball = replace(BALL, pieces=(replace(BALL.pieces[0], material=material),))
        blows = blows_of(simulate([floor, ball], 1.5).contacts, [floor, ball], np.random.default_rng(0))
        assert blows.sound_kinds[0] == sound_kind


def test_held_out_kinds_and_looks_are_for_tests_only() -> None:
    assert SOLID_HELD_OUT.isdisjoint(scene_names(WorldConfig()))
    assert set(scene_names(WorldConfig(split="test"))) >= SOLID_HELD_OUT
    with pytest.raises(FoleyError, match="solid_stack"):
        make_scene(1, WorldConfig(scene="solid_stack"))
    rng = np.random.default_rng(0)
    looks = {split: {surface_number(rng, split) for _ in range(200)} for split in ("train", "test")}
    assert looks["train"].isdisjoint(looks["test"])


def test_what_is_projected_is_where_it_is_drawn() -> None:
    n, config = 10, WorldConfig(size_px=112)
    still = np.ones((n, 1))
    shot = Shot(
        eye=still * (6.0, -12.0, 5.0),
        aim=still * (0.0, 0.0, 1.0),
        roll=0.2 * still[:, 0],
        fov=0.7 * still[:, 0],
        squash=0.8,
        cut_s=99.0,
    )
    ball = Piece("ball", (0.8,) * 3, material="plastic", number=7)
    at = np.array([1.2, 0.3, 1.5])
    room = Room(
        ground_z=0,
        ground=("stone", 1),
        ground_repeat=0.1,
        backdrop=(3, 3),
        wall_radius=90,
        sun=(0.3, 0.4, -0.86),
        sun_rgb=(1,) * 3,
        ambient_rgb=(0.4,) * 3,
        fill_rgb=(0.1,) * 3,
        pool=(0, 0, 0),
        shadow_z=0,
        shadow_alpha=0.0,
    )
    place = np.array([[*at, 1, 0, 0, 0]])
    with_ball = shoot([Thing((ball,), place)], room, shot, np.zeros(1), 1, config)[0].astype(int)
    without = shoot([], room, shot, np.zeros(1), 1, config)[0].astype(int)
    rows, columns = np.nonzero(np.abs(with_ball - without).sum(axis=2) > 40)
    spot, _ = project(shot, at[None], np.zeros(1, int), config)
    assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx(tuple(spot[0]), abs=1.5)


def test_blows_out_of_sight_do_not_count() -> None:
    scene = solid_strike(Workshop(np.random.default_rng(1), "train", 0.0), 3.0)
    n = len(scene.paths[0])
    still = np.ones((n, 1))
    top = scene.blows.positions[0]
    near = Shot(
        eye=still * (top + (8, 8, 6)),
        aim=still * top,
        roll=still[:, 0] * 0,
        fov=still[:, 0] * 0.8,
        squash=1.0,
        cut_s=99.0,
    )
    assert events_in_shot(scene, near, SMALL).any()
    assert not events_in_shot(scene, replace(near, aim=still * (top + (90, 90, 6))), SMALL).any()
    assert not events_in_shot(scene, replace(near, eye=still * (top + (900, 900, 60))), SMALL).any()


def test_a_foot_is_on_the_ground_when_it_is_heard_and_stays_there() -> None:
    for seed in range(6):
        scene = solid_walk(Workshop(np.random.default_rng(seed), "train", 1.0), 5.0)
        for time_s, k in zip(scene.blows.times, scene.blows.mover, strict=True):
            i = round(time_s * STEP_HZ)
            foot = scene.paths[k]
            assert np.ptp(foot[i : i + STEP_HZ // 10], axis=0).max() < 0.1  # it bears the body
            before = foot[max(0, i - STEP_HZ // 8) : i]
            assert i < STEP_HZ // 8 or np.ptp(before, axis=0).max() > 0.5  # it came through the air


def test_what_rolls_is_loud_when_it_is_fast_and_silent_in_the_air() -> None:
    rises = np.concatenate(
        [np.full(100, 1.0), 1.0 + 20 * np.arange(60) / STEP_HZ - GRAVITY / 2 * (np.arange(60) / STEP_HZ) ** 2]
    )
    path = np.stack([np.arange(160) / 10, np.zeros(160), rises], -1)
    carried = touching(path)
    assert carried[10:90].all()
    assert not carried[105:150].any()
