"""What a solid scene hands to the camera and to the sound, and how blows become events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from foleycli.synthetic.config import Mode
from foleycli.synthetic.solid.bodies import Body, Piece, Workshop
from foleycli.synthetic.solid.camera import Focus
from foleycli.synthetic.solid.film import Thing
from foleycli.synthetic.solid.materials import sound_kinds_of
from foleycli.synthetic.solid.simulation import STEP_HZ, Contacts, Motion

MERGE_S = 0.06  # closer blows are heard as one
_FAINT = 0.09  # share of the strongest blow (15 dB down); less is not heard
_SLAB = 400.0  # dm; so wide is only the ground
_HARDEST = 60.0  # dm/s: a pinched body is pushed harder than anything sounds


@dataclass(frozen=True)
class Blows:
    """Audible moments in the order of time: strength 0..1, where, and which body is seen to move."""

    times: np.ndarray  # [e] s
    force: np.ndarray  # [e]
    positions: np.ndarray  # [e, 3]
    mover: np.ndarray  # [e] index of a path
    sound_kinds: tuple[str, ...]


@dataclass(frozen=True)
class SolidScene:
    """All that is needed to film and to sound; `paths` [n, 3] each, with radii in dm, are what `blows.mover` counts."""

    things: list[Thing]
    blows: Blows
    paths: list[np.ndarray]
    sizes: list[float]
    focus: Focus
    ground_z: float
    ground: tuple[str, int]
    top_z: float = 0.0
    mode: Mode = "hits"
    drive: np.ndarray | None = None  # [n] at GRID_HZ, 0..1; the last path is what drives
    worn: tuple[np.ndarray, np.ndarray] | None = None  # eye and aim [n, 3] of a camera that someone carries


SolidBuilder = Callable[[Workshop, float], SolidScene]


@dataclass(frozen=True)
class Support:
    """What things lie on: its bodies (the first carries), the ground under it, and the material on top."""

    bodies: list[Body]
    ground_z: float
    ground: tuple[str, int]
    half: float  # room on top, dm from the middle


def support(shop: Workshop, materials: tuple[str, ...], half: float) -> Support:
    """A table over some floor, or the floor itself; the top lies at z = 0."""
    rng = shop.rng
    top = str(rng.choice(materials))
    if rng.random() < 0.5:
        look = shop.look(top)
        slab = Body((Piece("box", (_SLAB, _SLAB, 4), **look),), at=(0, 0, -2), fixed=True)
        return Support([slab], 0.0, (top, look["number"]), half)
    look, x, y = shop.look(top), half * rng.uniform(1.0, 1.8), half * rng.uniform(1.0, 1.8)
    board = Piece("box", (2 * x, 2 * y, 0.6), (0, 0, -0.3), **look)
    legs = [
        Piece("box", (0.6, 0.6, 7), (sx * (x - 0.5), sy * (y - 0.5), -4.0), **shop.look("wood"))
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    below = shop.look(str(rng.choice(["wood", "stone", "cloth", "earth"])))
    floor = Body((Piece("box", (_SLAB, _SLAB, 4), **below),), at=(0, 0, -9.5), fixed=True)
    table = Body((board, *legs), fixed=True)
    return Support([table, floor], -7.5, (below["material"], below["number"]), half)


def film_things(bodies: list[Body], motion: Motion) -> list[Thing]:
    """Bodies as things for the camera; slabs are drawn as the ground itself."""
    things = []
    for k, body in enumerate(bodies):
        if body.pieces[0].size[0] >= _SLAB:
            continue
        places = motion.places[:1, k] if body.fixed else motion.places[:, k]
        things.append(Thing(body.pieces, places, shadow=not body.fixed))
    return things


def blows_of(contacts: Contacts, bodies: list[Body], rng: np.random.Generator) -> Blows:
    """Merge what is close, drop what is faint; the materials of the loudest pair choose the sound."""
    if len(contacts.time_s) == 0:
        return Blows(
            times=np.zeros(0),
            force=np.zeros(0),
            positions=np.zeros((0, 3)),
            mover=np.zeros(0, int),
            sound_kinds=("thud",),
        )
    loud = np.minimum(contacts.speed, _HARDEST) * contacts.mass**0.2
    soft = [
        _softness(bodies[a].material) * _softness(bodies[b].material)
        for a, b in zip(contacts.a, contacts.b, strict=True)
    ]
    loud = (loud * soft) / max(float((loud * soft).max()), 8.0)
    total: dict[tuple[str, str], float] = {}
    for a, b, level in zip(contacts.a, contacts.b, loud, strict=True):
        pair = (bodies[a].material, bodies[b].material)
        total[pair] = total.get(pair, 0.0) + level
    sound_kinds = sound_kinds_of(*max(total, key=lambda pair: total[pair]))
    keep = merged(contacts.time_s, loud)
    top = rng.uniform(0.6, 1.0)
    rows = np.array([k for _, _, k in keep], int)
    movers = np.array([_mover(bodies, contacts.a[k], contacts.b[k]) for k in rows], int)
    times, force = (np.array([row[i] for row in keep], float) for i in (0, 1))
    return Blows(
        times=times,
        force=np.clip(top * force, 0.05, 1),
        positions=contacts.positions[rows].reshape(-1, 3),
        mover=movers,
        sound_kinds=sound_kinds,
    )


def merged(times: np.ndarray, loud: np.ndarray) -> list[tuple[float, float, int]]:
    """(time, loudness, row) of what is heard: at the first blow of a cluster unless a far louder one follows it."""
    out: list[tuple[float, float, int]] = []
    for k in np.argsort(times, kind="stable"):
        if loud[k] < _FAINT:
            continue
        if out and times[k] - out[-1][0] < MERGE_S:
            time_s, level, row = out[-1]
            out[-1] = (time_s, max(level, loud[k]), row) if level > 0.35 * loud[k] else (times[k], loud[k], k)
        else:
            out.append((times[k], loud[k], k))
    return [(float(time_s), float(level), int(row)) for time_s, level, row in out]


def _softness(material: str) -> float:
    return {"cloth": 0.6, "flesh": 0.7, "earth": 0.75}.get(material, 1.0)


def _mover(bodies: list[Body], a: int, b: int) -> int:
    """The partner that moves more freely."""
    if bodies[a].fixed:
        return int(b)
    return int(a) if bodies[b].fixed or bodies[a].mass < bodies[b].mass else int(b)


def focus_on(paths: list[np.ndarray], sizes: list[float], blows: Blows) -> Focus:
    """The part of the motion around the blows (all of it where there are none), not too wide for the bodies' size."""
    n = len(paths[0])
    used = sorted(set(blows.mover.tolist())) or list(range(len(paths)))
    near = np.zeros(n, bool)
    for time_s in blows.times:
        i = int(time_s * STEP_HZ)
        near[max(0, i - STEP_HZ // 6) : i + STEP_HZ // 6] = True
    if not near.any():
        near[:] = True
    points = np.concatenate([paths[k][near] for k in used])
    low, high = np.percentile(points, [10, 90], axis=0)
    spots = blows.positions if len(blows.positions) else points
    middle = np.median([paths[k] for k in used], axis=0)  # [n, 3]
    center = np.clip(0.3 * middle + 0.7 * np.median(spots, axis=0), low - 1, high + 1)
    size = float(np.mean([sizes[k] for k in used]))
    radius = np.clip(0.4 * np.linalg.norm(high - low), 1.5 * size, 3.0 * size + 1.5)
    return Focus(center, float(radius))
