"""`foley redo`: a result made again from its report, as it was or changed, as a whole or within a span."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from foleycli.cli import console, jobs, options
from foleycli.errors import FoleyError, UsageError

if TYPE_CHECKING:
    from foleycli.rendering.job import ExtendJob, RenderJob
    from foleycli.report.session import Session, TakeFile

SPAN = "What is made anew"
SPAN_HINT = "Give time code, seconds into the sound (3.2) or frames (80f)"

Report = Annotated[Path, typer.Argument(metavar="REPORT", help="The .json that --report wrote beside a result.")]
Take = Annotated[
    int | None, typer.Option("--take", metavar="N", min=1, help="This one of several takes.", rich_help_panel=SPAN)
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="Only from here on: time code, seconds, 80f.", rich_help_panel=SPAN),
]
To = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Only up to here.", rich_help_panel=SPAN)]
Keep = Annotated[
    int | None,
    typer.Option(
        "--keep",
        metavar="N",
        min=1,
        help="Make nothing: copy this take to the name without .takeN.",
        rich_help_panel=SPAN,
    ),
]
Prompt = Annotated[str | None, typer.Option("--prompt", help="Other words.", rich_help_panel=SPAN)]
NegativePrompt = Annotated[
    str | None, typer.Option("--negative-prompt", help="Other words for what must not be heard.", rich_help_panel=SPAN)
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", help="Another seed; of a span, by default the next one.", rich_help_panel=SPAN),
]
Device = Annotated[
    Literal["auto", "cpu", "cuda", "mps"] | None,
    typer.Option("--device", help="Where it runs; by default where it ran.", rich_help_panel=options.RUN),
]


def redo(
    report: Report,
    out: options.Out = None,
    take: Take = None,
    from_: From = None,
    to: To = None,
    prompt: Prompt = None,
    negative_prompt: NegativePrompt = None,
    seed: Seed = None,
    keep: Keep = None,
    force: options.Force = False,
    device: Device = None,
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
    dry_run: options.DryRun = False,
    accept_license: options.AcceptLicense = False,
) -> None:
    """Make a result again from its report: the same bytes, or other words, another seed, only a span.

    With --from and --to the rest is known on both sides and every sample outside the span and its edges of
    20 ms stays.  Without -o the result is written where it was, which needs --force.
    """
    from foleycli.media.output import report_files
    from foleycli.report.session import read_session

    session = read_session(report)
    if keep is not None:
        if any(one is not None for one in (take, from_, to, prompt, negative_prompt, seed)):
            raise UsageError("--keep makes nothing, but something to change is given beside it", "Use two calls")
        promote(session, _take(session, keep), out, force=force, quiet=quiet, as_json=json)
        return
    if take is not None:
        session = read_session(report_files(_take(session, take).file.path)[0])
    run = jobs.RunOptions(
        model=session.model,
        device=device or session.device.partition(":")[0],
        dtype=session.dtype,
        force=force,
        quiet=quiet,
        json=json,
        dry_run=dry_run,
        report=True,
        accept_license=accept_license,
        threads=threads,
    )
    changes = {"prompt": prompt, "negative_prompt": negative_prompt, "seed": seed}
    target = out or session.output.path

    def prepare() -> RenderJob | ExtendJob:
        check(session, run)
        job = job_of(session, target, from_, to, changes)
        job.check()
        jobs.check_outputs(job, session.paths(), run)
        return job

    jobs.run_jobs([jobs.Request(report, prepare, target)], run)


def check(session: Session, run: jobs.RunOptions) -> None:
    """Refuse inputs and a model that are gone or not as they were; say where another version made the result."""
    from foleycli import __version__
    from foleycli.hub.resolve import resolve
    from foleycli.weights.folder import weights_sha256

    session.check_inputs()
    if weights_sha256(resolve(session.model)) != session.model_sha256:
        raise FoleyError(
            f"the model {session.model} has other weights than when {session.report.name} was written",
            f"Use foley {session.foley} and its model, or render anew",
        )
    if session.foley != __version__:
        made = f"{session.report.name} is of foley {session.foley}, this is {__version__}"
        console.note(f"{made}: the sound can differ from before", run.quiet)


def job_of(
    session: Session, out: Path, from_: str | None, to: str | None, changes: dict[str, Any]
) -> RenderJob | ExtendJob:
    """The job that makes a session's result again, with what is to be changed."""
    from foleycli.media.probe import probe
    from foleycli.rendering.job import ExtendJob, SpanEdit, SpanJob
    from foleycli.settings.preset import resolve_settings

    if session.kind == "cues":
        raise FoleyError(
            f"{session.report.name} is of a cue sheet or stems, which cannot be made again yet", "Render it anew"
        )
    asked = session.job
    video = probe(session.inputs["video"].path) if "video" in session.inputs else None
    changed = resolve_settings(overrides={**vars(session.settings), **options.given(**changes)})
    is_span = from_ is not None or to is not None
    is_same = is_span or changed == session.settings
    if session.kind == "extend":
        if is_span:
            raise UsageError(
                f"{session.report.name} is of a take that was carried on, whose spans cannot be made anew",
                "Leave out --from and --to",
            )
        return ExtendJob(
            take=session.inputs["take"].path,
            video=video,
            out=out,
            settings=changed,
            at_s=asked["at_s"],
            duration_s=asked["duration_s"],
            loop=asked["loop"],
        )
    assert video is not None
    job = SpanJob(
        video=video,
        out=out,
        settings=session.settings if is_span else changed,
        start_s=asked["start_s"],
        duration_s=asked["duration_s"],
        reference=session.inputs["reference"].path if "reference" in session.inputs else None,
        reference_start_s=asked["reference_start_s"],
        sounds=session.sounds[0] if session.sounds is not None else None,
        pcm=asked["pcm"],
        exact=asked["exact"],
        original_tracks=tuple(asked["original_tracks"]) if asked["original_tracks"] is not None else None,
        siblings={name: session.told["session"][name] for name in ("asked", "takes")}
        if out == session.output.path
        else {},
        edits=session.edits if is_same else (),
        batch=session.batch if is_same and len(session.batch) > 1 else (),
    )
    if not is_span:
        return job
    start_s, end_s = span_s(job, from_, to)
    seed = changes["seed"] if changes["seed"] is not None else next_seed(session)
    edit = SpanEdit(start_s, end_s, seed, changes["prompt"], changes["negative_prompt"])
    return replace(job, edits=(*session.edits, edit), kept=kept_result(session))


