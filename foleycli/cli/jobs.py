"""What `render` and `extend` share: check every input, load the model once, run each job, show what came out.

One bad input does not stop the others; a single one speaks for itself.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from foleycli.cli import console, fetched, plan
from foleycli.errors import EXIT_FAILED, EXIT_SOME_FAILED, FoleyError, UsageError, as_foley_error
from foleycli.settings.loudness import mix_target

if TYPE_CHECKING:
    from foleycli.rendering.job import ExtendJob, RenderJob
    from foleycli.rendering.result import RenderResult

    Job = RenderJob | ExtendJob


RANKING_NOTE = "the ranking is a hint: its encoder prefers the true sound to a moved one in 70 of 100 filmed cases"


@dataclass(frozen=True)
class RunOptions:
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
    threads: int | None = None
    resume: bool = False
    together: bool = False  # all files of a job get their names at the same time


@dataclass(frozen=True)
class Request:
    """One input; `prepare` checks it without a model and gives the job."""

    source: Path
    prepare: Callable[[], Job]
    out: Path  # the result's file, the first take's where there are several


@dataclass
class Tally:
    """How the inputs of a call fared."""

    n_inputs: int
    failed: list[Path] = field(default_factory=list)

    @property
    def is_alone(self) -> bool:
        """Whether the call has a single input, whose failure is the call's."""
        return self.n_inputs == 1

    @property
    def exit_code(self) -> int:
        """0: all done, EXIT_FAILED: none, EXIT_SOME_FAILED: some."""
        if not self.failed:
            return 0
        return EXIT_FAILED if len(self.failed) == self.n_inputs else EXIT_SOME_FAILED


def run_jobs(requests: Sequence[Request], run: RunOptions) -> None:
    """Run every request; raises typer.Exit with 3 when some failed, 1 when all of several failed."""
    from foleycli.media.ffmpeg import find_ffmpeg

    find_ffmpeg()
    fetched.check_name(run.model)
    tally, ready = Tally(len(requests)), []
    for request in requests:
        with isolated(request.source, tally, run):
            job = request.prepare()
            if run.resume and job.is_done():
                show_skipped(request.source, job, run)
            else:
                ready.append((request.source, job))
    if not ready:
        raise typer.Exit(tally.exit_code)
    # Only now: gigabytes are not fetched for an input that will be refused.
    folder = fetched.model_folder(run.model, run.accept_license, run.quiet, may_fetch=not run.dry_run)
    if run.dry_run:
        for source, job in ready:
            plan.show(plan.make(job, folder, run.device, run.dtype), source, run.json)
        raise typer.Exit(tally.exit_code)
    from foleycli.batch import work

    with console.progress(run.quiet) as report:  # one display for loading and all jobs
        model = work.load(work.ModelOptions(folder, run.device, run.dtype, run.compiled, run.threads), report)
        for index, (source, job) in enumerate(ready, start=1):
            if not tally.is_alone:
                console.note(f"{source} ({index} of {len(ready)})", run.quiet)
            with isolated(source, tally, run):
                with console.progress(run.quiet) as report_job, named_together(job, run):
                    results = job.run(model, report_job)
                    if run.report:
                        from foleycli.report.files import write_reports

                        write_reports(job, results, model)
                show_results(source, job, results, run)
    if tally.failed:
        raise typer.Exit(tally.exit_code)


def named_together(job: Job, run: RunOptions) -> AbstractContextManager[None]:
    """What a job's files are written within, where all of them are to get their names at the same time."""
    from foleycli.media.together import together

    return together(written_files(job, run.report)) if run.together else nullcontext()


@contextmanager
def isolated(source: Path, tally: Tally, run: RunOptions) -> Iterator[None]:
    """Show a failure and count it, so that the other inputs go on; a single input's failure is the command's."""
    try:
        yield
    except Exception as error:
        if tally.is_alone:
            raise
        tally.failed.append(source)
        if not isinstance(error, FoleyError) and console.wants_traceback():
            traceback.print_exc()
        told = as_foley_error(error)
        console.show_error(told, about=str(source))
        if run.json:
            console.result_json({"input": str(source), "error": told.message, "hint": told.hint})


def show_results(source: Path, job: Job, results: Sequence[RenderResult], run: RunOptions) -> None:
    """Each written file on stdout, and what is worth a note on stderr."""
    for result in results:
        if run.json:
            from foleycli.report.files import facts

            notes = [*result.notes, loudness_note(result), job.note(result)]
            told = {"input": str(source), **facts(result), "notes": [note for note in notes if note]}
            console.result_json(told)
        else:
            for path in (result.out, *result.files):
                console.result(str(path))
            if result.take is not None:
                note = f"seed {result.settings.seed}, synchronisation score {result.sync_score:.3f}"
                console.note(f"{result.out.name}: {note}", run.quiet)
    for note in dict.fromkeys(note for result in results for note in result.notes):  # the same for all takes
        console.note(f"{job.out.name}: {note}", run.quiet)
    if results[0].take is not None:
        console.note(RANKING_NOTE, run.quiet)
    for result in results:
        if note := loudness_note(result):
            console.note(f"{result.out.name}: {note}", run.quiet)
    if note := job.note(results[0]):  # the same for all takes
        console.note(f"{job.out.name}: {note}", run.quiet)


def show_skipped(source: Path, job: Job, run: RunOptions) -> None:
    """The results that an earlier call has written."""
    for out in job.outputs():
        if run.json:
            console.result_json({"input": str(source), "output": str(out), "skipped": True})
        else:
            console.result(str(out))
    console.note(f"{source}: done already", run.quiet)


def loudness_note(result: RenderResult) -> str:
    """Why a result has another loudness than --loudness; "" where it has that, or none was set."""
    from foleycli.media.finish import MOST_RAISED_DB

    target = mix_target(result.settings.loudness_lufs, result.settings.loudness_per)
    wanted_lufs = target.lufs
    if wanted_lufs is None or (result.lufs is not None and abs(result.lufs - wanted_lufs) <= 0.5):
        return ""
    if result.lufs is None or result.peak_dbtp is None:
        return "it is too soft to have a loudness"
    is_full = result.peak_dbtp > target.ceiling_dbtp - 0.5
    full = f"its peaks are at {target.ceiling_dbtp:g} dBTP"
    reason = full if is_full else f"it is raised by {MOST_RAISED_DB:g} dB at most"
    return f"{result.lufs:.1f} LUFS instead of {wanted_lufs:g}: {reason}"


def check_outputs(job: Job, inputs: Sequence[Path], run: RunOptions) -> None:
    """Refuse files that must not or could not be written: results, takes and reports."""
    from foleycli.media import output

    if run.resume and job.is_done():
        return
    files = written_files(job, run.report)
    if run.dry_run:  # which does not make the folder of --out-dir
        files = [file for file in files if file.parent.exists()]
    output.check_outputs(files, inputs, force=run.force)
    if not run.dry_run:
        output.check_free_space(job.needed_by_folder())


def written_files(job: Job, with_report: bool) -> list[Path]:
    """All that a job writes, reports too."""
    from foleycli.media.output import report_files

    outs = job.outputs()
    return [*outs, *(file for out in job.results() for file in report_files(out))] if with_report else outs


def make_folder(folder: Path, option: str = "--out-dir") -> None:
    """Make the folder that an option names; errors: UsageError when it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{option} {folder} cannot be made: {error.strerror}",
            "Name a folder in a place that can be written",
        ) from error
