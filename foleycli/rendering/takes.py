"""Several takes of one video: made with seeds that follow each other, ranked by how well they fit the picture.

The pictures are watched once.  Takes are sampled in batches, decoded and judged one by one, and written when
their order is known; those that cannot be among the wanted ones leave the disk at once.  A take can be made again:
`render` with its seed gives it, to within rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from foleycli.features.sync import SyncExtractor, load_extractor
from foleycli.features.sync_score import sync_score_of_file
from foleycli.hub.resolve import resolve
from foleycli.media.output import temporary_beside
from foleycli.models.model import Model
from foleycli.records import Report, silent
from foleycli.rendering.cost import TAKES_AT_ONCE
from foleycli.rendering.render import (
    Clock,
    Made,
    Planned,
    RenderJob,
    ride_along,
    told,
    unknown_track,
    watch_and_plan,
    write_result,
    write_sound,
)
from foleycli.settings.settings import setting_fields
from foleycli.windows.compose import compose_takes

BATCH = TAKES_AT_ONCE
JUDGE = "sync-mini"  # where a model's own encoder knows pictures alone


@dataclass(frozen=True)
class Take:
    """One take as decoded, mono, in a file that is gone when all is done."""

    seed: int
    score: float
    wav: Path


def make_takes(job: RenderJob, model: Model, report: Report = silent) -> list[Made]:
    """See `pipeline.render_takes`."""
    clock, judge = Clock(), judge_of(model)
    planned = watch_and_plan(job, model, clock, report, [] if judge is model.sync else [judge])
    seen = planned.watched.streams[judge.name]
    with ExitStack() as files:
        best_first: list[Take] = []
        for k, (seed, latents) in enumerate(sampled(job, planned, model, clock, report)):  # [L, D]
            wav = files.enter_context(temporary_beside(job.out, ".wav"))
            with clock.stage("codec"):
                write_sound(latents, model, wav, share(report, k, 1, job.takes))
                ride_along(wav, planned.watched, model, job.settings)
            with clock.stage("features"):
                take = Take(seed, sync_score_of_file(judge, seen, wav), wav)
            best_first = sorted([*best_first, take], key=lambda take: -take.score)
            if len(best_first) > len(job.outs):  # half an hour of sound is 0.3 GB
                best_first.pop().wav.unlink()
        return kept(job, best_first, planned, model, clock, report)


def judge_of(model: Model) -> SyncExtractor:
    """An encoder that can tell how well a sound fits the pictures it watched: the model's own, or the shipped one."""
    if isinstance(model.sync, SyncExtractor):
        return model.sync
    judge = load_extractor(resolve(JUDGE), model.device, model.dtype)
    judge.name = JUDGE  # the model's own stream may be called "sync" too
    return judge


def sampled(
    job: RenderJob, planned: Planned, model: Model, clock: Clock, report: Report
) -> Iterator[tuple[int, Tensor]]:
    """Seeds and latents [L, D] of all takes, one by one; they are made in batches."""
    features, windows = planned.watched.features, planned.windows
    given = *unknown_track(planned.n_steps, model), planned.reference
    seeds = seeds_of(job)
    for first in range(0, job.takes, BATCH):
        batch = seeds[first : first + BATCH]
        part = share(report, first, len(batch), job.takes)
        with clock.stage("sampler"):
            tracks = compose_takes(model.family, features, windows, job.settings, batch, *given, part)  # [B, L, D]
        yield from zip(batch, tracks, strict=True)


def seeds_of(job: RenderJob) -> list[int]:
    """A seed for each take, from the settings' on; after the greatest comes 0."""
    n_seeds = setting_fields()["seed"].metadata["high"] + 1
    return [(job.settings.seed + k) % n_seeds for k in range(job.takes)]


def kept(
    job: RenderJob, best_first: list[Take], planned: Planned, model: Model, clock: Clock, report: Report
) -> list[Made]:
    """Write the takes that are to be kept, each under its rank."""
    made, outs = [], job.outs
    for rank, (take, out) in enumerate(zip(best_first, outs, strict=False), start=1):
        own = replace(job, out=out, settings=replace(job.settings, seed=take.seed))
        with clock.stage("mux"):
            finished = write_result(own, planned.part, take.wav, share(report, rank - 1, 1, len(outs)))
        facts = told(own, planned, model, finished, clock)
        made.append(replace(facts, take=rank, sync_score=take.score))
    return made


def share(report: Report, first: int, count: int, n: int) -> Report:
    """Progress on `count` of `n` alike pieces of work, `first` of which are done."""

    def within(stage: str, done: float, total: float) -> None:
        report(stage, first * total + count * done, n * total)

    return within
