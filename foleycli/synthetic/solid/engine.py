"""The software renderer: one offscreen TinyPanda buffer per process and picture size, made when first needed."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from foleycli.errors import FoleyError

# No caches: they hand out states that are nearly equal, so that a picture would depend on what was drawn before.
_SETTINGS = """
load-display p3tinydisplay
window-type offscreen
audio-library-name null
notify-level error
notify-level-x11display fatal
notify-level-tinydisplay error
textures-power-2 down
garbage-collect-states 0
transform-cache 0
state-cache 0
"""


@lru_cache(maxsize=1)
def panda() -> Any:
    """`panda3d.core`, set up to draw without a screen; every use of Panda3D begins here."""
    try:
        from panda3d import core
    except ImportError as error:
        raise FoleyError("The solid worlds need Panda3D", "Install it: pip install 'foleycli[train]'") from error
    core.loadPrcFileData("foley", _SETTINGS)
    # Else things are drawn in the order of their states' addresses, which shows where two are equally far.
    core.CullBinManager.getGlobalPtr().setBinType("opaque", core.CullBinManager.BTUnsorted)
    return core


class Engine:
    """Draws a scene graph into uint8 pictures; belongs to the process that made it."""

    def __init__(self, width: int, height: int) -> None:
        core = panda()
        self.size_px = (width, height)
        self._engine = core.GraphicsEngine.getGlobalPtr()
        pipe = core.GraphicsPipeSelection.getGlobalPtr().makeModulePipe("p3tinydisplay")
        if pipe is None:
            raise FoleyError("Panda3D has no software renderer here", "Install panda3d from PyPI: it carries one")
        form = core.FrameBufferProperties()
        form.setRgbColor(True)
        form.setDepthBits(16)
        window = core.WindowProperties.size(width, height)
        self._buffer = self._engine.makeOutput(pipe, "solid", 0, form, window, core.GraphicsPipe.BFRefuseWindow)
        self._shown = core.Texture()
        self._buffer.addRenderTexture(self._shown, core.GraphicsOutput.RTMCopyRam, core.GraphicsOutput.RTPColor)
        self._lens = core.PerspectiveLens()
        self._lens.setNearFar(0.5, 2000)
        self.camera = core.NodePath(core.Camera("", self._lens))
        self._buffer.makeDisplayRegion().setCamera(self.camera)

    def draw(self, view: np.ndarray, fov_deg: float, squash: float) -> np.ndarray:
        """One picture, uint8 [H, W, 4] BGRA; `view` [4, 4] places the camera (rows: right, forward, up, position).

        `fov_deg` is of the shorter side; `squash` below 1 squeezes a wider view into the width.
        """
        core = panda()
        width, height = self.size_px
        spread = 2 * np.tan(np.radians(fov_deg) / 2) / min(width, height)
        self._lens.setFilmSize(width * spread / squash, height * spread)
        self._lens.setFocalLength(1.0)
        self.camera.setMat(core.LMatrix4(*view.ravel().tolist()))
        self._engine.renderFrame()
        pixels = np.frombuffer(self._shown.getRamImage(), np.uint8).reshape(height, width, 4)
        return cv2.flip(pixels, 0)  # rows run upwards

    def close(self) -> None:
        self._engine.removeWindow(self._buffer)


_engines: dict[tuple[int, int, int], Engine] = {}  # at most one: by process, width and height


def shared_engine(width: int, height: int) -> Engine:
    """The engine of this process for a picture size; a forked process closes what it inherited and makes its own."""
    key = (os.getpid(), width, height)
    if key not in _engines:
        for old in list(_engines):
            _engines.pop(old).close()
        _engines[key] = Engine(width, height)
    return _engines[key]


def texture(image: np.ndarray, repeats: bool = True) -> Any:
    """A Panda3D texture of a uint8 [H, W, 3] RGB picture whose sides are powers of two."""
    core = panda()
    height, width, _ = image.shape
    made = core.Texture()
    made.setup2dTexture(width, height, core.Texture.TUnsignedByte, core.Texture.FRgb)
    made.setRamImage(np.ascontiguousarray(image[::-1, :, ::-1]).tobytes())
    made.setMinfilter(core.SamplerState.FTLinearMipmapNearest)
    made.setMagfilter(core.SamplerState.FTLinear)
    wrap = core.SamplerState.WMRepeat if repeats else core.SamplerState.WMMirror
    made.setWrapU(wrap)
    made.setWrapV(wrap)
    return made
