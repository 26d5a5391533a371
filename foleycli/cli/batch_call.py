"""One call of `foley batch`: its rows are checked, made, shown as they finish, and written into a page and a table."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import typer

from foleycli.batch.manifest import Row, read_manifest
from foleycli.batch.record import FOLDER, Record, row_key
from foleycli.batch.summary import Tally, write_table
from foleycli.batch.work import ModelOptions, Outcome, Task, failure, recorded
from foleycli.cli import console, fetched, jobs, naming, plan, render, rows
from foleycli.errors import FoleyError, UsageError

MOST_CHECKS = 8  # rows that are checked at the same time
TAKEN_HINT = "Give --force to replace it, or another folder with --out-dir"


@dataclass(frozen=True)
class Checked:
    """A row that can be made, or that is done."""

    row: Row
    source: Path
    run: jobs.RunOptions
    options: dict[str, Any]  # those that decide the result
    record: Record
    inputs: tuple[Path, ...]  # all that is read
    files: tuple[Path, ...]  # all that is written
    job: jobs.Job | None  # None: the row is done

    @property
    def cue_models(self) -> tuple[str, ...]:
        """The names of the models of single cues."""
        return tuple(getattr(self.job, "model_folders", ()))


@dataclass
class Call:
    """One call of the command."""

    manifest: Path
    out_dir: Path
    n_workers: int
    scheduler: str | None
    with_page: bool
    common: dict[str, Any]  # options of render, for rows that do not set them
    outcomes: list[Outcome] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    models: dict[str, str] = field(default_factory=dict)  # hashes by name
    began_s: float = field(default_factory=time.monotonic)

    @property
    def is_json(self) -> bool:
        return self.common["json"]

    @property
    def is_quiet(self) -> bool:
        return self.common["quiet"]

    def run(self) -> None:
        """Check all rows, make those that are not done; raises typer.Exit with 3 when some failed, 1 when all did."""
        from foleycli.media.ffmpeg import find_ffmpeg

        find_ffmpeg()
        if self.n_workers > 1 and self.scheduler is not None:
            raise UsageError(
                "--jobs and --scheduler are both given", "A cluster has as many workers as it was started with"
            )
        if self.scheduler is not None:  # paths mean the same on every machine
            self.manifest, self.out_dir = self.manifest.absolute(), self.out_dir.absolute()
            paths = {name: value.absolute() for name, value in self.common.items() if isinstance(value, Path)}
            self.common = {**self.common, **paths}
        found = self._rows()
        self.tally.n_rows = len(found)
        if self.common["dry_run"]:
            self._show_plans(self._checked(found))
        else:
            jobs.make_folder(self.out_dir)
            with self._locked():
                self._make(self._checked(found))
        if self.tally.exit_code:
            raise typer.Exit(self.tally.exit_code)

    def _rows(self) -> list[tuple[Row, naming.Source]]:
        """All rows with their videos; `folder` of a source is where its results go."""
        if self.manifest.is_dir():
            own = self.out_dir.resolve()
            if own == self.manifest.resolve():
                hint = "Give a folder of its own: results would be taken for videos"
                raise UsageError("--out-dir is the folder of the videos itself", hint)
            # Without the results of an earlier call, where they are within the folder.
            sources = [one for one in naming.expand([self.manifest]) if own not in one.path.resolve().parents]
            found = [(Row(k, str(source.path), {}), source) for k, source in enumerate(sources, start=1)]
        else:
            found = [(row, self._source(row)) for row in read_manifest(self.manifest, rows.columns())]
        if (prompts := self.common.pop("prompts", None)) is None:
            return found
        words = naming.read_prompts(prompts, [source.path for _, source in found])
        return [(with_prompt(row, words.get(source.path)), source) for row, source in found]

    def _source(self, row: Row) -> naming.Source:
        path = self.manifest.parent / row.file
        try:
            folder = path.relative_to(self.manifest.parent).parent
        except ValueError:
            folder = Path()
        return naming.Source(path, Path() if ".." in folder.parts else folder)

    def _checked(self, found: Sequence[tuple[Row, naming.Source]]) -> list[Checked]:
        """The rows that are done or can be made; every other one is told."""
        taken: dict[str, int] = {}  # files of rows before
        sources = {self._name(source.path) for row, source in found if row.file}
        checked = []
        with console.counting("checked", len(found), self.is_quiet) as update:
            for k, ((row, source), one) in enumerate(zip(found, self._each_checked(found), strict=True), start=1):
                error = one if isinstance(one, Exception) else self._clash(one, taken, sources)
                if error is not None:
                    self._show(failure(row.number, source.path if row.file else Path(), error))
                elif isinstance(one, Checked):
                    taken |= dict.fromkeys(map(self._name, one.files), row.number)
                    checked.append(one)
                update(k, f"{len(checked)} can be made" if self.tally.failed else "")
        return checked

    def _each_checked(self, found: Sequence[tuple[Row, naming.Source]]) -> Iterator[Checked | Exception]:
        """Every row, or what is wrong with it; several at a time, since most of it is reading of files."""
        from concurrent.futures import ThreadPoolExecutor

        from foleycli.threads import usable_cpus

        def check(one: tuple[Row, naming.Source]) -> Checked | Exception:
            try:
                return self._check(*one)
            except Exception as error:
                return error

        pool = ThreadPoolExecutor(min(MOST_CHECKS, usable_cpus()))
        try:
            yield from pool.map(check, found)
        finally:
            pool.shutdown(cancel_futures=True)

    @cached_property
    def _is_blind_to_case(self) -> bool:
        from foleycli.media.output import is_blind_to_case

        return is_blind_to_case(self.out_dir / FOLDER)

    def _name(self, file: Path) -> str:
        """A text that is the same for names of one file in the folder of results."""
        from foleycli.media.output import name_on_disk

        return name_on_disk(file, blind_to_case=self._is_blind_to_case)

    def _clash(self, one: Checked, taken: Mapping[str, int], sources: Collection[str]) -> FoleyError | None:
        """Why a row's files cannot be written beside those of others; None: they can."""
        for file in one.files:
            name = self._name(file)
            if name in taken:
                why = "; this disk does not tell capital letters from small ones" if self._is_blind_to_case else ""
                message = f"it would be written to {file}, as that of line {taken[name]}{why}"
                return UsageError(message, "Give it another name in the column out")
            if name in sources:
                return UsageError(f"{file} is an input of the batch", "Choose another name in the column out")
        return None

    def _asked(self, row: Row, source: naming.Source) -> dict[str, Any]:
        """The options of `foley render` for a row."""
        if row.error is not None:
            raise row.error
        folder = Path() if self.manifest.is_dir() else self.manifest.parent
        own = rows.options_of(row, folder, self.out_dir)
        # Whether a file may be replaced is for the row's record to say.
        asked = {**self.common, **own, "videos": [source.path], "resume": False, "force": True}
        if "out" in own:
            asked |= {"name": None, "out_dir": None}
        else:
            asked |= {"out": None, "out_dir": self.out_dir / source.folder}
        if "stems" not in own and (stems := self.common.get("stems")) is not None:
            asked["stems"] = stems / source.folder / source.path.stem
        if not self.common["dry_run"] and "out" in own:
            jobs.make_folder(own["out"].parent)
        return asked

    def _check(self, row: Row, source: naming.Source) -> Checked:
        asked = self._asked(row, source)
        (request,), run = render.requests(**asked)
        fetched.check_name(run.model)
        record = Record(request.out, self.out_dir)
        options = {name: value for name, value in asked.items() if name not in rows.NOT_DECISIVE}
        inputs = rows.read_by(asked)
        key = self._key(options, run.model, record.read().get("cue_models", ()))  # a changed sheet is a changed input
        if not self.common["force"] and (said := record.done(key, inputs)):
            record.remove_free_lock()
            files = tuple(record.root / name for name in said["outputs"])
            return Checked(row, source.path, run, options, record, tuple(inputs), files, job=None)
        job = request.prepare()
        files = tuple(jobs.written_files(job, run.report))
        if not self.common["force"]:
            own_files = record.own_files()
            foreign = [file for file in files if file.exists() and file not in own_files]
            if foreign:
                raise FoleyError(f"{foreign[0]} already exists", TAKEN_HINT)
        inputs += [path for path in job.inputs() if path not in inputs]
        return Checked(row, source.path, run, options, record, tuple(inputs), files, job=job)

    def _key(self, options: Mapping[str, Any], model: str, cue_models: Collection[str]) -> str:
        of_cues = {name: self._model_sha256(name) for name in cue_models}
        return row_key(options, self._model_sha256(model), of_cues)

    def _model_sha256(self, name: str) -> str:
        """A hash of the model's config.json, which names all weights by theirs; "": the model is not here."""
        from foleycli.hub.resolve import resolve
        from foleycli.weights.config import CONFIG_NAME
        from foleycli.weights.folder import sha256_of

        if not self.models.get(name):
            try:
                self.models[name] = sha256_of(resolve(name) / CONFIG_NAME)
            except FoleyError:
                self.models[name] = ""
        return self.models[name]

    def _make(self, checked: Sequence[Checked]) -> None:
        """Make what is not done, show every row as it finishes, write the page and the table."""
        from foleycli.batch.pool import run_here, run_in_processes

        tasks = self._tasks(checked)
        self.tally.expect(sum(task.job.length_s() for task in tasks))
        if self.scheduler is not None:
            from foleycli.batch.cluster import run_on_cluster

            made = run_on_cluster(tasks, self.scheduler)
        else:
            made = run_in_processes(tasks, self.n_workers) if self.n_workers > 1 else run_here(tasks)
        with console.counting("rows", len(tasks), self.is_quiet) as update:
            for k, outcome in enumerate(made, start=1):
                self._show(outcome)
                update(k, self.tally.pace(len(tasks) - k))
        self._finish()

    def _tasks(self, checked: Sequence[Checked]) -> list[Task]:
        """What is to be made, rows of one model together; what is done already is shown."""
        from foleycli.batch.pool import threads_each

        folders: dict[str, Path] = {}
        tasks = []
        for one in checked:
            if one.job is None:
                self._show(recorded(one.row.number, one.source, one.record, one.record.read(), "skipped"))
                continue
            run = one.run
            if run.model not in folders:  # only now: gigabytes are not fetched for rows that are refused
                folders[run.model] = fetched.model_folder(run.model, run.accept_license, run.quiet)
            threads = threads_each(self.n_workers, run.threads)
            model = ModelOptions(folders[run.model], run.device, run.dtype, run.compiled, threads)
            task = Task(
                number=one.row.number,
                source=one.source,
                job=one.job,
                model=model,
                key=self._key(one.options, run.model, one.cue_models),
                record=one.record,
                inputs=one.inputs,
                files=one.files,
                with_report=run.report,
                with_pictures=self.with_page,
                cue_models=one.cue_models,
            )
            tasks.append(task)
        order = list(folders.values())
        return sorted(tasks, key=lambda task: order.index(task.model.folder))

    def _show(self, outcome: Outcome) -> None:
        """A row as it finishes: a JSON line on stdout, a failure on stderr."""
        self.tally.add(outcome)
        if outcome.status == "failed":
            if outcome.trace and console.wants_traceback():
                console.note(outcome.trace)
            row = "" if self.manifest.is_dir() else f"line {outcome.number}"
            source = "" if outcome.source == Path() else str(outcome.source)
            console.show_row_error(row, source, outcome.error, outcome.hint)
        if self.is_json:
            console.result_json(outcome.row())
        self.outcomes.append(outcome.brief())

    def _finish(self) -> None:
        from foleycli.media.output import remove_leftovers

        for folder in dict.fromkeys(one.record.path.parent for one in self.outcomes if one.record):
            for place in (folder, self.out_dir / folder.relative_to(self.out_dir / FOLDER)):
                remove_leftovers(place, again=True)  # of workers that died meanwhile
        ordered = sorted(self.outcomes, key=lambda outcome: outcome.number)
        table = write_table(self.out_dir, ordered)
        said = self.tally.summary(time.monotonic() - self.began_s)
        if not self.is_json:
            console.table(tuple(said), [tuple(said.values())])
        if self.with_page:
            from foleycli.batch.page import write_pages

            page = write_pages(self.out_dir, ordered, self.manifest.name or "batch", said)
            console.note(f"to look and listen through: {page}", self.is_quiet)
        console.note(f"as a table: {table}", self.is_quiet)

    def _show_plans(self, checked: Sequence[Checked]) -> None:
        """What `--dry-run` says of every row."""
        for one in checked:
            if one.job is None:
                console.note(f"{one.source}: done already", self.is_quiet)
                continue
            folder = fetched.model_folder(one.run.model, one.run.accept_license, self.is_quiet, may_fetch=False)
            plan.show(plan.make(one.job, folder, one.run.device, one.run.dtype), one.source, self.is_json)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One batch at a time in a folder of results."""
        import filelock

        jobs.make_folder(self.out_dir / FOLDER)
        lock = filelock.FileLock(self.out_dir / FOLDER / "lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            hint = "Wait for it, or give another --out-dir"
            raise FoleyError(f"another foley batch writes to {self.out_dir}", hint) from None
        except (OSError, NotImplementedError):
            console.note(f"{self.out_dir} has no locks: no other batch may write there", self.is_quiet)
        try:
            yield
        finally:
            lock.release()


def with_prompt(row: Row, prompt: str | None) -> Row:
    """A row with the words of --prompts, unless it has its own."""
    return row if prompt is None else Row(row.number, row.file, {"prompt": prompt, **row.values}, row.error)
