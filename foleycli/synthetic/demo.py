"""The picture of the clip that ships with foley: a ball falls and bounces, then a stick plays a wooden block.

`python -m foleycli.synthetic --scene demo --out foleycli/shipped/demo.mp4` writes it; always the same bytes.
"""

from __future__ import annotations

import cv2
import numpy as np

from foleycli.synthetic.config import WorldConfig
from foleycli.synthetic.physics import grid
from foleycli.synthetic.render import Camera, Limb, Part, Sprite, render
from foleycli.synthetic.scenes.stage import path

DURATION_S = 7.0
FPS = 25
_WIDTH_PX, _HEIGHT_PX = 640, 360
_SUPERSAMPLE, _BLUR, _SHUTTER_S = 2, 10, 0.016
_GRID_HZ = 1600  # fine enough for smooth blur
_FLOOR_Y, _BLOCK_Y = 0.55, 0.2  # in half picture heights below the middle
_BALL_X, _BLOCK_X, _RADIUS = -0.8, 0.45, 0.17
_FIRST_BOUNCE_S, _RESTITUTION, _N_BOUNCES = 0.8, 0.74, 6
_STRIKES_S = np.array([4.1, 4.6, 4.85, 5.6, 6.1, 6.35])


def make_demo() -> tuple[np.ndarray, np.ndarray]:
    """Frames uint8 [175, 360, 640, 3] and the times in s of all bounces and strikes, [e]."""
    t = grid(DURATION_S, _GRID_HZ)
    height, bounce_s = _ball_height(t)
    size = WorldConfig(DURATION_S, FPS, _WIDTH_PX * _SUPERSAMPLE, 0.0, height_px=_HEIGHT_PX * _SUPERSAMPLE)
    parts = [_whole(_backdrop(), t), *_ball(t, height, bounce_s), *_block(t), *_arm(t)]
    zero = np.zeros_like(t)
    camera = Camera(
        zoom=zero + 1,
        roll=zero,
        x=zero,
        y=zero,
        yaw=0.0,
        pitch=0.0,
        squash=1.0,
        background=(0, 0),
        cut_s=DURATION_S + 1,
    )
    frame_s = np.arange(size.n_frames)[:, None] / FPS
    times = frame_s + np.linspace(-_SHUTTER_S, 0, _BLUR)
    large = render(parts, camera=camera, times=times.ravel(), blur=_BLUR, config=size, grid_hz=_GRID_HZ)
    small = [cv2.resize(frame, (_WIDTH_PX, _HEIGHT_PX), interpolation=cv2.INTER_AREA) for frame in large]
    return np.stack(small), np.concatenate([bounce_s, _STRIKES_S])


