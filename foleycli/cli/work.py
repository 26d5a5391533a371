"""What `render` and `extend` share: check every input, load the model once, make each, say what came out.

One bad input does not stop the others; a single one speaks for itself.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from foleycli.cli import console, fetched, plan
from foleycli.errors import EXIT_FAILED, EXIT_SOME_FAILED, FoleyError, UsageError

if TYPE_CHECKING:
    from foleycli.rendering.render import ExtendJob, Made, Model, RenderJob

    Job = RenderJob | ExtendJob


@dataclass(frozen=True)
class Run:
    """The facts of one call of a command that are no settings."""

    model: str
    device: str
    dtype: str
    force: bool
    quiet: bool
    json: bool
    dry_run: bool
    report: bool
    accept_license: bool = False
    compiled: bool = False


@dataclass(frozen=True)
class Task:
    """One input; `prepare` checks it without a model and says what is to be done."""

    source: Path
    prepare: Callable[[], Job]


def report_files(out: Path) -> tuple[Path, Path]:
    """The JSON and the PNG that `--report` writes beside `out`."""
    return out.with_suffix(".json"), out.with_suffix(".png")


def check_report(out: Path, force: bool) -> None:
    """Refuse to write a report over files that are there, unless forced."""
    for file in report_files(out):
        if file.exists() and not force:
            raise FoleyError(f"the report {file} already exists", "write over it with --force, or use another -o")


def check_part(start_s: float, duration_s: float | None, whole_s: float, of: Path) -> None:
    """Refuse a part that does not lie in the file."""
    if not 0 <= start_s < whole_s:
        raise UsageError(f"--start is {start_s:g}, but {of} lasts {whole_s:.2f} s", "choose a start within it")
    check_duration(duration_s)


def check_duration(duration_s: float | None) -> None:
    """Refuse a length that is none."""
    if duration_s is not None and not 0 < duration_s < float("inf"):
        raise UsageError(f"--duration is {duration_s:g}", "--duration takes a number of seconds above 0")


def make_folder(folder: Path) -> None:
    """Make the folder of --out-dir; errors: UsageError when it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--out-dir {folder} cannot be made: {error.strerror}",
            "name a folder in a place that can be written",
        ) from error


def perform(tasks: Sequence[Task], run: Run) -> None:
    """Do all tasks; raises typer.Exit with 3 when some failed, 1 when all of several failed."""
    from foleycli.media.ffmpeg import find_ffmpeg

    find_ffmpeg()
    fetched.check_name(run.model)
    alone = len(tasks) == 1
    ready = [(task, job) for task in tasks if (job := guarded(task.source, task.prepare, alone, run))]
    if not ready:
        raise typer.Exit(EXIT_FAILED)
    # Only now: gigabytes are not fetched for an input that will be refused.
    folder = fetched.model_folder(run.model, run.accept_license, run.quiet, may_fetch=not run.dry_run)
    if run.dry_run:
        done = sum(_show_plan(task, job, folder, run) for task, job in ready)
    else:
        done = _make_all(ready, folder, alone, run)
    if done < len(tasks):
        raise typer.Exit(EXIT_SOME_FAILED if done else EXIT_FAILED)


def guarded(source: Path, work: Callable[[], Any], alone: bool, run: Run) -> Any:
    """The work's result, or None after its failure was told; a single input's failure is the command's."""
    try:
        return work()
    except FoleyError as error:
        if alone:
            raise
        _tell_failure(source, error, run)
    except Exception as error:  # a bug: the other inputs still deserve their sound
        if alone:
            raise
        if console.wants_traceback():
            traceback.print_exc()
        told = FoleyError(f"{type(error).__name__}: {error}", "this is a bug; FOLEY_DEBUG=1 shows where it came from")
        _tell_failure(source, told, run)
    return None


def _tell_failure(source: Path, error: FoleyError, run: Run) -> None:
    console.show_error(error, about=str(source))
    if run.json:
        console.result_json({"input": str(source), "error": error.message, "hint": error.hint})


