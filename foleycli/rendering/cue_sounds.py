"""The sounds of a cue sheet, as `CueJob.run` makes them: analyse once, sample in batches, stems, and their sum.

excerpts of the analysis -> latents of all cues -> a mono WAV each -> stems -> mix -> the finished file
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
from torch import Tensor

from foleycli.cues.cue import Stem
from foleycli.cues.times import nearest
from foleycli.dsp.blocks import fitted, muted, resampled, shape, skipped
from foleycli.dsp.gain_riding import rms_levels_db
from foleycli.dsp.stereo import pan_curve, stereo_blocks
from foleycli.library.library import SHIPPED_LIBRARY, Match, Recording, open_library
from foleycli.media.audio import SoundWriter
from foleycli.media.finish import FinishedSound, level_db
from foleycli.media.loudness import measure_file
from foleycli.media.output import replacing, temporary_beside
from foleycli.media.part import Part, copyable_part
from foleycli.media.together import as_written
from foleycli.models.model import Model, load_model
from foleycli.recordings.engine import LEVEL_DB, Events, block_samples, room_tone_blocks
from foleycli.recordings.hits import as_hits, sharpen_hits, strike
from foleycli.recordings.mix import Recorded, gain_to
from foleycli.records import Features, Report
from foleycli.rendering.analyze import VideoAnalysis, analyze, excerpt
from foleycli.rendering.cost import TAKES_AT_ONCE
from foleycli.rendering.generate import build_features, check_prompt, plan_for
from foleycli.rendering.output import add_layers, file_blocks, is_widened
from foleycli.rendering.plan import RenderPlan
from foleycli.rendering.recordings import RecordingChoice, choose_recordings, room_level_db
from foleycli.rendering.redo import inpainted, layers_of, splice
from foleycli.rendering.render import decode_at_level
from foleycli.rendering.result import CueResult, RenderResult, StageClock
from foleycli.rendering.timbre import encode_reference, find_reference
from foleycli.settings.loudness import LoudnessTarget, loudness_target
from foleycli.timebase import FEATURE_FPS, seconds_to_samples
from foleycli.windows.compose import Track, compose_together

if TYPE_CHECKING:
    from foleycli.rendering.cues import CueJob, PlacedCue
    from foleycli.rendering.job import SpanEdit

HIT_SHARE = 0.6  # of a picture: how near to its time a hit is looked for


@dataclass(frozen=True)
class CueInputs:
    """All that is known of a cue before the sampler begins; times count from `grid_s`."""

    placed: PlacedCue
    model: Model
    grid_s: Fraction  # where its sound is generated from: a step of the features, at most one before `begin_s`
    analysis: VideoAnalysis
    features: Features
    choice: RecordingChoice
    recorded: Recorded
    reference: Path | None
    reference_latents: Tensor | None  # [R, D]
    plan: RenderPlan
    seeds: tuple[int, ...]
    spans: dict[int, tuple[CueSpan, ...]]  # that are made anew after all of a take, by its seed

    @property
    def needs_model(self) -> bool:
        """Whether a network makes a part of it."""
        return not self.is_alone or any(not span.inputs.is_alone for spans in self.spans.values() for span in spans)

    @property
    def is_alone(self) -> bool:
        """Whether its own words are met by recordings alone."""
        return self.recorded.is_alone(self.placed.settings.engine)

    @property
    def layers(self) -> list[CueInputs]:
        """Itself, and what its spans with words of their own are made from."""
        return [self, *(span.inputs for spans in self.spans.values() for span in spans if span.inputs is not self)]

    @property
    def hits_s(self) -> list[float] | None:
        """The times that must be struck, counted from `grid_s`."""
        return None if self.placed.hits_s is None else self.analysis.events_s


@dataclass(frozen=True)
class CueSpan:
    """A span of a take that is made anew, in seconds from the cue's `grid_s`."""

    edit: SpanEdit
    inputs: CueInputs  # by the span's own words, without spans