def _ball_height(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Height of the ball over the floor [n] and its bounces in s; at rest after the last."""
    gravity, top = 6.5, 1.35
    speed, contact_s = np.sqrt(2 * gravity * top), _FIRST_BOUNCE_S
    height = np.where(t < contact_s, top - gravity / 2 * np.maximum(t - contact_s + speed / gravity, 0) ** 2, 0.0)
    bounces = []
    for _ in range(_N_BOUNCES):
        bounces.append(contact_s)
        speed *= _RESTITUTION
        flight_s = 2 * speed / gravity
        u = t - contact_s
        air = (u > 0) & (u <= flight_s)
        height[air] = (speed * u - gravity / 2 * u**2)[air]
        contact_s += flight_s
    return np.maximum(height, 0), np.array(bounces)


def _strike_angle(t: np.ndarray) -> np.ndarray:
    """How far the stick is raised, rad [n]; 0 at each strike."""
    raised = np.full_like(t, 0.75)
    edges = np.concatenate([_STRIKES_S, [DURATION_S + 2]])
    for k, time_s in enumerate(_STRIKES_S):
        go = (t > time_s - 0.13) & (t <= time_s)
        top = raised[np.searchsorted(t, time_s - 0.13)]
        raised[go] = top * (1 - ((t[go] - time_s + 0.13) / 0.13) ** 2.2)
        after = t > time_s
        u = np.minimum((t[after] - time_s) / min(0.3, 0.6 * (edges[k + 1] - time_s)), 1)
        raised[after] = 0.75 * (1 - (1 - u) ** 2)
    return raised + 0.02 * np.sin(2.2 * t) * (raised > 0.3)


def _whole(picture: np.ndarray, t: np.ndarray) -> Sprite:
    """A picture that fills the frame."""
    opaque = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    size = np.tile((2 * _WIDTH_PX / _HEIGHT_PX + 0.01, 2.01), (len(t), 1))
    return Sprite(opaque, np.zeros((len(t), 3)), size, np.zeros(len(t)))


def _backdrop() -> np.ndarray:
    """A calm wall with a glow and a wooden floor, uint8 [720, 1280, 3]."""
    height, width = _HEIGHT_PX * 2, _WIDTH_PX * 2
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    glow = np.exp(-(((x - width * 0.45) / (0.6 * width)) ** 2 + ((y - height * 0.3) / (0.7 * height)) ** 2))
    wall = np.array([46, 66, 84]) + glow[..., None] * np.array([120, 105, 80])
    edge = int(height * (0.5 + (_FLOOR_Y - 0.13) / 2))
    depth = np.clip((y - edge) / (height - edge), 0, 1)
    grain = np.random.default_rng(4).normal(0, 1, (height, 40)).astype(np.float32)
    soft = cv2.GaussianBlur(grain, (0, 0), 2)
    grain = np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    plank = (np.abs(((x - width / 2) / (0.35 + 0.65 * depth)) % 170 - 85) > 83) * 22.0
    floor = np.array([150, 104, 66]) + (26 * depth + 6 * grain - plank)[..., None] * np.array([1, 0.85, 0.65])
    picture = np.where(y[..., None] < edge, wall, floor)
    picture *= (1 - 0.3 * np.exp(-np.abs(y - edge) / 9))[..., None]  # the skirting's shadow
    return np.clip(picture, 0, 255).astype(np.uint8)


def _ball(t: np.ndarray, height: np.ndarray, bounce_s: np.ndarray) -> list[Part]:
    squash = 1 - sum(0.2 * 0.8**k * np.exp(-np.abs(t - s) / 0.02) for k, s in enumerate(bounce_s))
    size = np.stack([2 * _RADIUS / np.sqrt(squash), 2 * _RADIUS * squash], -1)
    center = path(t, _BALL_X, _FLOOR_Y - size[:, 1] / 2 - height)
    spread = 1 + 0.7 * np.minimum(height, 1.5)
    shade = Sprite(_shadow(), path(t, _BALL_X + 0.05, _FLOOR_Y), np.stack([0.5 * spread, 0.1 * spread], -1), 0 * t)
    return [shade, Sprite(_sphere(), center, size, 0 * t)]


def _sphere() -> np.ndarray:
    """A lit red-orange ball with a pale band, uint8 [256, 256, 4]."""
    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    radius = np.hypot(x, y)
    z = np.sqrt(np.clip(1 - radius**2, 0, 1))
    light = np.clip(-0.45 * x - 0.6 * y + 0.66 * z, 0, 1)
    band = np.clip((0.17 - np.abs(y * 0.9 + 0.25 * x)) * 40, 0, 1)[..., None]
    base = np.array([226, 74, 44]) * (1 - band) + np.array([250, 226, 190]) * band
    rgb = base * (0.28 + 0.8 * light[..., None]) + 170 * (light[..., None] ** 28)
    alpha = np.clip((1 - radius) * 100, 0, 1) * 255
    return np.dstack([np.clip(rgb, 0, 255), alpha]).astype(np.uint8)


def _shadow() -> np.ndarray:
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    alpha = np.clip(1 - np.hypot(x, y), 0, 1) ** 1.3 * 170
    return np.dstack([np.full((128, 128, 3), 18.0), alpha]).astype(np.uint8)


def _block(t: np.ndarray) -> list[Part]:
    """A wooden block on a stand; it gives a little when it is hit."""
    give = sum(np.where(t > s, np.exp(-(t - s) / 0.05) * np.sin((t - s) * 60), 0) for s in _STRIKES_S) * 0.012
    y, x = np.mgrid[0:96, 0:256].astype(np.float32)
    grain = 10 * np.sin(y / 5 + 2 * np.sin(x / 60)) + 5 * np.sin(y / 1.7 + x / 90)
    wood = np.array([196, 140, 82]) + (grain + 25 * (1 - y / 96))[..., None] * np.array([1, 0.8, 0.55])
    wood[:7] += 30
    wood[44:54, 30:226] = (60, 38, 22)  # the slit of a wood block
    image = np.dstack([np.clip(wood, 0, 255), np.full((96, 256), 255)]).astype(np.uint8)
    center = path(t, _BLOCK_X, _BLOCK_Y + 0.1 + give)
    shade = Sprite(_shadow(), path(t, _BLOCK_X, _FLOOR_Y + 0.02), np.tile((0.9, 0.14), (len(t), 1)), 0 * t)
    post = Limb(
        path(t, _BLOCK_X, _BLOCK_Y + 0.2), path(t, _BLOCK_X, _FLOOR_Y), r0=0.035, r1=0.045, rgb=np.array([52, 54, 62.0])
    )
    return [shade, post, Sprite(image, center, np.tile((0.56, 0.2), (len(t), 1)), 0 * t)]


def _arm(t: np.ndarray) -> list[Part]:
    """Sleeve, hand and stick from the right; the tip lies on the block when the raised angle is 0."""
    raised = _strike_angle(t)
    tip_down = np.array([_BLOCK_X - 0.05, _BLOCK_Y - 0.025, 0.0])
    hand_down = tip_down + (0.72, -0.05, 0)
    hand = hand_down + np.stack([0.03 * raised, -0.28 * raised, 0 * t], -1)
    angle = 0.9 * raised  # the wrist adds to the arm
    reach = np.stack(
        [-0.72 * np.cos(angle) - 0.05 * np.sin(angle), 0.05 * np.cos(angle) - 0.72 * np.sin(angle), 0 * t], -1
    )
    tip, butt = hand + reach, hand - 0.18 * reach
    elbow = hand + np.stack([0.75 + 0 * t, 0.16 + 0.12 * raised, 0 * t], -1)
    cuff = hand + 0.3 * (elbow - hand)
    skin, cloth, stick = np.array([222, 170, 138.0]), np.array([38, 92, 118.0]), np.array([236, 208, 160.0])
    along = np.arctan2(hand[:, 1] - cuff[:, 1], hand[:, 0] - cuff[:, 0])
    return [
        Limb(hand, cuff, r0=0.06, r1=0.075, rgb=skin),
        Limb(cuff, elbow, r0=0.1, r1=0.16, rgb=cloth),
        Limb(butt, tip, r0=0.022, r1=0.015, rgb=stick),
        Limb(tip - 0.03 * reach, tip, r0=0.033, r1=0.033, rgb=stick * 0.92),
        Sprite(_fist(skin), hand, np.tile((0.22, 0.19), (len(t), 1)), along + np.pi),
    ]


def _fist(skin: np.ndarray) -> np.ndarray:
    """A closed hand with four fingers over the stick, uint8 [128, 128, 4]."""
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    radius = (np.abs(x) ** 2.6 + np.abs(y) ** 2.6) ** (1 / 2.6)
    finger = np.abs(np.sin((x + 0.75) * np.pi * 1.75)) ** 0.4
    shade = 0.88 + 0.18 * np.clip(-y, -1, 1) - 0.16 * (1 - finger) * (np.abs(x) < 0.85) * (y > -0.45)
    alpha = np.clip((0.97 - radius) * 40, 0, 1) * 255
    return np.dstack([np.clip(skin * shade[..., None], 0, 255), alpha]).astype(np.uint8)
