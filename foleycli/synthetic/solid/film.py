"""A set of things with places over time, a room and lights: frames come out, sub-frames averaged to motion blur."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from foleycli.synthetic.config import WorldConfig
from foleycli.synthetic.solid.bodies import Piece
from foleycli.synthetic.solid.camera import Shot, views
from foleycli.synthetic.solid.engine import Engine, shared_engine, texture
from foleycli.synthetic.solid.materials import MATERIALS, surface
from foleycli.synthetic.solid.meshes import drum, geometry, sheet, triangles
from foleycli.synthetic.solid.simulation import STEP_HZ
from foleycli.synthetic.textures import background

_OVERSAMPLED = 1.5  # drawn larger, then shrunk: smooth edges
_BACKDROP_PX = 256


@dataclass(frozen=True)
class Thing:
    """Pieces that move as one; places [n, 7] (position, quaternion) per step, or [1, 7] where nothing moves."""

    pieces: tuple[Piece, ...]
    places: np.ndarray
    shadow: bool = True


@dataclass(frozen=True)
class Room:
    """All that stands still and the light; the sun's direction points from the sun."""

    ground_z: float
    ground: tuple[str, int]  # material and look
    ground_repeat: float  # textures per dm
    backdrop: tuple[int, int]  # before and after a cut
    wall_radius: float
    sun: tuple[float, float, float]
    sun_rgb: tuple[float, float, float]
    ambient_rgb: tuple[float, float, float]
    fill_rgb: tuple[float, float, float]
    pool: tuple[float, float, float]  # x, y and radius of the lit part of the ground; radius 0: all of it
    shadow_z: float  # level of the surface that takes shadows
    shadow_alpha: float  # 0: none


