"""Spans of a result made anew, the rest kept: in-painting with the sound known on both sides.

The result is made again as far as its latents, which are the same for the same settings and seed.  Of these the steps
within the span are forgotten and sampled anew by windows that know what comes before and after (masked flow matching,
SALSA-V, arXiv 2510.02916); recordings are placed anew within the span.  What comes out is finished at the gain of the
whole and put into the finished samples, with a cross-fade of EDGE_S outside each end of the span.  All other samples
stay as they were, bit for bit, before a codec that loses something encodes them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import soundfile
import torch
from torch import Tensor

from foleycli.families.base import Family
from foleycli.media import ffmpeg
from foleycli.media.finish import FinishedSound, encode_sound
from foleycli.media.loudness import measure_file
from foleycli.media.output import is_video_name, replacing, temporary_beside
from foleycli.media.source import open_container, open_input
from foleycli.models.model import Model
from foleycli.recordings.engine import Heard
from foleycli.recordings.mix import Layer, Recorded
from foleycli.records import Features, Report, silent
from foleycli.rendering.generate import sample_latents
from foleycli.rendering.output import (
    add_layers,
    finish_generated,
    n_channels,
    stamp,
    write_result,
    write_video,
)
from foleycli.rendering.plan import RenderPlan
from foleycli.rendering.render import Prepared, condition, decode_at_level, decode_take, prepare, render_result
from foleycli.rendering.result import RenderResult, StageClock
from foleycli.settings.loudness import loudness_target
from foleycli.settings.settings import Settings
from foleycli.timebase import seconds_to_samples, step_at
from foleycli.weights.folder import sha256_of
from foleycli.windows.plan import plan_span, repeated_steps

if TYPE_CHECKING:
    from foleycli.media.part import Part
    from foleycli.rendering.job import RenderJob, SpanEdit, SpanJob

EDGE_S = 0.02  # over which old and new sound are cross-faded, outside each end of a span
CONTEXT_S = 1.0  # known before each window but the last, of a span that is longer than one
BLOCK_S = 10.0  # of a file that is in memory at once
LOSSLESS_CODECS = ("pcm_s24le", "pcm_s24be", "pcm_f32le", "flac", "alac")
UNLIKE = "this machine's sound of the report is not exactly that of {0}: outside the span it is alike, not equal"


@dataclass(frozen=True)
class Edited:
    """One edit, and what its words and sounds come to."""

    edit: SpanEdit
    job: SpanJob  # with the edit's own words and seed
    prepared: Prepared


def redo_spans(job: SpanJob, model: Model, report: Report) -> RenderResult:
    """See `SpanJob.run`."""
    clock = StageClock()
    base = prepare(job, model, clock, report)
    edits = [_edited(edit, job, base, model, clock) for edit in job.edits]
    engine = job.settings.engine
    latents: Tensor | None = None
    if not all(one.recorded.is_alone(engine) for one in (base, *(edited.prepared for edited in edits))):
        with clock.stage("sampler"):
            latents = sample_latents(
                model.family,
                base.features,
                base.plan,
                job.settings,
                job.batch or [job.settings.seed],
                reference=base.reference_latents,
                report=report,
            )[job.batch.index(job.settings.seed) if job.batch else 0]  # [L, D]
    with temporary_beside(job.out, ".wav", job.needed_bytes() * (1 + len(edits))) as mono:
        own = None if base.recorded.is_alone(engine) else latents
        take = decode_take(base, own, job.settings.seed, mono, job=job, model=model, clock=clock, report=report)
        if not edits:
            with clock.stage("mux"):
                finished = write_result(job, base.part, take.wav, job.out, base.analysis.position, report)
            return render_result(job, base, take, job.out, model=model, finished=finished, clock=clock)
        sound = mono.with_name("0.wav")
        finished = _finish(job, base, take.wav, sound, report)
        applied_db, notes = finished.applied_db, finished.notes
        for k, edited in enumerate(edits, start=1):
            if edited is edits[-1]:
                sound, more = _kept(job, base, sound, take.wav if k == 1 else None, report)
                notes += more
            with clock.stage("sampler"):
                latents = None if latents is None else _inpainted(latents, edited, model, report)
            with clock.stage("codec"):
                _decode(mono, latents, [base, *(one.prepared for one in edits[:k])], job, k, model, report)
            with clock.stage("mux"):
                new, joined = (mono.with_name(f"{k}.{name}.wav") for name in ("new", "joined"))
                _finish(edited.job, base, mono, new, report, applied_db - job.settings.gain_db)
                splice(sound, new, joined, edited.edit.start_s, edited.edit.end_s)
                sound = joined
        with clock.stage("mux"):
            finished = write_finished(job, base.part, sound, report)
    result = render_result(job, base, take, job.out, model=model, finished=finished, clock=clock)
    found = [match for one in (base, *(edited.prepared for edited in edits)) for match in one.choice.matches]
    once = {match.recording.name: match for match in reversed(found)}
    recordings = list(reversed(once.values()))
    return replace(result, applied_db=applied_db, notes=notes + finished.notes, recordings=recordings)


def _edited(edit: SpanEdit, job: SpanJob, base: Prepared, model: Model, clock: StageClock) -> Edited:
    """An edit with the recordings, the reference and the words that are its own where it has a prompt."""
    settings = edit.with_words(job.settings)
    own = replace(job, settings=replace(settings, seed=edit.seed))
    if settings == job.settings:
        return Edited(edit, own, base)
    return Edited(edit, own, condition(own, base.part, base.analysis, None, model, clock))


def _inpainted(latents: Tensor, edited: Edited, model: Model, report: Report) -> Tensor:
    """Latents [L, D] with the steps of an edit's span sampled anew."""
    prepared = edited.prepared
    return inpainted(
        latents,
        (edited.edit.start_s, edited.edit.end_s),
        family=model.family,
        features=prepared.features,
        settings=edited.job.settings,
        cuts_s=prepared.analysis.cuts_s,
        reference=prepared.reference_latents,
        report=report,
    )


