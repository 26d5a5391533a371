"""The functions of `import foleycli` that take names and files: a model by name, a whole render, an extension."""

from __future__ import annotations

from pathlib import Path

from foleycli.hub.catalog import DEFAULT_MODEL
from foleycli.hub.resolve import default_settings, resolve
from foleycli.media.output import check_outputs
from foleycli.media.probe import probe
from foleycli.models import model as models
from foleycli.models.model import Model
from foleycli.records import Report, silent
from foleycli.rendering.job import ExtendJob, RenderJob
from foleycli.rendering.result import RenderResult
from foleycli.settings.preset import resolve_settings


def load_model(name_or_folder: str | Path = DEFAULT_MODEL, *, device: str = "auto", dtype: str = "auto") -> Model:
    """Load a model: a name that `foley models list` shows, or a folder of weights.  Nothing is downloaded.

    device   "auto" (CUDA, else MPS, else the CPU), "cpu", "cuda", "cuda:1", "mps"
    dtype    "auto" (bfloat16 where the hardware has it and the model bears it, else float32), or "float32", "bfloat16",
             "float16"
    Errors: FoleyError for an unknown or damaged model, or a device that is not there.
    """
    return models.load_model(resolve(str(name_or_folder)), device, dtype)


def render(
    video: str | Path,
    out: str | Path,
    *,
    model: Model | None = None,
    preset: str | None = None,
    start_s: float = 0.0,
    duration_s: float | None = None,
    reference: str | Path | None = None,
    reference_start_s: float | None = None,
    sounds: str | Path | None = None,
    takes: int = 1,
    pick_best: bool = False,
    overwrite: bool = False,
    report: Report = silent,
    **overrides: object,
) -> list[RenderResult]:
    """Give a video sound: `foley render` as a function.  The picture is copied, the input never touched.

    out          a video (.mp4 .mov .mkv .webm) or a sound file (.wav .flac .mp3 .m4a .ogg)
    model        from `load_model`; None loads the default
    preset       the name or the file of a preset
    start_s, duration_s   a part of the video, in seconds from its first picture
    reference    a sound whose timbre is matched, from `reference_start_s` or its most characteristic part
    sounds       a folder of recordings in place of the bundled library
    takes        so many, with the seeds from `seed` on; they are written as out.take1, out.take2, best first
    report       called with (stage, done, total) as the work goes on
    overrides    settings by the names of `Settings`: prompt="boots on gravel", steps=16, seed=1
    returns      a result for each written file, the best first
    Errors: FoleyError, before any model is loaded where it can be known.
    """
    model_defaults = model.default_settings if model else default_settings(DEFAULT_MODEL)
    job = RenderJob(
        video=probe(Path(video)),
        out=Path(out),
        settings=resolve_settings(preset, model_defaults, overrides),
        start_s=start_s,
        duration_s=duration_s,
        reference=Path(reference) if reference else None,
        reference_start_s=reference_start_s,
        sounds=Path(sounds) if sounds else None,
        takes=takes,
        pick_best=pick_best,
    )
    job.check()
    inputs = [Path(path) for path in (video, reference, sounds) if path]
    check_outputs(job.outputs(), inputs, force=overwrite)
    return job.run(model or load_model(), report)


def extend(
    take: str | Path,
    out: str | Path,
    *,
    video: str | Path | None = None,
    model: Model | None = None,
    preset: str | None = None,
    at_s: float = 0.0,
    duration_s: float | None = None,
    loop: bool = False,
    overwrite: bool = False,
    report: Report = silent,
    **overrides: object,
) -> RenderResult:
    """Carry on a take in its own timbre: `foley extend` as a function.  The take's own samples are not touched.

    video        the picture to follow; the take begins `at_s` seconds into it
    duration_s   length of the result without a video; None: 10 s more than the take
    loop         without a video: the end leads up to the beginning
    overrides    settings by the names of `Settings`
    Errors: FoleyError, before any model is loaded where it can be known.
    """
    model_defaults = model.default_settings if model else default_settings(DEFAULT_MODEL)
    job = ExtendJob(
        take=Path(take),
        video=probe(Path(video)) if video else None,
        out=Path(out),
        settings=resolve_settings(preset, model_defaults, overrides),
        at_s=at_s,
        duration_s=duration_s,
        loop=loop,
    )
    job.check()
    check_outputs(job.outputs(), [Path(path) for path in (take, video) if path], force=overwrite)
    return job.run(model or load_model(), report)[0]
