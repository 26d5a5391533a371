"""People who walk and run on legs of two bones; each foot stands still on the ground from plant to lift."""

from __future__ import annotations

import numpy as np

from foleycli.synthetic.physics import smooth_noise, strengths
from foleycli.synthetic.solid.bodies import Piece, Workshop
from foleycli.synthetic.solid.camera import Focus, smoothed
from foleycli.synthetic.solid.figures import elbow, fist, limb, turn_to
from foleycli.synthetic.solid.film import Thing
from foleycli.synthetic.solid.materials import step_sound_kinds
from foleycli.synthetic.solid.scene import Blows, SolidScene
from foleycli.synthetic.solid.simulation import STEP_HZ

_THIGH = 4.4  # dm
_SHANK = 4.3
_ANKLE = 0.8  # height of the ankle over the ground
_AHEAD = 0.42  # of a step: how far a foot lands before the body


def solid_walk(shop: Workshop, duration_s: float) -> SolidScene:
    """Someone walks or runs: seen from the side, from before or behind, close to the feet, or through his own eyes."""
    rng = shop.rng
    t = np.arange(round(duration_s * STEP_HZ) + 1) / STEP_HZ
    plants = _plants(rng, duration_s)
    force = strengths(rng, len(plants))
    pace = rng.uniform(4.0, 8.5)  # dm a step
    body = _progress(t, plants, pace)
    feet = [_foot(t, plants=plants, pace=pace, side=k, lift=rng.uniform(0.8, 2.2)) for k in (0, 1)]
    things, hips = _person(shop, t, body, feet)
    ground = str(rng.choice(["wood", "stone", "earth", "earth", "earth", "metal", "water"]))
    look = shop.look(ground)
    paths = [foot[:, :3] for foot in feet]
    mover = np.arange(len(plants)) % 2
    at = np.minimum(np.round(plants * STEP_HZ).astype(int), len(t) - 1)
    positions = np.array([paths[k][i] for k, i in zip(mover, at, strict=True)]).reshape(-1, 3) - (0, 0, _ANKLE)
    blows = Blows(
        times=plants, force=force, positions=positions, mover=mover, sound_kinds=step_sound_kinds(ground, rng)
    )
    focus, worn = _watch(rng, hips, t)
    if worn is not None:
        things = things[: 2 * 3]  # legs alone: the eyes are inside the head
    return SolidScene(
        [*things, *_marks(shop, body)],
        blows,
        paths=paths,
        sizes=[1.2, 1.2],
        focus=focus,
        ground_z=0.0,
        ground=(ground, look["number"]),
        worn=worn,
    )


def _plants(rng: np.random.Generator, duration_s: float) -> np.ndarray:
    """Times at which a foot is set down: regular within a few per cent, sometimes with a stop."""
    gap, times = rng.uniform(0.3, 0.9), [rng.uniform(0.1, 0.8)]
    while times[-1] < duration_s - 0.1:
        gap = float(np.clip(gap * (1 + rng.normal(0, 0.02)), 0.27, 1.0))
        stop = rng.uniform(0.5, 1.5) if rng.random() < 0.08 else 0.0
        times.append(times[-1] + gap * (1 + rng.normal(0, 0.05)) + stop)
    return np.array(times[:-1])


