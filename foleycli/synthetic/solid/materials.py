"""What things are made of: how they bounce, how they look, and which sounds two materials make together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from foleycli.synthetic.config import Split
from foleycli.synthetic.textures import background, color

SURFACE_PX = 128


@dataclass(frozen=True)
class Material:
    """Mechanics and looks; density in kg per cubic decimetre."""

    name: str
    density: float
    restitution: float  # of one partner; a contact has the product of both
    friction: float
    gloss: float  # 0 dull .. 1 mirror-like highlights
    pattern: str  # recipe of `surface`
    tints: tuple[tuple[float, float, float], ...]  # usual colours, RGB 0..1


# fmt: off
MATERIALS = {m.name: m for m in (
    Material("wood", 0.7, 0.62, 0.6, 0.1, "grain", ((0.65, 0.45, 0.27), (0.45, 0.3, 0.18), (0.8, 0.66, 0.47))),
    Material("metal", 5.0, 0.66, 0.45, 0.9, "brushed", ((0.6, 0.62, 0.65), (0.35, 0.36, 0.4), (0.75, 0.6, 0.3))),
    Material("glass", 2.5, 0.7, 0.4, 1.0, "plain", ((0.7, 0.85, 0.8), (0.35, 0.55, 0.35), (0.8, 0.85, 0.9))),
    Material("stone", 2.6, 0.6, 0.7, 0.05, "speckle", ((0.55, 0.53, 0.5), (0.7, 0.68, 0.63), (0.4, 0.38, 0.38))),
    Material("earth", 1.5, 0.25, 0.9, 0.0, "speckle", ((0.4, 0.3, 0.2), (0.35, 0.42, 0.2), (0.72, 0.62, 0.45))),
    Material("plastic", 0.8, 0.8, 0.5, 0.5, "plain", ((0.8, 0.2, 0.15), (0.2, 0.4, 0.75), (0.9, 0.85, 0.2))),
    Material("cloth", 0.3, 0.2, 0.9, 0.0, "weave", ((0.5, 0.2, 0.25), (0.25, 0.3, 0.45), (0.75, 0.72, 0.65))),
    Material("flesh", 1.0, 0.25, 0.8, 0.1, "plain", ((0.85, 0.65, 0.53), (0.55, 0.35, 0.25), (0.75, 0.5, 0.38))),
    Material("water", 1.0, 0.0, 0.2, 0.8, "ripples", ((0.2, 0.35, 0.45), (0.3, 0.45, 0.4))),
)}

# Kinds that fit two materials, best first.  Glass is recorded breaking only, so whole glass rings like metal.
_PAIRS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("wood", "wood"): ("wood",), ("metal", "wood"): ("metal", "wood"), ("glass", "wood"): ("metal", "click"),
    ("stone", "wood"): ("wood", "stone"), ("plastic", "wood"): ("wood", "click"),
    ("metal", "metal"): ("metal", "anvil", "sword"), ("glass", "metal"): ("metal",),
    ("metal", "stone"): ("anvil", "metal", "stone"), ("metal", "plastic"): ("metal", "click"),
    ("glass", "glass"): ("metal", "click"), ("glass", "stone"): ("metal", "stone"), ("glass", "plastic"): ("click",),
    ("stone", "stone"): ("stone",), ("plastic", "stone"): ("ball", "click"), ("plastic", "plastic"): ("click", "ball"),
    ("earth", "earth"): ("step dirt", "thud"), ("earth", "wood"): ("thud", "wood"),
    ("earth", "metal"): ("stone", "thud"), ("earth", "stone"): ("stone", "thud"),
    ("earth", "plastic"): ("thud", "ball"),
}
# fmt: on
_STEPS = {"wood": "step wood", "metal": "step metal", "stone": "step tile", "water": "step water"}
_EARTH_STEPS = ("step gravel", "step grass", "step dirt", "step snow")


def sound_kinds_of(a: str, b: str) -> tuple[str, ...]:
    """Kinds of sound of a blow between two materials, best first."""
    pair = tuple(sorted((a, b)))
    if "water" in pair:
        return ("splash",)
    if "cloth" in pair or "flesh" in pair:
        return ("thud", "ball")
    return _PAIRS.get(pair, ("thud",))


def step_sound_kinds(ground: str, rng: np.random.Generator) -> tuple[str, ...]:
    """Kinds of a footstep; earth may be gravel, grass, sand or snow."""
    if ground in _STEPS:
        return (_STEPS[ground],)
    return (str(rng.choice(_EARTH_STEPS)), "step dirt") if ground == "earth" else ("step tile", "step wood")


@lru_cache(maxsize=256)
def surface(material: str, number: int) -> np.ndarray:
    """A square of a material, uint8 [128, 128, 3]; the same number gives the same picture."""
    rng = np.random.default_rng([79, number, *material.encode()])
    m = MATERIALS[material]
    tint = np.array(m.tints[rng.integers(len(m.tints))]) * rng.uniform(0.6, 1.2)
    base = 255 * tint * (1 + rng.normal(0, 0.06, 3)) if rng.random() < 0.7 else color(rng, 0.25)
    shade = _PATTERNS[m.pattern](rng)[..., None]  # [H, W, 1], about 1
    picture = np.clip(base * shade, 0, 255)
    if m.pattern == "plain" and rng.random() < 0.5:  # painted, printed or labelled
        label = cv2.resize(background(number), (SURFACE_PX, SURFACE_PX), interpolation=cv2.INTER_AREA)
        picture[32:96] = label[32:96] if rng.random() < 0.6 else (0.5 * label + 0.5 * picture)[32:96]
    return picture.astype(np.uint8)


def surface_number(rng: np.random.Generator, split: Split) -> int:
    """Which of a material's looks; the splits share none."""
    return int(rng.integers(24)) + (0 if split == "train" else 5000)


