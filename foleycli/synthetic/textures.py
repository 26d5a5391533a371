"""Procedural textures: backgrounds, and sprites with an alpha channel for objects.  Random, cached by number."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

BACKGROUND_PX = 320
_SPRITE_PX = 64


def color(rng: np.random.Generator, dark: float = 0.15, bright: float = 1.0) -> np.ndarray:
    """A random colour, RGB float 0..255 [3]; more grey than vivid."""
    value = rng.uniform(dark, bright)
    tint = rng.uniform(-1, 1, 3) * rng.choice([0.05, 0.15, 0.3, 0.6])
    return np.clip(255 * value * (1 + tint), 0, 255)


SKIN = np.array([[224, 172, 140], [198, 134, 100], [141, 85, 60], [90, 56, 40], [240, 200, 175]], float)


@lru_cache(maxsize=160)
def background(number: int) -> np.ndarray:
    """Uint8 [320, 320, 3]; the same number gives the same picture."""
    rng = np.random.default_rng([77, number])
    a, b = color(rng), color(rng)
    mask = _pattern(rng, BACKGROUND_PX)[..., None]
    picture = a * (1 - mask) + b * mask  # [H, W, 3]
    if rng.random() < 0.5:  # a floor
        horizon = int(rng.uniform(0.35, 0.8) * BACKGROUND_PX)
        floor = _pattern(rng, BACKGROUND_PX)[..., None]
        picture[horizon:] = (color(rng) * (1 - floor) + color(rng) * floor)[horizon:]
    picture = np.ascontiguousarray(picture)
    for _ in range(rng.integers(0, 14)):  # clutter
        _clutter(rng, picture)
    shade = 1 + 0.3 * (_fractal(rng, BACKGROUND_PX, 2)[..., None] - 0.5)
    out = np.clip(picture * shade, 0, 255).astype(np.uint8)
    return cv2.GaussianBlur(out, (0, 0), rng.uniform(1, 6)) if rng.random() < 0.4 else out  # out of focus


def _pattern(rng: np.random.Generator, size: int) -> np.ndarray:
    kind = rng.integers(6)
    if kind <= 2:
        return _fractal(rng, size, int(rng.integers(2, 7)))
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(6, 60)
    wave = np.cos(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
    if kind == 3:
        return 0.5 + 0.3 * wave
    if kind == 4:  # bricks
        row = (y // (period / 2)).astype(int)
        joint = (y % (period / 2) < 2) | ((x + row % 2 * period / 2) % period < 2)
        return np.where(joint, 0.9, 0.25 + 0.15 * _fractal(rng, size, 5)).astype(np.float32)
    return np.clip(y / size + 0.2 * wave * rng.random(), 0, 1)


def _fractal(rng: np.random.Generator, size: int, detail: int) -> np.ndarray:
    out = np.zeros((size, size), np.float32)
    for k in range(1, detail + 2):
        coarse = rng.random((2**k + 1, 2**k + 1), dtype=np.float32)
        out += np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), np.float32) / 1.6**k
    return np.clip((out - out.min()) / (out.max() - out.min() + 1e-6), 0, 1)


def _clutter(rng: np.random.Generator, picture: np.ndarray) -> None:
    x, y = (int(v) for v in rng.integers(0, BACKGROUND_PX, 2))
    w, h = (int(v) for v in rng.integers(5, 90, 2))
    c = color(rng).tolist()
    shape = rng.integers(4)
    if shape == 0:
        cv2.rectangle(picture, (x, y), (x + w, y + h), c, -1)
    elif shape == 1:
        cv2.ellipse(picture, (x, y), (w, h), float(rng.uniform(0, 180)), 0, 360, c, -1)
    elif shape == 2:
        cv2.line(picture, (x, y), (x + w - 45, y + h * 2), c, int(rng.integers(1, 8)))
    else:
        cv2.fillPoly(picture, [rng.integers(-40, 40, (5, 2)).astype(np.int32) + (x, y)], c)


@lru_cache(maxsize=300)
def sprite(shape: str, number: int) -> np.ndarray:
    """A shaded object, uint8 [64, 64, 4] with alpha: "disc", "box", "blob", "ring" or "soft"."""
    rng = np.random.default_rng([78, number, len(shape)])
    c = (_SPRITE_PX - 1) / 2
    y, x = np.mgrid[0:_SPRITE_PX, 0:_SPRITE_PX].astype(np.float32)
    u, v = (x - c) / c, (y - c) / c
    distance = _distance(shape, u, v, rng)
    alpha = np.clip((1 - distance) * (3 if shape == "soft" else 14), 0, 1)
    mask = _pattern(rng, _SPRITE_PX)[..., None]
    base = color(rng, 0.3) * (1 - mask) + color(rng) * mask
    light = rng.uniform(0, 2 * np.pi)
    shade = 1 + 0.35 * (u * np.cos(light) + v * np.sin(light)) - 0.3 * distance**2
    rgb = np.clip(base * shade[..., None], 0, 255)
    return np.dstack([rgb, alpha * 255]).astype(np.uint8)


def _distance(shape: str, u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if shape == "box":
        return np.maximum(np.abs(u), np.abs(v)) * 1.05
    radius = np.hypot(u, v)
    if shape == "blob":
        angle = np.arctan2(v, u)
        return radius / (0.85 + 0.12 * np.sin(rng.integers(2, 6) * angle + rng.uniform(0, 6)))
    if shape == "ring":
        return 0.75 + np.abs(radius - 0.8) * 2.2
    return radius * 1.02
