"""Things that fall, bounce, collide, swing and slam without a body."""

from __future__ import annotations

import numpy as np

from foleycli.synthetic.physics import bounces, decays, event_times, smooth_noise, strengths
from foleycli.synthetic.render import Limb, Part, Poly
from foleycli.synthetic.scenes.stage import Props, Stage, living, path, shadow, still, surface


def bounce(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """One to three balls under gravity on a floor; carried off in silence when they have come to rest."""
    parts: list[Part] = [*living(props, rng, t), *surface(props, rng, t, 0.6)]
    times, force, tip_of, tips = [], [], [], []
    shaded = rng.random() < 0.5
    for k in range(int(rng.choice([1, 1, 1, 2]))):
        height, when, speed = bounces(rng, t, rng.uniform(0.5, 0.85), rng.uniform(4, 12))
        radius = rng.uniform(0.08, 0.25)
        x = rng.uniform(-0.6, 0.6) + rng.normal(0, 0.15) * (t - 2) * (rng.random() < 0.5)
        center = path(t, x, 0.6 - radius - height)
        parts += [shadow(t, x=center[:, 0], floor_y=0.6, height=height, width=2.2 * radius)] if shaded else []
        parts.append(props.sprite("disc", center, (2 * radius, 2 * radius), rng.normal(0, 3) * t))
        times.append(when)
        force.append(np.clip(speed, 0.05, 1))
        tip_of.append(np.full(len(when), k))
        tips.append(center)
    return _sorted_stage(parts, ("ball", "thud", "wood"), times=times, force=force, tip_of=tip_of, tips=tips)


def _sorted_stage(
    parts: list[Part],
    sound_kinds: tuple[str, ...],
    times: list[np.ndarray],
    force: list[np.ndarray],
    tip_of: list[np.ndarray],
    tips: list[np.ndarray],
) -> Stage:
    when = np.concatenate(times)
    order = np.argsort(when)
    return Stage(
        parts,
        "hits",
        sound_kinds,
        times=when[order],
        force=np.concatenate(force)[order],
        tips=tuple(tips),
        tip_of=np.concatenate(tip_of)[order],
    )


def drop(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """A thing falls, hits once, rattles to rest and is snatched up again without a sound."""
    shape, size = str(rng.choice(["box", "blob", "ring"])), rng.uniform(0.15, 0.4)
    height, times, speed = bounces(rng, t, rng.uniform(0.2, 0.42), rng.uniform(6, 14))
    turns = np.cumsum(np.where(height > 0.01, rng.normal(0, 6), 0)) / 200
    center = path(t, rng.uniform(-0.4, 0.4), 0.6 - size / 2 - height)
    parts = [
        *living(props, rng, t),
        *surface(props, rng, t, 0.6),
        shadow(t, x=center[:, 0], floor_y=0.6, height=height, width=size * rng.choice([0.01, 1.3])),
        props.sprite(shape, center, (size, size * rng.uniform(0.5, 1)), turns),
    ]
    sound_kinds = [("wood", "thud"), ("metal", "stone"), ("stone", "wood"), ("glass", "metal"), ("thud", "ball")]
    chosen = sound_kinds[int(rng.integers(len(sound_kinds)))]
    return Stage(parts, "hits", chosen, times=times, force=np.clip(speed * 1.2, 0.05, 1), tips=(center,))


def hit_and_fly(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """A moving thing meets another (a racket, a bat, a second ball) and both change course at the hit."""
    times = event_times(rng, t[-1], (0.3, 1.4))
    force = strengths(rng, len(times))
    radius = rng.uniform(0.05, 0.16)
    ball = np.full((len(t), 3), 50.0)
    bat = still((0.35 + radius, 0.5, 0.0), t)
    swing = decays(t, times, force, 0.15)
    for k, time_s in enumerate(times):
        come_s = min(0.6, (time_s - (times[k - 1] if k else -0.6)) * 0.45)
        arrive = np.array([-rng.uniform(1.5, 3), rng.uniform(-0.8, 0.8)])
        leave = np.array([-rng.uniform(2.5, 4.5), rng.uniform(-1.8, 0.6)]) * force[k]
        u = t - time_s
        before, after = (u > -come_s) & (u <= 0), (u > 0) & (u < come_s)
        ball[before, :2] = arrive * -u[before, None] + (0.35, 0.1)
        ball[after, :2] = leave * u[after, None] + (0.35, 0.1)
        ball[before | after, 2] = 0
        back = (u > -come_s) & (u <= 0)
        bat[back, 0] += 0.9 * np.sin(np.pi * np.clip(-u[back] / come_s, 0, 1)) * rng.uniform(0.3, 1)
    bat[:, 0] -= 0.5 * swing
    head = bat + (0, -0.4, 0)
    parts = [
        *living(props, rng, t),
        props.sprite("disc", ball, (2 * radius, 2 * radius), 9 * t),
        Limb(bat, head + (0, 0.15, 0), r0=0.03, r1=0.03, rgb=props.color()),
        props.sprite(str(rng.choice(["disc", "box"])), head, (2 * radius * 0.5 + 0.1, 0.4)),
    ]
    sound_kinds = [("ball", "thud"), ("wood", "ball"), ("thud", "ball"), ("arrow", "wood"), ("metal", "sword")]
    return Stage(parts, "hits", sound_kinds[int(rng.integers(5))], times=times, force=force, tips=(ball,))


def rally(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """A ball runs between two walls or paddles and sounds at each."""
    times = event_times(rng, t[-1], (0.6, 2.2))
    side = np.where(np.arange(len(times)) % 2, 0.8, -0.8)
    knots = np.concatenate([[-0.7], times, [t[-1] + 0.7]])
    x = np.interp(t, knots, np.concatenate([[-side[0]], side, [-side[-1]]]))
    phase = t - knots[np.clip(np.searchsorted(knots, t) - 1, 0, len(knots) - 2)]
    gap = np.diff(knots)[np.clip(np.searchsorted(knots, t) - 1, 0, len(knots) - 2)]
    y = 0.1 - rng.uniform(0, 0.5) * 4 * phase / gap * (1 - phase / gap)
    radius = rng.uniform(0.05, 0.15)
    ball = path(t, x, y)
    parts: list[Part] = [*living(props, rng, t), props.sprite("disc", ball, (2 * radius, 2 * radius), 5 * t)]
    for wall in (-0.8, 0.8):
        center = path(t, wall * (1 + radius / 0.8 + 0.06), 0.1 + 0.05 * smooth_noise(rng, t, 1))
        parts.append(props.sprite("box", center, (0.1, rng.uniform(0.3, 0.9))))
    speed = 1.6 / np.maximum(np.diff(knots)[:-1], 0.2)
    return Stage(parts, "hits", ("ball", "thud", "wood"), times=times, force=np.clip(speed / 5, 0.15, 1), tips=(ball,))


def pendulum(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """A weight on a string swings against a wall."""
    times = event_times(rng, t[-1], (0.4, 1.4))
    force = strengths(rng, len(times))
    knots = np.concatenate([[times[0] - 1.2], times, [times[-1] + 1.2]]) if len(times) else np.array([-1.0, 9.0])
    k = np.clip(np.searchsorted(knots, t, side="right") - 1, 0, len(knots) - 2)
    u = (t - knots[k]) / (knots[k + 1] - knots[k])
    size = np.concatenate([[0.6], force, [0.6]])[np.minimum(k + 1, len(force))]
    angle = -1.1 * size * np.sin(np.pi * u)
    bob = path(t, 0.9 * np.sin(angle), -0.7 + 0.9 * np.cos(angle))
    radius = rng.uniform(0.1, 0.2)
    parts = [
        *living(props, rng, t),
        Limb(still((0, -0.7, 0), t), bob, r0=0.012, r1=0.012, rgb=props.color()),
        props.sprite("box", still((radius + 0.12, 0.2, 0), t), (0.24, 0.9)),
        props.sprite("disc", bob, (2 * radius, 2 * radius), angle),
    ]
    return Stage(parts, "hits", ("metal", "anvil", "wood"), times=times, force=force, tips=(bob,))


def door(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """A door swings open without a sound and slams."""
    times = event_times(rng, t[-1], (0.3, 0.9))
    force = strengths(rng, len(times))
    angle = np.full_like(t, rng.uniform(0.5, 1.3))
    before_s = 0.0
    for time_s in times:
        gap = time_s - before_s
        close_s = min(0.45 * gap, rng.uniform(0.15, 0.7))
        wide = rng.uniform(0.6, 1.4)
        opening = (t > before_s) & (t <= time_s - close_s) & (before_s > 0)
        u = np.clip((t[opening] - before_s - 0.15) / max(0.2, 0.6 * gap - close_s), 0, 1)
        angle[opening] = wide * u * u * (3 - 2 * u)
        start = angle[max(0, np.searchsorted(t, time_s - close_s) - 1)]
        closing = (t > time_s - close_s) & (t <= time_s)
        angle[closing] = start * (1 - ((t[closing] - time_s + close_s) / close_s) ** 2)
        angle[t > time_s] = 0.0
        before_s = time_s
    w, h = rng.uniform(0.5, 0.8), rng.uniform(1.2, 1.6)
    panel, parts = _panel(t, angle=angle, w=w, h=h, inset=0.0), [*living(props, rng, t)]
    frame = props.color()
    parts.append(
        Poly(
            np.tile(
                np.array(
                    [
                        [-w / 2 - 0.08, -h / 2 - 0.08, 0.02],
                        [w / 2 + 0.08, -h / 2 - 0.08, 0.02],
                        [w / 2 + 0.08, h / 2, 0.02],
                        [-w / 2 - 0.08, h / 2, 0.02],
                    ]
                ),
                (len(t), 1, 1),
            ),
            frame,
        )
    )
    parts.append(Poly(_panel(t, angle=0 * angle, w=w, h=h, inset=0.0), frame * 0.3))
    face = props.color()
    parts += [Poly(panel, face), Poly(_panel(t, angle=angle, w=w, h=h, inset=0.12), face * 0.8)]
    edge = panel[:, 1]
    return Stage(parts, "hits", ("door", "wood"), times=times, force=force, tips=(edge,))


def _panel(t: np.ndarray, angle: np.ndarray, w: float, h: float, inset: float) -> np.ndarray:
    """Corners of a door hinged on its left edge and opened by `angle` towards the eye, [n, 4, 3]."""
    corners = []
    for along, y in (
        (inset, -h / 2 + inset),
        (w - inset, -h / 2 + inset),
        (w - inset, h / 2 - inset),
        (inset, h / 2 - inset),
    ):
        corners.append(path(t, -w / 2 + along * np.cos(angle), y, -along * np.sin(angle)))
    return np.stack(corners, 1)