def _clouds(rng: np.random.Generator, wide: int, high: int) -> np.ndarray:
    """Smooth noise in 0..1 with so many cells across and up, [H, W]."""
    coarse = rng.random((high, wide), dtype=np.float32)
    return np.clip(cv2.resize(coarse, (SURFACE_PX, SURFACE_PX), interpolation=cv2.INTER_CUBIC), 0, 1)


def _grain(rng: np.random.Generator) -> np.ndarray:
    x = np.arange(SURFACE_PX, dtype=np.float32) / SURFACE_PX
    bend = _clouds(rng, 5, 3)
    rings = np.sin(2 * np.pi * (rng.uniform(3, 9) * x[:, None] + rng.uniform(0.5, 2.5) * bend))
    shade = 0.95 + 0.14 * rings + 0.12 * (_clouds(rng, 8, 64) - 0.5)
    if rng.random() < 0.5:  # boards
        shade[:: SURFACE_PX // int(rng.choice([2, 4, 8]))] *= 0.45
    return shade


def _brushed(rng: np.random.Generator) -> np.ndarray:
    return 0.95 + 0.25 * (_clouds(rng, 4, 100) - 0.5) + 0.3 * (_clouds(rng, 3, 3) - 0.5)


def _plain(rng: np.random.Generator) -> np.ndarray:
    shade = 1 + 0.1 * (_clouds(rng, 4, 4) - 0.5)
    if rng.random() < 0.3:  # stripes
        shade[:, :: int(rng.choice([16, 32]))] *= 0.4
        return np.asarray(cv2.GaussianBlur(shade, (5, 5), 0))
    return shade


def _speckle(rng: np.random.Generator) -> np.ndarray:
    shade = 0.9 + 0.5 * (_clouds(rng, 40, 40) - 0.5) + 0.4 * (_clouds(rng, 6, 6) - 0.5)
    if rng.random() < 0.4:  # tiles or bricks
        step = SURFACE_PX // int(rng.choice([2, 4]))
        shade[::step] *= 0.55
        shade[:, ::step] *= 0.55
    return shade


def _weave(rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[0:SURFACE_PX, 0:SURFACE_PX].astype(np.float32)
    period = rng.choice([4, 8, 16, 32])
    return (
        0.9 + 0.15 * np.sign(np.sin(2 * np.pi * x / period) * np.sin(2 * np.pi * y / period)) + 0.1 * _clouds(rng, 9, 9)
    )


def _ripples(rng: np.random.Generator) -> np.ndarray:
    return 0.8 + 0.6 * np.abs(_clouds(rng, 12, 12) - 0.5) + 0.3 * _clouds(rng, 4, 4)


_PATTERNS = {
    "grain": _grain,
    "brushed": _brushed,
    "plain": _plain,
    "speckle": _speckle,
    "weave": _weave,
    "ripples": _ripples,
}
