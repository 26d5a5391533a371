"""`foley redo`: a result made again from its report, as it was or changed, as a whole or within a span."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from foleycli.cli import console, jobs, options
from foleycli.errors import FoleyError, UsageError

if TYPE_CHECKING:
    from foleycli.rendering.cue_edits import CueEdit, CueEditJob
    from foleycli.rendering.job import ExtendJob, RenderJob, SpanJob
    from foleycli.report.session import Session, TakeFile
    from foleycli.settings.settings import Settings

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
CueNumber = Annotated[
    str | None,
    typer.Option("--cue", metavar="N", help="This cue of a cue sheet; all else is kept.", rich_help_panel=SPAN),
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
    cue: CueNumber = None,
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
    20 ms stays, in the stems too; with --cue one cue of a sheet is made anew, and its stems.  Without -o the result is
    written where it was, which needs --force.
    """
    from foleycli.media.output import remove_leftovers, report_files
    from foleycli.report.session import read_session

    remove_leftovers(report.parent, again=True)  # a call that was killed while it gave files their names is finished
    session = read_session(report)
    is_of_cues = session.kind == "cues"
    if cue is not None and not is_of_cues:
        raise UsageError(f"--cue is given, but {report.name} is of no cue sheet", "Leave out --cue")
    if keep is not None and any(one is not None for one in (take, from_, to, prompt, negative_prompt, seed)):
        raise UsageError("--keep makes nothing, but something to change is given beside it", "Use two calls")
    if keep is not None and not is_of_cues:
        promote(session, _take(session, keep), out, force=force, quiet=quiet, as_json=json)
        return
    if take is not None and not is_of_cues:
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
        together=True,  # killed on the way, it must not leave a mix and stems that are not of one another
    )
    changes = {"prompt": prompt, "negative_prompt": negative_prompt, "seed": seed}
    target = out or session.output.path

    def prepare() -> RenderJob | ExtendJob:
        check(session, run)
        if is_of_cues:
            job: RenderJob | ExtendJob = cues_of(
                session, target, Asked(cue, take, keep, from_, to, prompt, negative_prompt, seed)
            )
        else:
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
    for name, sha256 in ((session.model, session.model_sha256), *session.cue_models.items()):
        if weights_sha256(resolve(name)) != sha256:
            raise FoleyError(
                f"the model {name} has other weights than when {session.report.name} was written",
                f"Use foley {session.foley} and its model, or render anew",
            )
    if session.foley != __version__:
        made = f"{session.report.name} is of foley {session.foley}, this is {__version__}"
        console.note(f"{made}: the sound can differ from before", run.quiet)


def job_of(
    session: Session, out: Path, from_: str | None, to: str | None, changes: dict[str, Any]
) -> RenderJob | ExtendJob:
    """The job that makes a session's result again, with what is to be changed."""
    from foleycli.rendering.job import SpanEdit
    from foleycli.settings.preset import resolve_settings

    changed = resolve_settings(overrides={**vars(session.settings), **options.given(**changes)})
    is_span = from_ is not None or to is not None
    is_same = is_span or changed == session.settings
    settings = session.settings if is_span else changed
    job: ExtendJob | SpanJob
    if session.kind == "extend":
        job = extension_of(session, out, settings)
    else:
        job = render_of(session, out, settings, is_same=is_same)
    if not is_span:
        return replace(job, edits=session.edits if is_same else ())
    start_s, end_s = span_s(job, from_, to)
    seed = changes["seed"] if changes["seed"] is not None else next_seed(session)
    edit = SpanEdit(start_s, end_s, seed, changes["prompt"], changes["negative_prompt"])
    return replace(job, edits=(*session.edits, edit), kept=kept_result(session))


def extension_of(session: Session, out: Path, settings: Settings) -> ExtendJob:
    """The job that carries a session's take on again."""
    from foleycli.media.probe import probe
    from foleycli.rendering.job import ExtendJob

    asked = session.job
    return ExtendJob(
        take=session.inputs["take"].path,
        video=probe(session.inputs["video"].path) if "video" in session.inputs else None,
        out=out,
        settings=settings,
        at_s=asked["at_s"],
        duration_s=asked["duration_s"],
        loop=asked["loop"],
    )


def render_of(session: Session, out: Path, settings: Settings, *, is_same: bool) -> SpanJob:
    """The job that renders a session's video again."""
    from foleycli.media.probe import probe
    from foleycli.rendering.job import SpanJob

    asked = session.job
    return SpanJob(
        video=probe(session.inputs["video"].path),
        out=out,
        settings=settings,
        start_s=asked["start_s"],
        duration_s=asked["duration_s"],
        reference=session.reference,
        reference_start_s=asked["reference_start_s"],
        sounds=session.sounds_folder,
        pcm=asked["pcm"],
        exact=asked["exact"],
        original_tracks=session.original_tracks,
        siblings={name: session.told["session"][name] for name in ("asked", "takes")}
        if out == session.output.path
        else {},
        batch=session.batch if is_same and len(session.batch) > 1 else (),
    )


