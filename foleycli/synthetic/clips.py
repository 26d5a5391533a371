"""Seed and configuration in, clip out: a scene is built, filmed, checked for what is visible, and given its sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from foleycli.errors import FoleyError
from foleycli.settings.checking import short_repr
from foleycli.soundset.bank import SoundBank, shared_bank
from foleycli.soundset.kinds import SOUND_KINDS
from foleycli.synthetic.config import GRID_HZ, SILENT_WORDS, Clip, Event, Mode, Track, WorldConfig
from foleycli.synthetic.degrade import degrade
from foleycli.synthetic.physics import decays, grid
from foleycli.synthetic.render import Camera, make_camera, project, render
from foleycli.synthetic.scenes import HELD_OUT, SCENES, Props, Stage, occluders
from foleycli.synthetic.scenes.stage import Builder
from foleycli.synthetic.solid import SOLID_HELD_OUT, SOLID_SCENES
from foleycli.synthetic.solid.world import Film, stage_solid
from foleycli.synthetic.sound import Mix, loudness_db, mix_of

_TRIES = 5  # cameras tried until all events are visible
_MIN_MOVE_PX = 3.0  # at 112 px; less motion around an event is no evidence
_MOST_LATE_S = 0.012  # recorded sound comes through up to 4 m of air

# How often each scene kind is drawn, drawn ones first.
WEIGHTS: dict[str, float] = {name: weight for name, (_, weight) in (*SCENES.items(), *SOLID_SCENES.items())}


def scene_names(config: WorldConfig) -> list[str]:
    """Scene kinds that a split may show; the held-out kinds are for "test" only."""
    return [name for name in WEIGHTS if config.split == "test" or name not in HELD_OUT | SOLID_HELD_OUT]


def make_scene(seed: int, config: WorldConfig) -> tuple[np.ndarray, Track]:
    """The picture uint8 [T, H, W, 3] of a seed, and the track from which any number of sounds can be drawn."""
    rng = np.random.default_rng([seed, 0 if config.split == "train" else 1])
    name = _scene_name(rng, config)
    if name in SOLID_SCENES:
        stage, is_visible, across, film = stage_solid(SOLID_SCENES[name][0], rng, config)
    else:
        stage, is_visible, across, film = _stage_drawn(SCENES[name][0], rng, config)
    frames = _shoot(rng, film, config)
    return frames, _track(rng, stage=stage, is_visible=is_visible, across=across, name=name, seed=seed, config=config)


def make_clip(
    seed: int, config: WorldConfig, bank: SoundBank | None = None, scene: tuple[np.ndarray, Track] | None = None
) -> Clip:
    """Picture and sound of a seed; the same arguments give the same clip, bit for bit.

    `bank` is where its sounds come from (None: synthesised ones); `scene` what `make_scene` gave for the same seed
    and config, where it is there already.
    """
    bank = bank if bank is not None else shared_bank()
    frames, track = scene if scene is not None else make_scene(seed, config)
    mix = own_mix(track, bank)
    labels = mix.sound_kind.labels if mix.sound_kind is not None else SILENT_WORDS
    events = [replace(event, category=labels[0]) for event in track.events]
    loudness = loudness_db(mix.clean, config.n_frames, config.fps)
    pick = np.random.default_rng([track.sound_seed, 10]).integers(len(labels))
    return Clip(
        frames=frames,
        samples=mix.samples,
        events=events,
        loudness=loudness,
        label=labels[int(pick)],
        words=list(labels),
        scene=track.scene,
    )


def own_mix(track: Track, bank: SoundBank) -> Mix:
    """The sound that `make_clip` gives a track, in its layers."""
    return mix_of(track, bank, np.random.default_rng([track.sound_seed, 9]))


def _scene_name(rng: np.random.Generator, config: WorldConfig) -> str:
    names = scene_names(config)
    unknown = sorted(set(config.scene_weights) - set(WEIGHTS))
    if unknown:
        raise FoleyError(f"scene_weights: there is no scene {short_repr(unknown[0])}", f"Known: {', '.join(WEIGHTS)}")
    weights = np.array([config.scene_weights.get(name, WEIGHTS[name]) for name in names], float)
    drawn = names[int(rng.choice(len(names), p=weights / weights.sum()))]
    if config.scene is None:
        return drawn
    if config.scene not in names:
        raise FoleyError(
            f"there is no scene {short_repr(config.scene)} in split {short_repr(config.split)}",
            f"Known: {', '.join(names)}",
        )
    return config.scene


def _stage_drawn(
    build: Builder, rng: np.random.Generator, config: WorldConfig
) -> tuple[Stage, np.ndarray, np.ndarray, Film]:
    """A scene drawn with sprites, which events are visible bool [e], where across the picture [e], how to film it."""
    t = grid(config.duration_s)
    props = Props(rng, config.split, config.difficulty, config.even_kinds)
    stage = build(rng, t, props)
    stage = replace(stage, parts=[*stage.parts, *occluders(props, rng, t)])
    camera, is_visible = _film(rng, t, stage, config)
    across = 2 * event_places(stage, camera, t, config)[:, 0] / config.picture_px[0] - 1

    def film(times: np.ndarray, blur: int) -> np.ndarray:
        return render(stage.parts, camera=camera, times=times, blur=blur, config=config)

    return stage, is_visible, across, film


def _film(rng: np.random.Generator, t: np.ndarray, stage: Stage, config: WorldConfig) -> tuple[Camera, np.ndarray]:
    """A camera that sees the events, and which of them it sees (bool [e]); the last try may miss some."""
    shake = stage.shake
    if shake is None and rng.random() < 0.12 * config.difficulty:  # the camera stands on the same table
        jolt = decays(t, stage.times, stage.force, 0.06) * np.sin(t * rng.uniform(60, 120))
        shake = jolt[:, None] * rng.normal(0, 1, 3) * (0.02, 0.02, 0.005)
    for _ in range(_TRIES):
        camera = make_camera(rng, t, config)
        if shake is not None:
            x, y, roll = shake.T
            camera = replace(camera, x=camera.x + x, y=camera.y + y, roll=camera.roll + roll)
        is_visible = visible_events(stage, camera, t, config)
        if is_visible.mean() > 0.8 if len(is_visible) else True:
            break
    return camera, is_visible


def visible_events(stage: Stage, camera: Camera, t: np.ndarray, config: WorldConfig) -> np.ndarray:
    """Which events happen inside the picture with at least 3 px of motion around them, bool [e]."""
    width, height = config.picture_px
    reach, is_visible = int(0.16 * GRID_HZ), []
    for i, path in _event_paths(stage, camera, t, config):
        x, y = path[i]
        near = path[max(0, i - reach) : i + reach]
        near = near[(np.abs(near - (x, y)) < width).all(1)]
        extent = float(np.linalg.norm(np.ptp(near, axis=0))) * 112 / min(width, height)
        is_visible.append(0 <= x < width and 0 <= y < height and extent >= _MIN_MOVE_PX)
    return np.array(is_visible, bool)


def event_places(stage: Stage, camera: Camera, t: np.ndarray, config: WorldConfig) -> np.ndarray:
    """Where in the picture each event happens, in pixels from the top left corner, [e, 2]."""
    return np.array([path[i] for i, path in _event_paths(stage, camera, t, config)]).reshape(-1, 2)


def _event_paths(stage: Stage, camera: Camera, t: np.ndarray, config: WorldConfig) -> Iterator[tuple[int, np.ndarray]]:
    """Of each event its step on the grid, and the path in pixels [n, 2] of the tip that causes it."""
    if len(stage.times) == 0:
        return
    at = np.arange(len(t))
    paths = [project(camera, tip[:, None], at, config)[0][:, 0] for tip in stage.tips]
    which = stage.tip_of if stage.tip_of is not None else np.zeros(len(stage.times), int)
    for time_s, k in zip(stage.times, which, strict=True):
        yield min(round(time_s * GRID_HZ), len(t) - 1), paths[k]


def _shoot(rng: np.random.Generator, film: Film, config: WorldConfig) -> np.ndarray:
    """Frames as a source of 12.5-50 fps would show them on the clip's grid (the latest frame not after t)."""
    d = config.difficulty
    other = rng.random() < 0.5 * d
    source_fps = float(rng.choice([12.5, 15, 20, 24, 30, 50])) if other else float(config.fps)
    phase_s = rng.uniform(0, 1 / source_fps) if other else 0.0
    shutter_s = rng.uniform(0.05, 0.9) / source_fps * d
    blur = 1 if shutter_s < 0.006 else 2 if shutter_s < 0.015 else 3
    grid_s = np.arange(config.n_frames) / config.fps
    index = np.floor((grid_s - phase_s) * source_fps + 1e-6).astype(int)
    shown, copies = np.unique(index, return_inverse=True)
    open_s = np.linspace(0, shutter_s, blur) if blur > 1 else np.zeros(1)
    times = (shown / source_fps + phase_s)[:, None] + open_s  # a camera stamps a frame when its shutter opens
    frames = film(times.ravel(), blur)
    return degrade(frames, rng, d)[copies]


