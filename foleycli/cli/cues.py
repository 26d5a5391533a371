"""`foley render --cues`: a cue sheet and a reel to the job that renders them, checked without a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from foleycli.cli import fetched, jobs, stems
from foleycli.errors import FoleyError
from foleycli.hub.resolve import default_settings

if TYPE_CHECKING:
    from foleycli.cues.cue import Cue
    from foleycli.rendering.cues import Between, CueJob, Delivery
    from foleycli.rendering.job import RenderJob


@dataclass(frozen=True)
class CueOptions:
    """What one call asks of cues."""

    sheet: Path
    between: Between
    handles: str | None  # as it was written
    preset: str  # of the call, for cues that name none
    overrides: Mapping[str, object]  # the call's own settings, by the names of `Settings`


def cue_job(job: RenderJob, asked: CueOptions, run: jobs.RunOptions, deliveries: tuple[Delivery, ...] = ()) -> CueJob:
    """The job of a reel and its sheet, checked.

    deliveries   who takes the stems
    Errors: FoleyError naming the row or the cue that is wrong.
    """
    from foleycli.cues.files import read_sheet
    from foleycli.cues.times import ReelClock
    from foleycli.rendering.cues import HANDLE_S, CueJob, resolve_cue

    clock = ReelClock.of(job.video)
    sheet = read_sheet(asked.sheet, job.video, clock)
    settings, defaults = [], cache(default_settings)  # of each model once
    for cue in sheet.cues:
        with _naming(asked.sheet, cue):
            if cue.model is not None:
                fetched.check_name(cue.model)
            own = defaults(cue.model or run.model)
            resolved = resolve_cue(cue, preset=asked.preset, model_defaults=own, overrides=asked.overrides)
            settings.append(resolved)
    given = {field.name: getattr(job, field.name) for field in fields(job)}
    cues = CueJob(
        **given,
        sheet=sheet,
        cue_settings=tuple(settings),
        clock=clock,
        between=asked.between,
        handle_s=HANDLE_S if asked.handles is None else stems.handle_s(asked.handles, job.video),
        deliveries=deliveries,
    )
    cues.check()
    names = dict.fromkeys(cue.model for cue in sheet.cues if cue.model is not None)
    folders = {
        name: fetched.model_folder(name, run.accept_license, run.quiet, may_fetch=not run.dry_run) for name in names
    }
    return replace(cues, model_folders=folders)


@contextmanager
def _naming(sheet: Path, cue: Cue) -> Iterator[None]:
    """Errors within the block begin with the sheet and the cue."""
    try:
        yield
    except FoleyError as error:
        raise type(error)(f"{sheet.name}, cue {cue.number}: {error.message}", error.hint) from error