@dataclass(frozen=True)
class Asked:
    """What of a session of cues is to be made anew, as the options say it; None: not given."""

    cue: str | None
    take: int | None
    keep: int | None
    from_: str | None
    to: str | None
    prompt: str | None
    negative_prompt: str | None
    seed: int | None

    @property
    def is_span(self) -> bool:
        return self.from_ is not None or self.to is not None

    @property
    def has_words(self) -> bool:
        return self.prompt is not None or self.negative_prompt is not None


def cues_of(session: Session, out: Path, asked: Asked) -> CueEditJob:
    """The job that makes a session of cues again, or some of its cues or a span of them anew with the rest kept."""
    from foleycli.media.probe import probe
    from foleycli.rendering.delivery import StemDelivery
    from foleycli.rendering.redo import is_lossless
    from foleycli.report.session import check_file, credited, cue_job, moved

    delivering = cue_job(session, probe(session.inputs["video"].path), out)
    job = delivering if out == session.output.path else replace(delivering, deliveries=())
    if asked.cue is None and not asked.is_span:
        if any(one is not None for one in (asked.take, asked.keep, asked.prompt, asked.negative_prompt, asked.seed)):
            raise UsageError(f"{session.report.name} is of cues, and none is named", "Name the one to change: --cue N")
        return job
    edits = span_edits(job, asked) if asked.is_span else [cue_edit(job, asked)]
    job = replace(job, edits=(*job.edits, *edits), n_new=len(edits))
    job.check()
    stems = next((one for one in delivering.deliveries if isinstance(one, StemDelivery)), None)
    if job.deliveries and stems is not None and stems.by != "cue" and not asked.is_span:
        raise FoleyError(
            f"the stems of {session.report.name} are by {stems.by}, and hold several cues each",
            "Make a span anew (--from, --to), render with --stems-by cue, or write the mix alone elsewhere with -o",
        )
    written = kept_result(session)
    kept = written if written is not None and is_lossless(written) else None
    settings = session.settings
    is_sum = stems is not None and stems.by == "cue" and settings.loudness_per != "stem"
    if kept is None and (not is_sum or settings.mix):
        why = "encoded with losses" if written is not None else "gone"
        raise FoleyError(
            f"the sound of {session.output.path} cannot be had back: it is {why}, and no stems sum to it",
            "Render to .wav, or to a .mov with --pcm, or with --stems DIR",
        )
    if is_sum or (asked.is_span and job.deliveries):
        again = f"Put it back, or make all files again as the report says: foley redo {session.report} --force"
        for file in session.stem_files():
            check_file(file, f"a stem of {session.report.name}", again)
    told = {**session.told, "session": moved(session.told["session"], session.report.parent, out.parent)}
    return replace(
        job,
        kept=kept,
        stems=stems if is_sum else None,
        applied_db=session.applied_db,
        credited=credited(session, None if asked.is_span else asked.cue),
        earlier=told,
    )


def cue_edit(job: CueEditJob, asked: Asked) -> CueEdit:
    """What is to be changed about a cue; takes that are made anew have seeds that none had before.

    Errors: UsageError for a cue or a take that is not there.
    """
    from foleycli.rendering.cue_edits import CueEdit
    from foleycli.rendering.plan import seeds_from

    assert asked.cue is not None
    seeds = list(seeds_of(job, asked.cue, asked))
    if asked.keep is not None:
        seeds.insert(0, seeds.pop(asked.keep - 1))
        return CueEdit(asked.cue, tuple(seeds), kept=tuple(seeds))
    first = asked.seed if asked.seed is not None else unused_seed(job, asked.cue)
    kept: tuple[int, ...] = ()
    if asked.take is not None:
        kept = () if asked.has_words else tuple(seed for k, seed in enumerate(seeds, 1) if k != asked.take)
        seeds[asked.take - 1] = first
    else:
        seeds = seeds_from(first, len(seeds))
    return CueEdit(asked.cue, tuple(seeds), asked.prompt, asked.negative_prompt, kept=kept)


