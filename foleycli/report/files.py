"""What stands beside a result on request: a JSON from which it can be made again, and a picture of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foleycli import __version__
from foleycli.errors import FoleyError
from foleycli.media.audio import read_audio
from foleycli.media.frames import read_frames
from foleycli.records import Video
from foleycli.report.picture import STRIP, draw_report, n_pictures

if TYPE_CHECKING:
    from foleycli.rendering.job import ExtendJob, RenderJob
    from foleycli.rendering.result import RenderResult

PICTURE_RATE_HZ = 48000
PICTURE_FPS = Fraction(25)  # only says how far a picture may lie from its asked time


def facts(result: RenderResult) -> dict[str, Any]:
    """Everything that is known about a result, as plain values for JSON."""
    ranked = {} if result.take is None else {"take": result.take, "sync_score": result.sync_score}
    return {
        "output": str(result.out),
        **ranked,
        "duration_s": result.duration_s,
        "foley": __version__,
        "model": result.model,
        "model_sha256": result.model_sha256,
        "device": result.device,
        "seed": result.settings.seed,
        "settings": asdict(result.settings),
        "windows": [asdict(window) for window in result.windows],
        "cuts_s": [round(float(time_s), 3) for time_s in result.cuts_s],
        "seen": [{"word": word, "confidence": round(float(sure), 4)} for word, sure in result.labels],
        "timbre_of": str(result.reference) if result.reference else None,
        "events_s": [round(float(time_s), 3) for time_s in result.events_s],
        "stage_s": {stage: round(float(spent_s), 4) for stage, spent_s in result.stage_s.items()},
    }


def inputs(job: RenderJob | ExtendJob) -> dict[str, Any]:
    """The job's files and places, as plain values for JSON."""
    plain: Mapping[str, Any] = {name: getattr(job, name) for name in job.__dataclass_fields__}
    kept = {name: value for name, value in plain.items() if name not in ("settings", "out", "video")}
    told = {name: str(value) if isinstance(value, Path) else value for name, value in kept.items()}
    return {"video": str(job.video.path) if job.video else None, **told}


def write_json(path: Path, result: RenderResult, job: RenderJob | ExtendJob) -> None:
    """Write the facts and the job; the file is renamed into place."""
    part = path.with_name(path.name + ".part")
    text = json.dumps({**facts(result), "input": inputs(job)}, indent=2, ensure_ascii=False) + "\n"
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def write_picture(path: Path, result: RenderResult, video: Video | None, start_s: float = 0.0) -> None:
    """Draw the result; the film strip shows the part of the video from `start_s` that has its sound."""
    sound = read_audio(result.out, PICTURE_RATE_HZ, 1).samples[0]  # [N]
    strip = filmstrip(video, start_s, result.duration_s) if video else np.empty((0, 1, 1, 3), np.uint8)
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    draw_report(part, strip, sound, PICTURE_RATE_HZ, result.events_s, result.out.name)
    part.replace(path)


def filmstrip(video: Video, start_s: float, duration_s: float) -> np.ndarray:
    """uint8 [n, H, W, 3]: as many pictures as fill the strip, from the middles of equal parts.

    A picture that cannot be read is left black: a report must not fail for it.
    """
    n, width_px = n_pictures(video.width_px, video.height_px), round(STRIP * video.width_px / video.height_px)
    strip = np.zeros((n, STRIP, max(1, width_px), 3), np.uint8)
    for k in range(n):
        time_s = min(start_s + (k + 0.5) * duration_s / n, video.duration_s - 1e-3)
        try:
            chunks = read_frames(video, PICTURE_FPS, strip.shape[2], STRIP, time_s, 1 / float(PICTURE_FPS))
            strip[k] = next(iter(chunks))[0]
        except FoleyError:
            continue
    return strip
