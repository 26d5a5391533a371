"""Things that strike: sticks, hammers, hands, knives and drum sticks at the ends of linked arms."""

from __future__ import annotations

import numpy as np

from foleycli.synthetic.physics import decays, event_times, smooth_noise, strengths, strike_height
from foleycli.synthetic.render import Limb, Part
from foleycli.synthetic.scenes.stage import Props, Stage, chain, limbs, living, still, surface

_TARGET_KINDS = ("wood", "metal", "anvil", "stone", "thud", "wood", "metal", "sword", "glass", "click")


def arm(
    rng: np.random.Generator,
    t: np.ndarray,
    props: Props,
    *,
    height: np.ndarray,
    target: tuple[float, float, float],
    tool: str,
    mirror: bool,
) -> tuple[list[Limb], np.ndarray]:
    """An arm of 2-4 links whose tool touches `target` where `height` is 0; returns its parts and the tip [n, 3]."""
    n_links = int(rng.integers(1, 3))
    side = -1.0 if mirror else 1.0
    lengths = [rng.uniform(0.35, 0.6) for _ in range(n_links)]
    at_contact = [rng.uniform(0.5, 1.3)] + [rng.uniform(0.9, 1.7) for _ in range(n_links - 1)]
    lift = [rng.uniform(0.1, 0.8) for _ in range(n_links)]
    wrist = rng.uniform(1.2, 1.9), rng.uniform(0.5, 1.6)
    tool_length = {
        "hand": 0.18,
        "stick": rng.uniform(0.4, 0.9),
        "hammer": rng.uniform(0.3, 0.6),
        "knife": 0.35,
    }[tool]
    free = np.minimum(height * 3, 1)  # nothing else moves at the moment of contact
    wobble = [0.15 * smooth_noise(rng, t, rng.uniform(0.5, 3)) * free for _ in range(n_links + 1)]
    poses = [(a + b * height + w) * side for a, b, w in zip(at_contact, lift, wobble[:-1], strict=True)]
    poses.append((wrist[0] + wrist[1] * height + wobble[-1]) * side)
    points = chain(still((0, 0, 0), t), poses, [*lengths, tool_length])
    contact = chain(
        still((0, 0, 0), t[:1]),
        [np.array([a * side]) for a in (*at_contact, wrist[0])],
        [*lengths, tool_length],
    )[-1]
    points = [p - contact + np.array(target) for p in points]
    skin, cloth = props.skin_or_color(), props.color()
    thick = rng.uniform(0.06, 0.12)
    parts = limbs(points[:-1], [thick * 0.9**k for k in range(n_links)], [cloth, skin, skin][:n_links])
    return parts + _tool(rng, props, hand=points[-2], tip=points[-1], tool=tool, skin=skin, thick=thick), points[-1]


def person(rng: np.random.Generator, t: np.ndarray, props: Props, shoulder: np.ndarray) -> list[Part]:
    """Sometimes: the rest of whoever moves the arm, a torso, a head and a second arm that fidgets or holds."""
    if rng.random() < 0.45:
        return []
    sway = 0.04 * np.stack([smooth_noise(rng, t, 0.7), smooth_noise(rng, t, 0.7), 0 * t], -1)
    inward = rng.choice([-1.0, 1.0])
    neck = shoulder + (inward * rng.uniform(0.15, 0.3), -0.05, 0.1) + sway
    hip = neck + (inward * 0.05, rng.uniform(0.7, 1.0), 0) - 0.7 * sway
    cloth, skin = props.color(), props.skin_or_color()
    parts: list[Part] = [Limb(neck + (0, 0.1, 0), hip, r0=0.24, r1=0.2, rgb=cloth)]
    if rng.random() < 0.6:
        parts.append(props.sprite("disc", neck + (0, -0.22, 0), (0.26, 0.34), 0.2 * smooth_noise(rng, t, 0.6)))
    moves = 0.25 * smooth_noise(rng, t, rng.uniform(0.4, 2.5)) * (rng.random() < 0.6)
    other = chain(neck + (inward * 0.22, 0.1, 0), [inward * 0.3 + moves, -inward * 1.0 + moves * 1.5], [0.4, 0.36])
    return parts + limbs(other, [0.08, 0.07], [cloth, skin])


