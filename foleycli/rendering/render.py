"""The stages of one render, as `RenderJob.run` puts them together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from foleycli.features.sync import SyncExtractor
from foleycli.media.finish import FinishedSound
from foleycli.media.output import is_video_name
from foleycli.media.part import Part, copyable_part
from foleycli.models.model import Model
from foleycli.recordings.mix import Recorded
from foleycli.records import Features, Report, silent
from foleycli.rendering.analyze import VideoAnalysis, analyze
from foleycli.rendering.generate import build_features, check_prompt, decode_to_wav, plan_for
from foleycli.rendering.output import add_recordings, apply_gain_riding, write_results
from foleycli.rendering.plan import RenderPlan
from foleycli.rendering.recordings import RecordingChoice, choose_recordings
from foleycli.rendering.result import RenderResult, StageClock
from foleycli.rendering.takes import Take, load_scorer, score_take
from foleycli.rendering.timbre import encode_reference, find_reference
from foleycli.timebase import seconds_to_samples

if TYPE_CHECKING:
    from foleycli.rendering.job import RenderJob


@dataclass(frozen=True)
class Prepared:
    """All that is known of a render before the sampler begins."""

    part: Part  # of the video
    analysis: VideoAnalysis
    features: Features
    choice: RecordingChoice
    recorded: Recorded  # their takes
    reference: Path | None
    reference_latents: Tensor | None  # [R, D]
    plan: RenderPlan
    scorer: SyncExtractor | None  # of takes, where there are several


def prepare(job: RenderJob, model: Model, clock: StageClock, report: Report) -> Prepared:
    """Analyse the video, find and encode the reference, plan the windows."""
    check_prompt(job.settings, model)
    part = copyable_part(job.video, job.out, job.start_s, job.duration_s, job.exact)
    scorer = load_scorer(model) if job.takes > 1 else None
    analysis = analyze(
        job.video,
        model,
        start_s=part.start_s,
        duration_s=part.duration_s,
        detect_cuts=job.settings.cuts,
        extra_extractors=[] if scorer is None or scorer is model.sync else [scorer],
        clock=clock,
        report=report,
    )
    return condition(job, part, analysis, scorer, model, clock)


def condition(
    job: RenderJob, part: Part, analysis: VideoAnalysis, scorer: SyncExtractor | None, model: Model, clock: StageClock
) -> Prepared:
    """What the job's words and sounds come to for an analysed part: reference, recordings, plan."""
    with clock.stage("features"):
        features = build_features(analysis.streams, model, job.settings)
        reference = job.reference or find_reference(job.settings, analysis.labels, job.sounds)
    with clock.stage("codec"):
        choice = choose_recordings(
            job.settings,
            analysis.labels,
            is_outdoors=analysis.is_outdoors,
            sounds=job.sounds,
            reference=job.reference,
            in_video=is_video_name(job.out),
        )
        recorded = choice.read(job.settings, analysis, model.sync, model.codec.rate_hz)
        latents = encode_reference(reference, job.reference_start_s, model, job.settings)
    plan = plan_for(analysis, model, job.settings, latents)
    return Prepared(
        part=part,
        analysis=analysis,
        features=features,
        choice=choice,
        recorded=recorded,
        reference=reference,
        reference_latents=latents,
        plan=plan,
        scorer=scorer,
    )


def decode_at_level(
    model: Model,
    latents: Tensor,
    wav: Path,
    *,
    analysis: VideoAnalysis,
    recorded: Recorded,
    ride: float,
    report: Report = silent,
) -> None:
    """Decode latents [L, D] to a mono WAV whose loudness follows the picture, as far as `ride` says (0 to 1)."""
    decode_to_wav(model, latents, wav, report)
    if analysis.loudness_db is not None and ride > 0:
        apply_gain_riding(wav, recorded.ride_target_db(), ride)


def decode_take(
    prepared: Prepared,
    latents: Tensor | None,
    seed: int,
    wav: Path,
    *,
    job: RenderJob,
    model: Model,
    clock: StageClock,
    report: Report,
) -> Take:
    """Decode one take's latents [L, D] to a temporary WAV at its level, with its recordings, and score it.

    latents   None: recordings alone
    """
    analysis, scorer = prepared.analysis, prepared.scorer
    with clock.stage("codec"):
        if latents is not None:
            decode_at_level(
                model,
                latents,
                wav,
                analysis=analysis,
                recorded=prepared.recorded,
                ride=job.settings.ride,
                report=report,
            )
        rate_hz = model.codec.rate_hz
        n_samples = seconds_to_samples(prepared.part.duration_s, rate_hz)
        add_recordings(wav, prepared.recorded, n_samples, rate_hz, seed, has_model=latents is not None)
    with clock.stage("features"):
        return Take(seed, score_take(scorer, analysis.streams.get(scorer.name) if scorer else None, wav), wav)


def write_takes(
    job: RenderJob, prepared: Prepared, ranked: list[Take], model: Model, clock: StageClock, report: Report
) -> list[RenderResult]:
    """Write the takes that are kept, the best first, each to its own output."""
    outs = job.outputs()
    with clock.stage("mux"):
        written = [(take.wav, out) for take, out in zip(ranked, outs, strict=True)]
        sounds = write_results(job, prepared.part, written, prepared.analysis.position, report)
    results = [
        render_result(job, prepared, take, out, model=model, finished=finished, clock=clock)
        for take, out, finished in zip(ranked, outs, sounds, strict=True)
    ]
    if job.takes == 1:
        return results
    return [
        replace(result, take=rank, sync_score=take.score)
        for rank, (result, take) in enumerate(zip(results, ranked, strict=True), start=1)
    ]


def render_result(
    job: RenderJob,
    prepared: Prepared,
    take: Take,
    out: Path,
    *,
    model: Model,
    finished: FinishedSound,
    clock: StageClock,
) -> RenderResult:
    """The facts of a finished render."""
    analysis = prepared.analysis
    return RenderResult(
        out=out,
        duration_s=prepared.part.duration_s,
        start_s=prepared.part.start_s,
        settings=replace(job.settings, seed=take.seed),
        model=model.name,
        model_sha256=model.sha256,
        device=str(model.device),
        windows=prepared.plan.windows,
        cuts_s=analysis.cuts_s,
        labels=analysis.labels,
        events_s=analysis.events_s,
        stage_s=clock.spent_s,
        notes=finished.notes,
        peak_dbtp=finished.peak_dbtp,
        lufs=finished.lufs,
        applied_db=finished.applied_db,
        reference=prepared.reference,
        recordings=prepared.choice.matches,
        room_tone=prepared.choice.room_tone,
    )