def _progress(t: np.ndarray, plants: np.ndarray, pace: float) -> np.ndarray:
    """How far the body has come, in dm [n]; it stands while the walker stops."""
    knots, ways = [plants[0] - 0.6, plants[0]], [0.0, pace]
    for before, now in zip(plants[:-1], plants[1:], strict=True):
        if now - before > 1.1:
            knots, ways = [*knots, before + 0.4, now - 0.5], [*ways, ways[-1] + 0.4 * pace, ways[-1] + 0.4 * pace]
        knots, ways = [*knots, now], [*ways, _steps_until(plants, now) * pace]
    knots, ways = [*knots, plants[-1] + 0.8], [*ways, ways[-1] + 0.5 * pace]
    return smoothed(np.interp(t, knots, ways), STEP_HZ // 5)


def _steps_until(plants: np.ndarray, time_s: float) -> int:
    return int(np.searchsorted(plants, time_s, side="right"))


def _foot(t: np.ndarray, plants: np.ndarray, pace: float, side: int, lift: float) -> np.ndarray:
    """One foot's ankle and pitch: x, y, z in dm and an angle, [n, 4]; every other plant from `side` on is its own."""
    mine = np.arange(side, len(plants), 2)
    spots = (mine + 1 + _AHEAD) * pace
    start = (side - 1 + _AHEAD) * pace if side else -_AHEAD * pace
    x, z, pitch = np.full_like(t, start), np.full_like(t, _ANKLE), np.zeros_like(t)
    y = np.full_like(t, 0.9 if side else -0.9)
    at = start
    for j, spot in zip(mine, spots, strict=True):
        other_s = plants[j - 1] if j else plants[0] - 0.6  # the other foot has just landed
        leave_s = max(other_s + 0.12 * (plants[j] - other_s), plants[j] - 0.6)
        u = np.clip((t - leave_s) / (plants[j] - leave_s), 0, 1)
        air = (t > leave_s) & (t <= plants[j])
        x = np.where(t > leave_s, at + (spot - at) * u * u * (3 - 2 * u), x)
        z[air] = _ANKLE + lift * np.sin(np.pi * u[air] ** 0.8) ** 0.9 * (1 - 0.3 * u[air]) * np.minimum(
            1, 6 * (1 - u[air])
        )
        pitch[air] = 0.9 * np.sin(np.pi * u[air]) * (0.5 - u[air]) * 2
        at = spot
    return np.stack([x, y, z, pitch], -1)


def _person(shop: Workshop, t: np.ndarray, body: np.ndarray, feet: list[np.ndarray]) -> tuple[list[Thing], np.ndarray]:
    """Legs (three things each), then the rest; and the path of the hips [n, 3]."""
    rng = shop.rng
    cloth, shoe, top, skin = (shop.look(m) for m in ("cloth", "plastic", "cloth", "flesh"))
    spread = np.abs(feet[0][:, 0] - feet[1][:, 0])
    drop = np.sqrt(np.maximum((_THIGH + _SHANK) ** 2 - (spread / 2) ** 2, 9.0)) - (_THIGH + _SHANK)
    hips = np.stack([body, 0.15 * smooth_noise(rng, t, 1), _ANKLE + _THIGH + _SHANK - 0.35 + 0.8 * drop], -1)
    ahead, things = np.array([1.0, 0, 0]), []
    for foot in feet:
        hip = hips + (0, np.sign(foot[0, 1]) * 0.8, 0)
        knee = elbow(hip, foot[:, :3], upper=_THIGH, lower=_SHANK, hint=np.broadcast_to(ahead, hip.shape))
        bare = rng.random() < 0.3
        things += [limb(hip, knee, 1.5, cloth), limb(knee, foot[:, :3], 1.1, skin if bare else cloth)]
        things.append(_shoe(foot, shoe))
    neck = hips + (0.2, 0, 5.2)
    things.append(limb(hips, neck, 2.6, top))
    swing = (feet[0][:, 0] - feet[1][:, 0]) * rng.uniform(0.2, 0.5)
    for side in (-1, 1):
        shoulder = neck + (0, 1.9 * side, -0.3)
        hand = shoulder + np.stack([side * swing, 0 * t, -5.0 + 0.05 * swing**2], -1)
        joint = elbow(shoulder, hand, upper=2.8, lower=2.7, hint=np.broadcast_to(-ahead, hand.shape))
        things += [limb(shoulder, joint, 1.0, top), limb(joint, hand, 0.8, skin), fist(hand, hand - joint, 0.8, skin)]
    still = np.tile((1.0, 0, 0, 0), (len(t), 1))
    head = Piece("ball", (2.0, 1.8, 2.3), **skin), Piece("ball", (2.1, 1.9, 1.5), (-0.1, 0, 0.55), **shop.look("earth"))
    things.append(Thing(head, np.concatenate([neck + (0.1, 0, 1.7), still], -1)))
    return things, hips


def _shoe(foot: np.ndarray, look: dict) -> Thing:
    """A shoe below the ankle, tilted by its pitch (toes up for positive angles)."""
    pitch = foot[:, 3]
    toe = np.stack([np.cos(pitch), 0 * pitch, np.sin(pitch)], -1)
    sole = Piece("box", (0.95, 0.5, 2.5), (0, 0.5, 0.6), **look)
    cap = Piece("ball", (0.95, 0.9, 1.3), (0, 0.35, 1.4), **look)
    heel = Piece("capsule", (0.9, 0.9, 1.4), (0, 0.15, 0.1), **look)
    return Thing((sole, cap, heel), np.concatenate([foot[:, :3], turn_to(toe)], -1))


def _watch(rng: np.random.Generator, hips: np.ndarray, t: np.ndarray) -> tuple[Focus, tuple | None]:
    """Where one looks from: at the whole person, at the feet, or out of the walker's eyes."""
    way = rng.random()
    if way < 0.25:
        sway = 0.25 * np.stack([smooth_noise(rng, t, 1.5) for _ in range(3)], -1)
        eye = hips + (rng.uniform(0.5, 1.2), 0, rng.uniform(5.5, 7.0)) + sway
        aim = hips + (rng.uniform(2.5, 6.5), 0, -8.5) + 2 * sway
        return Focus(hips, 5.0), (eye, aim)
    low = way < 0.6
    center = hips - (0, 0, 6.5 if low else 2.0)
    radius = rng.uniform(3.5, 6.0) if low else rng.uniform(7, 10)
    azimuth = float(rng.choice([np.pi / 2, -np.pi / 2, 0, np.pi], p=[0.35, 0.35, 0.15, 0.15]))
    focus = Focus(
        center,
        radius,
        (azimuth - 0.6, azimuth + 0.6),
        elevation=(0.05, 0.8),
        share=(0.4, 1.2),
        follow=1.0 if rng.random() < 0.7 else 0.0,
    )
    return focus, None


def _marks(shop: Workshop, body: np.ndarray) -> list[Thing]:
    """Stones and boxes beside the way, so that the ground is seen to pass."""
    rng, things = shop.rng, []
    for _ in range(int(rng.integers(2, 9))):
        size = rng.uniform(0.3, 1.5, 3) * (4 if rng.random() < 0.15 else 1)
        place = np.array(
            [[rng.uniform(-10, body[-1] + 15), rng.choice([-1, 1]) * rng.uniform(4, 14), size[2] / 2, 1, 0, 0, 0]]
        )
        material = str(rng.choice(["stone", "wood", "earth", "plastic"]))
        things.append(Thing((Piece(str(rng.choice(["box", "ball"])), tuple(size), **shop.look(material)),), place))
    return things
