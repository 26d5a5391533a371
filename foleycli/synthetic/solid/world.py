"""A solid scene before the camera: room and light at random, a view that sees the events, frames, and what is heard."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from foleycli.synthetic.config import GRID_HZ, WorldConfig
from foleycli.synthetic.scenes.stage import Stage
from foleycli.synthetic.solid.bodies import Workshop
from foleycli.synthetic.solid.camera import Shot, project, random_shot, smoothed, worn_shot
from foleycli.synthetic.solid.film import Room, shoot
from foleycli.synthetic.solid.scene import SolidBuilder, SolidScene
from foleycli.synthetic.solid.simulation import STEP_HZ

_TRIES = 8  # views tried until the events are visible
_MIN_MOVE_PX = 3.0  # at 112 px; less motion around an event is no evidence
_MIN_SIZE_PX = 4.0  # at 112 px; a smaller thing cannot be seen to touch

Film = Callable[[np.ndarray, int], np.ndarray]  # sub-frame times and how many make a frame, to frames


def stage_solid(
    build: SolidBuilder, rng: np.random.Generator, config: WorldConfig
) -> tuple[Stage, np.ndarray, np.ndarray, Film]:
    """What is heard (a stage without drawn parts), which events are visible bool [e], where across the picture [e]
    (-1 left edge, 1 right edge), and how to film it."""
    shop = Workshop(rng, config.split, config.difficulty)
    scene = build(shop, config.duration_s)
    hits = (scene.blows.times, scene.blows.force)
    shot, is_visible = _best_view(rng, scene, config)
    room = _room(rng, scene, shot, config)
    drive = (
        scene.drive * _in_sight(scene.paths[-1], shot, len(scene.drive), config) if scene.drive is not None else None
    )
    stage = Stage([], scene.mode, scene.blows.sound_kinds, *hits, drive=drive)
    steps = np.minimum(np.round(scene.blows.times * STEP_HZ).astype(int), len(scene.paths[0]) - 1)
    across = 2 * project(shot, scene.blows.positions, steps, config)[0][:, 0] / config.picture_px[0] - 1

    def film(times: np.ndarray, blur: int) -> np.ndarray:
        return shoot(scene.things, room, shot, times=times, blur=blur, config=config)

    return stage, is_visible, across, film


def _best_view(rng: np.random.Generator, scene: SolidScene, config: WorldConfig) -> tuple[Shot, np.ndarray]:
    """The first of some views that sees nearly all events, or the one that sees most."""
    if scene.worn is not None:
        shot = worn_shot(rng, *scene.worn, config)
        return shot, events_in_shot(scene, shot, config)
    hits = (scene.blows.times, scene.blows.force)
    best: tuple[Shot, np.ndarray] | None = None
    for _ in range(_TRIES):
        shot = random_shot(rng, scene.focus, hits, config)
        is_visible = events_in_shot(scene, shot, config)
        if best is None or is_visible.sum() > best[1].sum():
            best = shot, is_visible
        if is_visible.sum() > 0.8 * len(is_visible):
            break
    assert best is not None  # _TRIES is above 0
    return best


def events_in_shot(scene: SolidScene, shot: Shot, config: WorldConfig) -> np.ndarray:
    """Which events happen inside the picture, large enough and with motion around them, bool [e]."""
    blows, is_visible = scene.blows, []
    width, height = config.picture_px
    reach = int(0.16 * STEP_HZ)
    for time_s, where, k in zip(blows.times, blows.positions, blows.mover, strict=True):
        n = len(scene.paths[k])
        i = min(round(time_s * STEP_HZ), n - 1)
        at = np.arange(max(0, i - reach), min(n, i + reach))
        spot, depth = project(shot, where[None], np.array([i]), config)
        path, near = project(shot, scene.paths[k][at], np.full(len(at), i), config)
        scale = 112 / min(width, height)
        extent = float(np.linalg.norm(np.ptp(path, axis=0))) * scale
        size = 2 * scene.sizes[k] / max(depth[0], 0.5) / (2 * np.tan(shot.fov[i] / 2)) * 112
        x, y = spot[0]
        inside = 0 <= x < width and 0 <= y < height and depth[0] > 0.5 and near.min() > 0.5
        is_visible.append(inside and extent >= _MIN_MOVE_PX and size >= _MIN_SIZE_PX)
    return np.array(is_visible, bool)


def _in_sight(path: np.ndarray, shot: Shot, n: int, config: WorldConfig) -> np.ndarray:
    """1 where a path is inside the picture, 0 where it is not, with short fades, [n] at GRID_HZ."""
    spots, depth = project(shot, path, np.arange(len(path)), config)
    inside = (depth > 0.5) & (spots >= 0).all(1) & (spots < config.picture_px).all(1)
    soft = smoothed(inside.astype(float), STEP_HZ // 10)
    return np.interp(np.arange(n) / GRID_HZ, np.arange(len(path)) / STEP_HZ, soft)


def _room(rng: np.random.Generator, scene: SolidScene, shot: Shot, config: WorldConfig) -> Room:
    d = config.difficulty
    numbers = rng.integers(0, 120, 2) if config.split == "train" else rng.integers(5000, 5040, 2)
    angle, fall = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.3)
    sun = (np.cos(angle) * np.cos(fall), np.sin(angle) * np.cos(fall), -np.sin(fall))
    warm = rng.normal(0, 0.12) * d * np.array([1.0, 0.1, -1.0])
    ambient = rng.uniform(0.25, 0.55)
    bright = rng.uniform(0.55, 1.15)
    away = float(np.abs(shot.eye[:, :2]).max()) * 1.25 + 15
    middle = scene.focus.center.mean(axis=0)
    pool = rng.uniform(15, 60) if rng.random() < 0.5 else 0.0
    return Room(
        ground_z=scene.ground_z,
        ground=scene.ground,
        ground_repeat=float(np.exp(rng.uniform(np.log(0.03), np.log(0.2)))),
        backdrop=(int(numbers[0]), int(numbers[1])),
        wall_radius=max(away, rng.uniform(40, 160)),
        sun=sun,
        sun_rgb=tuple((bright * (1 + warm)).tolist()),
        ambient_rgb=tuple((ambient * (1 - 0.5 * warm)).tolist()),
        fill_rgb=tuple((rng.uniform(0, 0.35) * (1 - warm)).tolist()),
        pool=(float(middle[0]), float(middle[1]), pool),
        shadow_z=scene.top_z,
        shadow_alpha=rng.uniform(0.25, 0.6) if rng.random() < 0.8 else 0.0,
    )
