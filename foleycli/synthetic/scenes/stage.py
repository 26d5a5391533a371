"""What a scene builder returns, and the props (colours, sprites) that it may draw from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from foleycli.soundset.kinds import EVEN_KINDS
from foleycli.synthetic.config import Mode, Split
from foleycli.synthetic.physics import smooth_noise
from foleycli.synthetic.render import Limb, Part, Sprite
from foleycli.synthetic.textures import SKIN, color, sprite


@dataclass(frozen=True)
class Stage:
    """A scene before the camera: parts over the trajectory grid and the events that they cause."""

    parts: list[Part]
    mode: Mode
    sound_kinds: tuple[str, ...]
    times: np.ndarray = field(default_factory=lambda: np.zeros(0))  # [e] s
    force: np.ndarray = field(default_factory=lambda: np.zeros(0))  # [e] 0..1
    tips: tuple[np.ndarray, ...] = ()  # [n, 3] each: points that must be seen to move
    tip_of: np.ndarray | None = None  # [e] which tip causes an event; None: the first
    drive: np.ndarray | None = None  # [n] 0..1
    shake: np.ndarray | None = None  # [n, 3] added to the camera's x, y and roll


Builder = Callable[[np.random.Generator, np.ndarray, "Props"], Stage]


class Props:
    """Random looks; objects of the two splits never share a sprite."""

    def __init__(
        self, rng: np.random.Generator, split: Split, difficulty: float, even_kinds: tuple[str, ...] = EVEN_KINDS
    ) -> None:
        self._rng = rng
        self._first = 0 if split == "train" else 1000
        self.split = split
        self.difficulty = difficulty
        self.even_kinds = even_kinds

    def color(self) -> np.ndarray:
        """A random colour, RGB [3] in 0..255."""
        return color(self._rng, 0.2)

    def skin_or_color(self) -> np.ndarray:
        """A skin tone in three cases of five, else any colour: RGB [3] in 0..255."""
        rng = self._rng
        return SKIN[rng.integers(len(SKIN))] * rng.uniform(0.8, 1.05) if rng.random() < 0.6 else self.color()

    def night(self, t: np.ndarray) -> Sprite:
        """A dark sky in front of the background, over the whole picture, [n]."""
        dark = np.dstack([np.full((8, 8, 3), self._rng.uniform(0, 30)), np.full((8, 8), 255)]).astype(np.uint8)
        return Sprite(dark, still((0, 0, 0.6), t), np.full((len(t), 2), 12.0), np.zeros(len(t)))

    def image(self, shape: str) -> np.ndarray:
        """A random image of a shape from the split's own two dozen, RGBA uint8 [h, w, 4]."""
        return sprite(shape, self._first + int(self._rng.integers(24)))

    def sprite(
        self, shape: str, center: np.ndarray, size: tuple[float, float], angle: np.ndarray | float = 0.0
    ) -> Sprite:
        """A sprite with fixed size whose centre is [n, 3] or [3]."""
        n = len(center) if center.ndim == 2 else 1
        return Sprite(self.image(shape), center, np.tile(size, (n, 1)), np.broadcast_to(angle, (n,)).astype(float))


def still(point: tuple[float, float, float], t: np.ndarray) -> np.ndarray:
    """A point that does not move, [n, 3]."""
    return np.tile(np.array(point, float), (len(t), 1))


def path(t: np.ndarray, x: np.ndarray | float, y: np.ndarray | float, z: np.ndarray | float = 0.0) -> np.ndarray:
    """Coordinates [n] or constants to [n, 3]; x to the right, y down, z away from the eye."""
    return np.stack([np.broadcast_to(v, t.shape) for v in (x, y, z)], -1).astype(float)


def chain(origin: np.ndarray, angles: list[np.ndarray], lengths: list[float]) -> list[np.ndarray]:
    """Joints of linked sticks: angles [n] from straight down, counter-clockwise; returns len + 1 points [n, 3]."""
    points = [origin]
    for angle, length in zip(angles, lengths, strict=True):
        step = np.stack([np.sin(angle), np.cos(angle), np.zeros_like(angle)], -1) * length
        points.append(points[-1] + step)
    return points


def limbs(points: list[np.ndarray], radii: list[float], colors: list[np.ndarray]) -> list[Limb]:
    """A limb between each two of the points [n, 3], a radius and a colour (RGB 0..255) for each."""
    return [Limb(points[k], points[k + 1], r0=radii[k], r1=radii[k] * 0.85, rgb=colors[k]) for k in range(len(colors))]


def surface(props: Props, rng: np.random.Generator, t: np.ndarray, y: float) -> list[Part]:
    """A table or floor whose top is at `y`: sometimes a wide box, sometimes nothing but the background."""
    if rng.random() < 0.25:
        return []
    wide, deep = rng.uniform(1.0, 3.0), rng.uniform(0.1, 0.8)
    return [props.sprite("box", still((rng.uniform(-0.3, 0.3), y + deep / 2, 0.05), t), (wide, deep))]


def living(props: Props, rng: np.random.Generator, t: np.ndarray) -> list[Part]:
    """Silent things that move slowly behind the action, more with the difficulty."""
    parts: list[Part] = []
    for _ in range(rng.poisson(0.9 * props.difficulty)):
        speed = rng.normal(0, 0.25)
        x = rng.uniform(-1.3, 1.3) + speed * (t - t[-1] / 2) + 0.2 * smooth_noise(rng, t, 0.7)
        y = rng.uniform(-1, 1) + 0.15 * smooth_noise(rng, t, rng.uniform(0.3, 1.5))
        size = rng.uniform(0.1, 0.7)
        angle = 0.5 * smooth_noise(rng, t, 0.5)
        parts.append(
            props.sprite(
                str(rng.choice(["disc", "box", "blob"])),
                path(t, x, y, 0.4),
                (size, size * rng.uniform(0.5, 2)),
                angle,
            )
        )
    return parts


def shadow(t: np.ndarray, x: np.ndarray, floor_y: float, height: np.ndarray, width: float) -> Sprite:
    """A soft dark spot on the floor below a thing; wider the higher the thing is."""
    spread = width * (1 + 0.6 * np.clip(height, 0, 1.5))
    v, u = np.mgrid[-1:1:32j, -1:1:32j]
    alpha = np.clip(1 - np.hypot(u, v), 0, 1) * 150
    image = np.dstack([np.zeros((32, 32, 3)), alpha]).astype(np.uint8)
    return Sprite(image, path(t, x, floor_y), np.stack([spread, 0.25 * spread], -1), np.zeros(len(t)))


def occluders(props: Props, rng: np.random.Generator, t: np.ndarray) -> list[Part]:
    """Now and then a thing in front: still at the side, or passing by."""
    if rng.random() > 0.22 * props.difficulty:
        return []
    if rng.random() < 0.6:
        x = rng.choice([-1, 1]) * rng.uniform(0.5, 1.2)
        center = path(t, x + 0.05 * smooth_noise(rng, t, 0.5), rng.uniform(-1, 1), -0.5)
    else:
        center = path(t, rng.uniform(-2, 2) + rng.choice([-1, 1]) * rng.uniform(0.4, 2) * t, rng.uniform(-1, 1), -0.5)
    shape = str(rng.choice(["disc", "box", "blob"]))
    return [props.sprite(shape, center, (rng.uniform(0.15, 0.6), rng.uniform(0.3, 1.5)))]
