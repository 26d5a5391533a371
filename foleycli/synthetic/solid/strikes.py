"""An arm with a tool strikes things that give way; lifts, hovering and near misses make no sound."""

from __future__ import annotations

import numpy as np

from foleycli.synthetic.physics import event_times, smooth_noise, strengths, strike_height
from foleycli.synthetic.solid.bodies import Body, Piece, Workshop, placed
from foleycli.synthetic.solid.camera import Focus
from foleycli.synthetic.solid.figures import arm, torso, turn_to
from foleycli.synthetic.solid.film import Thing
from foleycli.synthetic.solid.materials import sound_kinds_of
from foleycli.synthetic.solid.scene import Blows, SolidScene, Support, film_things, support
from foleycli.synthetic.solid.simulation import STEP_HZ, Push, simulate

_REACH = 4.0  # dm; how far a full lift raises the tip


def solid_strike(shop: Workshop, duration_s: float) -> SolidScene:
    """A hammer, stick, knife, racket or hand strikes one thing again and again."""
    rng = shop.rng
    tool = str(rng.choice(["hammer", "stick", "stick", "knife", "racket", "hand"]))
    base = support(shop, ("wood", "stone", "wood", "earth", "metal"), rng.uniform(6, 9))
    target = _target(shop, tool)
    top = np.array([rng.uniform(-1, 1), rng.uniform(-1, 1), _height(target)])
    fast = tool == "knife" and rng.random() < 0.6
    times = event_times(rng, duration_s, (1.2, 3.5) if fast else (0.4, 2.5))
    force = strengths(rng, len(times))
    wide = np.flatnonzero(np.diff(times) > 0.7)
    misses = np.array([(times[k] + times[k + 1]) / 2 for k in wide if rng.random() < 0.35 * shop.difficulty])
    t = np.arange(round(duration_s * STEP_HZ) + 1) / STEP_HZ
    height = strike_height(rng, t, times=times, force=force, misses=misses) * (0.3 if fast else 1.0)
    facing = rng.uniform(0, 2 * np.pi)
    parts, tip = _swing(shop, t=t, height=height, top=top, tool=tool, facing=facing)
    bodies, pushes = _target_and_pushes(shop, base, target, top=top, times=times, force=force, facing=facing)
    motion = simulate(bodies, duration_s, pushes)
    hit_body = bodies[len(base.bodies)]
    sound_kinds = _sound_kinds(tool, hit_body.material, rng)
    blows = Blows(
        times=times,
        force=force,
        positions=np.tile(top, (len(times), 1)),
        mover=np.zeros(len(times), int),
        sound_kinds=sound_kinds,
    )
    radius = max(2.0, 0.55 * float(np.ptp(tip[:, 2])) + 1.0)
    center = np.tile(top + (0, 0, 0.4 * radius), (len(t), 1))
    focus = Focus(center, radius, elevation=(0.05, 1.1), share=(0.3, 1.3))
    return SolidScene(
        [*film_things(bodies, motion), *parts],
        blows,
        paths=[tip],
        sizes=[0.8],
        focus=focus,
        ground_z=base.ground_z,
        ground=base.ground,
    )


def _target(shop: Workshop, tool: str) -> Body:
    """A thing to strike, broad enough to stay where it is."""
    rng = shop.rng
    if tool == "knife":
        return shop.cylinder(str(rng.choice(["flesh", "earth", "cloth"])), rng.uniform(1.0, 2.0))
    material = str(rng.choice(["wood", "metal", "stone", "cloth", "plastic", "wood", "metal"]))
    makers = [shop.box, shop.cylinder, shop.bowl, shop.box, shop.hammer]
    return makers[rng.choice(5, p=[0.35, 0.3, 0.12, 0.13, 0.1])](material, rng.uniform(1.4, 3.6))


def _height(body: Body) -> float:
    """Of the first piece's top when the body stands on the support."""
    low = min(p.at[2] - p.size[2] / 2 for p in body.pieces)
    return body.pieces[0].at[2] + body.pieces[0].size[2] / 2 - low


def _target_and_pushes(
    shop: Workshop, base: Support, target: Body, *, top: np.ndarray, times: np.ndarray, force: np.ndarray, facing: float
) -> tuple[list[Body], list[Push]]:
    """The thing that is hit and what is beside it, and the pushes that they get from each blow."""
    rng = shop.rng
    first = len(base.bodies)
    middle = np.array([top[0], top[1], top[2] - _height(target) / 2 + 0.02])
    low = min(p.at[2] - p.size[2] / 2 for p in target.pieces)
    middle[2] = 0.02 - low
    bodies = [*base.bodies, placed(target, middle, damping=0.6)]
    for _ in range(int(rng.integers(0, 4))):  # small things that jump with it
        loose = shop.thing(str(rng.choice(["wood", "metal", "plastic"])), rng.uniform(0.4, 1.2))
        angle, away = rng.uniform(0, 6.28), target.radius + rng.uniform(0.8, 3)
        bodies.append(placed(loose, (top[0] + away * np.cos(angle), top[1] + away * np.sin(angle), loose.radius + 0.1)))
    pushes, give = [], rng.uniform(0.3, 2.5)
    home = (np.cos(facing), np.sin(facing))
    for time_s, f in zip(times, force, strict=True):
        side = rng.normal(0, 0.25, 2) - 0.1 * np.array(home)
        jolt = target.mass * f * give
        at = (0.2 * side[1], 0.2 * side[0], 0.1)
        pushes.append(Push(float(time_s), first, (jolt * side[0], jolt * side[1], jolt * 1.2), at))
        for k in range(first + 1, len(bodies)):
            hop = bodies[k].mass * f * rng.uniform(0, 5)
            pushes.append(Push(float(time_s), k, (0.0, 0.0, hop), (0.05, 0.05, 0.0)))
    return bodies, pushes


