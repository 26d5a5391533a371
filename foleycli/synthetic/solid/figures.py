"""Bodies of people that nothing pushes: limbs between moving joints, arms that reach by two-bone kinematics."""

from __future__ import annotations

import numpy as np

from foleycli.synthetic.physics import smooth_noise
from foleycli.synthetic.solid.bodies import Piece, Workshop
from foleycli.synthetic.solid.film import Thing


def turn_to(direction: np.ndarray) -> np.ndarray:
    """Quaternions [n, 4] that turn the z axis to the directions [n, 3]."""
    d = direction / np.maximum(np.linalg.norm(direction, axis=-1, keepdims=True), 1e-9)
    q = np.stack([1 + d[:, 2] + 1e-6, -d[:, 1], d[:, 0], 0 * d[:, 0]], -1)
    return q / np.linalg.norm(q, axis=-1, keepdims=True)


def limb(p0: np.ndarray, p1: np.ndarray, thick: float, look: dict) -> Thing:
    """A capsule between two joints [n, 3] that keep their distance."""
    long = float(np.linalg.norm(p1 - p0, axis=1).mean()) + thick
    piece = Piece("capsule", (thick, thick, long), **look)
    return Thing((piece,), np.concatenate([(p0 + p1) / 2, turn_to(p1 - p0)], -1))


def elbow(shoulder: np.ndarray, hand: np.ndarray, upper: float, lower: float, hint: np.ndarray) -> np.ndarray:
    """Where the middle joint lies, bent towards `hint` [3] or [n, 3]; a hand out of reach stretches the arm."""
    along = hand - shoulder
    reach = np.linalg.norm(along, axis=1, keepdims=True)
    along = along / np.maximum(reach, 1e-6)
    reach = np.clip(reach, abs(upper - lower) + 1e-3, upper + lower - 1e-3)
    run = (reach**2 + upper**2 - lower**2) / (2 * reach)
    aside = hint - (hint * along).sum(1, keepdims=True) * along
    aside = aside / np.maximum(np.linalg.norm(aside, axis=1, keepdims=True), 1e-6)
    return shoulder + run * along + np.sqrt(np.maximum(upper**2 - run**2, 0)) * aside


def arm(shop: Workshop, shoulder: np.ndarray, hand: np.ndarray, thick: float = 0.9) -> list[Thing]:
    """Upper arm, forearm and hand for paths [n, 3] of shoulder and wrist."""
    rng = shop.rng
    far = float(np.linalg.norm(hand - shoulder, axis=1).max()) * 1.03
    upper = max(3.0, far / 2)
    hint = np.array([rng.normal(0, 0.5), rng.normal(0, 0.5), -1.0])
    joint = elbow(shoulder, hand, upper=upper, lower=upper, hint=np.broadcast_to(hint, hand.shape))
    skin, sleeve = shop.look("flesh"), shop.look("cloth")
    lower = skin if rng.random() < 0.5 else sleeve
    parts = [limb(shoulder, joint, thick * 1.15, sleeve), limb(joint, hand, thick * 0.85, lower)]
    return [*parts, fist(hand, hand - joint, thick, skin)]


def fist(hand: np.ndarray, along: np.ndarray, thick: float, skin: dict) -> Thing:
    """A hand with four fingers, in the direction of the forearm."""
    palm = Piece("box", (thick * 1.0, thick * 0.45, thick * 1.1), (0, 0, thick * 0.4), **skin)
    fingers = [
        Piece(
            "capsule",
            (thick * 0.26, thick * 0.26, thick * 1.0),
            ((k - 1.5) * 0.26 * thick, -0.1 * thick, 1.2 * thick),
            **skin,
        )
        for k in range(4)
    ]
    thumb = Piece(
        "capsule",
        (thick * 0.28, thick * 0.28, thick * 0.8),
        (0.6 * thick, -0.2 * thick, 0.6 * thick),
        (0, 0, 35),
        **skin,
    )
    return Thing((palm, *fingers, thumb), np.concatenate([hand, turn_to(along)], -1))


def torso(shop: Workshop, shoulder: np.ndarray, side: np.ndarray, t: np.ndarray) -> list[Thing]:
    """Chest and head beside a shoulder path [n, 3]; `side` [3] points from the shoulder to the neck."""
    sway = 0.25 * np.stack([smooth_noise(shop.rng, t, 0.6), smooth_noise(shop.rng, t, 0.6), 0 * t], -1)
    neck = shoulder + 2.0 * side + (0, 0, 0.6)
    hips = neck - (0, 0, 6.0) + sway * 0.3
    cloth, skin = shop.look("cloth"), shop.look("flesh")
    head = neck + sway + (0, 0, 1.4)
    ball = Piece("ball", (1.9, 1.9, 2.3), **skin)
    hair = Piece("ball", (2.0, 2.0, 1.6), (0, 0, 0.55), **shop.look("earth"))
    still = np.tile((1.0, 0, 0, 0), (len(t), 1))
    return [limb(hips, neck - (0, 0, 0.8), 3.4, cloth), Thing((ball, hair), np.concatenate([head, still], -1))]