def next_seed(session: Session) -> int:
    """The seed after the one that was used last."""
    from foleycli.rendering.plan import seeds_from

    last = session.edits[-1].seed if session.edits else session.settings.seed
    return seeds_from(last, 2)[1]


def span_s(job: RenderJob, from_: str | None, to: str | None) -> tuple[float, float]:
    """The span in seconds from the beginning of the sound; time code is that of the video.

    Errors: UsageError for what is no time, or not within the sound.
    """
    from foleycli.cues.times import ReelClock
    from foleycli.media.part import choose_part
    from foleycli.media.timecode import is_timecode

    clock, part = ReelClock.of(job.video), choose_part(job.video, job.start_s, job.duration_s)

    def seconds(option: str, text: str | None, otherwise: float) -> float:
        if text is None:
            return otherwise
        try:
            time_s = float(clock.parse(text)) - (part.start_s if is_timecode(text.strip()) else 0.0)
        except ValueError as error:
            raise UsageError(f"{option} {text!r:.40} {error}", SPAN_HINT) from error
        if not 0 <= time_s <= part.duration_s + 1e-6:
            raise UsageError(f"{option} {text} is not within the sound, which lasts {part.duration_s:.2f} s", SPAN_HINT)
        return min(time_s, part.duration_s)

    return seconds("--from", from_, 0.0), seconds("--to", to, part.duration_s)


def kept_result(session: Session) -> Path | None:
    """The result whose samples are kept; None where it is gone and will be made again.

    Errors: FoleyError where somebody has changed it.
    """
    from foleycli.report.session import check_file

    if not session.output.path.exists():
        return None
    hint = "Put it back as it was, or move it away: then it is made again from the report first"
    check_file(session.output, f"the result of {session.report.name}", hint)
    return session.output.path


def promote(session: Session, take: TakeFile, out: Path | None, *, force: bool, quiet: bool, as_json: bool) -> None:
    """Copy a take and its report to the name that was asked for."""
    from foleycli.media.output import check_outputs, replacing, report_files
    from foleycli.report.files import write_told
    from foleycli.report.session import check_file, read_session, renamed

    source, to = take.file.path, out or session.asked
    if source.suffix.lower() != to.suffix.lower():
        raise UsageError(
            f"take {take.take} is {source.name}, which cannot be copied to {to.name}",
            f"End the name with {source.suffix}",
        )
    own, as_json_file = read_session(report_files(source)[0]), report_files(to)[0]
    check_file(own.output, f"take {take.take} of {session.report.name}", "Make it again: foley redo REPORT --take N")
    others = [one.file.path for one in session.takes]
    check_outputs([to, as_json_file], [*others, *(report_files(path)[0] for path in others)], force=force)
    with replacing(to, overwrite=force) as part:
        shutil.copyfile(source, part)
    write_told(as_json_file, renamed(own, to, as_json_file))
    if as_json:
        console.result_json({"input": str(session.report), "output": str(to), "take": take.take, "seed": take.seed})
    else:
        console.result(str(to))
    console.note(f"{to.name} is take {take.take}, with seed {take.seed}", quiet)


def _take(session: Session, number: int) -> TakeFile:
    """One of the takes; errors: UsageError where it is not there."""
    for take in session.takes:
        if take.take == number:
            return take
    known = ", ".join(str(take.take) for take in session.takes)
    raise UsageError(
        f"{session.report.name} has no take {number}",
        f"It has {known}" if known else "Only one was made: leave out the number",
    )
