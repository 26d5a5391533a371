"""Bodies go in, their motion and every contact's impulse come out: Bullet at a fixed step, nothing drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from foleycli.synthetic.solid.bodies import GRAVITY, Body, Grip, Piece
from foleycli.synthetic.solid.engine import panda
from foleycli.synthetic.solid.materials import MATERIALS

STEP_HZ = 240
_JOLT = 2.0  # dm/s; a smaller change of velocity within a step is no blow
_SINGLE_STEPS = 5  # impulses of a pair within so many steps (21 ms) are one contact


@dataclass(frozen=True)
class Push:
    """A sudden impulse (kg dm/s) on a body; with `toward` it aims at where that body is then, at `speed` dm/s."""

    time_s: float
    body: int
    impulse: tuple[float, float, float] = (0.0, 0.0, 0.0)
    at: tuple[float, float, float] = (0.0, 0.0, 0.0)  # from the body's centre
    toward: int | None = None
    speed: float = 0.0


@dataclass(frozen=True)
class Contacts:
    """Blows between bodies, in the order of time, [c] each."""

    time_s: np.ndarray
    a: np.ndarray  # index of a body
    b: np.ndarray
    speed: np.ndarray  # change of velocity of the lighter partner, dm/s
    mass: np.ndarray  # of the lighter partner, kg
    positions: np.ndarray  # [c, 3]

    def select(self, ok: np.ndarray) -> Contacts:
        """Those of the mask bool [c]."""
        return Contacts(
            time_s=self.time_s[ok],
            a=self.a[ok],
            b=self.b[ok],
            speed=self.speed[ok],
            mass=self.mass[ok],
            positions=self.positions[ok],
        )


@dataclass(frozen=True)
class Motion:
    """Places of all bodies after each step, and their blows."""

    places: np.ndarray  # float32 [n, b, 7]: position, then the quaternion w, x, y, z
    contacts: Contacts


def simulate(bodies: list[Body], duration_s: float, pushes: Sequence[Push] = ()) -> Motion:
    """Run for `duration_s` under gravity; the same arguments give the same motion."""
    core = panda()
    from panda3d.bullet import BulletWorld

    world = BulletWorld()
    world.setGravity(core.LVector3(0, 0, -GRAVITY))
    paths = [_enter(world, body, str(k)) for k, body in enumerate(bodies)]
    moving = [k for k, body in enumerate(bodies) if not body.fixed]
    n = round(duration_s * STEP_HZ) + 1
    places = np.empty((n, len(bodies), 7), np.float32)
    places[:] = [_place(path) for path in paths]
    masses = np.array([np.inf if body.fixed else body.mass for body in bodies])
    due = sorted(pushes, key=lambda push: push.time_s)
    rows: list[tuple] = []
    before = [(0.0, 0.0, 0.0)] * len(bodies)
    for i in range(1, n):
        time_s = (i - 1) / STEP_HZ
        while due and due[0].time_s <= time_s:
            _push(due.pop(0), paths, masses)
        _carry(bodies, paths, time_s, before)
        world.doPhysics(1 / STEP_HZ, 1, 1 / STEP_HZ)
        jolted = False
        for k in moving:
            places[i, k] = _place(paths[k])
            v, u = paths[k].node().getLinearVelocity(), before[k]
            jolt = abs(v[0] - u[0]) + abs(v[1] - u[1]) + abs(v[2] - u[2] + GRAVITY / STEP_HZ)
            jolted = jolted or jolt > _JOLT
            before[k] = (v[0], v[1], v[2])
        if jolted:
            rows += _blows(world, i - 1, masses)
    for path in paths:
        world.remove(path.node())
    return Motion(places, _merged(rows))


def _push(push: Push, paths: list, masses: np.ndarray) -> None:
    from panda3d.core import LVector3

    impulse = LVector3(*push.impulse)
    if push.toward is not None:
        way = paths[push.toward].getPos() - paths[push.body].getPos()
        way.setZ(0)
        way.normalize()
        impulse = way * float(push.speed * masses[push.body])
    paths[push.body].node().applyImpulse(impulse, LVector3(*push.at))


def _place(path: Any) -> tuple[float, ...]:
    return (*path.getPos(), *path.getQuat())


def _enter(world: Any, body: Body, name: str) -> Any:
    """Put a body into the world; returns its NodePath."""
    from panda3d.bullet import BulletRigidBodyNode
    from panda3d.core import NodePath, TransformState

    node = BulletRigidBodyNode(name)
    for piece in body.pieces:
        node.addShape(_shape(piece), TransformState.makePosHpr(piece.at, piece.turn))
    material = MATERIALS[body.material]
    node.setRestitution(material.restitution if body.bouncy is None else body.bouncy)
    node.setFriction(material.friction)
    if not body.fixed:
        node.setMass(body.mass)
        node.setAngularDamping(body.damping)
        node.setDeactivationEnabled(False)  # what sleeps keeps its last impulse
    path = NodePath(node)
    path.setPos(*body.at)
    path.setHpr(*body.turn)
    world.attach(node)
    return path


def _shape(piece: Piece) -> Any:
    from panda3d import bullet
    from panda3d.core import LVector3

    x, y, z = piece.size
    if piece.shape == "box":
        return bullet.BulletBoxShape(LVector3(x / 2, y / 2, z / 2))
    if piece.shape == "ball":
        return bullet.BulletSphereShape(x / 2)
    if piece.shape == "cylinder":
        return bullet.BulletCylinderShape(x / 2, z, bullet.ZUp)
    return bullet.BulletCapsuleShape(x / 2, max(z - x, 0.01), bullet.ZUp)


def _carry(bodies: list[Body], paths: list, time_s: float, before: list) -> None:
    """Move what is held; `before` takes the velocities that it has before the step."""
    for k, body in enumerate(bodies):
        for grip in body.grips:
            if grip.start_s <= time_s < grip.end_s:
                before[k] = _hold(paths[k], grip, time_s)


def _hold(path: Any, grip: Grip, time_s: float) -> tuple[float, ...]:
    """Carry a body towards its goal, slower and slower; on the last step it flies off.  Returns its velocity."""
    from panda3d.core import LVector3

    node = path.node()
    last = grip.end_s - time_s <= 1 / STEP_HZ
    rate_hz = 5.0 / max(grip.end_s - grip.start_s, 0.2) * min(1.0, (time_s - grip.start_s) / 0.1)
    share = min(1.0, rate_hz / STEP_HZ)
    at = path.getPos()
    path.setPos(at + (LVector3(*grip.to) - at) * share)
    velocity = LVector3(*grip.throw) if last else LVector3(0, 0, GRAVITY / STEP_HZ)
    node.setLinearVelocity(velocity)
    node.setAngularVelocity(LVector3(*grip.spin) if last else LVector3(0))
    return tuple(velocity)


def _blows(world: Any, step: int, masses: np.ndarray) -> list[tuple]:
    """All pairs that pushed each other in the last step: (step, a, b, velocity change, lighter mass, x, y, z)."""
    rows = []
    for manifold in world.getManifolds():
        points = manifold.getManifoldPoints()
        impulse = sum(point.getAppliedImpulse() for point in points)
        if impulse <= 0:
            continue
        a, b = int(manifold.getNode0().getName()), int(manifold.getNode1().getName())
        mass = min(masses[a], masses[b])
        if np.isfinite(mass) and impulse / mass > _JOLT:
            hardest = max(points, key=lambda point: point.getAppliedImpulse())
            rows.append((step, min(a, b), max(a, b), impulse / mass, mass, *hardest.getPositionWorldOnA()))
    return rows


def _merged(rows: list[tuple]) -> Contacts:
    """One contact per pair and moment: impulses of neighbouring steps are added; the time is the first step's."""
    open_rows: dict[tuple[int, int], list] = {}
    done: list[list] = []
    for step, a, b, speed, mass, *where in rows:
        last = open_rows.get((a, b))
        if last is not None and step - last[0] < _SINGLE_STEPS:
            last[3] += speed
            continue
        row = [step, a, b, speed, mass, *where]
        open_rows[a, b] = row
        done.append(row)
    table = np.array(done, float).reshape(-1, 8)
    a, b = table[:, 1].astype(int), table[:, 2].astype(int)
    return Contacts(time_s=table[:, 0] / STEP_HZ, a=a, b=b, speed=table[:, 3], mass=table[:, 4], positions=table[:, 5:])