def render_cues(job: CueJob, model: Model, report: Report) -> RenderResult:
    """Make every cue and the mix, hand the stems over, and tell what came of it."""
    clock = StageClock()
    part = copyable_part(job.video, job.out, job.start_s, job.duration_s, job.exact)
    placed = job.placed(part)
    models = load_models(job, placed, model)
    analyses = {
        name: analyze(
            job.video,
            each,
            start_s=part.start_s,
            duration_s=part.duration_s,
            clock=clock,
            report=report,
        )
        for name, each in models.items()
    }
    with clock.stage("features"):
        cues = prepare_cues(job, part, placed, models, analyses)
    with clock.stage("sampler"):
        latents = sample_cues(cues, report)
    with temporary_beside(job.out, "", job.needed_bytes()) as folder:
        folder.mkdir()
        mutes = mutes_of(placed, job.settings.rate_hz)
        stems = make_stems(job, part, cues, latents, mutes=mutes, folder=folder, clock=clock, report=report)
        room = choose_room_tone(job, analyses[""])
        between = between_stem(job, part, stems, analyses[""], room=room, mutes=mutes, folder=folder)
        kept = [stem for stem in stems if stem.cue is not None] + ([between] if between is not None else [])
        first_takes = [stem for stem in kept if stem.take == 1]
        with clock.stage("mux"):
            mix = folder / "mix.wav"
            n_samples = seconds_to_samples(part.duration_s, job.settings.rate_hz)
            write_mix(mix, first_takes, part, n_samples, job.settings.rate_hz)
            finished = job.write_mix(part, mix, report)
            notes = deliver(job, kept, finished.applied_db, report)
    return cue_result(
        job,
        part,
        placed,
        cues,
        analyses[""],
        room_tone=room.room_tone,
        model=model,
        finished=finished,
        clock=clock,
        notes=notes,
    )


def load_models(job: CueJob, placed: Sequence[PlacedCue], model: Model) -> dict[str, Model]:
    """The model of the call as "", and those that cues name; errors: FoleyError where words meet a model without."""
    names = dict.fromkeys(one.cue.model for one in placed if one.cue is not None and one.cue.model)
    models = {"": model}
    for name in names:
        models[name] = load_model(job.model_folders[name], str(model.device), str(model.dtype).removeprefix("torch."))
    for one in placed:
        check_prompt(one.settings, models[_model_name(one)])
    return models


def _model_name(one: PlacedCue) -> str:
    return (one.cue.model if one.cue is not None else None) or ""


def prepare_cues(
    job: CueJob,
    part: Part,
    placed: Sequence[PlacedCue],
    models: dict[str, Model],
    analyses: dict[str, VideoAnalysis],
) -> list[CueInputs]:
    """What each cue that is heard is made from; a sound that several take as reference is encoded once."""

    @cache
    def encoded(path: Path | None, start_s: float | None, name: str, ref_s: float) -> Tensor | None:
        return encode_reference(path, start_s, models[name], replace(job.settings, ref_s=ref_s))

    def inputs_of(one: PlacedCue) -> CueInputs:
        name, settings = _model_name(one), one.settings
        model, grid_s = models[name], one.begin_s * FEATURE_FPS // 1 / FEATURE_FPS
        hits_s = None if one.hits_s is None else [float(time_s) - part.start_s for time_s in one.hits_s]
        analysis = excerpt(
            analyses[name],
            model,
            begin_s=grid_s,
            start_s=one.start_s,
            end_s=one.end_s,
            stop_s=one.stop_s,
            hits_s=hits_s,
        )
        own = one.cue.reference if one.cue is not None else None
        given = own or job.reference
        reference = given or find_reference(settings, analysis.labels, job.sounds)
        choice = replace(
            choose_recordings(settings, analysis.labels, sounds=job.sounds, reference=given), room_tone=None
        )
        recorded = choice.read(settings, analysis, model.sync, model.codec.rate_hz)
        if hits_s is not None:
            recorded = struck(recorded, analysis.events_s, model.codec.rate_hz)
        start_s = None if own is not None else job.reference_start_s
        latents = encoded(reference, start_s if given is not None else None, name, settings.ref_s)
        return CueInputs(
            placed=one,
            model=model,
            grid_s=grid_s,
            analysis=analysis,
            features=build_features(analysis.streams, model, settings),
            choice=choice,
            recorded=recorded,
            reference=reference,
            reference_latents=latents,
            plan=plan_for(analysis, model, settings, latents),
            seeds=job.seeds(one),
            spans={},
        )

    def with_spans(cue: CueInputs) -> CueInputs:
        spans = {}
        for seed in cue.seeds:
            edits = job.spans(cue.placed, seed)
            spans[seed] = tuple(_span_of(edit, cue, inputs_of) for edit in edits)
        return replace(cue, spans=spans)

    return [with_spans(inputs_of(one)) for one in placed if not one.silent]


