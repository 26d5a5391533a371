"""Triangles of simple shapes as numpy arrays, and as Panda3D geometry.  Counter-clockwise faces look outwards."""

from __future__ import annotations

from typing import Any

import numpy as np

_AROUND = 14  # facets of round shapes; more makes no difference at 112 px
_DOWN = 8


def triangles(shape: str, size: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices float32 [v, 8] (position, normal, texture place) and corners uint16 [f, 3]."""
    x, y, z = size
    if shape == "box":
        return _box(x, y, z)
    if shape == "cylinder":
        return _cylinder(x / 2, z)
    a = np.linspace(-np.pi / 2, np.pi / 2, _DOWN + 1)
    if shape == "ball":
        return _rounded([(np.cos(v) * x / 2, np.sin(v) * z / 2, np.sin(v)) for v in a])
    shaft = max(z - x, 0.0) / 2
    low = [(np.cos(v) * x / 2, np.sin(v) * x / 2 - shaft, np.sin(v)) for v in a[: _DOWN // 2 + 1]]
    high = [(np.cos(v) * x / 2, np.sin(v) * x / 2 + shaft, np.sin(v)) for v in a[_DOWN // 2 :]]
    return _rounded(low + high)


def sheet(half: float, repeat: float, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """A level square about the origin, `cells` a side, so that its light can differ from place to place."""
    u = np.linspace(-1, 1, cells + 1)
    y, x = np.meshgrid(u, u, indexing="ij")
    flat = np.stack([x * half, y * half, 0 * x, 0 * x, 0 * x, 0 * x + 1, x * repeat, y * repeat], -1)
    return flat.reshape(-1, 8).astype(np.float32), _grid_faces(cells + 1, cells + 1)


def drum(radius: float, low: float, high: float, turns: float) -> tuple[np.ndarray, np.ndarray]:
    """A round wall seen from inside."""
    n = 24
    a = np.linspace(0, 2 * np.pi, n + 1)
    rows = [
        np.stack(
            [
                radius * np.cos(a),
                radius * np.sin(a),
                0 * a + z,
                -np.cos(a),
                -np.sin(a),
                0 * a,
                -turns * a / 6.2832,
                0 * a + v,
            ],
            -1,
        )
        for z, v in ((high, 1.0), (low, 0.0))
    ]
    return np.concatenate(rows).astype(np.float32), _grid_faces(2, n + 1)


def _box(x: float, y: float, z: float) -> tuple[np.ndarray, np.ndarray]:
    longest = max(x, y, z)
    faces = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        size = np.array([x, y, z])
        for side in (-1.0, 1.0):
            for s, t in ((-side, -1.0), (side, -1.0), (side, 1.0), (-side, 1.0)):
                point, normal = np.zeros(3), np.zeros(3)
                point[[axis, u, v]] = side * size[axis] / 2, s * size[u] / 2, t * size[v] / 2
                normal[axis] = side
                faces.append([*point, *normal, (s + 1) / 2 * size[u] / longest, (t + 1) / 2 * size[v] / longest])
    corners = np.concatenate([np.array([[0, 1, 2], [0, 2, 3]]) + 4 * k for k in range(6)])
    return np.array(faces, np.float32), corners.astype(np.uint16)


def _cylinder(radius: float, tall: float) -> tuple[np.ndarray, np.ndarray]:
    side, faces = _rounded([(radius, -tall / 2, 0.0), (radius, tall / 2, 0.0)])
    rings, corners, first = [side], [faces], len(side)
    for up in (-1.0, 1.0):
        a = np.arange(_AROUND) * 2 * np.pi / _AROUND * up
        c, s = np.cos(a), np.sin(a)
        flat = [radius * c, radius * s, 0 * a + up * tall / 2, 0 * a, 0 * a, 0 * a + up, (c + 1) / 2, (s + 1) / 2]
        rings.append(np.stack(flat, -1).astype(np.float32))
        fan = np.arange(1, _AROUND - 1)
        corners.append(np.stack([0 * fan, fan, fan + 1], -1).astype(np.uint16) + first)
        first += _AROUND
    return np.concatenate(rings), np.concatenate(corners).astype(np.uint16)


def _rounded(profile: list[tuple[float, float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Rings (radius, z, rise of the normal) joined smoothly, from below upwards."""
    a = np.linspace(0, 2 * np.pi, _AROUND + 1)
    c, s = np.cos(a), np.sin(a)
    rows = []
    for k, (radius, z, rise) in enumerate(profile):
        flat = np.sqrt(max(0.0, 1 - min(1.0, rise**2)))
        v = k / max(1, len(profile) - 1)
        rows.append(
            np.stack([radius * c, radius * s, 0 * a + z, flat * c, flat * s, 0 * a + rise, a / 3.1416, 0 * a + v], -1)
        )
    return np.concatenate(rows).astype(np.float32), _grid_faces(len(profile), _AROUND + 1)


def _grid_faces(rows: int, columns: int) -> np.ndarray:
    k = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    one = np.stack([k, k + 1, k + columns + 1], -1)
    two = np.stack([k, k + columns + 1, k + columns], -1)
    return np.concatenate([one, two]).astype(np.uint16)


def geometry(vertices: np.ndarray, corners: np.ndarray, shade: np.ndarray | None = None) -> Any:
    """A GeomNode; `shade` uint8 [v, 4] are colours per vertex."""
    from panda3d import core

    raw = vertices.astype(np.float32)
    content, form = raw.tobytes(), core.GeomVertexFormat.getV3n3t2()
    if shade is not None:
        form = core.GeomVertexFormat.getV3n3c4t2()
        rows = np.empty((len(raw), 36), np.uint8)
        rows[:, :24] = raw[:, :6].copy().view(np.uint8).reshape(-1, 24)
        rows[:, 24:28] = shade
        rows[:, 28:] = raw[:, 6:].copy().view(np.uint8).reshape(-1, 8)
        content = rows.tobytes()
    data = core.GeomVertexData("", form, core.Geom.UHStatic)
    data.uncleanSetNumRows(len(vertices))
    memoryview(data.modifyArray(0)).cast("B")[:] = content
    faces = core.GeomTriangles(core.Geom.UHStatic)
    faces.setIndexType(core.Geom.NTUint16)
    array = faces.modifyVertices()
    array.uncleanSetNumRows(3 * len(corners))
    memoryview(array).cast("B")[:] = corners.astype(np.uint16).tobytes()
    geom = core.Geom(data)
    geom.addPrimitive(faces)
    node = core.GeomNode("")
    node.addGeom(geom)
    return node
