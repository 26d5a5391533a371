"""One row of a batch: a task that any process can make, with a model that the process keeps, and what came of it."""

from __future__ import annotations

import os
import threading
import time
import traceback
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from foleycli import __version__
from foleycli.batch.record import Record, this_worker
from foleycli.errors import FoleyError, as_foley_error
from foleycli.records import Report, silent
from foleycli.threads import import_torch, reuse_freed_memory

if TYPE_CHECKING:
    from foleycli.models.model import Model
    from foleycli.rendering.job import ExtendJob, RenderJob

_one_at_a_time = threading.Lock()  # a Dask worker may have several threads, but one model
_loaded: dict[ModelOptions, Model | FoleyError] = {}  # what this process keeps: one model, or why there is none


KEPT_FACTS = (
    "output", "take", "seed", "start_s", "duration_s", "lufs", "peak_dbtp", "sync_score", "labels", "notes",
)  # fmt: skip


@dataclass(frozen=True)
class ModelOptions:
    """Which model, and how it is loaded."""

    folder: Path
    device: str
    dtype: str
    compiled: bool = False
    threads: int | None = None  # None: as the process has them


@dataclass(frozen=True)
class Task:
    """A checked row; it crosses to other processes, and to other machines that see the same folders."""

    number: int  # its line in the manifest
    source: Path
    job: RenderJob | ExtendJob
    model: ModelOptions
    key: str  # `record.row_key`
    record: Record
    inputs: tuple[Path, ...]  # all that is read, beside the model
    files: tuple[Path, ...]  # all that is written
    with_report: bool
    with_pictures: bool  # for the page
    cue_models: tuple[str, ...] = ()  # names of the models of single cues
    foley: str = __version__


@dataclass(frozen=True)
class Outcome:
    """How a row fared."""

    number: int
    source: Path
    status: Literal["done", "skipped", "failed"]
    length_s: float = 0.0  # of the sound
    spent_s: float = 0.0
    results: list[dict[str, Any]] = field(default_factory=list)  # `report.files.facts` of each
    record: Record | None = None
    error: str = ""
    hint: str = ""
    trace: str = ""  # of a bug
    worker: str = ""  # which process made it: HOST:PID

    def brief(self) -> Outcome:
        """The same without what only JSON shows: a batch keeps a hundred thousand of these."""
        results = [{name: facts[name] for name in KEPT_FACTS if name in facts} for facts in self.results]
        for facts, whole in zip(results, self.results, strict=True):
            facts["settings"] = {"prompt": whole["settings"]["prompt"]}
        return replace(self, results=results, trace="")

    def row(self) -> dict[str, Any]:
        """As plain values for JSON."""
        said = {"row": self.number, "input": str(self.source), "status": self.status}
        if self.status == "failed":
            return {**said, "error": self.error, "hint": self.hint}
        return {**said, "spent_s": round(self.spent_s, 3), "worker": self.worker, "results": self.results}


def failure(number: int, source: Path, error: Exception) -> Outcome:
    """The outcome of a row that failed."""
    told = as_foley_error(error)
    trace = "" if isinstance(error, FoleyError) else "".join(traceback.format_exception(error))
    return Outcome(number, source, "failed", error=told.message, hint=told.hint, trace=trace, worker=this_worker())


def recorded(
    number: int, source: Path, record: Record, said: dict[str, Any], status: Literal["done", "skipped"]
) -> Outcome:
    """The outcome of a row from what its record says."""
    return Outcome(
        number,
        source,
        status,
        length_s=said["length_s"],
        spent_s=said["spent_s"],
        results=[{**facts, "output": str(record.root / facts["output"])} for facts in said["results"]],
        record=record,
        worker=said["worker"],
    )


def load(options: ModelOptions, report: Report = silent) -> Model:
    """The model; errors: FoleyError where it cannot be loaded."""
    import_torch(options.threads)
    from foleycli.device import oom_as_foley_error
    from foleycli.models import model as models

    with oom_as_foley_error():
        report("load", 0, 1)
        model = models.load_model(options.folder, options.device, options.dtype)
        if options.compiled:
            from foleycli.models.compile import compile_network

            compile_network(model)
        report("load", 1, 1)
    return model


def kept(options: ModelOptions) -> Model:
    """The model, which the process keeps until another is asked for; errors: FoleyError, the same at every call."""
    if options not in _loaded:
        if "MALLOC_TRIM_THRESHOLD_" in os.environ:
            # Dask sets it for its workers: glibc then returns each freed block at once, and a row takes three times as
            # long.
            reuse_freed_memory(128 << 20)
        _loaded.clear()
        try:
            _loaded[options] = load(options)
        except FoleyError as error:
            _loaded[options] = error
    found = _loaded[options]
    if isinstance(found, FoleyError):
        raise found
    return found


def make_row(task: Task) -> Outcome:
    """Make a row whose files are not there yet, and its record; what goes wrong is in the outcome.

    A row that another process has finished meanwhile is not made again.
    """
    with _one_at_a_time:
        try:
            return _make_row(task)
        except Exception as error:
            return failure(task.number, task.source, error)


def _make_row(task: Task) -> Outcome:
    if task.foley != __version__:
        raise FoleyError(
            f"this worker has foley {__version__}, the batch was started by {task.foley}", "Install the same everywhere"
        )
    model = kept(task.model)
    with task.record.claimed():
        if said := task.record.done(task.key, task.inputs):
            return recorded(task.number, task.source, task.record, said, "done")
        began_s = time.monotonic()
        with task.record.writing(task.key, task.inputs, task.files) as facts:
            from foleycli.report.files import facts as facts_of
            from foleycli.report.files import write_reports

            results = task.job.run(model)
            if task.with_report:
                write_reports(task.job, results, model)
            if task.with_pictures:
                from foleycli.batch.pictures import write_pictures

                write_pictures(task, results)

            facts |= {
                "row": task.number,
                "input": str(task.source),
                "length_s": task.job.length_s(),
                "spent_s": time.monotonic() - began_s,
                "results": [{**facts_of(one), "output": task.record.relative(one.out)} for one in results],
                "worker": this_worker(),
                **({"cue_models": list(task.cue_models)} if task.cue_models else {}),
            }
        return recorded(task.number, task.source, task.record, facts, "done")
