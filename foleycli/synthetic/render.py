"""Parts and a camera go in, frames come out: sub-frames are drawn with cv2, averaged to motion blur, then degraded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from foleycli.synthetic.config import GRID_HZ, WorldConfig
from foleycli.synthetic.physics import smooth_noise
from foleycli.synthetic.textures import BACKGROUND_PX, background

_SHIFT = 4  # fractional bits of cv2's drawing coordinates
_FOCAL = 5.0  # distance of the eye from the scene's centre, in half picture heights


@dataclass(frozen=True)
class Limb:
    """A tapered stick; ends [n, 3] over the trajectory grid, radii in world units."""

    p0: np.ndarray
    p1: np.ndarray
    r0: float
    r1: float
    rgb: np.ndarray


@dataclass(frozen=True)
class Sprite:
    """A picture with alpha that is moved, turned and scaled; size: full width in world units."""

    image: np.ndarray  # uint8 [h, w, 4]
    center: np.ndarray  # [n, 3]
    size: np.ndarray  # [n, 2]
    angle: np.ndarray  # [n]


@dataclass(frozen=True)
class Poly:
    """A convex polygon, points [n, k, 3]."""

    points: np.ndarray
    rgb: np.ndarray


Part = Limb | Sprite | Poly
Draw = Callable[[np.ndarray, int], object]  # paints a part on the canvas [H, W, 3] of a sub-frame


@dataclass(frozen=True)
class Camera:
    """Where the scene lies in the picture at each grid time; [n] each, centre in world units."""

    zoom: np.ndarray
    roll: np.ndarray
    x: np.ndarray
    y: np.ndarray
    yaw: float
    pitch: float
    squash: float  # horizontal: 16:9 pictures squeezed into a square
    background: tuple[int, int]  # before and after a cut
    cut_s: float  # beyond the end: no cut


def make_camera(rng: np.random.Generator, t: np.ndarray, config: WorldConfig) -> Camera:
    """A random view; plain and still at difficulty 0."""
    d = config.difficulty
    far = config.split == "test"
    zoom = np.exp(rng.uniform(np.log(0.75 - 0.45 * d), np.log(0.8 + 0.9 * d)))
    span = max(0.0, 1 / zoom - 0.9) * d
    x, y = (np.full_like(t, rng.uniform(-span, span)) for _ in range(2))
    z, roll = np.full_like(t, zoom), np.full_like(t, rng.normal(0, 0.15) * d)
    if rng.random() < 0.35 * d:  # pan and zoom, through the drawn view at the clip's middle
        from_middle_s = t - t[-1] / 2
        x = x + rng.normal(0, 0.12) * from_middle_s + 0.1 * smooth_noise(rng, t, 0.5)
        y = y + rng.normal(0, 0.04) * from_middle_s
        z = z * np.exp(rng.normal(0, 0.05) * from_middle_s)
    if rng.random() < 0.4 * d:  # hand-held
        size, rate = rng.uniform(0.005, 0.05) / zoom, rng.uniform(1.0, 5.0)
        x, y = (a + size * smooth_noise(rng, t, rate) for a in (x, y))
        roll = roll + 0.03 * smooth_noise(rng, t, rate)
    cut_s = rng.uniform(1, t[-1] - 1) if t[-1] > 2 and rng.random() < 0.06 * d else t[-1] + 1
    after = t >= cut_s
    x, y = x + after * rng.normal(0, 0.3) * span, y + after * rng.normal(0, 0.2) * span
    z, roll = z * np.exp(after * rng.normal(0, 0.3)), roll + after * rng.normal(0, 0.2)
    numbers = rng.integers(0, 120, 2) if not far else rng.integers(5000, 5040, 2)
    yaw = rng.uniform(-0.8, 0.8) * d if not far else rng.choice([-1, 1]) * rng.uniform(0.5, 1.0) * d
    squash = rng.uniform(0.56, 1.0) if rng.random() < 0.6 * d else 1.0
    return Camera(
        zoom=z,
        roll=roll,
        x=x,
        y=y,
        yaw=yaw,
        pitch=rng.uniform(-0.15, 0.4) * d,
        squash=squash,
        background=(int(numbers[0]), int(numbers[1])),
        cut_s=cut_s,
    )


def project(camera: Camera, points: np.ndarray, at: np.ndarray, config: WorldConfig) -> tuple[np.ndarray, np.ndarray]:
    """World points [s, k, 3] at grid indices [s] to pixels [s, k, 2], and pixels per world unit [s, k]."""
    width, height = config.picture_px
    half = min(width, height) / 2
    cos_yaw, sin_yaw = np.cos(camera.yaw), np.sin(camera.yaw)
    cos_pitch, sin_pitch = np.cos(camera.pitch), np.sin(camera.pitch)
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    x, z = x * cos_yaw + z * sin_yaw, -x * sin_yaw + z * cos_yaw
    y, z = y * cos_pitch + z * sin_pitch, -y * sin_pitch + z * cos_pitch
    depth = _FOCAL / np.maximum(_FOCAL + z, 1.0)
    x, y = x * depth - camera.x[at, None], y * depth - camera.y[at, None]
    cos, sin, scale = (
        np.cos(camera.roll[at, None]),
        np.sin(camera.roll[at, None]),
        half * camera.zoom[at, None],
    )
    px = np.stack(
        [(x * cos - y * sin) * camera.squash * scale + width / 2, (x * sin + y * cos) * scale + height / 2],
        -1,
    )
    return px, depth * scale


def render(
    parts: list[Part],
    camera: Camera,
    times: np.ndarray,
    blur: int,
    config: WorldConfig,
    grid_hz: int = GRID_HZ,
) -> np.ndarray:
    """Frames at the given sub-frame times [T x blur] averaged in groups of `blur`: uint8 [T, H, W, 3]."""
    at = np.clip(np.round(times * grid_hz).astype(int), 0, len(camera.zoom) - 1)
    draws = [_prepare(part, camera, at, config) for part in parts]
    matrices = _background_matrices(camera, at, config)
    width, height = config.picture_px
    frames = np.empty((len(at) // blur, height, width, 3), np.uint8)
    stack = np.empty((blur, height, width, 3), np.uint8)
    for k in range(len(frames)):
        for b in range(blur):
            s = k * blur + b
            number = camera.background[int(at[s] / grid_hz >= camera.cut_s)]
            canvas = stack[b]
            cv2.warpAffine(background(number), matrices[s], (width, height), dst=canvas, borderMode=cv2.BORDER_REFLECT)
            for draw in draws:
                draw(canvas, s)
        frames[k] = stack[0] if blur == 1 else _average(stack)
    return frames


def _average(stack: np.ndarray) -> np.ndarray:
    if len(stack) == 2:
        return cv2.addWeighted(stack[0], 0.5, stack[1], 0.5, 0)
    if len(stack) > 3:
        return np.rint(stack.mean(axis=0)).astype(np.uint8)
    first = cv2.addWeighted(stack[0], 0.5, stack[1], 0.5, 0)
    return cv2.addWeighted(first, 2 / 3, stack[2], 1 / 3, 0)


def _background_matrices(camera: Camera, at: np.ndarray, config: WorldConfig) -> np.ndarray:
    """Affine maps from background pixels to picture pixels, float64 [s, 2, 3]; the background spans 3 world units."""
    width, height = config.picture_px
    scale = min(width, height) / 2 * np.maximum(camera.zoom[at], 0.55) * 3.6 / BACKGROUND_PX
    cos, sin = np.cos(camera.roll[at]), np.sin(camera.roll[at])
    c = BACKGROUND_PX / 2
    shift = BACKGROUND_PX / 3.6
    ox, oy = c + camera.x[at] * shift, c + camera.y[at] * shift
    row0 = np.stack([scale * cos, -scale * sin, width / 2 - scale * (cos * ox - sin * oy)], -1)
    row1 = np.stack([scale * sin, scale * cos, height / 2 - scale * (sin * ox + cos * oy)], -1)
    return np.stack([row0, row1], 1)


def _prepare(part: Part, camera: Camera, at: np.ndarray, config: WorldConfig) -> Draw:
    """Everything of a part that does not need the canvas; returns draw(canvas, sub-frame)."""
    if isinstance(part, Limb):
        return _prepare_limb(part, camera, at, config)
    if isinstance(part, Sprite):
        return _prepare_sprite(part, camera, at, config)
    points, _ = project(camera, part.points[at], at, config)
    fixed = np.clip(points * 2**_SHIFT, -(2**17), 2**17).astype(np.int32)
    rgb = part.rgb.tolist()
    return lambda canvas, s: cv2.fillConvexPoly(canvas, fixed[s], rgb, cv2.LINE_AA, _SHIFT)


def _prepare_limb(part: Limb, camera: Camera, at: np.ndarray, config: WorldConfig) -> Draw:
    ends, scale = project(camera, np.stack([part.p0[at], part.p1[at]], 1), at, config)  # [s, 2, 2]
    radii = np.maximum(np.array([part.r0, part.r1]) * scale, 0.6)  # [s, 2]
    along = ends[:, 1] - ends[:, 0]
    along = along / np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-6)
    side = np.stack([-along[:, 1], along[:, 0]], -1)
    a, b = side * radii[:, :1], side * radii[:, 1:]
    body = np.stack([ends[:, 0] + a, ends[:, 1] + b, ends[:, 1] - b, ends[:, 0] - a], 1)
    dark = np.stack([ends[:, 0], ends[:, 1], ends[:, 1] - b, ends[:, 0] - a], 1)
    body, dark, dots = (np.clip(v * 2**_SHIFT, -(2**17), 2**17).astype(np.int32) for v in (body, dark, ends))
    size = (radii * 2**_SHIFT).astype(int)
    rgb, shadow = part.rgb.tolist(), (part.rgb * 0.72).tolist()
    round_ends = max(part.r0, part.r1) > 0.03

    def draw(canvas: np.ndarray, s: int) -> None:
        cv2.fillConvexPoly(canvas, body[s], rgb, cv2.LINE_AA, _SHIFT)
        if round_ends:
            cv2.circle(canvas, dots[s, 0].tolist(), int(size[s, 0]), rgb, -1, cv2.LINE_AA, _SHIFT)
            cv2.circle(canvas, dots[s, 1].tolist(), int(size[s, 1]), rgb, -1, cv2.LINE_AA, _SHIFT)
            cv2.fillConvexPoly(canvas, dark[s], shadow, cv2.LINE_AA, _SHIFT)

    return draw


def _prepare_sprite(part: Sprite, camera: Camera, at: np.ndarray, config: WorldConfig) -> Draw:
    center, scale = project(camera, part.center[at][:, None], at, config)
    center, size = center[:, 0], part.size[at] * scale * (camera.squash, 1)  # [s, 2]
    angle = part.angle[at] + camera.roll[at]
    reach = np.ceil(np.hypot(size[:, 0], size[:, 1]) / 2) + 1
    low = np.floor(center - reach[:, None]).astype(int)
    high = np.ceil(center + reach[:, None]).astype(int)
    rgb, alpha = np.ascontiguousarray(part.image[..., :3]), np.ascontiguousarray(part.image[..., 3])
    h, w = alpha.shape

    def draw(canvas: np.ndarray, s: int) -> None:
        x0, y0 = max(low[s, 0], 0), max(low[s, 1], 0)
        x1, y1 = min(high[s, 0], canvas.shape[1]), min(high[s, 1], canvas.shape[0])
        if x1 <= x0 or y1 <= y0 or size[s].min() < 0.4:
            return
        cos, sin = np.cos(angle[s]), np.sin(angle[s])
        kx, ky = size[s, 0] / w, size[s, 1] / h
        m = np.array([[kx * cos, -ky * sin, 0.0], [kx * sin, ky * cos, 0.0]])
        m[:, 2] = center[s] - (x0, y0) - m[:, :2] @ (w / 2, h / 2)
        box = (int(x1 - x0), int(y1 - y0))
        cover = cv2.warpAffine(alpha, m, box)
        paint = cv2.warpAffine(rgb, m, box, borderMode=cv2.BORDER_REPLICATE)
        region = canvas[y0:y1, x0:x1]
        weight = cover.astype(np.float32) / 255.0
        region[:] = cv2.blendLinear(paint, np.ascontiguousarray(region), weight, 1.0 - weight)

    return draw
