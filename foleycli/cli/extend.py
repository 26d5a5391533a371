"""`foley extend`: a take in, the take and its continuation out, alone or along a video."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foleycli.cli import jobs, options
from foleycli.errors import UsageError
from foleycli.hub.catalog import DEFAULT_MODEL
from foleycli.hub.resolve import default_settings
from foleycli.settings.preset import resolve_settings
from foleycli.settings.settings import Settings, setting_fields

if TYPE_CHECKING:
    from foleycli.rendering.job import ExtendJob

Take = Annotated[
    Path, typer.Option("--ref", metavar="TAKE", help="The sound to carry on.", rich_help_panel=options.SOUND)
]
Engine = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="|".join(setting_fields()["engine"].metadata["choices"]),
        help="What goes on: the model (flow), the take's own strokes and textures (recordings), or both.",
        show_default="both",
        rich_help_panel=options.SOUND,
    ),
]
Room = Annotated[
    str | None,
    typer.Option(
        "--room",
        metavar="auto|off",
        help="Whether the take's own room noise goes on under it.",
        show_default="auto",
        rich_help_panel=options.SOUND,
    ),
]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME",
        help="Where in the video the take begins: seconds, frames (120f) or time code.",
        show_default="0",
        rich_help_panel=options.VIDEO,
    ),
]
Duration = Annotated[
    str | None,
    typer.Option(
        "--duration",
        metavar="TIME",
        help="How long the result is, without a video.",
        show_default="10 s more than the take",
        rich_help_panel=options.OUTPUT,
    ),
]
Loop = Annotated[
    bool,
    typer.Option(
        "--loop/--no-loop",
        help="The end meets the beginning, without a video.",
        rich_help_panel=options.OUTPUT,
    ),
]


def extend(
    ref: Take,
    video: Annotated[Path | None, typer.Argument(metavar="VIDEO", help="The picture to follow.")] = None,
    out: options.Out = None,
    prompt: options.Prompt = None,
    negative_prompt: options.NegativePrompt = None,
    preset: options.Preset = "default",
    model: options.Model = DEFAULT_MODEL,
    steps: options.Steps = None,
    guidance: options.Guidance = None,
    words_guidance: options.WordsGuidance = None,
    seed: options.Seed = None,
    engine: Engine = None,
    room: Room = None,
    at: At = None,
    cuts: options.Cuts = None,
    duration: Duration = None,
    loop: Loop = False,
    force: options.Force = False,
    report: options.WithReport = False,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    threads: options.Threads = None,
    compiled: options.Compile = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
    dry_run: options.DryRun = False,
    accept_license: options.AcceptLicense = False,
) -> None:
    """Carry on a take: its timbre, room, level and rhythm go on; the take itself stays as it was.

    With a VIDEO the rest of the video gets sound in sync.  Without one the take continues by itself, at
    its own rate and channels.  Without -o: take.extended.wav beside take.wav.
    """
    settings = resolve_settings(
        preset,
        model_defaults=default_settings(model),
        overrides=dict(
            prompt=prompt,
            negative_prompt=negative_prompt,
            steps=steps,
            guidance=guidance,
            words_guidance=words_guidance,
            seed=seed,
            engine=engine,
            room=room,
            cuts=cuts,
        ),
    )
    _check_together(video, at, duration, loop)
    duration_s = None if duration is None else options.length_s("--duration", duration)
    run = jobs.RunOptions(
        model=model,
        device=device,
        dtype=dtype,
        force=force,
        quiet=quiet,
        json=json,
        dry_run=dry_run,
        report=report,
        accept_license=accept_license,
        compiled=compiled,
        threads=threads,
    )

    to = out or ref.with_name(f"{ref.stem}.extended.wav")

    def prepare() -> ExtendJob:
        return _job(ref, video, to, settings=settings, at=at, duration_s=duration_s, loop=loop, run=run)

    jobs.run_jobs([jobs.Request(ref, prepare, to)], run)


def _check_together(video: Path | None, at: str | None, duration: str | None, loop: bool) -> None:
    """Refuse options that contradict a video, or its absence."""
    if video is None and at is not None:
        raise UsageError("--at is given without a video", "Name the video, or leave --at out")
    if video is not None and duration is not None:
        raise UsageError("--duration is given beside a video", "The video says how long; leave --duration out")
    if video is not None and loop:
        raise UsageError("--loop is given beside a video", "Only a take alone can loop; leave the video out")


def _job(
    take: Path,
    video_path: Path | None,
    out: Path,
    *,
    settings: Settings,
    at: str | None,
    duration_s: float | None,
    loop: bool,
    run: jobs.RunOptions,
) -> ExtendJob:
    """Everything that can be refused without a model is refused here."""
    from foleycli.media.probe import probe
    from foleycli.rendering.job import ExtendJob

    video = probe(video_path) if video_path else None
    at_s = options.place_s("--at", at, video) if at is not None and video is not None else 0.0
    job = ExtendJob(
        take, video, out, settings=settings, at_s=at_s, duration_s=duration_s, loop=loop, overwrite=run.force
    )
    job.check()
    jobs.check_outputs(job, job.inputs(), run)
    return job