def _track(
    rng: np.random.Generator,
    stage: Stage,
    is_visible: np.ndarray,
    across: np.ndarray,
    name: str,
    seed: int,
    config: WorldConfig,
) -> Track:
    label = SOUND_KINDS[stage.sound_kinds[0]].labels[0]
    sound_times_s = stage.times + rng.uniform(0, _MOST_LATE_S) * config.difficulty
    events = tuple(
        Event(float(time_s), float(force), label, float(x))
        for time_s, force, x, ok in zip(sound_times_s, stage.force, across, is_visible, strict=True)
        if ok and time_s < config.duration_s
    )
    drive = stage.drive.astype(np.float32) if stage.drive is not None else None
    bed = str(rng.choice(["nature", "place", "wind", "rain"])) if rng.random() < 0.3 else None
    reverb_s = rng.uniform(0.1, 0.7) if rng.random() < 0.4 else 0.0
    peak_db = float(np.clip(rng.normal(-4, 2.5), -14, -1))
    mode: Mode = "silence" if stage.mode == "hits" and not events else stage.mode
    return Track(
        duration_s=config.duration_s,
        fps=config.fps,
        split=config.split,
        mode=mode,
        sound_kinds=stage.sound_kinds,
        events=events,
        scene=name,
        drive=drive,
        bed=bed,
        bed_db=rng.uniform(-50, -35),
        reverb_s=reverb_s,
        peak_db=peak_db,
        sound_seed=seed,
    )
