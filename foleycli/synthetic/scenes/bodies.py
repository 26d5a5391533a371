"""Walking: legs from the side, and one's own feet seen from above with a shaking camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from foleycli.synthetic.physics import decays, smooth_noise, strengths
from foleycli.synthetic.render import Limb, Part
from foleycli.synthetic.scenes.stage import Props, Stage, living, path

_GROUNDS = (
    "step gravel",
    "step grass",
    "step wood",
    "step tile",
    "step snow",
    "step dirt",
    "step metal",
    "step water",
)


def _plants(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    """Times at which a foot is set down: a walk with small irregularities, sometimes with stops."""
    gap = rng.uniform(0.32, 0.95)
    times = [rng.uniform(0.1, 0.8)]
    while times[-1] < t[-1] - 0.1:
        stop = rng.uniform(0.5, 1.5) if rng.random() < 0.07 else 0.0
        times.append(times[-1] + max(0.25, gap * (1 + rng.normal(0, 0.08))) + stop)
    return np.array(times[:-1])


def _grounds(rng: np.random.Generator) -> tuple[str, ...]:
    k = int(rng.integers(len(_GROUNDS)))
    return _GROUNDS[k:] + _GROUNDS[:k]


def _foot(
    rng: np.random.Generator, t: np.ndarray, plants: np.ndarray, stride: float, lift: float, swing_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """Position along the way and height of one foot that lands at `plants`, [n] each; the body stays at 0."""
    x, y = np.full_like(t, -stride / 2), np.zeros_like(t)
    edges = np.concatenate([[plants[0] - 2.0] if len(plants) else [-9.0, 99.0], plants, [t[-1] + 2.0]])
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        swing = min(swing_s, 0.55 * (b - a))
        stance = (t >= a) & (t < b - swing)
        u = np.clip((t[stance] - a) / max(b - swing - a, 1e-3), 0, 1)
        x[stance], y[stance] = stride * (0.5 - u), 0.0
        air = (t >= b - swing) & (t < b)
        u = (t[air] - (b - swing)) / swing
        x[air] = stride * (u * u * (3 - 2 * u) - 0.5)
        y[air] = lift * np.sin(np.pi * u**0.7) * (1 - 0.3 * u)
    return x, y


def _knee(hip: np.ndarray, ankle: np.ndarray, thigh: float, shank: float) -> np.ndarray:
    """Where the knee is when both ends are known (law of cosines), bent forward, [n, 3]."""
    way = ankle - hip
    reach = np.clip(np.linalg.norm(way, axis=1), 0.05, thigh + shank - 1e-3)
    bend = np.arccos(np.clip((thigh**2 + reach**2 - shank**2) / (2 * thigh * reach), -1, 1))
    angle = np.arctan2(way[:, 0], way[:, 1]) + bend
    return hip + np.stack([np.sin(angle), np.cos(angle), np.zeros_like(angle)], -1) * thigh


def side_steps(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """Two legs walk, seen from the side; the camera follows them or they cross the picture."""
    plants = _plants(rng, t)
    force = strengths(rng, len(plants)) * 0.8
    gap = float(np.median(np.diff(plants))) if len(plants) > 1 else 0.6
    stride = rng.uniform(0.3, 0.7)
    travel = (t - t[-1] / 2) * rng.choice([0.0, stride / gap / 2 * rng.uniform(0.3, 1)])
    hip = path(
        t, travel, -0.2 + 0.03 * smooth_noise(rng, t, 1) + 0.03 * decays(t, plants, force, tau_s=0.12, rise_s=0.06)
    )
    cloth, shoe, parts, tips = props.skin_or_color(), props.color(), [*living(props, rng, t)], []
    lift, thick = rng.uniform(0.08, 0.25), rng.uniform(0.06, 0.11)
    for k in range(2):
        x, y = _foot(rng, t, plants=plants[k::2], stride=stride, lift=lift, swing_s=min(0.45, gap * 0.7))
        foot = path(t, travel + x, 0.62 - y, 0.1 * k)
        knee = _knee(hip, foot, 0.46, 0.46)
        toe = foot + (0.16, 0.03, 0)
        parts += [
            Limb(hip, knee, r0=thick * 1.2, r1=thick, rgb=cloth * (1 - 0.2 * k)),
            Limb(knee, foot, r0=thick, r1=thick * 0.7, rgb=cloth * (1 - 0.2 * k)),
            Limb(foot, toe, r0=0.05, r1=0.04, rgb=shoe),
        ]
        tips.append(foot)
    torso = Limb(hip + (0, -0.6, 0), hip, r0=0.2, r1=0.16, rgb=props.color())
    marks = _ground_marks(rng, t, props, travel - np.cumsum(np.full_like(t, stride / gap / 2)) / 200)
    return Stage(
        [*marks, *parts, torso],
        "hits",
        _grounds(rng),
        times=plants,
        force=force,
        tips=tuple(tips),
        tip_of=np.arange(len(plants)) % 2,
    )


def _ground_marks(rng: np.random.Generator, t: np.ndarray, props: Props, x: np.ndarray) -> list[Part]:
    """Things on the ground that pass by."""
    return [
        props.sprite(
            "blob",
            path(t, (rng.uniform(-2, 2) + x) % 4 - 2, rng.uniform(0.68, 0.95)),
            (rng.uniform(0.05, 0.3), 0.05),
        )
        for _ in range(4)
    ]


def first_person_steps(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """One's own feet from above; the ground passes below and the camera jerks at each plant."""
    plants = _plants(rng, t)
    force = strengths(rng, len(plants)) * 0.8
    gap = float(np.median(np.diff(plants))) if len(plants) > 1 else 0.6
    stride = rng.uniform(0.5, 1.0)
    cloth = props.color()
    props.color()  # not used; drawn so that a seed's clip stays what it was
    parts: list[Part] = []
    tips = []
    for k in range(2):
        x, y = _foot(rng, t, plants=plants[k::2], stride=stride, lift=0.25, swing_s=min(0.5, gap * 0.8))
        grow = 1 + 0.8 * y
        center = path(t, (-0.22, 0.22)[k] + 0.03 * smooth_noise(rng, t, 1), 0.45 - x - 0.3 * y)
        shin = Limb(center + (0, 0.1, 0), path(t, (-0.3, 0.3)[k], 1.3), r0=0.09, r1=0.14, rgb=cloth)
        foot = props.sprite("blob", center, (0.24, 0.5))
        parts += [shin, replace(foot, size=foot.size * grow[:, None])]
        tips.append(center)
    marks = _passing_ground(rng, t, props, stride / gap / 2)
    jerk = decays(t, plants, force * rng.uniform(0.02, 0.07), tau_s=0.09, rise_s=0.02)
    size = rng.uniform(0.01, 0.05)
    shake = np.stack(
        [
            size * smooth_noise(rng, t, 2.5),
            jerk + size * smooth_noise(rng, t, 3),
            0.04 * smooth_noise(rng, t, 2),
        ],
        -1,
    )
    return Stage(
        [*marks, *parts],
        "hits",
        _grounds(rng),
        times=plants,
        force=force,
        tips=tuple(tips),
        tip_of=np.arange(len(plants)) % 2,
        shake=shake,
    )


def _passing_ground(rng: np.random.Generator, t: np.ndarray, props: Props, speed: float) -> list[Part]:
    """Stones and tufts that run from the top of the picture to the bottom."""
    return [
        props.sprite(
            "blob",
            path(t, rng.uniform(-1.2, 1.2), (rng.uniform(0, 3) + speed * t) % 3 - 1.5),
            (rng.uniform(0.05, 0.4), rng.uniform(0.05, 0.3)),
        )
        for _ in range(7)
    ]