def inpainted(
    latents: Tensor,
    span_s: tuple[float, float],
    *,
    family: Family,
    features: Features,
    settings: Settings,
    cuts_s: Sequence[float],
    reference: Tensor | None = None,
    repeat_reference: bool = True,
    always_known: Tensor | None = None,
    report: Report = silent,
) -> Tensor:
    """Latents [L, D] with the steps of a span sampled anew, by the settings' words and seed; all others are known.

    reference      latents [R, D] of a sound whose timbre is matched, before windows that begin a shot, or all
    always_known   bool [L]: steps that stay within the span too; None: none do
    """
    spec, n_steps = family.spec, len(latents)
    rate_hz = spec.latent_rate_hz
    first = min(math.floor(span_s[0] * rate_hz), n_steps - 1)
    end = min(max(first + 1, math.ceil(span_s[1] * rate_hz)), n_steps)
    is_known = torch.ones(n_steps, dtype=torch.bool)
    is_known[first:end] = False
    if always_known is not None:
        is_known |= always_known
    n_reference = min(0 if reference is None else len(reference), spec.window_steps // 2)
    n_repeated = repeated_steps(n_reference, spec.window_steps, spec.window_grid_s, spec.whole_windows)
    windows = plan_span(
        n_steps,
        spec.window_steps,
        round(CONTEXT_S * rate_hz),
        span=(first, end),
        cut_steps=[step_at(cut_s, rate_hz) for cut_s in cuts_s] if settings.cuts else (),
        n_reference=n_reference,
        n_repeated=n_repeated if repeat_reference else 0,
        grid_steps=spec.window_grid_s * rate_hz,
    )
    return sample_latents(
        family,
        features,
        RenderPlan(float(n_steps / rate_hz), n_steps, windows),
        settings,
        [settings.seed],
        context=latents,
        context_mask=is_known,
        reference=reference,
        report=report,
    )[0]


def _decode(
    wav: Path,
    latents: Tensor | None,
    layers: Sequence[Prepared],
    job: SpanJob,
    n_edits: int,
    model: Model,
    report: Report,
) -> None:
    """The sound after `n_edits` edits as a mono WAV: what `decode_take` does, with recordings of each edit's span."""
    last, rate_hz = layers[-1], model.codec.rate_hz
    own = None if last.recorded.is_alone(job.settings.engine) else latents
    if own is not None:
        decode_at_level(
            model, own, wav, analysis=last.analysis, recorded=last.recorded, ride=job.settings.ride, report=report
        )
    add_layers(
        wav,
        layers_of([one.recorded for one in layers], job.settings.seed, job.edits[:n_edits], rate_hz),
        seconds_to_samples(last.part.duration_s, rate_hz),
        rate_hz,
        room_seed=job.settings.seed,
        has_model=own is not None,
    )


def layers_of(recorded: Sequence[Recorded], seed: int, edits: Sequence[SpanEdit], rate_hz: int) -> list[Layer]:
    """The recordings of a sound and of each of its spans, and what is heard of them: see `heard_of`.

    recorded   the first render's, at its seed, and then those of each edit
    """
    seeds = [seed, *(edit.seed for edit in edits)]
    return [
        Layer(one, own_seed, heard_of(edits, k, rate_hz))
        for k, (one, own_seed) in enumerate(zip(recorded, seeds, strict=True))
    ]


def heard_of(edits: Sequence[SpanEdit], layer: int, rate_hz: int) -> Heard:
    """What is heard of a layer, 0 being the first render's: what begins where no later edit has a say.

    Hits before a span ring on into it.  Textures do not end, so that only the last layer's are heard, in its span.
    """

    def is_heard(attack: int) -> bool:
        owners = [k for k, edit in enumerate(edits, 1) if edit.start_s * rate_hz <= attack < edit.end_s * rate_hz]
        return layer == max(owners, default=0)

    return Heard(is_heard, textures=layer == len(edits))


def _finish(
    job: SpanJob, base: Prepared, mono: Path, out: Path, report: Report, whole_gain_db: float | None = None
) -> FinishedSound:
    """A mono WAV as the result's samples, 24 bit."""
    return finish_generated(
        job,
        base.part,
        mono,
        out,
        base.analysis.position,
        channels=n_channels(job.settings, job.out),
        whole_gain_db=whole_gain_db,
        report=report,
    )


def _kept(
    job: SpanJob, base: Prepared, remade: Path, mono: Path | None, report: Report
) -> tuple[Path, tuple[str, ...]]:
    """The samples that the newest span is put into, and notes: those of the result itself, or the same made again.

    remade   all but the newest edit, made again
    mono     where there is no earlier edit: what a render writes the result from
    """
    if job.kept is None:
        return remade, ()
    if is_lossless(job.kept):
        decoded = remade.with_name("kept.wav")
        decode_lossless(job.kept, decoded)
        if soundfile.info(decoded).frames == soundfile.info(remade).frames:
            return decoded, ()
    # What a codec that loses something encodes cannot be had back from the file: it is made again, and the proof
    # that it is the same is that it encodes to the same file.
    again = remade.with_name(f"again{job.kept.suffix}")
    like_it = replace(job, out=again, overwrite=True)
    if mono is not None:
        write_result(like_it, base.part, mono, again, base.analysis.position, report)
    else:
        write_finished(like_it, base.part, remade, report)
    is_same = sha256_of(again) == sha256_of(job.kept)
    return remade, () if is_same else (UNLIKE.format(job.kept.name),)


def is_lossless(path: Path) -> bool:
    """Whether a file's first sound track gives 24 bit samples back as they were written."""
    with open_container(path) as container:
        tracks = container.streams.audio
        return bool(tracks) and tracks[0].codec_context.name in LOSSLESS_CODECS


def decode_lossless(path: Path, wav: Path, codec: str = "pcm_s24le") -> None:
    """The first sound track of a file that is lossless, as a WAV of 24 bit, or what `codec` says."""
    output = open_input(path)["a:0"].output(ffmpeg.file_url(wav), format="wav", rf64="auto", **{"c:a": codec})
    ffmpeg.run(ffmpeg.command(output), f"reading {path.name}")


def splice(
    base: Path, new: Path, out: Path, start_s: float, end_s: float, *, subtype: Literal["PCM_24", "FLOAT"] = "PCM_24"
) -> None:
    """Write the samples of `base` with those of `new` from start_s to end_s, both WAVs of one rate and channels.

    Over EDGE_S before and after the span the two are cross-faded; elsewhere each sample is exactly that of one file.
    The span may begin before the files and end after them.

    subtype   of `out`: 24 bit, for files of 24 bit, or 32 bit float
    """
    with soundfile.SoundFile(base) as old_file, soundfile.SoundFile(new) as new_file:
        rate_hz, n_samples = old_file.samplerate, old_file.frames
        first, end, edge = round(start_s * rate_hz), round(end_s * rate_hz), round(EDGE_S * rate_hz)
        with soundfile.SoundFile(
            out, "w", samplerate=rate_hz, channels=old_file.channels, subtype=subtype, format="RF64"
        ) as writer:
            for start in range(0, n_samples, round(BLOCK_S * rate_hz)):
                old = old_file.read(round(BLOCK_S * rate_hz), dtype="float64", always_2d=True)  # [n, C]
                fresh = new_file.read(len(old), dtype="float64", always_2d=True)
                place = start + np.arange(len(old))
                rise = np.ones(len(old)) if first <= 0 else (place - (first - edge)) / edge
                fall = np.ones(len(old)) if end >= n_samples else (end + edge - place) / edge
                mixed = old + np.clip(np.minimum(rise, fall), 0, 1)[:, None] * (fresh - old)
                # Whole numbers of 2^23: libsndfile would scale by one less, and move samples.
                writer.write(np.rint(mixed * 2**23).astype(np.int32) << 8 if subtype == "PCM_24" else mixed)


def write_finished(job: RenderJob, part: Part, sound: Path, report: Report) -> FinishedSound:
    """Finished samples to the result, sample for sample where its codec loses nothing."""
    if is_video_name(job.out):
        loudness, muxed = measure_file(sound), write_video(job, part, sound, job.out, report)
        peak_dbtp, notes = muxed.peak_dbtp, muxed.notes
    else:
        with replacing(job.out, overwrite=job.overwrite, needed_bytes=job.needed_bytes()) as out:
            loudness = encode_sound(sound, out, loudness_target(job.settings.loudness_lufs).ceiling_dbtp, report)
            stamp(job, part, out)
        peak_dbtp, notes = None if math.isinf(loudness.peak_dbtp) else round(loudness.peak_dbtp, 2), ()
    return FinishedSound(peak_dbtp, None if loudness.is_silent else round(loudness.lufs, 2), 0.0, 0.0, notes)
