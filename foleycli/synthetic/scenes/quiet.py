"""Motion without sound, so that motion alone is no event; sound without motion, which only words can name."""

from __future__ import annotations

import numpy as np

from foleycli.synthetic.physics import event_times, smooth_noise, strike_height
from foleycli.synthetic.scenes.stage import Props, Stage, living, path, still, surface
from foleycli.synthetic.scenes.strikes import arm


def near_misses(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """An arm swings at a thing and never touches it."""
    times = event_times(rng, t[-1], (0.4, 1.6))
    height = strike_height(rng, t, times=np.zeros(0), force=np.zeros(0), misses=times) * 0.9 + 0.15
    parts, tip = arm(
        rng,
        t,
        props,
        height=height,
        target=(0.0, 0.3, 0.0),
        tool=str(rng.choice(["stick", "hand", "hammer"])),
        mirror=rng.random() < 0.5,
    )
    thing = props.sprite("box", still((0, 0.5, 0), t), (rng.uniform(0.2, 0.6), 0.3))
    return Stage(
        [*living(props, rng, t), *surface(props, rng, t, 0.6), thing, *parts],
        "silence",
        ("place",),
        tips=(tip,),
    )


def waving(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """An arm waves or gestures in the air."""
    height = 0.6 + 0.5 * smooth_noise(rng, t, rng.uniform(0.6, 3))
    parts, tip = arm(
        rng, t, props, height=np.abs(height), target=(0.0, 0.2, 0.0), tool="hand", mirror=rng.random() < 0.5
    )
    return Stage([*living(props, rng, t), *parts], "silence", ("place",), tips=(tip,))


def passing(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """Objects cross the picture, swing and turn around in the air."""
    parts = [*living(props, rng, t), *living(props, rng, t)]
    for _ in range(int(rng.integers(1, 4))):
        x = 1.2 * np.sin(rng.uniform(0.5, 4) * t + rng.uniform(0, 6))
        y = rng.uniform(-0.6, 0.6) + 0.4 * smooth_noise(rng, t, rng.uniform(0.5, 2))
        size = rng.uniform(0.1, 0.5)
        parts.append(
            props.sprite(str(rng.choice(["disc", "box", "blob"])), path(t, x, y), (size, size), rng.normal(0, 2) * t)
        )
    return Stage(parts, "silence", ("place",))


def still_view(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """A view in which next to nothing moves: what sounds evenly over it can be known from words alone."""
    parts = living(props, rng, t) if rng.random() < 0.3 else []
    for _ in range(int(rng.integers(1, 5))):
        kind, size = str(rng.choice(["disc", "box", "blob", "soft"])), rng.uniform(0.1, 0.9)
        where = path(t, rng.uniform(-0.9, 0.9), rng.uniform(-0.7, 0.8))
        parts.append(props.sprite(kind, where, (size, size * rng.uniform(0.5, 2)), rng.uniform(-0.5, 0.5) + 0 * t))
    return Stage(parts, "texture", (str(rng.choice(props.even_kinds)), "place"))
