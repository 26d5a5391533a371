"""`extend`: a take in, the take and what follows it (and leads up to it) out.

The take's latents are known steps of the track, so that every window that touches them goes on in its
timbre, room and level.  Beside that, the take is a recording of its own (`continuation`), and its room noise goes on
under everything.  What is decoded is brought to the take's level and stereo width and joined to the real
take, whose samples are written as they were.  What is generated is kept in a file meanwhile: memory does not grow
with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor

from foleycli.dsp.joining import FADE_S, channel_gains, joined_after, joined_before
from foleycli.dsp.room_noise import NoiseStream, RoomNoise
from foleycli.dsp.stereo import Decorrelator, StereoImage
from foleycli.errors import FoleyError
from foleycli.media.audio import SoundWriter, read_audio, resample, write_lossless
from foleycli.media.finish import FinishedSound, finish_sound
from foleycli.media.loudness import measure_file
from foleycli.media.mux import mux
from foleycli.media.output import is_video_name, replacing, temporary_beside
from foleycli.media.probe import channel_mask, is_float_file
from foleycli.media.timecode import samples_a_day
from foleycli.models.model import Model
from foleycli.recordings.engine import block_samples, soft_limit
from foleycli.records import Audio, Features, Report, silent
from foleycli.rendering.analyze import VideoAnalysis, analyze
from foleycli.rendering.continuation import Continuation, Span, continue_take
from foleycli.rendering.generate import build_features, check_prompt, decode_to_wav, sample_latents
from foleycli.rendering.plan import RenderPlan, plan_render
from foleycli.rendering.redo import UNLIKE, decode_lossless, inpainted, is_lossless, splice
from foleycli.rendering.result import RenderResult, StageClock
from foleycli.rendering.timbre import characteristic_start_s, encode_audio
from foleycli.settings.settings import Settings
from foleycli.stems.bwf import BwfFacts, BwfWriter, coding_line, moved_ixml, read_bwf, stamp_loudness
from foleycli.timebase import seconds_to_samples
from foleycli.weights.folder import sha256_of

if TYPE_CHECKING:
    from foleycli.rendering.job import ExtendJob, SpanEdit

CONTEXT_S = 2.0  # of the take that each window goes on from: as much as SALSA-V is trained on
LOOP_S = 1.0  # of the beginning that the end of a loop leads up to
LOSSLESS = (".wav", ".flac")
BLOCK_S = 10.0  # of the result that are in memory at once
NOISE_S = 30.0  # of the take and of what is generated, in which their room noise is measured
LEAST_NOISE = 1e-6  # of full scale, RMS: softer is none
LOSSY_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # what MP3 takes


@dataclass(frozen=True)
class TakePlacement:
    """The take's place on the track, in samples of the codec's rate and of the take's own."""

    before: int  # samples of the take's own rate that are generated before it
    total: int  # length of the result at the take's own rate
    first_step: int  # the latent step in which it begins
    lead: int  # codec samples from that step's beginning to the take's
    loop_step: int | None  # of a loop, the step in which the take begins again; None: no loop
    loop_lead: int = 0


@dataclass(frozen=True)
class Extension:
    """A take and what is seen beside it: all that is known before the sampler begins."""

    job: ExtendJob
    model: Model
    settings: Settings
    take: Audio  # [C, N] at its own rate
    mono: np.ndarray  # [N] at the codec's rate
    image: StereoImage
    placement: TakePlacement
    analysis: VideoAnalysis
    features: Features
    context: Tensor  # [L, D]: the take's latents on the track
    context_mask: Tensor  # bool [L]: which steps they are
    reference: Tensor  # [R, D], for windows that do not touch the take
    plan: RenderPlan

    def joined(self, generated: GeneratedTrack, gain: np.ndarray) -> Iterator[np.ndarray]:
        """See `joined`."""
        noise_seed = self.settings.seed if self.settings.room != "off" else None
        return joined(generated, self.take, self.image, self.placement, noise_seed, gain)


