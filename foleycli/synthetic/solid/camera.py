"""Where the camera stands and looks: random views of an action, pans, orbits, zooms, hand-held shake and cuts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from foleycli.synthetic.config import WorldConfig
from foleycli.synthetic.physics import decays, smooth_noise
from foleycli.synthetic.solid.simulation import STEP_HZ


@dataclass(frozen=True)
class Shot:
    """The camera at each step; positions in dm, angles in radians, [n, ...]."""

    eye: np.ndarray  # [n, 3]
    aim: np.ndarray  # [n, 3]
    roll: np.ndarray  # [n]
    fov: np.ndarray  # [n] of the picture's shorter side
    squash: float  # below 1: a wide picture squeezed into the frame
    cut_s: float  # beyond the end: no cut


@dataclass(frozen=True)
class Focus:
    """What is to be seen: its middle at each step, its radius, and from where it may be watched."""

    center: np.ndarray  # [n, 3]
    radius: float
    azimuth: tuple[float, float] = (-np.pi, np.pi)  # of the eye, about the centre
    elevation: tuple[float, float] = (0.12, 1.0)
    share: tuple[float, float] = (0.35, 1.5)  # of half the picture that the radius covers
    follow: float | None = None  # how closely the camera keeps up with the centre; None: at random


def random_shot(
    rng: np.random.Generator, focus: Focus, hits: tuple[np.ndarray, np.ndarray], config: WorldConfig
) -> Shot:
    """A view of the focus; `hits` (times, strengths) may shake the camera.  Plain and still at difficulty 0."""
    d = config.difficulty
    n = len(focus.center)
    t = np.arange(n) / STEP_HZ
    steady = np.repeat(focus.center.mean(axis=0, keepdims=True), n, axis=0)
    follow = rng.uniform(0.5, 1.0) if rng.random() < 0.3 * d else 0.0
    follow = follow if focus.follow is None else focus.follow
    shot = _view(rng, focus, steady + follow * (smoothed(focus.center, STEP_HZ) - steady), t=t, d=d)
    if rng.random() < 0.06 * d and t[-1] > 2:
        other = _view(rng, focus, steady, t=t, d=d)
        cut_s = rng.uniform(1, t[-1] - 1)
        late = t >= cut_s
        shot = Shot(
            eye=np.where(late[:, None], other.eye, shot.eye),
            aim=np.where(late[:, None], other.aim, shot.aim),
            roll=np.where(late, other.roll, shot.roll),
            fov=np.where(late, other.fov, shot.fov),
            squash=shot.squash,
            cut_s=cut_s,
        )
    if rng.random() < 0.12 * d:  # the camera stands on the same table
        jolt = decays(t, *hits, 0.06) * np.sin(t * rng.uniform(60, 120)) * rng.uniform(0.002, 0.012)
        reach = np.linalg.norm(shot.aim - shot.eye, axis=1) * jolt
        shot = replace(shot, aim=shot.aim + reach[:, None] * rng.normal(0, 1, 3))
    return shot


def worn_shot(rng: np.random.Generator, eye: np.ndarray, aim: np.ndarray, config: WorldConfig) -> Shot:
    """The view from a camera that a moving head or hand carries."""
    n = len(eye)
    fov = np.full(n, rng.uniform(0.9, 1.5))
    roll = 0.04 * smooth_noise(rng, np.arange(n) / STEP_HZ, 1.5) * config.difficulty
    return Shot(eye=eye, aim=aim, roll=roll, fov=fov, squash=1.0, cut_s=n / STEP_HZ + 1)


def _view(rng: np.random.Generator, focus: Focus, center: np.ndarray, t: np.ndarray, d: float) -> Shot:
    fov = np.radians(np.exp(rng.uniform(np.log(50 - 26 * d), np.log(51 + 24 * d))))
    low, high = np.log(focus.share)
    middle = (low + high) / 2
    share = np.exp(rng.uniform(middle + (low - middle) * d, high))
    azimuth = rng.uniform(*focus.azimuth)
    elevation = rng.triangular(focus.elevation[0], 0.4, focus.elevation[1]) if d else 0.4
    aside = np.array([rng.uniform(-1, 1), rng.uniform(-1, 1)]) * max(0.0, 1 / share - 1.1) * focus.radius * 0.8 * d
    reach = focus.radius / share / np.tan(fov / 2)
    roll = np.full_like(t, rng.normal(0, 0.08) * d)
    azimuths, zoom = np.full_like(t, azimuth), np.ones_like(t)
    if rng.random() < 0.35 * d:  # walk around it and zoom
        azimuths = azimuths + rng.normal(0, 0.08) * (t - t[-1] / 2) + 0.1 * smooth_noise(rng, t, 0.5)
        zoom = np.exp(rng.normal(0, 0.05) * (t - t[-1] / 2))
    side = np.stack([-np.sin(azimuths), np.cos(azimuths), 0 * t], -1)
    back = np.stack(
        [np.cos(azimuths) * np.cos(elevation), np.sin(azimuths) * np.cos(elevation), 0 * t + np.sin(elevation)], -1
    )
    aim = center + aside[0] * side + np.array([0, 0, aside[1]])
    eye = aim + back * reach
    if rng.random() < 0.45 * d:  # hand-held
        size, rate = rng.uniform(0.004, 0.035) * focus.radius / share, rng.uniform(0.8, 4.5)
        aim = aim + size * np.stack([smooth_noise(rng, t, rate) for _ in range(3)], -1)
        eye = eye + size * np.stack([smooth_noise(rng, t, rate) for _ in range(3)], -1)
        roll = roll + 0.02 * smooth_noise(rng, t, rate)
    squash = rng.uniform(0.56, 1.0) if rng.random() < 0.5 * d else 1.0
    return Shot(eye=eye, aim=aim, roll=roll, fov=np.clip(fov * zoom, 0.2, 1.9), squash=squash, cut_s=t[-1] + 1)


def smoothed(values: np.ndarray, width: int) -> np.ndarray:
    """Means over `width` steps about each step, [n, ...].  By sums, as np.convolve rounds by where memory lies."""
    pad = ((width, width), *((0, 0),) * (values.ndim - 1))
    total = np.cumsum(np.pad(values, pad, mode="edge"), axis=0)
    return ((total[width:] - total[:-width]) / width)[width // 2 : width // 2 + len(values)]


def views(shot: Shot, at: np.ndarray) -> np.ndarray:
    """Camera matrices at step indices [s]: rows right, forward, up, position, float64 [s, 4, 4]."""
    forward = _unit(shot.aim[at] - shot.eye[at])
    right = _unit(np.cross(forward, (0.0, 0.0, 1.0)))
    up = np.cross(right, forward)
    cos, sin = np.cos(shot.roll[at])[:, None], np.sin(shot.roll[at])[:, None]
    out = np.zeros((len(at), 4, 4))
    out[:, 0, :3], out[:, 1, :3], out[:, 2, :3] = right * cos + up * sin, forward, up * cos - right * sin
    out[:, 3, :3], out[:, 3, 3] = shot.eye[at], 1
    return out


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def project(shot: Shot, points: np.ndarray, at: np.ndarray, config: WorldConfig) -> tuple[np.ndarray, np.ndarray]:
    """World points [s, 3] at step indices [s] to pixels [s, 2] and depth in dm [s] (not above 0: behind the eye)."""
    width, height = config.picture_px
    matrix = views(shot, at)
    local = np.einsum("skc,sc->sk", matrix[:, :3, :3], points - matrix[:, 3, :3])
    depth = local[:, 1]
    half = min(width, height) / 2 / np.tan(shot.fov[at] / 2) / np.maximum(depth, 1e-3)
    x = width / 2 + local[:, 0] * half * shot.squash
    return np.stack([x, height / 2 - local[:, 2] * half], -1), depth
