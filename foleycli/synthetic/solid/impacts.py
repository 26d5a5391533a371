"""Things that fall, bounce, run into each other and topple; Bullet says when and how hard they touch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from foleycli.synthetic.solid.bodies import Body, Grip, Piece, Workshop, placed
from foleycli.synthetic.solid.figures import arm
from foleycli.synthetic.solid.film import Thing
from foleycli.synthetic.solid.scene import SolidScene, Support, blows_of, film_things, focus_on, support
from foleycli.synthetic.solid.simulation import STEP_HZ, Motion, Push, simulate

_THINGS = ("wood", "wood", "metal", "metal", "stone", "plastic", "glass", "cloth", "flesh")
_TOPS = ("wood", "wood", "stone", "metal", "earth", "plastic", "cloth")


def solid_drop(shop: Workshop, duration_s: float) -> SolidScene:
    """One to four things are let fall or thrown, bounce, roll and settle; a hand may pick one up again."""
    rng = shop.rng
    base = support(shop, _TOPS, rng.uniform(5, 9))
    n, bodies = int(rng.choice([1, 2, 3, 4], p=[0.4, 0.3, 0.2, 0.1])), list(base.bodies)
    material = str(rng.choice(_THINGS))
    balls = rng.random() < 0.25
    release_s = np.sort(rng.uniform(0.1, max(0.3, duration_s - 2.2), n))
    for k in range(n):
        size = np.exp(rng.uniform(np.log(0.7), np.log(2.6)))
        body = shop.ball("plastic", size) if balls else shop.thing(material, size)
        body = replace(body, bouncy=rng.uniform(0.85, 1.0)) if balls else body
        bodies.append(_let_fall(shop, base, body, release_s=float(release_s[k]), duration_s=duration_s, again=n <= 2))
    bodies[0] = replace(bodies[0], bouncy=rng.uniform(0.75, 0.9)) if balls else bodies[0]
    motion = simulate(bodies, duration_s)
    return _filmed(shop, base, bodies, motion, hands=0.6)


def _let_fall(shop: Workshop, base: Support, body: Body, release_s: float, duration_s: float, again: bool) -> Body:
    """Held over the support until `release_s`; with `again` it is picked up and dropped until the time is over."""
    rng = shop.rng
    grips, start_s, first = [], 0.0, None
    while release_s < duration_s - 0.4:
        height = rng.uniform(2.0, 8.0) + body.radius
        at = (*rng.uniform(-0.45, 0.45, 2) * base.half, height)
        throw = rng.normal(0, 6, 3) if rng.random() < 0.35 else rng.normal(0, 1, 3)
        spin = rng.normal(0, 5, 3) if rng.random() < 0.6 else rng.normal(0, 0.5, 3)
        grips.append(Grip(start_s=start_s, end_s=release_s, to=at, throw=tuple(throw), spin=tuple(spin)))
        first = first or at
        if not again:
            break
        start_s = release_s + rng.uniform(0.9, 2.2)
        release_s = start_s + rng.uniform(0.45, 1.2)
    turn = tuple(rng.uniform(-180, 180, 3)) if rng.random() < 0.7 else (rng.uniform(-180, 180), 0.0, 0.0)
    return placed(body, first or (0, 0, 5), turn=turn, grips=tuple(grips))


def solid_collide(shop: Workshop, duration_s: float) -> SolidScene:
    """Balls, sliding blocks or dominoes run into each other."""
    kinds = (_billiards, _sliders, _dominoes)
    return kinds[shop.rng.choice(3, p=[0.45, 0.3, 0.25])](shop, duration_s)


def _billiards(shop: Workshop, duration_s: float) -> SolidScene:
    rng = shop.rng
    base = support(shop, ("cloth", "wood", "stone"), rng.uniform(7, 11))
    n, size = int(rng.integers(2, 7)), rng.uniform(0.6, 1.6)
    material = str(rng.choice(["plastic", "wood", "stone", "metal", "glass"]))
    ball = replace(shop.ball(material, size), bouncy=rng.uniform(0.9, 1.0), damping=0.05)
    bodies = [*base.bodies, *_rim(shop, base.half)] if rng.random() < 0.6 else list(base.bodies)
    first = len(bodies)
    for k, (x, y) in enumerate(_apart(rng, n, size * 1.15, 0.6 * base.half)):
        bodies.append(
            placed(shop.ball(material, size) if k else ball, (x, y, size / 2), bouncy=ball.bouncy, damping=0.05)
        )
    motion = simulate(bodies, duration_s, _shots(rng, len(bodies), first, duration_s))
    return _filmed(shop, base, bodies, motion, n_silent_bodies=len(base.bodies))


def _rim(shop: Workshop, half: float) -> list[Body]:
    """Four cushions around a table."""
    look, x = shop.look("wood"), 0.7 * half
    long = (0.6, 2 * x + 0.6, 1.0)
    return [
        Body(
            (Piece("box", long, (side * x, 0, 0) if k else (0, side * x, 0), (90 * (1 - k), 0, 0), **look),),
            (0, 0, 0.5),
            fixed=True,
        )
        for k in (0, 1)
        for side in (-1, 1)
    ]


def _shots(rng: np.random.Generator, n: int, first: int, duration_s: float, start_s: float = 0.1) -> list[Push]:
    """Some of the bodies from `first` on are pushed towards others, now and then."""
    pushes, time_s = [], start_s + rng.uniform(0, 0.5)
    while time_s < duration_s - 0.5:
        k, goal = rng.choice(np.arange(first, n), 2, replace=False)
        pushes.append(Push(time_s, int(k), toward=int(goal), speed=rng.uniform(12, 45)))
        time_s += rng.uniform(0.5, 1.6)
    return pushes


def _sliders(shop: Workshop, duration_s: float) -> SolidScene:
    """Blocks slide into others that lean, stand or lie."""
    rng = shop.rng
    base = support(shop, ("wood", "stone", "metal", "plastic"), rng.uniform(7, 10))
    material = str(rng.choice(["wood", "metal", "stone", "plastic", "glass"]))
    n = int(rng.integers(2, 5))
    bodies = list(base.bodies)
    first = len(bodies)
    for x, y in _apart(rng, n, 3.2, 0.55 * base.half):
        body = shop.thing(material, rng.uniform(1.0, 2.4))
        bodies.append(placed(body, (x, y, body.radius + 0.05), turn=(rng.uniform(0, 360), 0, 0)))
    motion = simulate(bodies, duration_s, _shots(rng, n=len(bodies), first=first, duration_s=duration_s, start_s=0.4))
    return _filmed(shop, base, bodies, motion)


def _dominoes(shop: Workshop, duration_s: float) -> SolidScene:
    rng = shop.rng
    base = support(shop, ("wood", "stone", "plastic", "metal"), 9.0)
    n, tall = int(rng.integers(5, 13)), rng.uniform(1.6, 3.0)
    gap, bend = tall * rng.uniform(0.4, 0.75), rng.normal(0, 0.12)
    material = str(rng.choice(["wood", "plastic", "stone", "wood"]))
    bodies, at, heading = list(base.bodies), np.array([-n * gap / 2, 0.0]), 0.0
    first = len(bodies)
    wide, thin = tall * rng.uniform(0.35, 0.6), tall * rng.uniform(0.1, 0.2)
    proto = shop.box(material, 1.0)
    for _ in range(n):
        piece = replace(proto.pieces[0], size=(thin, wide, tall), **(shop.look(material) if rng.random() < 0.5 else {}))
        bodies.append(placed(Body((piece,)), (*at, tall / 2), turn=(np.degrees(heading), 0, 0)))
        at = at + gap * np.array([np.cos(heading), np.sin(heading)])
        heading += bend
    impulse = bodies[first].mass * rng.uniform(5, 9)
    push = Push(rng.uniform(0.2, duration_s * 0.3), first, (impulse, 0.0, 0.0), (0.0, 0.0, tall * 0.4))
    motion = simulate(bodies, duration_s, [push])
    return _filmed(shop, base, bodies, motion)


def solid_stack(shop: Workshop, duration_s: float) -> SolidScene:
    """A tower or pyramid stands, is pushed or shot at, and falls."""
    rng = shop.rng
    base = support(shop, ("wood", "stone", "metal", "plastic", "earth"), 9.0)
    material = str(rng.choice(["wood", "wood", "metal", "stone", "plastic", "glass"]))
    maker = [shop.box, shop.cylinder, shop.box][rng.integers(3)]
    proto = maker(material, rng.uniform(1.6, 2.6)).pieces[0]
    x, _, z = proto.size
    bodies, rows = list(base.bodies), int(rng.integers(2, 6))
    first, pyramid = len(bodies), rng.random() < 0.5 and rows < 5
    for row in range(rows):
        for k in range(rows - row if pyramid else 1):
            piece = replace(proto, **(shop.look(material) if rng.random() < 0.6 else {}))
            across = (k - (rows - row - 1) / 2) * x * 1.08 if pyramid else rng.normal(0, 0.04 * x)
            bodies.append(placed(Body((piece,)), (across, rng.normal(0, 0.03), z * (row + 0.5))))
    ball = shop.ball(str(rng.choice(["metal", "plastic", "stone"])), rng.uniform(0.8, 1.6))
    time_s = rng.uniform(0.5, duration_s * 0.5)
    aim = np.array([rng.normal(0, 0.3), 0.0, z * rng.uniform(0.5, rows - 0.3)])
    start = np.array([rng.normal(0, 3), -rng.choice([-1, 1]) * 9.0, aim[2] + rng.uniform(0, 3)])
    throw = tuple((aim - start) * rng.uniform(2.5, 5) + (0, 0, 12))
    bodies.append(placed(ball, start, grips=(Grip(0.0, time_s, tuple(start), throw),)))
    motion = simulate(bodies, duration_s)
    return _filmed(shop, base, bodies, motion, still_until=first)


def _apart(rng: np.random.Generator, n: int, gap: float, half: float) -> np.ndarray:
    """Points on a level that keep a distance, float64 [n, 2]."""
    points: list[np.ndarray] = []
    while len(points) < n:
        tries = rng.uniform(-half, half, (20, 2))
        free = [p for p in tries if all(np.linalg.norm(p - q) > gap for q in points)]
        points.append(free[0] if free else rng.uniform(-half, half, 2) * (2 + len(points)))
    return np.array(points)


def _filmed(
    shop: Workshop,
    base: Support,
    bodies: list[Body],
    motion: Motion,
    *,
    hands: float = 0.0,
    n_silent_bodies: int = 0,
    still_until: int = 0,
) -> SolidScene:
    """The scene of a simulation; blows of bodies with the first `n_silent_bodies` bodies are too soft to hear."""
    contacts = motion.contacts
    ok = (contacts.a >= n_silent_bodies) & (contacts.time_s > 0.12)  # things settle onto the support at first
    for k, body in enumerate(bodies):
        for grip in body.grips:  # a hand presses without a sound
            pressed = (contacts.time_s >= grip.start_s) & (contacts.time_s < grip.end_s)
            ok &= ~(pressed & ((contacts.a == k) | (contacts.b == k)))
    blows = blows_of(contacts.select(ok), bodies, shop.rng)
    paths = [motion.places[:, k, :3].astype(float) for k in range(len(bodies))]
    first = max(len(base.bodies), still_until)
    sizes = [body.radius for body in bodies]
    used = 0 if len(blows.times) else first
    focus = focus_on(paths[used:], sizes[used:], blows)
    things = [*film_things(bodies, motion), *_hands(shop, bodies, motion, hands)]
    return SolidScene(things, blows, paths=paths, sizes=sizes, focus=focus, ground_z=base.ground_z, ground=base.ground)


def _hands(shop: Workshop, bodies: list[Body], motion: Motion, chance: float) -> list[Thing]:
    """Arms that hold what is held, and wait beside it otherwise."""
    rng, things = shop.rng, []
    t = np.arange(len(motion.places)) / STEP_HZ
    for k, body in enumerate(bodies):
        if not body.grips or rng.random() > chance:
            continue
        held = np.zeros(len(t))
        for grip in body.grips:
            near = np.clip((t - grip.start_s + 0.35) / 0.35, 0, 1) * np.clip((grip.end_s + 0.25 - t) / 0.25, 0, 1)
            held = np.maximum(held, near * near * (3 - 2 * near))
        path = motion.places[:, k, :3] + (0, 0, 0.5 * body.radius + 0.3)
        angle = rng.uniform(0, 2 * np.pi)
        away = np.array([np.cos(angle), np.sin(angle), 0.0])
        rest = path.mean(axis=0) + away * rng.uniform(3, 6) + (0, 0, rng.uniform(3, 6))
        hand = held[:, None] * path + (1 - held[:, None]) * rest
        shoulder = np.tile(rest + away * 3.5 + (0, 0, 2.0), (len(t), 1))
        things += arm(shop, shoulder, hand)
    return things