def extend_take(job: ExtendJob, model: Model, report: Report = silent) -> RenderResult:
    """See `ExtendJob.run`."""
    clock = StageClock()
    known = prepare(job, model, clock, report)
    with clock.stage("sampler"):
        latents = sample_latents(
            model.family,
            known.features,
            known.plan,
            known.settings,
            [known.settings.seed],
            context=known.context,
            context_mask=known.context_mask,
            reference=known.reference,
            report=report,
        )[0]
    with temporary_beside(job.out, ".wav") as wav:
        with clock.stage("codec"):
            generated = generate(known, latents, known.settings, wav, report)
        with clock.stage("mux"):
            gain = generated_gain(generated, known.take, known.image, known.placement)
            as_generated = known.joined(generated, gain)
        blocks, notes = with_edits(known, as_generated, latents, gain, generated.peak, wav, clock, report)
        with clock.stage("mux"):
            finished = write(job, blocks, known.take, known.placement, report)
    return RenderResult(
        out=job.out,
        duration_s=known.placement.total / known.take.rate_hz,
        start_s=0.0,
        settings=known.settings,
        model=model.name,
        model_sha256=model.sha256,
        device=str(model.device),
        windows=known.plan.windows,
        cuts_s=known.analysis.cuts_s,
        labels=known.analysis.labels,
        events_s=known.analysis.events_s,
        stage_s=clock.spent_s,
        notes=job.take_notes() + notes + finished.notes,
        peak_dbtp=finished.peak_dbtp,
        lufs=finished.lufs,
        reference=job.take,
    )


def prepare(job: ExtendJob, model: Model, clock: StageClock, report: Report) -> Extension:
    """Read the take, watch the video and plan the windows; errors: FoleyError for a take that is silent."""
    settings, codec = replace(job.settings, context_s=CONTEXT_S, ride=0.0), model.codec
    check_prompt(settings, model)
    take = read_audio(job.take)
    if not np.abs(take.samples).max(initial=0.0) > 1e-4:
        raise FoleyError(f"{job.take} is silent: there is nothing to carry on", "Give another take")
    analysis = analyze_or_empty(job, model, clock, report)
    with clock.stage("features"):
        features = build_features(analysis.streams, model, settings)
    image = StereoImage.of(take.samples)
    mono = resample(image.to_mono(take.samples)[None], take.rate_hz, codec.rate_hz)[0]
    placement = locate_take(job, take, analysis.duration_s, model)
    n_steps = math.ceil(Fraction(placement.total, take.rate_hz) * codec.latent_rate_hz)
    if placement.loop_step is not None:
        n_steps = placement.loop_step + round(LOOP_S * codec.latent_rate_hz)
    with clock.stage("codec"):
        context, context_mask = known_track(mono, placement, n_steps, model)
        reference = characteristic_latents(mono, model)
    # Two seconds of context say how the take sounds: the reference is for windows that do not touch it.
    plan = plan_render(
        analysis.duration_s,
        model.family.spec,
        settings,
        cuts_s=analysis.cuts_s,
        n_reference=len(reference),
        repeat_reference=False,
        n_steps=n_steps,
    )
    return Extension(
        job=job,
        model=model,
        settings=settings,
        take=take,
        mono=mono,
        image=image,
        placement=placement,
        analysis=analysis,
        features=features,
        context=context,
        context_mask=context_mask,
        reference=reference,
        plan=plan,
    )


def generate(known: Extension, latents: Tensor, settings: Settings, wav: Path, report: Report) -> GeneratedTrack:
    """A latent track [L, D] as sound, with what of the take is laid beside it under these settings."""
    beside = continuation_of(known.mono, known.take, known.placement, known.analysis, settings, known.model)
    return write_generated(
        latents, known.take.rate_hz, known.image, wav, beside=beside, model=known.model, report=report
    )


def with_edits(
    known: Extension,
    blocks: Iterable[np.ndarray],
    latents: Tensor,
    gain: np.ndarray,
    loudest: float,
    wav: Path,
    clock: StageClock,
    report: Report,
) -> tuple[Iterable[np.ndarray], tuple[str, ...]]:
    """The result in blocks [C, n] with the spans of the job's edits made anew, one after the other, and notes.

    latents   [L, D] of what is generated
    gain      float32 [C, 1] of it
    loudest   its peak, which the whole keeps
    wav       where it is decoded to
    """
    job = known.job
    notes: tuple[str, ...] = ()
    for k, edit in enumerate(job.edits, start=1):
        with clock.stage("mux"):
            is_last = k == len(job.edits)
            sound, notes = _before_edit(
                job, blocks, known.take, known.placement, wav.with_name(f"{k}.wav"), is_last=is_last
            )
        own = replace(edit.with_words(known.settings), seed=edit.seed)
        with clock.stage("sampler"):
            latents = inpainted(
                latents,
                (edit.start_s, edit.end_s),
                family=known.model.family,
                features=build_features(known.analysis.streams, known.model, own),
                settings=own,
                cuts_s=known.analysis.cuts_s,
                reference=known.reference,
                repeat_reference=False,
                always_known=known.context_mask,
                report=report,
            )
        with clock.stage("codec"):
            generated = generate(known, latents, own, wav, report)
        with clock.stage("mux"):
            softer = gain * min(1.0, loudest / max(generated.peak, 1e-9))
            blocks = _spliced(sound, known.joined(generated, softer), known.take, edit)
    return blocks, notes