def shoot(things: list[Thing], room: Room, shot: Shot, times: np.ndarray, blur: int, config: WorldConfig) -> np.ndarray:
    """Frames at sub-frame times [T x blur], averaged in groups of `blur`, uint8 [T, H, W, 3] RGB."""
    width, height = config.picture_px
    engine = shared_engine(round(width * _OVERSAMPLED), round(height * _OVERSAMPLED))
    built = _Set(things, room, engine)
    position = np.clip(times * STEP_HZ, 0, len(shot.eye) - 1)
    at = np.round(position).astype(int)
    matrices, fov = views(shot, at), np.degrees(shot.fov[at])
    places = [_between(thing.places, position) for thing in things]
    frames = np.empty((len(times) // blur, height, width, 3), np.uint8)
    total = np.empty((engine.size_px[1], engine.size_px[0], 4), np.float32)
    try:
        for k in range(len(frames)):
            total[:] = 0
            for s in range(k * blur, (k + 1) * blur):
                built.move(places, s, late=times[s] >= shot.cut_s)
                cv2.accumulate(engine.draw(matrices[s], float(fov[s]), shot.squash), total)
            small = cv2.resize(total[..., :3], (width, height), interpolation=cv2.INTER_AREA)
            frames[k] = np.rint(small[..., ::-1] / blur)
    finally:
        built.strike()
    return frames


def _between(places: np.ndarray, position: np.ndarray) -> np.ndarray | None:
    """Places at fractional steps, float64 [s, 7]; None for what never moves."""
    if len(places) == 1:
        return None
    low = np.minimum(position.astype(int), len(places) - 2)
    share = (position - low)[:, None]
    a, b = places[low].astype(float), places[low + 1].astype(float)
    turn = np.where((a[:, 3:] * b[:, 3:]).sum(1, keepdims=True) < 0, -1.0, 1.0)
    b[:, 3:] *= turn
    out = a + (b - a) * share
    out[:, 3:] /= np.maximum(np.linalg.norm(out[:, 3:], axis=1, keepdims=True), 1e-9)
    return out


class _Set:
    """The scene graph of one clip."""

    def __init__(self, things: list[Thing], room: Room, engine: Engine) -> None:
        from panda3d import core

        self._core = core
        self._root = core.NodePath("set")
        self._engine = engine
        engine.camera.reparentTo(self._root)
        self._light(room)
        self._walls = self._build_walls(room)
        self._nodes = [self._build(thing) for thing in things]
        if room.shadow_alpha > 0:
            self._cast(things, room)

    def move(self, places: list[np.ndarray | None], s: int, late: bool) -> None:
        """Put everything where it is at sub-frame `s`."""
        core = self._core
        for node, place in zip(self._nodes, places, strict=True):
            if place is not None:
                x, y, z, w, i, j, k = place[s].tolist()
                node.setPosQuat(core.LPoint3(x, y, z), core.LQuaternion(w, i, j, k))
        self._walls[0].show() if not late else self._walls[0].hide()
        self._walls[1].show() if late else self._walls[1].hide()

    def strike(self) -> None:
        """Take the set down."""
        self._engine.camera.detachNode()
        self._root.clearLight()  # root and lights hold each other, and would never be freed
        self._root.removeNode()

    def _light(self, room: Room) -> None:
        core = self._core
        fill_from = (-room.sun[0], -room.sun[1], room.sun[2] * 0.3)
        for rank, (direction, rgb) in enumerate(((room.sun, room.sun_rgb), (fill_from, room.fill_rgb))):
            light = core.DirectionalLight("")
            light.setPriority(rank)  # a fixed order, as sums are rounded
            light.setColor((*rgb, 1))
            node = self._root.attachNewNode(light)
            node.lookAt(*direction)
            self._root.setLight(node)
        ambient = core.AmbientLight("")
        ambient.setPriority(2)
        ambient.setColor((*room.ambient_rgb, 1))
        self._root.setLight(self._root.attachNewNode(ambient))

    def _build_walls(self, room: Room) -> list:
        core = self._core
        reach = 1.2 * room.wall_radius
        vertices, corners = sheet(reach, reach * room.ground_repeat, 16)
        ground = self._root.attachNewNode(geometry(vertices, corners, _pool_shade(vertices, room)))
        ground.setAttrib(core.ColorAttrib.makeVertex())
        ground.setLightOff()
        ground.setTexture(_surface_texture(*room.ground))
        ground.setZ(room.ground_z)
        walls = []
        for number in room.backdrop:
            shape = drum(room.wall_radius, room.ground_z - 0.1, room.ground_z + 1.6 * room.wall_radius, 3.0)
            wall = self._root.attachNewNode(geometry(*shape))
            wall.setTexture(_backdrop_texture(number))
            wall.setLightOff()
            level = 0.6 + 0.4 * np.mean(room.ambient_rgb)
            wall.setColor(level, level, level, 1)
            walls.append(wall)
        return walls

    def _build(self, thing: Thing) -> Any:
        core = self._core
        node = self._root.attachNewNode("thing")
        for piece in thing.pieces:
            part = node.attachNewNode(geometry(*triangles(piece.shape, piece.size)))
            part.setPosHpr(*piece.at, *piece.turn)
            part.setTexture(_surface_texture(piece.material, piece.number))
            gloss = MATERIALS[piece.material].gloss
            made = core.Material()
            made.setDiffuse((*piece.tint, 1))
            made.setAmbient((*piece.tint, 1))
            made.setSpecular((gloss * 0.8,) * 3 + (1,))
            made.setShininess(10 + 40 * gloss)
            part.setMaterial(made)
            if piece.material == "glass":
                part.setTransparency(core.TransparencyAttrib.MAlpha)
                part.setAlphaScale(0.65)
        x, y, z, w, i, j, k = thing.places[0].tolist()
        node.setPosQuat(core.LPoint3(x, y, z), core.LQuaternion(w, i, j, k))
        return node

    def _cast(self, things: list[Thing], room: Room) -> None:
        """Flat dark copies of the moving things on the surface below them."""
        core = self._core
        flat = self._root.attachNewNode("shadows")
        sx, sy, sz = room.sun
        z = room.shadow_z + 0.03
        flat.setMat(core.LMatrix4(1, 0, 0, 0, 0, 1, 0, 0, -sx / sz, -sy / sz, 0, 0, sx / sz * z, sy / sz * z, z, 1))
        flat.setTextureOff(10)
        flat.setLightOff(10)
        flat.setMaterialOff(10)
        flat.setColor(0, 0, 0, room.shadow_alpha, 10)
        flat.setTransparency(core.TransparencyAttrib.MAlpha, 10)
        flat.setDepthWrite(False, 10)
        for node, thing in zip(self._nodes, things, strict=True):
            if thing.shadow:
                node.instanceTo(flat)


def _pool_shade(vertices: np.ndarray, room: Room) -> np.ndarray:
    """Colours of the ground's corners, uint8 [v, 4]: brighter where the light falls."""
    x, y, radius = room.pool
    level = np.array(room.ambient_rgb) + np.array(room.sun_rgb) * max(0.2, -room.sun[2])
    away = np.hypot(vertices[:, 0] - x, vertices[:, 1] - y)[:, None]
    fade = np.exp(-((away / radius) ** 2)) * 0.6 + 0.5 if radius > 0 else np.ones_like(away)
    rgb = np.clip(255 * level * fade, 20, 255)
    return np.concatenate([rgb, np.full_like(away, 255)], -1).astype(np.uint8)


@lru_cache(maxsize=64)
def _surface_texture(material: str, number: int) -> Any:
    return texture(surface(material, number))


@lru_cache(maxsize=32)
def _backdrop_texture(number: int) -> Any:
    return texture(cv2.resize(background(number), (_BACKDROP_PX, _BACKDROP_PX)), repeats=False)