def _tool(
    rng: np.random.Generator,
    props: Props,
    *,
    hand: np.ndarray,
    tip: np.ndarray,
    tool: str,
    skin: np.ndarray,
    thick: float,
) -> list[Limb]:
    grip = Limb(hand, hand + (tip - hand) * 0.15, r0=thick, r1=thick * 0.8, rgb=skin)
    if tool == "hand":
        return [Limb(hand, tip, r0=thick * 0.9, r1=thick * 0.6, rgb=skin)]
    if tool == "knife":
        return [Limb(hand, tip, r0=0.06, r1=0.03, rgb=np.full(3, rng.uniform(120, 230))), grip]
    thin = rng.uniform(0.018, 0.04)
    parts = [Limb(hand, tip, r0=thin, r1=thin, rgb=props.color()), grip]
    if tool == "hammer":
        across = np.stack([-(tip - hand)[:, 1], (tip - hand)[:, 0], np.zeros(len(tip))], -1)
        across = across / np.linalg.norm(across, axis=1, keepdims=True) * rng.uniform(0.08, 0.14)
        parts.append(Limb(tip - across, tip + across, r0=0.06, r1=0.06, rgb=props.color()))
    return parts


def _misses(rng: np.random.Generator, times: np.ndarray, share: float) -> np.ndarray:
    """Near misses in the middle of long gaps."""
    wide = np.flatnonzero(np.diff(times) > 0.7)
    return np.array([(times[k] + times[k + 1]) / 2 for k in wide if rng.random() < share])


def _target(props: Props, rng: np.random.Generator, t: np.ndarray, x: float, y: float, jolt: np.ndarray) -> list[Part]:
    """The struck thing; it gives way a little after each hit."""
    shape = str(rng.choice(["disc", "box", "blob", "box"]))
    w, h = rng.uniform(0.15, 0.7), rng.uniform(0.12, 0.6)
    center = still((x, y + h * 0.47, 0.02), t)
    center[:, 1] += 0.03 * jolt * rng.uniform(0, 1)
    return [props.sprite(shape, center, (w, h), rng.normal(0, 0.05) + 0.05 * jolt)]


