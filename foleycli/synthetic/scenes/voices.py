"""Heads that call with mouth and body, guns that kick and flash, and fireworks."""

from __future__ import annotations

import numpy as np

from foleycli.synthetic.physics import decays, event_times, smooth_noise, strengths
from foleycli.synthetic.render import Limb, Part, Sprite
from foleycli.synthetic.scenes.stage import Props, Stage, living, path

_CALLS = ("dog", "sheep", "cow", "bird", "horse", "lion", "pig", "man", "dog")


def mouth(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """An animal or a person calls in bursts: the mouth opens, the head jerks; sometimes only the body does."""
    times = event_times(rng, t[-1], (0.5, 2.2))
    force = strengths(rng, len(times))
    call = decays(
        t, times - 0.02, force, tau_s=rng.uniform(0.08, 0.25), rise_s=0.05
    )  # the jaw leads the sound a little
    jerk = rng.uniform(0.05, 0.2) * call * rng.choice([-1, 1])
    drift = path(t, 0.08 * smooth_noise(rng, t, 0.6), 0.06 * smooth_noise(rng, t, 0.6))
    lift = path(t, 0.5 * jerk, -np.abs(jerk))
    head, body = path(t, 0.1, -0.15) + drift + lift, path(t, -0.35, 0.45) + 0.5 * drift + 0.4 * lift
    turn = 0.1 * smooth_noise(rng, t, 0.6) + jerk * 1.2
    w, fur = rng.uniform(0.5, 0.8), props.image("blob")
    coat = np.asarray(fur[32, 32, :3], float)
    mouth_at = head + np.stack([0.2 * np.cos(turn), 0.15 + 0.2 * np.sin(turn), 0 * t], -1)
    open_size = np.stack([np.full_like(t, w * 0.4), w * (0.03 + 0.45 * np.clip(call, 0, 1))], -1)
    hidden = rng.random() < 0.25 * props.difficulty
    parts: list[Part] = [
        *living(props, rng, t),
        Limb(body + (0, 0.3, 0), body, r0=0.45, r1=0.35, rgb=coat * 0.9),
        Limb(body, head, r0=0.22, r1=0.2, rgb=coat),
        Sprite(fur, head, np.tile((w, w * rng.uniform(0.7, 1)), (len(t), 1)), turn),
    ]
    if not hidden:
        dark = props.image("soft").copy()
        dark[..., :3] = (50, 15, 20)
        parts.append(Sprite(dark, mouth_at, open_size, turn))
    for x in (-0.12, 0.12):
        parts.append(props.sprite("disc", head + (x * w / 0.6, -0.1, 0), (0.08, 0.08)))
    k = int(rng.integers(len(_CALLS)))
    return Stage(parts, "hits", _CALLS[k:] + _CALLS[:k], times=times, force=force, tips=(mouth_at,))


def recoil(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """A gun kicks back and flashes; aiming moves it slowly in between."""
    times = event_times(rng, t[-1], (0.3, 1.8))
    force = np.clip(strengths(rng, len(times)) * 1.3, 0.5, 1)
    kick = decays(t, times, force, tau_s=rng.uniform(0.06, 0.2), rise_s=0.015) * rng.uniform(0.08, 0.25)
    aim = 0.1 * smooth_noise(rng, t, 0.5)
    side = rng.choice([-1.0, 1.0])
    grip = path(t, side * (-0.3 - kick), 0.2 + 0.1 * smooth_noise(rng, t, 0.4) - 0.3 * kick)
    angle = aim - 1.5 * kick
    length = rng.uniform(0.4, 1.0)
    muzzle = grip + np.stack([side * length * np.cos(angle), length * np.sin(angle) - 0.05, 0 * t], -1)
    flash = ((t[:, None] >= times) & (t[:, None] < times + rng.uniform(0.03, 0.07))).any(1) if len(times) else t < 0
    glow = props.image("soft").copy()
    glow[..., :3] = (255, 235, 170)
    size = np.where(flash, rng.uniform(0.15, 0.7) * (rng.random() < 0.8), 0.0)
    skin, steel = props.skin_or_color(), props.color() * 0.5
    parts: list[Part] = [
        *living(props, rng, t),
        Limb(grip, muzzle, r0=0.06, r1=0.035, rgb=steel),
        Limb(grip, grip + (side * 0.05, 0.2, 0), r0=0.06, r1=0.05, rgb=steel * 0.8),
        Limb(grip + (-side * 0.7, 0.5, 0), grip + (0, 0.1, 0), r0=0.12, r1=0.08, rgb=skin),
        Sprite(glow, muzzle, np.stack([size, size], -1), 20 * t),
    ]
    return Stage(parts, "hits", ("gun", "explosion"), times=times, force=force, tips=(muzzle,))


def firework(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """Sparks burst, spread, sink and die at night; rockets rise in between without a sound."""
    times = event_times(rng, t[-1], (0.3, 1.3))
    force = np.clip(strengths(rng, len(times)) * 1.2, 0.4, 1)
    glow = props.image("soft").copy()
    parts: list[Part] = [props.night(t)]
    bursts = []
    for time_s, size in zip(times, force, strict=True):
        x, y = rng.uniform(-0.7, 0.7), rng.uniform(-0.6, 0.2)
        tint = glow.copy()
        tint[..., :3] = np.clip(rng.uniform(120, 255, 3) + 60, 0, 255)
        age = np.clip(t - time_s, 0, None)
        bright = np.where(t >= time_s, np.exp(-age / rng.uniform(0.25, 0.7)), 0.0)
        spread = size * rng.uniform(0.3, 1.5) * (1 - np.exp(-age / 0.25))
        for angle in rng.uniform(0, 2 * np.pi, int(rng.integers(8, 24))):
            reach = spread * rng.uniform(0.3, 1)
            spark = path(t, x + reach * np.cos(angle), y + reach * np.sin(angle) + 0.12 * age**2)
            parts.append(Sprite(tint, spark, np.tile(0.09 * bright[:, None], 2), 0 * t))
        flash = np.where((t >= time_s) & (t < time_s + 0.08), 0.5 * size, 0.0)
        rising = (t > time_s - rng.uniform(0.4, 0.9)) & (t < time_s)
        rocket = path(t, x, y + 1.2 * np.clip(time_s - t, 0, None))
        parts.append(Sprite(tint, path(t, x, y), np.tile(flash[:, None], 2), 0 * t))
        parts.append(Sprite(tint, rocket, np.tile(0.05 * rising[:, None], 2), 0 * t))
        bursts.append(path(t, x + 0.3 * np.clip(age * 8, 0, 1), y))  # what is seen to move at the burst
    return Stage(
        parts, "hits", ("explosion", "gun"), times=times, force=force, tips=tuple(bursts), tip_of=np.arange(len(times))
    )
