"""Solid things as the simulation and the camera use them: convex pieces of a material.  Lengths are in decimetres.

Decimetres, because Bullet is exact for things of about one unit.  z is up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from foleycli.synthetic.config import Split
from foleycli.synthetic.solid.materials import MATERIALS, surface_number

GRAVITY = 98.1  # dm / s^2


@dataclass(frozen=True)
class Piece:
    """A convex part in its body's own axes; round shapes stand along z, `size` is the full extent."""

    shape: str  # "box", "ball", "cylinder" or "capsule"
    size: tuple[float, float, float]
    at: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)  # heading, pitch, roll in degrees
    material: str = "wood"
    number: int = 0  # which look of the material
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def volume(self) -> float:
        fill = {"box": 1.0, "ball": 0.52, "cylinder": 0.79, "capsule": 0.7}[self.shape]
        return fill * float(np.prod(self.size))


@dataclass(frozen=True)
class Grip:
    """A hand holds a body from `start_s` to `end_s` and carries it to `to`; it lets go with `throw` (dm/s)."""

    start_s: float
    end_s: float
    to: tuple[float, float, float]
    throw: tuple[float, float, float] = (0.0, 0.0, 0.0)
    spin: tuple[float, float, float] = (0.0, 0.0, 0.0)  # rad/s


@dataclass(frozen=True)
class Body:
    """Pieces that move as one; a fixed body never moves.  The first piece's material is what sounds."""

    pieces: tuple[Piece, ...]
    at: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)  # heading, pitch, roll in degrees
    fixed: bool = False
    grips: tuple[Grip, ...] = ()
    damping: float = 0.15  # of turning; stands for rolling friction
    bouncy: float | None = None  # restitution where it is not the material's

    @property
    def material(self) -> str:
        return self.pieces[0].material

    @property
    def mass(self) -> float:
        return max(0.05, sum(piece.volume * MATERIALS[piece.material].density for piece in self.pieces))

    @property
    def radius(self) -> float:
        """Of a sphere about the body's origin that holds all pieces."""
        return max(float(np.linalg.norm(p.at)) + float(np.linalg.norm(p.size)) / 2 for p in self.pieces)


class Workshop:
    """Makes random bodies; the two splits share no look."""

    def __init__(self, rng: np.random.Generator, split: Split, difficulty: float) -> None:
        self.rng = rng
        self.split = split
        self.difficulty = difficulty

    def look(self, material: str) -> dict:
        """Keyword arguments of a Piece: material, its texture's number and a tint."""
        tint = np.clip(self.rng.uniform(0.75, 1.1) * (1 + self.rng.normal(0, 0.06, 3)), 0.3, 1.0)
        return {
            "material": material,
            "number": surface_number(self.rng, self.split),
            "tint": tuple(float(v) for v in tint),
        }

    def thing(self, material: str, size: float) -> Body:
        """Something one may drop, `size` dm across."""
        makers = [self.box, self.ball, self.cylinder, self.capsule, self.plank, self.bottle, self.hammer, self.bowl]
        weights = np.array([3, 2, 2, 1, 2, 1.5, 1.5, 1.0])
        return makers[self.rng.choice(len(makers), p=weights / weights.sum())](material, size)

    def box(self, material: str, size: float) -> Body:
        """A box whose longest side is at most `size` dm; all makers below take the same two arguments."""
        extent = size * self.rng.uniform(0.45, 1.0, 3)
        return Body((Piece("box", tuple(extent), **self.look(material)),))

    def ball(self, material: str, size: float) -> Body:
        return Body((Piece("ball", (size,) * 3, **self.look(material)),), damping=0.25)

    def cylinder(self, material: str, size: float) -> Body:
        wide, tall = size * self.rng.uniform(0.3, 0.9), size * self.rng.uniform(0.4, 1.2)
        return Body((Piece("cylinder", (wide, wide, tall), **self.look(material)),), damping=0.25)

    def capsule(self, material: str, size: float) -> Body:
        wide = size * self.rng.uniform(0.25, 0.5)
        return Body((Piece("capsule", (wide, wide, size), **self.look(material)),), damping=0.25)

    def plank(self, material: str, size: float) -> Body:
        extent = size * np.array([self.rng.uniform(1.0, 2.0), self.rng.uniform(0.25, 0.6), self.rng.uniform(0.08, 0.2)])
        return Body((Piece("box", tuple(extent), **self.look(material)),))

    def bottle(self, material: str, size: float) -> Body:
        look, wide = self.look(material), 0.4 * size
        belly = Piece("cylinder", (wide, wide, 0.75 * size), (0, 0, -0.12 * size), **look)
        neck = Piece("cylinder", (0.4 * wide, 0.4 * wide, 0.35 * size), (0, 0, 0.42 * size), **look)
        return Body((belly, neck), damping=0.25)

    def hammer(self, material: str, size: float) -> Body:
        head = Piece("box", (0.5 * size, 0.25 * size, 0.25 * size), (0, 0, 0.45 * size), **self.look(material))
        grip = Piece("cylinder", (0.12 * size, 0.12 * size, size), (0, 0, -0.1 * size), **self.look("wood"))
        return Body((head, grip), damping=0.2)

    def bowl(self, material: str, size: float) -> Body:
        look, n = self.look(material), 8
        floor = Piece("cylinder", (0.7 * size, 0.7 * size, 0.08 * size), (0, 0, -0.18 * size), **look)
        rim = []
        for k in range(n):
            a = 2 * np.pi * k / n
            at = (0.42 * size * np.cos(a), 0.42 * size * np.sin(a), 0.0)
            rim.append(Piece("box", (0.07 * size, 0.37 * size, 0.42 * size), at, (np.degrees(a), 0, 12), **look))
        return Body((floor, *rim), damping=0.3)


def placed(body: Body, at: np.ndarray | tuple[float, float, float], **changes: Any) -> Body:
    """The body at a point, with other changes."""
    x, y, z = (float(v) for v in at)
    return replace(body, at=(x, y, z), **changes)