def strike(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """A stick, hammer or hand hits a thing, with rebound, silent lifts and near misses."""
    times = event_times(rng, t[-1])
    force = strengths(rng, len(times))
    height = strike_height(rng, t, times=times, force=force, misses=_misses(rng, times, 0.3 * props.difficulty))
    tool = str(rng.choice(["stick", "hammer", "hand", "stick"]))
    parts, tip = arm(rng, t, props, height=height, target=(0.0, 0.3, 0.0), tool=tool, mirror=rng.random() < 0.5)
    target = _target(props, rng, t, x=0.0, y=0.3, jolt=decays(t, times, force, tau_s=0.08))
    front = rng.random() < 0.3 * props.difficulty  # the struck thing hides the tip
    body: list[Part] = [*parts, *target] if front else [*target, *parts]
    body = [*person(rng, t, props, parts[0].p0), *body]
    sound_kinds = _rotated_at_random(rng, _TARGET_KINDS)
    return Stage(
        [*living(props, rng, t), *surface(props, rng, t, 0.6), *body],
        "hits",
        sound_kinds,
        times=times,
        force=force,
        tips=(tip,),
    )


def chop(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """Axe or knife chops that stick for a moment; the cut thing shrinks or slides."""
    fast = rng.random() < 0.5
    times = event_times(rng, t[-1], (1.2, 3.5) if fast else (0.4, 1.3))
    force = strengths(rng, len(times))
    height = strike_height(rng, t, times=times, force=force, misses=np.zeros(0)) * (0.35 if fast else 1.0)
    parts, tip = arm(
        rng,
        t,
        props,
        height=height,
        target=(0.0, 0.3, 0.0),
        tool="knife" if fast else "hammer",
        mirror=rng.random() < 0.5,
    )
    target = _target(props, rng, t, x=-0.1, y=0.28, jolt=decays(t, times, force, tau_s=0.08))
    pieces: list[Part] = []
    for time_s in times[rng.random(len(times)) < 0.4]:
        u = np.maximum(t - time_s, 0)
        x = rng.normal(0, 0.5) * np.minimum(u, 0.5)
        y = 0.3 - 0.8 * np.minimum(u, 0.5) + 1.6 * np.minimum(u, 0.5) ** 2
        pieces.append(props.sprite("blob", path_or_hidden(t, time_s, x, y), (0.08, 0.06), 8 * np.minimum(u, 0.5)))
    sound_kinds = ("knife", "chop") if fast else ("chop", "wood", "knife")
    return Stage(
        [*living(props, rng, t), *surface(props, rng, t, 0.55), *target, *pieces, *parts],
        "hits",
        sound_kinds,
        times=times,
        force=force,
        tips=(tip,),
    )


def path_or_hidden(t: np.ndarray, from_s: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A path [n, 3] that lies far outside the picture before `from_s`."""
    out = np.stack([x, y, np.zeros_like(t)], -1)
    out[t < from_s] = (50.0, 0.0, 0.0)
    return out


def drumming(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """Two arms over one to three drums; mostly not dense."""
    sets = (("drum", "hand drum"), ("hand drum", "drum"), ("cymbal", "drum"))
    sound_kinds = sets[int(rng.choice(3, p=[0.5, 0.38, 0.12]))]
    tool = "hand" if sound_kinds[0] == "hand drum" else "stick"
    times = event_times(rng, t[-1], (0.8, 4.0))
    force = strengths(rng, len(times))
    hand_of = rng.integers(0, 2, len(times)) if rng.random() < 0.5 else np.arange(len(times)) % 2
    parts: list[Part] = [*living(props, rng, t)]
    arms: list[Part] = []
    tips = []
    for k in range(2):
        x, mine = (-0.4, 0.4)[k], hand_of == k
        height = strike_height(rng, t, times=times[mine], force=force[mine], misses=np.zeros(0)) * rng.uniform(0.3, 0.9)
        more, tip = arm(rng, t, props, height=height, target=(x, 0.25, 0.0), tool=tool, mirror=k == 0)
        arms += more
        tips.append(tip)
        w = rng.uniform(0.4, 0.8)
        parts.append(props.sprite("box", still((x, 0.55, 0.1), t), (w, 0.55)))
        parts.append(props.sprite("disc", still((x, 0.28, 0.1), t), (w, w * rng.uniform(0.2, 0.5))))
    return Stage([*parts, *arms], "hits", sound_kinds, times=times, force=force, tips=tuple(tips), tip_of=hand_of)


def tapping(rng: np.random.Generator, t: np.ndarray, props: Props) -> Stage:
    """Fingers of one hand tap on a surface."""
    times = event_times(rng, t[-1], (0.8, 4.0))
    force = strengths(rng, len(times))
    finger_of = rng.integers(0, 4, len(times))
    drift = np.stack([0.1 * smooth_noise(rng, t, 0.4), np.zeros_like(t), np.zeros_like(t)], -1)
    skin, parts, tips = props.skin_or_color(), [*living(props, rng, t), *surface(props, rng, t, 0.3)], []
    for k in range(4):
        mine = finger_of == k
        height = strike_height(rng, t, times=times[mine], force=force[mine], misses=np.zeros(0)) * 0.5
        root = still((0.13 * k - 0.2, -0.05, 0.0), t) + drift
        points = chain(root, [1.0 + 0.7 * height, 0.1 + 0.9 * height], [0.25, 0.2])
        points = [
            p - (0, chain(root[:1], [np.array([1.0]), np.array([0.1])], [0.25, 0.2])[-1][0, 1] - 0.3, 0) for p in points
        ]
        parts += limbs(points, [0.07, 0.06], [skin, skin])
        tips.append(points[-1])
    return Stage(
        parts, "hits", ("click", "wood", "hand drum"), times=times, force=force, tips=tuple(tips), tip_of=finger_of
    )


def _rotated_at_random(rng: np.random.Generator, sound_kinds: tuple[str, ...]) -> tuple[str, ...]:
    first = int(rng.integers(len(sound_kinds)))
    return sound_kinds[first:] + sound_kinds[:first]