def _before_edit(
    job: ExtendJob, blocks: Iterable[np.ndarray], take: Audio, placement: TakePlacement, wav: Path, *, is_last: bool
) -> tuple[Path, tuple[str, ...]]:
    """The samples that a span is put into, as a float WAV, and notes.

    Of the last edit they are those of the result itself, where it gives them back; else the same made again.
    """
    _write_float(map(as_24_bit, blocks) if _is_24_bit(job, take) else blocks, take, wav)
    kept = job.kept if is_last else None
    if kept is None:
        return wav, ()
    if is_lossless(kept):
        decoded = wav.with_name("kept.wav")
        decode_lossless(kept, decoded, "pcm_f32le")
        facts = soundfile.info(decoded)
        if (facts.samplerate, facts.frames) == (take.rate_hz, placement.total):
            return decoded, ()
    again = wav.with_name(f"again{kept.suffix}")
    write(replace(job, out=again, overwrite=True), wav_blocks(wav), take, placement, silent)
    return wav, () if sha256_of(again) == sha256_of(kept) else (UNLIKE.format(kept.name),)


def _spliced(sound: Path, new: Iterable[np.ndarray], take: Audio, edit: SpanEdit) -> Iterator[np.ndarray]:
    """The result in blocks [C, n], with new samples in the span of an edit."""
    fresh, out = sound.with_name("fresh.wav"), sound.with_name("spliced.wav")
    _write_float(new, take, fresh)
    splice(sound, fresh, out, edit.start_s, edit.end_s, subtype="FLOAT")
    return wav_blocks(out)


def _write_float(blocks: Iterable[np.ndarray], take: Audio, wav: Path) -> None:
    """Blocks [C, n] to a float WAV with the take's rate and channels."""
    with SoundWriter(wav, take.rate_hz, take.samples.shape[0]) as writer:
        for block in blocks:
            writer.write(block if len(block) > 1 else block[0])


def as_24_bit(block: np.ndarray) -> np.ndarray:
    """Samples as a file of 24 bit gives them back, float32."""
    return (np.clip(np.rint(block * 2.0**23), -(2**23), 2**23 - 1) / 2**23).astype(np.float32)


def _is_24_bit(job: ExtendJob, take: Audio) -> bool:
    """Whether a result is made of samples of 24 bit: a file without losses, or a video."""
    if is_video_name(job.out) or job.out.suffix.lower() == ".wav":
        return not _is_float(job.take, take)
    return job.out.suffix.lower() == ".flac"


def _is_float(path: Path, take: Audio) -> bool:
    """Whether a take goes on as 32 bit float where the result is a WAV: it is so itself, or above full scale."""
    return is_float_file(path) or float(np.abs(take.samples).max()) > 1


def wav_blocks(wav: Path) -> Iterator[np.ndarray]:
    """A WAV in blocks [C, n]."""
    with soundfile.SoundFile(wav) as file:
        for block in file.blocks(round(BLOCK_S * file.samplerate), dtype="float32", always_2d=True):
            yield block.T


def analyze_or_empty(job: ExtendJob, model: Model, clock: StageClock, report: Report) -> VideoAnalysis:
    """What the video shows; without one, nothing but the wanted length."""
    if job.video is None:
        return VideoAnalysis(duration_s=job.length_s())
    return analyze(job.video, model, detect_cuts=job.settings.cuts, clock=clock, report=report)