def _show_plan(task: Task, job: Job, folder: Path, run: Run) -> bool:
    planned = plan.make(job, folder, run.device, run.dtype)
    if run.json:
        console.result_json({"input": str(task.source), **asdict(planned)})
    else:
        console.result(plan.text(planned, task.source))
    return True


def _make_all(ready: Sequence[tuple[Task, Job]], folder: Path, alone: bool, run: Run) -> int:
    """How many of the jobs succeeded."""
    from foleycli.device import oom_as_foley_error
    from foleycli.rendering.render import RenderJob, load_model

    with console.progress(run.quiet) as report, oom_as_foley_error():
        report("load", 0, 1)
        model = load_model(folder, run.device, run.dtype)
        if run.compiled:
            from foleycli.models.compile import compile_network

            compile_network(model)
        report("load", 1, 1)
    n_done = 0
    for index, (task, job) in enumerate(ready, start=1):
        if not alone:
            console.note(f"{task.source} ({index} of {len(ready)})", run.quiet)
        made = guarded(task.source, lambda job=job: _make(job, model, run), alone, run)
        n_done += made is not None
        for one in made or ():
            _show_made(task, one, run)
            for told in (off_loudness(one), borrowed(job, one)) if isinstance(job, RenderJob) else ():
                if told:
                    console.note(f"{one.out.name}: {told}", run.quiet)
    return n_done


def _make(job: Job, model: Model, run: Run) -> list[Made]:
    """What came of a job: one result, or the takes that are kept, the best first."""
    from foleycli.rendering import render as pipeline

    with console.progress(run.quiet) as report:
        if isinstance(job, pipeline.ExtendJob):
            made = [pipeline.extend(job, model, report)]
        elif job.takes == 1:
            made = [pipeline.render(job, model, report)]
        else:
            made = pipeline.render_takes(job, model, report)
        if run.report:
            for one in made:
                _write_report(job, one)
    return made


def _write_report(job: Job, made: Made) -> None:
    from foleycli.report.files import write_json, write_picture

    as_json, as_png = report_files(made.out)
    write_json(as_json, made, job)
    write_picture(as_png, made, job.video, made.start_s)


def off_loudness(made: Made) -> str:
    """Why a result has another loudness than was asked for; "" where it has that, or none was asked for."""
    from foleycli.media.finish import MOST_RAISED_DB
    from foleycli.media.loudness import CEILING_DBTP

    wanted = made.settings.loudness_lufs
    if wanted is None or (made.lufs is not None and abs(made.lufs - wanted) <= 0.5):
        return ""
    if made.lufs is None or made.peak_dbtp is None:
        return "it is too soft to have a loudness"
    is_full = made.peak_dbtp > CEILING_DBTP - 0.5
    reason = f"its peaks are at {CEILING_DBTP:g} dBTP" if is_full else f"it is raised by {MOST_RAISED_DB:g} dB at most"
    return f"{made.lufs:.1f} LUFS instead of {wanted:g}: {reason}"


def borrowed(job: RenderJob, made: Made) -> str:
    """Whose timbre a result has, where the user did not name the very file; "" where there is nothing to tell."""
    if job.reference is None and made.timbre_of is not None:
        return f"it has the timbre of {made.timbre_of}"
    if job.sounds is not None and made.timbre_of is None:
        words = f"the prompt {job.settings.prompt!r}" if job.settings.prompt else "what is seen"
        return f"nothing in {job.sounds} is called like {words}"
    return ""


def _show_made(task: Task, made: Made, run: Run) -> None:
    if not run.json:
        console.result(str(made.out))
        if made.take is not None:
            told = f"{made.out.name}: seed {made.settings.seed}, synchronisation score {made.sync_score:.3f}"
            console.note(told, run.quiet)
        return
    from foleycli.report.files import facts

    console.result_json({"input": str(task.source), **facts(made)})