def _span_of(edit: SpanEdit, cue: CueInputs, inputs_of: Callable[[PlacedCue], CueInputs]) -> CueSpan:
    """A span of a cue's take, and what it is made from."""
    shift_s, settings = float(cue.grid_s), cue.placed.settings
    moved, own = replace(edit, start_s=edit.start_s - shift_s, end_s=edit.end_s - shift_s), edit.with_words(settings)
    return CueSpan(moved, cue if own == settings else inputs_of(replace(cue.placed, settings=own)))


def struck(recorded: Recorded, hits_s: Sequence[float], rate_hz: int) -> Recorded:
    """Recordings that strike at every hit, all hits alike."""
    chosen = [as_hits(one, rate_hz, hits_s) for one in recorded.chosen]
    return replace(recorded, chosen=chosen, events=Events(np.asarray(hits_s, np.float64), np.ones(len(hits_s))))


def sample_cues(cues: Sequence[CueInputs], report: Report) -> dict[tuple[int, int], Tensor]:
    """The latents [L, D] of every take, by the index of its cue and its own; windows of like cues in one batch."""
    groups: dict[tuple[int, int, float, float], list[tuple[int, int]]] = {}
    for k, one in enumerate(cues):
        if one.needs_model:
            asked = one.placed.settings
            key = (id(one.model), asked.steps, asked.guidance, asked.words_guidance)
            groups.setdefault(key, []).extend((k, take) for take in range(len(one.seeds)))
    made: dict[tuple[int, int], Tensor] = {}
    for members in groups.values():
        tracks = [
            Track(
                features=cues[k].features,
                windows=cues[k].plan.windows,
                n_steps=cues[k].plan.n_steps,
                seed=cues[k].seeds[take],
                reference=cues[k].reference_latents,
            )
            for k, take in members
        ]
        first = cues[members[0][0]]
        latents = compose_together(
            first.model.family, tracks, first.placed.settings, at_once=TAKES_AT_ONCE, report=report
        )
        made |= dict(zip(members, latents, strict=True))
    return made


def make_stems(
    job: CueJob,
    part: Part,
    cues: Sequence[CueInputs],
    latents: dict[tuple[int, int], Tensor],
    *,
    mutes: Sequence[tuple[int, int]],
    folder: Path,
    clock: StageClock,
    report: Report,
) -> list[Stem]:
    """The stem of every take of every cue, and of gaps that are filled (their cue is None)."""
    stems: list[Stem] = []
    n_takes = sum(len(one.seeds) for one in cues)
    for k, one in enumerate(cues):
        for take in range(len(one.seeds)):
            report("codec", len(stems), n_takes)
            raw = folder / f"raw{k}.{take}.wav"
            with clock.stage("codec"):
                stem = make_take(job, part, one, latents.get((k, take)), take=take, mutes=mutes, raw=raw)
                stems.append(stem)
            raw.unlink()
    report("codec", n_takes, n_takes)
    return stems


def make_take(
    job: CueJob,
    part: Part,
    one: CueInputs,
    latents: Tensor | None,
    *,
    take: int,
    mutes: Sequence[tuple[int, int]],
    raw: Path,
) -> Stem:
    """The stem of one take, counted from 0, and after it each of its spans, with the sound known on both sides.

    raw   a free name in the folder for stems
    """
    seed, fps = one.seeds[take], float(job.clock.fps)
    spans = one.spans.get(seed, ())
    make_raw(one, None if one.is_alone else latents, seed, raw, fps)
    own_level, begin_s = _level(one, raw), float(one.placed.begin_s - one.grid_s)
    stem = write_stem(job, part, one, raw, take, mutes, raw.with_name(f"{raw.stem}.stem.wav"), level=own_level)
    gain_db = 0.0
    if job.settings.loudness_per == "cue" and stem.cue is not None:
        gain_db = level_stem(stem, loudness_target(job.settings.loudness_lufs))
    for k, span in enumerate(spans, start=1):
        inputs = span.inputs
        if latents is not None:
            latents = inpainted(
                latents,
                (span.edit.start_s, span.edit.end_s),
                family=one.model.family,
                features=inputs.features,
                settings=replace(inputs.placed.settings, seed=span.edit.seed),
                cuts_s=one.analysis.cuts_s,
                reference=inputs.reference_latents,
            )
        make_raw(inputs, None if inputs.is_alone else latents, seed, raw, fps, (one, spans[:k]))
        is_like = not any(each.recorded.has_sound for each in (one, inputs))
        level = own_level if is_like else _level(inputs, raw)
        new = write_stem(job, part, one, raw, take, mutes, raw.with_name("span.wav"), level=level)
        with replacing(new.wav) as levelled:
            write_at_gain(new, levelled, gain_db)
        joined = raw.with_name(f"{raw.stem}.{k}.wav")
        if k == len(spans) and job.leaves_open(one.placed, seed):
            new.wav.replace(joined)
        else:
            splice(stem.wav, new.wav, joined, span.edit.start_s - begin_s, span.edit.end_s - begin_s, subtype="FLOAT")
        stem = replace(stem, wav=joined)
    return stem


