"""Sounds without separate hits: rubbing, rolling, pouring, splashing, engines and ambience."""

from __future__ import annotations

import numpy as np

from foleycli.synthetic.physics import decays, event_times, smooth_noise, strengths
from foleycli.synthetic.render import Limb, Part, Sprite
from foleycli.synthetic.scenes.stage import Props, Stage, living, path, still, surface
from foleycli.synthetic.scenes.strikes import path_or_hidden


def _drive(speed: np.ndarray) -> np.ndarray:
    """Speed to 0..1; slow is silent."""
    level = np.abs(speed) / (np.abs(speed).max() + 1e-9)
    return np.clip((level - 0.06) / 0.94, 0, 1) ** 0.8


def rub(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """A hand or a tool goes to and fro over a surface, with pauses; each stroke is an event."""
    times = event_times(rng, t[-1], (0.8, 3.0))
    x = np.full_like(t, -0.4)
    reach = rng.uniform(0.4, 0.9)
    position, force, sound_times_s = -reach / 2, [], []
    for k, time_s in enumerate(times):
        gap = (times[k + 1] if k + 1 < len(times) else t[-1] + 0.5) - time_s
        length_s = min(gap * 0.9, rng.uniform(0.2, 0.8))
        goal = -position * rng.uniform(0.7, 1.2)
        u = np.clip((t - time_s) / length_s, 0, 1)
        x = np.where(t >= time_s, position + (goal - position) * u * u * (3 - 2 * u), x if k else position)
        force.append(abs(goal - position) / length_s)
        sound_times_s.append(time_s + 0.13 * length_s)  # when half the full speed is reached
        position = goal
    hand = path(t, x, 0.28 + 0.02 * smooth_noise(rng, t, 2))
    thick, skin = rng.uniform(0.07, 0.14), props.skin_or_color()
    parts = [
        *living(props, rng, t),
        *surface(props, rng, t, 0.35),
        props.sprite(str(rng.choice(["box", "disc"])), hand, (rng.uniform(0.2, 0.5), rng.uniform(0.1, 0.25))),
        Limb(hand + (0.5, -0.8, 0), hand, r0=thick, r1=thick * 0.8, rgb=skin),
    ]
    speed = np.gradient(x, t)
    size = np.array(force) / (max(force, default=1.0) + 1e-9)
    return Stage(
        parts,
        "driven",
        ("saw", "scrape") if rng.random() < 0.4 else ("scrape", "saw"),
        times=np.array(sound_times_s),
        force=size * 0.6,
        tips=(hand,),
        drive=_drive(speed),
    )


def roll(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """A ball or wheel rolls over the floor, speeds up and slows down."""
    speed = np.clip(rng.uniform(0.2, 0.9) + 0.8 * smooth_noise(rng, t, rng.uniform(0.3, 0.8)), 0, None)
    stops = event_times(rng, t[-1], (0.2, 0.5))
    speed = speed * np.clip(1 - decays(t, stops, np.ones(len(stops)), tau_s=0.8, rise_s=0.3), 0, 1)
    way = np.cumsum(speed) / 200
    radius = rng.uniform(0.12, 0.3)
    x = (
        (way + rng.uniform(0, 3)) % (2.6 + 2 * radius) - 1.3 - radius
        if rng.random() < 0.5
        else (0.9 * np.sin(way * 1.2 + rng.uniform(0, 6)))
    )
    center = path(t, x, 0.6 - radius)
    parts = [
        *living(props, rng, t),
        *surface(props, rng, t, 0.6),
        props.sprite("disc", center, (2 * radius, 2 * radius), x / radius),
    ]
    inside = np.abs(x) < 1.3
    return Stage(
        parts,
        "driven",
        ("roll", "scrape"),
        tips=(center,),
        drive=_drive(np.gradient(x, t) * inside * (np.abs(np.gradient(x)) < 0.2)),
    )


def splash(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """Things fall into water; drops fly up."""
    times = event_times(rng, t[-1], (0.4, 1.6))
    force = strengths(rng, len(times))
    water = props.sprite("box", still((0, 0.9, -0.05), t), (3.0, 0.9))
    parts: list[Part] = [*living(props, rng, t)]
    stone = np.full((len(t), 3), 50.0)
    for time_s, f in zip(times, force, strict=True):
        u = t - time_s
        fall = (u > -0.5) & (u < 0.12)
        x = rng.uniform(-0.6, 0.6)
        stone[fall] = np.stack([x + 0 * u[fall], 0.45 + u[fall] * 2.5 + 2 * u[fall] ** 2, 0 * u[fall]], -1)
        for _ in range(6):
            vx, vy = rng.normal(0, 0.6), rng.uniform(1.0, 2.4) * f
            late = np.clip(u, 0, 0.9)
            drop = path_or_hidden(t, time_s, x + vx * late, 0.45 - vy * late + 3 * late**2)
            drop[u > 0.9] = (50, 0, 0)
            size = rng.uniform(0.03, 0.08)
            parts.append(props.sprite("soft", drop, (size, size)))
    parts.append(props.sprite(str(rng.choice(["disc", "blob"])), stone, (rng.uniform(0.12, 0.3),) * 2, 3 * t))
    return Stage([*parts, water], "hits", ("splash", "step water"), times=times, force=force, tips=(stone,))


def pour(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """A stream runs while a vessel is tilted; the sound follows the stream."""
    gate = np.clip(2.5 * smooth_noise(rng, t, 0.5) + rng.uniform(0, 1.2), 0, 1)
    tilt = rng.uniform(0.6, 1.4) * gate
    x0, liquid = rng.uniform(-0.3, 0.3), props.image("soft")
    jug = props.sprite(str(rng.choice(["box", "blob"])), still((x0 - 0.3, -0.5, 0), t), (0.5, 0.6), tilt)
    parts: list[Part] = [*living(props, rng, t), jug]
    for _ in range(12):
        u = (rng.random() + 2.2 * t) % 1.0
        drop = path(t, x0 + 0.05 * smooth_noise(rng, t, 3), -0.35 + 1.0 * u**1.5)
        size = np.tile((0.1, 0.22), (len(t), 1)) * gate[:, None]
        parts.append(Sprite(liquid, drop, size, np.zeros(len(t))))
    parts.append(props.sprite("box", still((x0, 0.75, 0), t), (0.5, 0.5)))
    return Stage(parts, "driven", ("pour", "water"), drive=np.where(gate > 0.03, 0.3 + 0.7 * gate, 0.0))


def engine(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """A machine shakes; its shaking and its sound rise and fall together."""
    rev = np.clip(0.55 + 0.5 * smooth_noise(rng, t, 0.5), 0.1, 1) if rng.random() < 0.6 else np.full_like(t, 0.7)
    phase = np.cumsum(2 * np.pi * rng.uniform(6, 12) * (0.6 + 0.4 * rev)) / 200
    size = rng.uniform(0.01, 0.04)
    body = path(t, size * rev * np.sin(phase), size * rev * np.cos(1.3 * phase))
    wheel_x, radius = rng.uniform(-0.3, 0.3), rng.uniform(0.15, 0.4)
    parts = [
        *living(props, rng, t),
        *surface(props, rng, t, 0.5),
        props.sprite("box", body, (rng.uniform(0.7, 1.4), rng.uniform(0.4, 0.9)), 0.03 * rev * np.sin(phase)),
        props.sprite(
            "blob",
            body + (wheel_x, 0.2, 0),
            (2 * radius, 2 * radius),
            np.cumsum(rev) / 200 * rng.uniform(2, 20),
        ),
    ]
    return Stage(
        parts,
        "driven",
        ("engine", "machine") if rng.random() < 0.6 else ("machine", "engine"),
        drive=0.35 + 0.65 * rev if rev.std() > 0 else np.full_like(t, 0.8),
    )


def ambience(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """A moving picture without events over which a texture sounds evenly."""
    kind = int(rng.integers(4))
    parts: list[Part] = [*living(props, rng, t)]
    for _ in range(10):
        u = (rng.random() + rng.uniform(0.3, 1.2) * t) % 1.0
        sway = 0.1 * smooth_noise(rng, t, 1.5)
        x = rng.uniform(-1.2, 1.2)
        where = [
            path(t, x + 0.1 * u, -1.4 + 2.8 * u),
            path(t, -1.6 + 3.2 * u, x + sway),
            path(t, x * 0.5 + sway, 0.7 - 1.2 * u),
            path(t, x + sway, rng.uniform(-0.8, 0.9) + 0.5 * sway),
        ][kind]
        size = [(0.02, 0.25), (0.5, 0.12), (0.25, 0.4), (0.4, 0.4)][kind]
        parts.append(props.sprite("soft" if kind != 3 else "blob", where, size, sway if kind == 3 else 0.0))
    sound_kinds = [("rain", "water"), ("water", "rain"), ("fire", "place"), ("wind", "nature")][kind]
    return Stage(parts, "texture", sound_kinds)
