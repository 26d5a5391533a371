"""Things that roll over a floor or down a slope, and things that a hand rubs to and fro: faster is louder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from foleycli.synthetic.config import GRID_HZ
from foleycli.synthetic.physics import decays, event_times
from foleycli.synthetic.solid.bodies import GRAVITY, Body, Piece, Workshop, placed
from foleycli.synthetic.solid.camera import Focus, smoothed
from foleycli.synthetic.solid.figures import arm
from foleycli.synthetic.solid.film import Thing
from foleycli.synthetic.solid.scene import Blows, SolidScene, blows_of, film_things, support
from foleycli.synthetic.solid.simulation import STEP_HZ, Push, simulate

_HARD = ("wood", "stone", "metal", "plastic")


def solid_roll(shop: Workshop, duration_s: float) -> SolidScene:
    """A ball, barrel or wheel rolls and bumps into things, or a hand rubs something over a table."""
    return (_rolling if shop.rng.random() < 0.6 else _rubbing)(shop, duration_s)


def _rolling(shop: Workshop, duration_s: float) -> SolidScene:
    rng = shop.rng
    base = support(shop, _HARD, 9.0)
    slope = _slope(shop) if rng.random() < 0.4 else None
    stops = [_stop(shop, x) for x in ((6.0, -6.8) if slope is None else (6.0,)) if rng.random() < 0.8]
    bodies = [*base.bodies, *([slope] if slope else []), *stops]
    roller = len(bodies)
    bodies.append(_roller(shop, slope is not None))
    motion = simulate(bodies, duration_s, _nudges(rng, roller, bodies[roller].mass, duration_s)[: 1 if slope else 9])
    path = motion.places[:, roller, :3].astype(float)
    contacts = motion.contacts
    bumped = (
        (contacts.b == roller) & (contacts.time_s > 0.15) & ((contacts.a >= len(base.bodies)) | (contacts.speed > 8))
    )
    bumps = blows_of(contacts.select(bumped), bodies, rng)
    drive = _drive(np.linalg.norm(np.gradient(path, 1 / STEP_HZ, axis=0)[:, :2], axis=1) * touching(path))
    t = np.arange(len(path)) / STEP_HZ
    drive = np.clip(0.75 * drive + decays(t, bumps.times, bumps.force, tau_s=0.05, rise_s=0.004), 0, 1)
    focus = Focus(path, rng.uniform(1.5, 4.5), share=(0.35, 1.0), follow=rng.choice([0.3, 0.8, 1.0]))
    return SolidScene(
        film_things(bodies, motion),
        replace(bumps, sound_kinds=("roll", "scrape")),
        paths=[motion.places[:, k, :3].astype(float) for k in range(len(bodies))],
        sizes=[body.radius for body in bodies],
        focus=focus,
        ground_z=base.ground_z,
        ground=base.ground,
        mode="driven",
        drive=_on_grid(drive),
    )


def _roller(shop: Workshop, high: bool) -> Body:
    """A ball, or a barrel or wheel on its side, at the left; on top of the slope where it is `high`."""
    rng = shop.rng
    size, material = rng.uniform(0.9, 2.4), str(rng.choice(["metal", "wood", "stone", "plastic"]))
    at = (-7.0, 0.0, 3.6 + size / 2) if high else (-5.5, 0.0, size / 2 + 0.05)
    if rng.random() < 0.5:
        return placed(shop.ball(material, size), at, damping=0.02)
    piece = Piece("cylinder", (size, size, size * rng.uniform(0.2, 1.5)), **shop.look(material))
    return placed(Body((piece,)), at, turn=(0.0, 90.0, 0.0), damping=0.02)


def _nudges(rng: np.random.Generator, body: int, mass: float, duration_s: float) -> list[Push]:
    """Pushes to the right and to the left in turn."""
    pushes, time_s, way = [], rng.uniform(0.1, 0.8), 1.0
    while time_s < duration_s - 0.5:
        pushes.append(Push(time_s, body, (way * rng.uniform(8, 28) * mass, 0.0, 0.0)))
        time_s, way = time_s + rng.uniform(0.8, 2.2), -way
    return pushes


def touching(path: np.ndarray) -> np.ndarray:
    """Whether something carries a body, bool [n]: in the air it would fall as gravity says."""
    rise = np.gradient(np.gradient(path[:, 2], 1 / STEP_HZ), 1 / STEP_HZ)
    return smoothed(rise, 5) > -0.7 * GRAVITY


def _slope(shop: Workshop) -> Body:
    """A board that leads down to x = 0."""
    look = shop.look("wood")
    return Body((Piece("box", (9.0, 4.0, 0.4), **look),), (-4.2, 0, 1.45), (0, 0, 20.0), fixed=True)


def _stop(shop: Workshop, x: float) -> Body:
    """Something heavy that stands in the way."""
    rng = shop.rng
    size = (rng.uniform(0.8, 2), rng.uniform(3, 6), rng.uniform(1.5, 3))
    piece = Piece("box", size, **shop.look(str(rng.choice(_HARD))))
    return Body((piece,), (x, 0, size[2] / 2), (rng.normal(0, 15), 0, 0), fixed=bool(rng.random() < 0.6))


def _rubbing(shop: Workshop, duration_s: float) -> SolidScene:
    """A hand moves a thing to and fro over a surface, with pauses; each stroke is an event."""
    rng = shop.rng
    base = support(shop, (*_HARD, "cloth", "earth"), 7.0)
    t = np.arange(round(duration_s * STEP_HZ) + 1) / STEP_HZ
    times = event_times(rng, duration_s, (0.8, 3.0))
    reach, angle = rng.uniform(1.5, 4.0), rng.uniform(0, 2 * np.pi)
    x, sound_times_s, force = _strokes(rng, t, times, reach)
    along = np.array([np.cos(angle), np.sin(angle), 0.0])
    thing = shop.box(str(rng.choice([*_HARD, "cloth", "flesh"])), rng.uniform(0.8, 2.0))
    tall = thing.pieces[0].size[2]
    path = x[:, None] * along + (0, 0, tall / 2 + 0.02)
    facing = angle + rng.choice([0, np.pi / 2, -np.pi / 2]) + rng.normal(0, 0.3)
    away = np.array([np.cos(facing), np.sin(facing), 0.0])
    hand = path + (0, 0, tall / 2 + 0.7) + 0.9 * away
    shoulder = (
        np.tile(away * rng.uniform(4.5, 6.5) + (0, 0, rng.uniform(3, 5)), (len(t), 1)) + 0.15 * x[:, None] * along
    )
    turn = np.tile((np.cos(angle / 2), 0, 0, np.sin(angle / 2)), (len(t), 1))
    still = simulate(base.bodies, 0.02)
    things = [
        *film_things(base.bodies, still),
        Thing(thing.pieces, np.concatenate([path, turn], -1)),
        *arm(shop, shoulder, hand),
    ]
    sound_kinds = ("saw", "scrape") if rng.random() < 0.4 else ("scrape", "saw")
    positions = np.array([path[min(int(s * STEP_HZ), len(path) - 1)] for s in sound_times_s]).reshape(-1, 3)
    blows = Blows(
        times=sound_times_s,
        force=0.6 * force,
        positions=positions,
        mover=np.zeros(len(sound_times_s), int),
        sound_kinds=sound_kinds,
    )
    focus = Focus(np.tile((0.0, 0, 0.8), (len(t), 1)), max(2.0, reach), elevation=(0.1, 1.1), share=(0.35, 1.2))
    drive = _drive(np.abs(np.gradient(x, 1 / STEP_HZ)))
    return SolidScene(
        things,
        blows,
        paths=[path],
        sizes=[1.0],
        focus=focus,
        ground_z=base.ground_z,
        ground=base.ground,
        mode="driven",
        drive=_on_grid(drive),
    )


def _strokes(
    rng: np.random.Generator, t: np.ndarray, times: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Position along the stroke [n] in dm, when each sounds, and its share of the greatest speed."""
    position, x, sound_times_s, speeds = -reach / 2, np.full_like(t, -reach / 2), [], []
    for k, time_s in enumerate(times):
        gap = (times[k + 1] if k + 1 < len(times) else t[-1] + 0.5) - time_s
        length_s = min(gap * 0.9, rng.uniform(0.2, 0.8))
        goal = -np.sign(position) * reach / 2 * rng.uniform(0.6, 1.2)
        u = np.clip((t - time_s) / length_s, 0, 1)
        x = np.where(t >= time_s, position + (goal - position) * u * u * (3 - 2 * u), x)
        speeds.append(abs(goal - position) / length_s)
        sound_times_s.append(time_s + 0.13 * length_s)  # when half the full speed is reached
        position = goal
    return x, np.array(sound_times_s), np.array(speeds) / max(speeds, default=1.0)


def _drive(speed: np.ndarray) -> np.ndarray:
    """Speed in dm/s to 0..1; slow is silent."""
    level = speed / max(float(speed.max()), 5.0)
    return np.clip((level - 0.06) / 0.94, 0, 1) ** 0.8


def _on_grid(drive: np.ndarray) -> np.ndarray:
    """From simulation steps to the grid of trajectories."""
    n = round((len(drive) - 1) / STEP_HZ * GRID_HZ) + 1
    return np.interp(np.arange(n) / GRID_HZ, np.arange(len(drive)) / STEP_HZ, drive)