def _level(one: CueInputs, raw: Path) -> float:
    """What brings a raw take to the level that recordings have."""
    return 1.0 if one.recorded.has_sound else gain_to(LEVEL_DB, file_blocks(raw), one.model.codec.rate_hz)


def make_raw(
    one: CueInputs,
    latents: Tensor | None,
    seed: int,
    wav: Path,
    fps: float,
    after: tuple[CueInputs, Sequence[CueSpan]] | None = None,
) -> None:
    """One take as a mono WAV at the codec's rate and the level of recordings, from `grid_s` on.

    after   of a span, the take that it is in and its spans up to this one: their hits before it ring on into it
    """
    model, analysis, settings = one.model, one.analysis, one.placed.settings
    rate_hz = model.codec.rate_hz
    if latents is not None:
        decode_at_level(model, latents, wav, analysis=analysis, recorded=one.recorded, ride=settings.ride)
        if one.hits_s is not None:
            _rewrite(wav, strike(_samples(wav), rate_hz, one.hits_s, seed), rate_hz)
    first, spans = after or (one, ())
    recorded = [first.recorded, *(span.inputs.recorded for span in spans)]
    layers = layers_of(recorded, seed, [span.edit for span in spans], rate_hz)
    if any(layer.recorded.has_sound for layer in layers):
        n_samples = seconds_to_samples(analysis.duration_s, rate_hz)
        add_layers(wav, layers, n_samples, rate_hz, room_seed=seed, has_model=latents is not None)
    if one.hits_s is not None:
        _rewrite(wav, sharpen_hits(_samples(wav), rate_hz, one.hits_s, HIT_SHARE / fps), rate_hz)


def _samples(wav: Path) -> np.ndarray:
    samples: np.ndarray = soundfile.read(wav, dtype="float32")[0]
    return samples


def _rewrite(wav: Path, samples: np.ndarray, rate_hz: int) -> None:
    with SoundWriter(wav, rate_hz) as writer:
        writer.write(samples)


def write_stem(
    job: CueJob,
    part: Part,
    one: CueInputs,
    raw: Path,
    take: int,
    mutes: Sequence[tuple[int, int]],
    wav: Path,
    *,
    level: float,
) -> Stem:
    """A take as it goes into the mix: in its place, at its gain, with its handles faded.

    level   that the raw sound is multiplied with, beside the cue's own gain
    """
    placed, rate_hz, offset = one.placed, job.settings.rate_hz, nearest(Fraction(part.start_s) * job.settings.rate_hz)
    begin, start, end, stop = placed.samples(rate_hz)
    stop = min(stop, seconds_to_samples(part.duration_s, rate_hz))
    end, n_samples, codec_hz = min(end, stop), stop - begin, one.model.codec.rate_hz
    n_skipped = nearest((placed.begin_s - one.grid_s) * codec_hz)
    gain_db = placed.cue.gain_db if placed.cue is not None else 0.0
    blocks = resampled(skipped(file_blocks(raw), n_skipped), codec_hz, rate_hz)
    shaped = shape(
        fitted(blocks, n_samples),
        gain=level * 10 ** (gain_db / 20),
        n_in=start - begin,
        n_out=stop - end,
        n_samples=n_samples,
        rate_hz=rate_hz,
    )
    write_channels(job, shaped, one.analysis.position, [(a - begin, b - begin) for a, b in mutes], wav)
    return Stem(
        cue=placed.cue,
        take=take + 1,
        wav=wav,
        start=offset + begin,
        n_samples=n_samples,
        rate_hz=rate_hz,
        handle_in=start - begin,
        handle_out=stop - end,
        seed=one.seeds[take],
        recordings=heard_recordings(job, one),
    )


