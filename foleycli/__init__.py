"""foley: a Foley artist on the command line, and as a library.

    import foleycli

    model = foleycli.load_model()
    analysis = foleycli.analyze("clip.mp4", model)
    audio = foleycli.generate(model, analysis, prompt="boots on gravel", seed=1)   # float32 [C, N] at audio.rate_hz

Importing this costs next to nothing: torch is loaded when the first function is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foleycli.errors import FoleyError
    from foleycli.records import Audio
    from foleycli.rendering.analyze import VideoAnalysis, analyze
    from foleycli.rendering.api import extend, load_model, render
    from foleycli.rendering.generate import generate
    from foleycli.rendering.result import RenderResult
    from foleycli.settings.settings import Settings

__version__ = "0.1.0"

_HOMES = {
    "Audio": "foleycli.records",
    "FoleyError": "foleycli.errors",
    "RenderResult": "foleycli.rendering.result",
    "Settings": "foleycli.settings.settings",
    "VideoAnalysis": "foleycli.rendering.analyze",
    "analyze": "foleycli.rendering.analyze",
    "extend": "foleycli.rendering.api",
    "generate": "foleycli.rendering.generate",
    "load_model": "foleycli.rendering.api",
    "render": "foleycli.rendering.api",
}

__all__ = [
    "Audio",
    "FoleyError",
    "RenderResult",
    "Settings",
    "VideoAnalysis",
    "analyze",
    "extend",
    "generate",
    "load_model",
    "render",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