def span_edits(job: CueEditJob, asked: Asked) -> list[CueEdit]:
    """The span in each cue that is heard in it, or in the one that is named; of the take in the mix, or another.

    Errors: UsageError for a span in which no cue is heard, and for words that would go to several.
    """
    from foleycli.cues.times import SAME_TIME_S
    from foleycli.rendering.cue_edits import CueEdit
    from foleycli.rendering.job import SpanEdit, check_edits

    start_s, end_s = span_s(job, asked.from_, asked.to)
    check_edits([SpanEdit(start_s, end_s, 0)], job.length_s())
    heard = [
        one.cue.number
        for one in job.placed()
        if one.cue is not None
        and not one.silent
        and one.begin_s + SAME_TIME_S < Fraction(end_s)
        and Fraction(start_s) < one.stop_s - SAME_TIME_S
    ]
    wanted = [number for number in heard if asked.cue in (None, number)]
    if not wanted:
        what = "no cue is" if asked.cue is None else f"cue {asked.cue} is not"
        others = f"Cues that are: {', '.join(heard)}" if heard else "Choose a span in which one is; see the report"
        raise UsageError(f"{what} heard from {start_s:g} to {end_s:g} s", others)
    if len(wanted) > 1 and (asked.has_words or asked.take is not None):
        what = "--take is" if asked.take is not None else "words are"
        message = f"{what} given, but several cues are heard in the span: {', '.join(wanted)}"
        raise UsageError(message, "Name the one that is meant: --cue N")
    edits = []
    for number in wanted:
        seeds = seeds_of(job, number, asked)
        seed = asked.seed if asked.seed is not None else unused_seed(job, number)
        span = SpanEdit(start_s, end_s, seed, asked.prompt, asked.negative_prompt)
        edits.append(CueEdit(number, seeds, kept=seeds, span=span, take=asked.take or 1))
    return edits


def seeds_of(job: CueEditJob, number: str, asked: Asked) -> tuple[int, ...]:
    """The seeds of a cue's takes; errors: UsageError for a cue or a take that is not there."""
    now = job.after(len(job.edits))
    found = [one for one in now.placed() if one.cue is not None and one.cue.number == number]
    if not found:
        known = ", ".join(cue.number for cue in job.sheet.cues)
        raise UsageError(f"there is no cue {number}", f"It has {known}")
    seeds = now.seeds(found[0])
    for option, chosen in (("--take", asked.take), ("--keep", asked.keep)):
        if chosen is not None and chosen > len(seeds):
            raise UsageError(f"{option} is {chosen}, but cue {number} has {len(seeds)} takes", "Give a smaller number")
    return seeds


def unused_seed(job: CueEditJob, number: str) -> int:
    """A seed after all that a cue's takes and spans have had."""
    from foleycli.rendering.plan import seeds_from

    now = job.after(len(job.edits))
    one = next(one for one in now.placed() if one.cue is not None and one.cue.number == number)
    edits = [edit for edit in job.edits if edit.number == number]
    used = [*now.seeds(one), one.settings.seed, *(seed for edit in edits for seed in edit.seeds)]
    used += [edit.span.seed for edit in edits if edit.span is not None]
    return seeds_from(max(used), 2)[1]


def next_seed(session: Session) -> int:
    """The seed after the one that was used last."""
    from foleycli.rendering.plan import seeds_from

    last = session.edits[-1].seed if session.edits else session.settings.seed
    return seeds_from(last, 2)[1]


def span_s(job: RenderJob | ExtendJob, from_: str | None, to: str | None) -> tuple[float, float]:
    """The span in seconds from the beginning of the sound; time code is that of the video.

    Errors: UsageError for what is no time, or not within the sound, or counts pictures where there are none.
    """
    from foleycli.cues.times import FRAMES, ReelClock
    from foleycli.media.part import choose_part
    from foleycli.media.timecode import is_timecode
    from foleycli.rendering.job import RenderJob

    length_s, begin_s = job.length_s(), 0.0
    if isinstance(job, RenderJob):
        begin_s = choose_part(job.video, job.start_s, job.duration_s).start_s
    clock = ReelClock.of(job.video) if job.video is not None else ReelClock(Fraction(25))

    def seconds(option: str, text: str | None, otherwise: float) -> float:
        if text is None:
            return otherwise
        counts_pictures = FRAMES.match(text.strip()) or is_timecode(text.strip())
        if job.video is None and counts_pictures:
            raise UsageError(f"{option} is {text}, but there is no video to count by", "Give seconds")
        try:
            time_s = float(clock.parse(text)) - (begin_s if is_timecode(text.strip()) else 0.0)
        except ValueError as error:
            raise UsageError(f"{option} {text!r:.40} {error}", SPAN_HINT) from error
        if not 0 <= time_s <= length_s + 1e-6:
            raise UsageError(f"{option} {text} is not within the sound, which lasts {length_s:.2f} s", SPAN_HINT)
        return min(time_s, length_s)

    return seconds("--from", from_, 0.0), seconds("--to", to, length_s)


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
    from foleycli.media.together import together
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
    with together([to, as_json_file]):
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