def heard_recordings(job: CueJob, one: CueInputs) -> tuple[Match, ...]:
    """The library sounds that are in a cue: those that are placed, and the one whose timbre the model has."""
    found = [match for layer in one.layers for match in layer.choice.matches]
    references = {layer.reference for layer in one.layers} if one.needs_model else set()
    if any(references):
        library = open_library(job.sounds or SHIPPED_LIBRARY)
        found += [Match(each, 1.0, "", each.name) for each in library.recordings if each.path in references]
    return _each_once(found)


def _each_once(matches: Sequence[Match]) -> tuple[Match, ...]:
    """The first match of each recording."""
    return tuple({match.recording.name: match for match in reversed(matches)}.values())[::-1]


def level_stem(stem: Stem, target: LoudnessTarget) -> float:
    """Bring a stem to a loudness of its own, and its cue's gain beside it, as far as its peak allows; in place.

    Returns the gain in dB.
    """
    own_db = stem.cue.gain_db if stem.cue is not None else 0.0
    wanted = target if target.lufs is None else replace(target, lufs=target.lufs + own_db)
    gain_db = level_db(measure_file(stem.wav), wanted)
    with replacing(stem.wav) as part:
        write_at_gain(stem, part, gain_db)
    return gain_db


def write_at_gain(stem: Stem, wav: Path, gain_db: float) -> None:
    """A stem's samples at a gain, to another WAV."""
    gain = np.float32(10 ** (gain_db / 20))
    with SoundWriter(wav, stem.rate_hz, soundfile.info(stem.wav).channels) as writer:
        for block in file_blocks(stem.wav):
            writer.write((gain * block).T)


def write_channels(
    job: CueJob,
    blocks: Iterable[np.ndarray],
    position: np.ndarray | None,
    mutes: Sequence[tuple[int, int]],
    wav: Path,
) -> None:
    """Mono blocks to a WAV with the channels of the mix, silent where it must be."""
    rate_hz = job.settings.rate_hz
    if not is_widened(job.settings, job.out):
        with SoundWriter(wav, rate_hz) as writer:
            for block in muted((block[None] for block in blocks), mutes, rate_hz):
                writer.write(block[0])
        return
    mono = wav.with_suffix(".mono.wav")
    with SoundWriter(mono, rate_hz) as writer:
        for samples in blocks:
            writer.write(samples)
    pan = pan_curve(rms_levels_db(file_blocks(mono), rate_hz), position)
    with SoundWriter(wav, rate_hz, channels=2) as writer:
        for both in muted(stereo_blocks(file_blocks(mono), rate_hz, pan, job.settings.width), mutes, rate_hz):
            writer.write(both)
    mono.unlink()


def mutes_of(placed: Sequence[PlacedCue], rate_hz: int) -> list[tuple[int, int]]:
    """The spans of silent cues, in samples from the part's beginning."""
    return [one.samples(rate_hz)[1:3] for one in placed if one.silent]


def choose_room_tone(job: CueJob, analysis: VideoAnalysis) -> RecordingChoice:
    """The room tone under all, and no other recording; nothing where none is wanted."""
    if not job.wants_room_tone():
        return RecordingChoice()
    settings = replace(job.settings, engine="flow")
    return choose_recordings(settings, analysis.labels, is_outdoors=analysis.is_outdoors, sounds=job.sounds)


def between_stem(
    job: CueJob,
    part: Part,
    stems: Sequence[Stem],
    analysis: VideoAnalysis,
    *,
    room: RecordingChoice,
    mutes: Sequence[tuple[int, int]],
    folder: Path,
) -> Stem | None:
    """What lies between the cues, as one stem as long as the part: room tone, and the gaps that were filled."""
    rate_hz, wav = job.settings.rate_hz, folder / "between.wav"
    n_samples, offset = seconds_to_samples(part.duration_s, rate_hz), nearest(Fraction(part.start_s) * rate_hz)
    filled = [stem for stem in stems if stem.cue is None]
    tone = room.read_room_tone(rate_hz)
    if tone is None and not filled:
        return None
    if tone is not None:
        assert room.room_tone is not None
        dynamics_db, seed = analysis.dynamics_db, job.settings.seed
        blocks = room_tone_blocks(tone, n_samples, rate_hz, dynamics_db=dynamics_db, seed=seed)
        gain = np.float32(10 ** (room_level_db(job.settings) / 20))
        write_channels(job, (gain * block for block in blocks), None, mutes, wav)
        match = Match(room.room_tone, 1.0, "", room.room_tone.name)
        tone_stem = Stem(None, 1, wav, start=offset, n_samples=n_samples, rate_hz=rate_hz, recordings=(match,))
        filled = [tone_stem, *filled]
    summed = folder / "between_all.wav"
    write_mix(summed, filled, part, n_samples, rate_hz)
    used = tuple({match.recording.name: match for stem in filled for match in stem.recordings}.values())
    return Stem(
        cue=None,
        take=1,
        wav=summed,
        start=offset,
        n_samples=n_samples,
        rate_hz=rate_hz,
        seed=job.settings.seed,
        recordings=used,
    )


