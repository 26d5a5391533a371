"""What is written beside a result on request: a JSON with every fact about its making, and a picture of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foleycli import __version__
from foleycli.errors import FoleyError
from foleycli.library.library import Match, Recording
from foleycli.media.audio import read_audio
from foleycli.media.frames import read_frames
from foleycli.media.output import replacing, report_files
from foleycli.media.together import as_written
from foleycli.records import Video
from foleycli.report.picture import STRIP, draw_report, n_pictures
from foleycli.report.session import plain, session_facts

if TYPE_CHECKING:
    from foleycli.models.model import Model
    from foleycli.rendering.job import ExtendJob, RenderJob
    from foleycli.rendering.result import CueResult, RenderResult

PICTURE_RATE_HZ = 48000
PICTURE_FPS = Fraction(25)  # a picture may be one frame of this from its wanted time


def facts(result: RenderResult) -> dict[str, Any]:
    """Everything that is known about a result, as plain values for JSON."""
    ranked = {} if result.take is None else {"take": result.take, "sync_score": result.sync_score}
    return {
        "output": str(result.out),
        **ranked,
        "start_s": result.start_s,
        "duration_s": result.duration_s,
        "foley": __version__,
        "model": result.model,
        "model_sha256": result.model_sha256,
        "device": result.device,
        "seed": result.settings.seed,
        "settings": asdict(result.settings),
        "windows": [asdict(window) for window in result.windows],
        "cuts_s": _times(result.cuts_s),
        "labels": _labels(result.labels),
        "reference": str(result.reference) if result.reference else None,
        "recordings": [_match(match) for match in result.recordings],
        "room_tone": _recording(result.room_tone) if result.room_tone else None,
        **({"files": list(map(str, result.files))} if result.files else {}),
        **({"cues": [_cue(one) for one in result.cues]} if result.cues else {}),
        "notes": list(result.notes),
        "events_s": _times(result.events_s),
        "lufs": _rounded(result.lufs),
        "peak_dbtp": _rounded(result.peak_dbtp),
        "stage_s": {stage: round(float(spent_s), 4) for stage, spent_s in result.stage_s.items()},
    }


def _cue(one: CueResult) -> dict[str, Any]:
    """What was asked for a cue, times as exact fractions of a second in text, and what was made of it."""
    return {
        **{name: plain(value) for name, value in asdict(one.cue).items()},
        "model": one.model,
        "settings": asdict(one.settings),
        "seeds": list(one.seeds),
        "events_s": _times(one.events_s),
        "windows": one.windows,
        "labels": _labels(one.labels),
        "timbre": str(one.reference) if one.reference else None,
        "recordings": [_match(match) for match in one.recordings],
        **({"spans": [{"take": take, **asdict(span)} for take, span in one.spans]} if one.spans else {}),
    }


def _labels(labels: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    return [{"label": label, "confidence": round(float(confidence), 4)} for label, confidence in labels]


def _times(times_s: Sequence[float]) -> list[float]:
    """Seconds to the millisecond."""
    return [round(float(time_s), 3) for time_s in times_s]


def _match(match: Match) -> dict[str, Any]:
    """A recording that was used, and the words that found it."""
    return {**_recording(match.recording), "words": match.span, "phrase": match.phrase, "score": match.score}


def _recording(recording: Recording) -> dict[str, Any]:
    """A recording's name and file, and whom to credit: licence, authors and source of each part."""
    keys = ("licence", "authors", "package", "path")
    credits = [{key: origin[key] for key in keys if key in origin} for origin in recording.origins]
    return {"name": recording.name, "file": str(recording.path), "from": credits}


def _rounded(level_db: float | None) -> float | None:
    """A level with as many digits as a meter shows; None where it was not measured, as of silence."""
    return None if level_db is None else round(float(level_db), 2)


def inputs(job: RenderJob | ExtendJob) -> dict[str, Any]:
    """The job's files, part and takes, as plain values for JSON; its settings and output are among the facts."""
    told = [name for name, one in job.__dataclass_fields__.items() if one.metadata.get("is_reported", True)]
    values = {name: getattr(job, name) for name in told if name not in ("settings", "out", "video")}
    return {
        "video": str(job.video.path) if job.video else None,
        **{name: plain(value) for name, value in values.items()},
    }


def write_reports(job: RenderJob | ExtendJob, results: Sequence[RenderResult], model: Model) -> None:
    """The two files of `--report` beside each result of a job; the JSON is what `foley redo` goes on from."""
    for result in results:
        as_json, as_png = report_files(result.out)
        write_json(as_json, result, job, session_facts(as_json, job, result, results, model))
        write_picture(as_png, result, job.video, result.start_s)


def write_json(
    path: Path, result: RenderResult, job: RenderJob | ExtendJob, session: Mapping[str, Any] | None = None
) -> None:
    """Write the facts and the job, and what makes it again (`report.session`); the file is renamed into place."""
    told = facts(result)
    if earlier := getattr(job, "earlier", {}):
        made = {one["number"]: one for one in told["cues"]}  # the others are as they were
        told["cues"] = [made.get(one["number"], one) for one in earlier["cues"]]
    write_told(path, {**told, "input": inputs(job), **({"session": session} if session else {})})


def write_told(path: Path, told: Mapping[str, Any]) -> None:
    """Write a report; the file is renamed into place."""
    text = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")  # names that are no UTF-8, as JSON has them


def write_picture(path: Path, result: RenderResult, video: Video | None, start_s: float = 0.0) -> None:
    """Draw the result; the film strip shows the part of the video from `start_s` that has its sound."""
    samples = read_audio(as_written(result.out), PICTURE_RATE_HZ, 1).samples[0]  # [N]
    strip = filmstrip(video, start_s, result.duration_s) if video else np.empty((0, 1, 1, 3), np.uint8)
    with replacing(path) as part:
        draw_report(
            part,
            filmstrip=strip,
            samples=samples,
            rate_hz=PICTURE_RATE_HZ,
            events_s=result.events_s,
            title=result.out.name,
        )


def filmstrip(video: Video, start_s: float, duration_s: float) -> np.ndarray:
    """Frames uint8 [n, H, W, 3]: as many as fill the strip, from the middles of equal parts.

    A picture that cannot be read is left black: a report must not fail for it.
    """
    n, width_px = n_pictures(video.width_px, video.height_px), round(STRIP * video.width_px / video.height_px)
    strip = np.zeros((n, STRIP, max(1, width_px), 3), np.uint8)
    for k in range(n):
        time_s = min(start_s + (k + 0.5) * duration_s / n, video.duration_s - 1e-3)
        try:
            chunks = read_frames(
                video, PICTURE_FPS, strip.shape[2], STRIP, start_s=time_s, duration_s=1 / float(PICTURE_FPS)
            )
            strip[k] = next(iter(chunks))[0]
        except FoleyError:
            continue
    return strip