def locate_take(job: ExtendJob, take: Audio, total_s: float, model: Model) -> TakePlacement:
    """The take's place on the latent grid; its first sample seldom falls on the beginning of a step."""
    codec = model.codec
    before, total = round(job.at_s * take.rate_hz), round(total_s * take.rate_hz)
    start, end = (round(n / take.rate_hz * codec.rate_hz) for n in (before, total))
    placement = TakePlacement(before, total, start // codec.hop, start % codec.hop, None)
    return replace(placement, loop_step=end // codec.hop, loop_lead=end % codec.hop) if job.loop else placement


def known_track(mono: np.ndarray, placement: TakePlacement, n_steps: int, model: Model) -> tuple[Tensor, Tensor]:
    """The track [L, D] with the latents of a take [N] on it, and which steps they are, bool [L].

    After the end of a loop the take comes a second time: what is generated before must lead up to it.
    """
    track = torch.zeros(n_steps, model.codec.latent_dim)
    is_known = torch.zeros(n_steps, dtype=torch.bool)
    write_latents(mono, placement.first_step, placement.lead, track, is_known, model)
    if placement.loop_step is not None:
        again = mono[: round(2 * LOOP_S * model.codec.rate_hz)]
        write_latents(again, placement.loop_step, placement.loop_lead, track, is_known, model)
    return track, is_known


def write_latents(mono: np.ndarray, step: int, lead: int, track: Tensor, is_known: Tensor, model: Model) -> None:
    """Put a sound's latents on the track, from `lead` samples after the beginning of `step`.

    Steps that the sound fills only in part stay unknown: what is generated must lead up to it there.  For the
    codec the sound goes on as in a mirror, because an end in silence would be known as silence.
    """
    hop = model.codec.hop
    latents = encode_audio(np.pad(mono, (lead, 4 * hop), mode="symmetric"), model)  # [l, D]
    first, n_full = int(lead > 0), min((lead + len(mono)) // hop, len(track) - step)
    if n_full > first:
        track[step + first : step + n_full] = latents[first:n_full]
        is_known[step + first : step + n_full] = True


def characteristic_latents(mono: np.ndarray, model: Model) -> Tensor:
    """Up to 2 s of a take [N] for windows that do not touch it."""
    start = round(characteristic_start_s(mono, model.codec.rate_hz, CONTEXT_S) * model.codec.rate_hz)
    return encode_audio(mono[start : start + round(CONTEXT_S * model.codec.rate_hz)], model)


def continuation_of(
    mono: np.ndarray, take: Audio, placement: TakePlacement, analysis: VideoAnalysis, settings: Settings, model: Model
) -> Continuation | None:
    """What of a take [N] at the codec's rate is laid where it goes on; None where only the model is heard."""
    if settings.engine == "flow":
        return None
    start_s, total_s = placement.before / take.rate_hz, placement.total / take.rate_hz
    return continue_take(
        mono,
        model.codec.rate_hz,
        Span(start_s, start_s + take.duration_s, total_s if placement.loop_step is not None else None),
        analysis,
        model.sync,
        n_samples=seconds_to_samples(total_s, model.codec.rate_hz),
        seed=settings.seed,
        with_model=settings.engine == "both",
    )


@dataclass(frozen=True)
class GeneratedTrack:
    """What was generated for the whole track, in a file at the take's rate: one channel, or two that differ."""

    path: Path
    rate_hz: int
    peak: float

    def read(self, span: slice) -> np.ndarray:
        """Some of its samples, float32 [1 or 2, n]; none beyond its end."""
        with soundfile.SoundFile(self.path) as file:
            start = min(span.start, file.frames)
            file.seek(start)
            return file.read(max(0, span.stop - start), dtype="float32", always_2d=True).T


def write_generated(
    latents: Tensor,
    rate_hz: int,
    image: StereoImage,
    path: Path,
    *,
    beside: Continuation | None,
    model: Model,
    report: Report,
) -> GeneratedTrack:
    """Decode a latent track [L, D] to a file at the take's rate and as wide as the take, piece by piece."""
    resampler = soxr.ResampleStream(model.codec.rate_hz, rate_hz, 1, dtype="float32")
    decorrelator = Decorrelator(rate_hz, low_cut=False)
    peak = 0.0
    with temporary_beside(path, ".wav") as decoded, SoundWriter(path, rate_hz, channels=2 if image.side else 1) as out:
        decode_to_wav(model, latents, decoded, report)

        def model_blocks() -> Iterator[np.ndarray]:
            with soundfile.SoundFile(decoded) as file:
                yield from file.blocks(block_samples(model.codec.rate_hz), dtype="float32")

        blocks = model_blocks() if beside is None else beside.mixed(model_blocks)
        for samples in chain(blocks, [np.zeros(0, np.float32)]):
            piece = image.spread(resampler.resample_chunk(samples, last=not len(samples)), decorrelator)
            peak = max(peak, float(np.abs(piece).max(initial=0.0)))
            out.write(piece)
    return GeneratedTrack(path, rate_hz, peak)


def generated_gain(generated: GeneratedTrack, take: Audio, image: StereoImage, placement: TakePlacement) -> np.ndarray:
    """What generated sound is multiplied with in each channel to go with the take, float32 [C, 1]: see `gains`."""
    n_take = min(take.samples.shape[1], placement.total - placement.before)
    samples = take.samples[:, :n_take]  # [C, n_take]
    covered = generated.read(slice(placement.before, placement.before + n_take))
    return image.signs * gains(generated.peak, samples, image.to_mono(samples), covered)


def joined(
    generated: GeneratedTrack,
    take: Audio,
    image: StereoImage,
    placement: TakePlacement,
    noise_seed: int | None,
    gain: np.ndarray,
) -> Iterator[np.ndarray]:
    """The result in blocks [C, n]: generated before, the take as it was, generated after.

    noise_seed   of the take's room noise, which goes on as far as what is generated has none; None: it does not
    gain         float32 [C, 1] of what is generated
    """
    n_take = min(take.samples.shape[1], placement.total - placement.before)
    end = placement.before + n_take
    samples = take.samples[:, :n_take]  # [C, n_take]
    rest = samples - gain * generated.read(slice(placement.before, end))
    noise = None
    if noise_seed is not None:
        noise = missing_noise(generated, gain, take, placement, end, np.random.default_rng((noise_seed, 31)))
    for span in spans(0, placement.before, generated.rate_hz):
        block = gain * generated.read(span)
        at_take = span.stop == placement.before
        block = with_noise(block, noise, take, image, fades_out=at_take)
        yield joined_before(block, rest, generated.rate_hz) if at_take else block
    yield samples
    for span in spans(end, placement.total, generated.rate_hz):
        block = gain * generated.read(span)
        is_loop_end = span.stop == placement.total and placement.loop_step is not None
        block = with_noise(block, noise, take, image, fades_in=span.start == end, fades_out=is_loop_end)
        if span.start == end:
            block = joined_after(block, rest, generated.rate_hz)
        if is_loop_end:
            again = gain * generated.read(
                slice(placement.total, placement.total + n_take)
            )  # what would come next: the take
            block = joined_before(block, samples[:, : again.shape[1]] - again, generated.rate_hz)
        yield block


def missing_noise(
    generated: GeneratedTrack,
    gain: np.ndarray,
    take: Audio,
    placement: TakePlacement,
    end: int,
    rng: np.random.Generator,
) -> NoiseStream | None:
    """The take's room noise as far as what is generated next to it has none; None: nothing is missing."""
    n = round(NOISE_S * take.rate_hz)
    beside = slice(end, min(placement.total, end + n))
    if beside.start >= beside.stop:  # the take ends the result
        beside = slice(max(0, placement.before - n), placement.before)
    if beside.start >= beside.stop:
        return None
    own = RoomNoise.of(take.samples[:, -n:], take.rate_hz)
    missing = own.beyond(RoomNoise.of(gain * generated.read(beside), take.rate_hz))
    return NoiseStream(missing, rng) if missing.rms() > LEAST_NOISE else None


def with_noise(
    block: np.ndarray,
    noise: NoiseStream | None,
    take: Audio,
    image: StereoImage,
    *,
    fades_in: bool = False,
    fades_out: bool = False,
) -> np.ndarray:
    """A block [C, n] with the next noise under it, faded next to the take; silent channels stay silent.

    Peaks bend below full scale or the take's own peak.
    """
    if noise is None:
        return block
    n = block.shape[1]
    level, n_fade = np.ones(n, np.float32), min(n, round(FADE_S * take.rate_hz))
    rise = np.sin(np.linspace(0, np.pi / 2, n_fade, dtype=np.float32))
    if fades_in:
        level[:n_fade] *= rise
    if fades_out:
        level[n - n_fade :] *= rise[::-1]
    ceiling = max(1.0, float(np.abs(take.samples).max()))
    return ceiling * soft_limit((block + noise.next(n) * level * image.is_heard) / ceiling)


def spans(start: int, stop: int, rate_hz: int) -> Iterator[slice]:
    """A stretch of samples in blocks, none of them short: a seam's fade is within one."""
    n = max(1, int((stop - start) / (BLOCK_S * rate_hz)))
    edges = [start + (stop - start) * k // n for k in range(n + 1)]
    return (slice(a, b) for a, b in zip(edges, edges[1:], strict=False) if b > a)


def gains(peak: float, samples: np.ndarray, mono: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """What generated sound is multiplied with in each channel of a take [C, n], float32 [C, 1].

    Each channel goes on at its own level: a take that leans to one side goes on leaning, and a silent channel stays
    silent.  None gets louder than full scale or the take's own peak: nothing is clipped.  `mono` [n] is
    the mean of the take's channels, `covered` [1 or 2, n] was generated at its place.
    """
    ceiling = max(0.89, float(np.abs(samples).max()))
    matched = channel_gains(samples, mono, covered)
    return (matched * min(1.0, ceiling / max(peak * float(matched.max()), 1e-9)))[:, None]


def write(
    job: ExtendJob, blocks: Iterable[np.ndarray], take: Audio, placement: TakePlacement, report: Report
) -> FinishedSound:
    """The result to its file; WAV and FLAC keep the take's samples, rate and channels."""
    needed_bytes = job.needed_bytes()
    if job.video is None or not is_video_name(job.out):
        with replacing(job.out, overwrite=job.overwrite, needed_bytes=needed_bytes) as out:
            return write_sound_file(
                blocks, job.take, take, out, n_samples=placement.total, n_before=placement.before, report=report
            )
    with (
        temporary_beside(job.out, ".wav", needed_bytes) as wav,
        replacing(job.out, overwrite=job.overwrite, needed_bytes=needed_bytes) as out,
    ):
        write_sound_file(
            blocks, job.take, take, wav, n_samples=placement.total, n_before=placement.before, report=report
        )
        muxed = mux(job.video, wav, out, report=report)
        return FinishedSound(muxed.peak_dbtp, None, 0.0, muxed.lowered_db, job.video.notes + muxed.notes)


def write_continued(
    blocks: Iterable[np.ndarray],
    take: Audio,
    out: Path,
    facts: BwfFacts,
    *,
    n_before: int,
    is_float: bool,
    channel_mask: int,
) -> None:
    """A broadcast WAV that goes on from another: all that it says stays, and the take's samples stay at their time."""
    assert facts.bext is not None
    channels, rate_hz = take.samples.shape[0], take.rate_hz
    bext = facts.bext
    if n_before:  # what is generated before the take makes the file begin so much earlier, before midnight even
        bext = replace(bext, time_reference=(bext.time_reference - n_before) % samples_a_day(rate_hz))
    coding = coding_line(rate_hz, 32 if is_float else 24, channels, "foley extend")
    history = bext.coding_history
    bext = replace(bext, coding_history=history + "\r\n" * bool(history and not history.endswith("\n")) + coding)
    ixml = moved_ixml(facts.ixml, bext.time_reference, rate_hz) if n_before and facts.ixml else facts.ixml
    with BwfWriter(
        out,
        rate_hz=rate_hz,
        channels=channels,
        bext=bext,
        ixml=ixml,
        sample_format="float32" if is_float else "pcm24",
        channel_mask=channel_mask,
    ) as writer:
        for block in blocks:
            writer.write(block)
    stamp_loudness(out, measure_file(out))


def write_sound_file(
    blocks: Iterable[np.ndarray],
    path: Path,
    take: Audio,
    out: Path,
    *,
    n_samples: int,
    n_before: int,
    report: Report,
) -> FinishedSound:
    """WAV or FLAC sample for sample; other formats through ffmpeg, under its -1 dBTP ceiling.

    A broadcast WAV stays one, with its texts and its place in the day.
    """
    if out.suffix.lower() in LOSSLESS:
        is_float, mask = _is_float(path, take), channel_mask(path)
        facts = read_bwf(path)
        if facts.bext is not None and out.suffix.lower() == ".wav":
            write_continued(blocks, take, out, facts, n_before=n_before, is_float=is_float, channel_mask=mask)
            return FinishedSound(None, None, 0.0, 0.0)
        write_lossless(blocks, take, out, is_float=is_float, channel_mask=mask)
        notes = ("a .flac has no place for the take's bext: it is not kept",) if facts.bext is not None else ()
        return FinishedSound(None, None, 0.0, 0.0, notes)
    form = {"samplerate": take.rate_hz, "channels": take.samples.shape[0]}
    with temporary_beside(out, ".wav") as wav:
        with soundfile.SoundFile(wav, "w", **form, subtype="FLOAT", format="RF64") as file:
            for block in blocks:
                file.write(block.T)
        channels = min(form["channels"], 2)
        rate_hz = take.rate_hz if take.rate_hz in LOSSY_RATES_HZ else 48000
        length = seconds_to_samples(n_samples / take.rate_hz, rate_hz)
        return finish_sound(wav, out, rate_hz=rate_hz, channels=channels, n_samples=length, report=report)