def write_mix(wav: Path, stems: Sequence[Stem], part: Part, n_samples: int, rate_hz: int) -> None:
    """The plain sum of stems over the part, as a WAV with their channels, in memory of a block."""
    offset, size = nearest(Fraction(part.start_s) * rate_hz), block_samples(rate_hz)
    channels = soundfile.info(stems[0].wav).channels if stems else 1
    with SoundWriter(wav, rate_hz, channels) as writer:
        for first in range(0, n_samples, size):
            out = np.zeros((min(size, n_samples - first), channels), np.float32)
            for stem in stems:
                start = stem.start - offset
                a, b = max(start, first), min(start + stem.n_samples, first + len(out))
                if a < b:
                    with soundfile.SoundFile(stem.wav) as file:
                        file.seek(a - start)
                        out[a - first : b - first] += file.read(b - a, dtype="float32", always_2d=True)
            writer.write(out.T if channels > 1 else out[:, 0])


def deliver(job: CueJob, stems: Sequence[Stem], gain_db: float, report: Report) -> tuple[str, ...]:
    """Hand the stems to whoever the job names, at the gain of the finished mix; their sum is that mix."""
    if not job.deliveries:
        return ()
    delivered = []
    for stem in stems:
        wav = stem.wav.with_suffix(".final.wav")
        write_at_gain(stem, wav, gain_db)
        stem.wav.unlink()
        delivered.append(replace(stem, wav=wav))
    return tuple(note for delivery in job.deliveries for note in delivery.deliver(job, delivered, report))


def cue_result(
    job: CueJob,
    part: Part,
    placed: Sequence[PlacedCue],
    cues: Sequence[CueInputs],
    analysis: VideoAnalysis,
    *,
    room_tone: Recording | None,
    model: Model,
    finished: FinishedSound,
    clock: StageClock,
    notes: tuple[str, ...],
) -> RenderResult:
    """The facts of the whole and of every cue."""
    told = [_told(job, one, part) for one in cues if one.placed.cue is not None]
    told += [
        CueResult(one.cue, one.settings, model.name, (), (), 0) for one in placed if one.cue is not None and one.silent
    ]
    matches = {match.recording.name: match for one in cues for layer in one.layers for match in layer.choice.matches}
    struck_s = {time_s for one in told for time_s in one.events_s}
    return RenderResult(
        out=job.out,
        duration_s=part.duration_s,
        start_s=part.start_s,
        settings=job.settings,
        model=model.name,
        model_sha256=model.sha256,
        device=str(model.device),
        windows=[window for one in cues for window in one.plan.windows],
        cuts_s=analysis.cuts_s,
        labels=analysis.labels,
        events_s=sorted(time_s - part.start_s for time_s in struck_s),
        stage_s=clock.spent_s,
        notes=(*job.sheet.notes, *finished.notes, *notes),
        peak_dbtp=finished.peak_dbtp,
        lufs=finished.lufs,
        applied_db=finished.applied_db,
        recordings=list(matches.values()),
        room_tone=room_tone,
        files=tuple(path for path in job.outputs()[1:] if as_written(path).exists()),
        cues=tuple(sorted(told, key=lambda one: one.cue.start_s)),
    )


def _told(job: CueJob, one: CueInputs, part: Part) -> CueResult:
    assert one.placed.cue is not None
    begin_s = float(one.grid_s) + part.start_s
    return CueResult(
        cue=one.placed.cue,
        settings=one.placed.settings,
        model=one.model.name,
        seeds=one.seeds,
        events_s=tuple(round(begin_s + time_s, 6) for time_s in one.analysis.events_s),
        windows=len(one.plan.windows) if one.needs_model else 0,
        labels=tuple(one.analysis.labels),
        reference=one.reference,
        recordings=_each_once([match for layer in one.layers for match in layer.choice.matches]),
        spans=tuple(
            (take, replace(span, start_s=span.start_s + part.start_s, end_s=span.end_s + part.start_s))
            for take, seed in enumerate(one.seeds, start=1)
            for span in job.spans(one.placed, seed)
        ),
    )