def _swing(
    shop: Workshop, t: np.ndarray, height: np.ndarray, top: np.ndarray, tool: str, facing: float
) -> tuple[list[Thing], np.ndarray]:
    """Arm and tool whose tip is `height` over `top` (0: touches), and the tip's path [n, 3]."""
    rng = shop.rng
    out = np.array([np.cos(facing), np.sin(facing), 0.0])  # from the target to the person
    side = np.array([-out[1], out[0], 0.0])
    long = {"hammer": 2.6, "stick": 4.0, "knife": 2.0, "racket": 5.0, "hand": 0.9}[tool] * rng.uniform(0.8, 1.3)
    low, up = rng.uniform(0.0, 0.45), rng.uniform(0.35, 1.1)
    pitch = low + up * np.minimum(height, 1.6)  # the tool's angle over the level, towards the tip
    toward = -out * np.cos(pitch)[:, None] + np.array([0, 0, 1.0]) * np.sin(pitch)[:, None]
    lift = _REACH * rng.uniform(0.3, 0.8) * height
    drift = rng.uniform(0.2, 1.2) * np.stack([smooth_noise(rng, t, rng.uniform(0.5, 3)) for _ in range(3)], -1)
    rest = -out * np.cos(low) + np.array([0, 0, np.sin(low)])
    hand = top - rest * long + np.minimum(height, 1)[:, None] * drift
    hand = hand + lift[:, None] * np.array([0, 0, 1.0]) + 0.4 * lift[:, None] * out
    tip = hand + toward * long
    shoulder = top + out * (long * np.cos(low) + rng.uniform(3.0, 5.0)) + side * rng.normal(0, 1.2)
    shoulder = shoulder + np.array([0, 0, rng.uniform(2.5, 5.0)]) + 0.35 * drift * rng.uniform(0, 1)
    parts = arm(shop, shoulder, hand, rng.uniform(0.7, 1.0))
    if rng.random() < 0.75:
        parts += torso(shop, shoulder, side * rng.choice([-1, 1]), t)
    if tool == "hand":
        return parts, tip
    return [*parts, _tool(shop, tool=tool, long=long, hand=hand, toward=toward)], tip


def _tool(shop: Workshop, tool: str, long: float, hand: np.ndarray, toward: np.ndarray) -> Thing:
    """The tool from the fist along z; its striking face looks down at the tip."""
    rng = shop.rng
    handle = shop.look(str(rng.choice(["wood", "plastic", "wood"])))
    thin = rng.uniform(0.15, 0.3)
    pieces: tuple[Piece, ...]
    if tool == "hammer":
        head = Piece("box", (0.55, 1.5, 0.6), (0, 0.45, long), **shop.look(str(rng.choice(["metal", "wood", "metal"]))))
        pieces = (Piece("cylinder", (thin, thin, long + 0.6), (0, 0, long / 2), **handle), head)
    elif tool == "knife":
        blade = Piece("box", (0.06, 0.5, long), (0, 0, long * 0.55), **shop.look("metal"))
        pieces = (Piece("capsule", (0.25, 0.3, 1.0), (0, 0, -0.1), **handle), blade)
    elif tool == "racket":
        face = Piece("cylinder", (2.2, 2.6, 0.1), (0, 0, long), (0, 90, 0), **shop.look("plastic"))
        pieces = (Piece("cylinder", (thin, thin, long), (0, 0, long / 2 - 0.5), **handle), face)
    else:
        pieces = (Piece("capsule", (thin, thin, long + 0.4), (0, 0, long / 2), **handle),)
    return Thing(pieces, np.concatenate([hand, turn_to(toward)], -1))


def _sound_kinds(tool: str, material: str, rng: np.random.Generator) -> tuple[str, ...]:
    if tool == "knife":
        return ("knife", "chop")
    if tool == "racket":
        return ("ball", "thud")
    if tool == "hammer" and material == "metal":
        return ("anvil", "metal")
    if tool == "hammer" and material == "wood" and rng.random() < 0.5:
        return ("chop", "wood")
    return sound_kinds_of({"hammer": "metal", "stick": "wood", "hand": "flesh"}[tool], material)
