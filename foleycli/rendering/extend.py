"""`extend`: a take in, the take and what follows it (and leads up to it) out.

The take's latents are known steps of the track, so that every window that touches them goes on in its
timbre, room and level; what is decoded is brought to the take's level and joined to the real take, whose
samples are written as they were.  What is made lies in a file meanwhile: memory does not grow with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor

from foleycli.dsp.joining import characteristic_start_s, joined_after, joined_before, matching_gain
from foleycli.errors import FoleyError
from foleycli.media.audio import SoundWriter, read_audio, resample
from foleycli.media.finish import FinishedSound, finish_sound
from foleycli.media.mux import mux
from foleycli.media.output import is_video_name, replacing, temporary_beside
from foleycli.media.part import Part
from foleycli.models.model import Model
from foleycli.records import Audio, Report, silent
from foleycli.rendering.render import Clock, ExtendJob, Made, Watched, encode, features_of, watch_video, windows_of
from foleycli.timebase import seconds_to_samples
from foleycli.windows.compose import compose, decode_chunks

EXTRA_S = 10.0  # without --duration
CONTEXT_S = 2.0  # of the take that each window goes on from: as much as SALSA-V is trained on
LOOP_S = 1.0  # of the beginning that the end of a loop leads up to
SUBTYPES = {".wav": "PCM_24", ".flac": "PCM_24"}
BLOCK_S = 10.0  # of the result that are in memory at once
LOSSY_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # what MP3 takes


@dataclass(frozen=True)
class Place:
    """Where the take lies on the track, in samples of the codec's rate and of the take's own."""

    before: int  # samples of the take's own rate that are made before it
    total: int  # length of the result at the take's own rate
    first_step: int  # the latent step in which it begins
    lead: int  # codec samples from that step's beginning to the take's
    loop_step: int | None  # of a loop, the step in which the take begins again; None: no loop
    loop_lead: int = 0


def extend_take(job: ExtendJob, model: Model, report: Report = silent) -> Made:
    """See `pipeline.extend`."""
    clock, settings, codec = Clock(), replace(job.settings, context_s=CONTEXT_S, ride=0.0), model.codec
    take = read_audio(job.take)  # [C, N] at its own rate
    if not np.abs(take.samples).max(initial=0.0) > 1e-4:
        raise FoleyError(f"{job.take} is silent: there is nothing to carry on", "give another take")
    watched, total_s = look(job, take, model, clock, report)
    place = placed(job, take, total_s, model)
    n_steps = math.ceil(Fraction(place.total, take.rate_hz) * codec.latent_rate_hz)
    if place.loop_step is not None:
        n_steps = place.loop_step + round(LOOP_S * codec.latent_rate_hz)
    with clock.stage("codec"):
        known, is_known = known_track(take, place, n_steps, model)
        reference = characteristic_latents(take, model)
    # Two seconds of context say how the take sounds: the reference is for windows that do not touch it.
    windows = windows_of(n_steps, model, settings, watched.cuts_s, reference, is_heard_again=False)
    with clock.stage("sampler"):
        latents = compose(model.family, watched.features, windows, settings, known, is_known, reference, report)
    with temporary_beside(job.out, ".wav") as made_wav:
        with clock.stage("codec"):
            made = write_made(latents, take.rate_hz, made_wav, model, report)
        with clock.stage("mux"):
            finished = write(job, joined(made, take, place), take, place.total, report)
    duration_s = place.total / take.rate_hz
    return Made(
        job.out, duration_s, 0.0, settings, model.name, model.sha256, str(model.device), windows, watched.cuts_s,
        watched.seen, watched.events_s, clock.spent_s, finished.peak_dbtp, finished.lufs, timbre_of=job.take,
    )  # fmt: skip


def look(job: ExtendJob, take: Audio, model: Model, clock: Clock, report: Report) -> tuple[Watched, float]:
    """What the video shows and how long it is; without one, the prompt alone and the asked length."""
    if job.video is None:
        with clock.stage("features"):
            features = features_of({}, model, job.settings)
        return Watched(features, [], [], []), job.duration_s or take.duration_s + EXTRA_S
    part = Part(0.0, job.video.duration_s)
    return watch_video(job.video, part, model, job.settings, clock, report), job.video.duration_s


def placed(job: ExtendJob, take: Audio, total_s: float, model: Model) -> Place:
    """The take's place on the latent grid; its first sample seldom falls on the beginning of a step."""
    codec = model.codec
    before, total = round(job.at_s * take.rate_hz), round(total_s * take.rate_hz)
    start, end = (round(n / take.rate_hz * codec.rate_hz) for n in (before, total))
    place = Place(before, total, start // codec.hop, start % codec.hop, None)
    return replace(place, loop_step=end // codec.hop, loop_lead=end % codec.hop) if job.loop else place


def known_track(take: Audio, place: Place, n_steps: int, model: Model) -> tuple[Tensor, Tensor]:
    """The track [L, D] with the take's latents on it, and which steps they are, bool [L].

    After the end of a loop the take stands a second time: what is made before must lead up to it.
    """
    known = torch.zeros(n_steps, model.codec.latent_dim)
    is_known = torch.zeros(n_steps, dtype=torch.bool)
    mono = mono_at(take, model.codec.rate_hz)
    lay(mono, place.first_step, place.lead, known, is_known, model)
    if place.loop_step is not None:
        again = mono[: round(2 * LOOP_S * model.codec.rate_hz)]
        lay(again, place.loop_step, place.loop_lead, known, is_known, model)
    return known, is_known


def lay(mono: np.ndarray, step: int, lead: int, known: Tensor, is_known: Tensor, model: Model) -> None:
    """Put a sound's latents on the track, from `lead` samples after the beginning of `step`.

    Steps that the sound fills only in part stay unknown: what is made must lead up to it there.  For the
    codec the sound goes on as in a mirror, because an end in silence would be known as silence.
    """
    hop = model.codec.hop
    latents = encode(np.pad(mono, (lead, 4 * hop), mode="symmetric"), model)  # [l, D]
    first, n_full = int(lead > 0), min((lead + len(mono)) // hop, len(known) - step)
    if n_full > first:
        known[step + first : step + n_full] = latents[first:n_full]
        is_known[step + first : step + n_full] = True


def characteristic_latents(take: Audio, model: Model) -> Tensor:
    """Up to 2 s of the take for windows that do not touch it."""
    mono = mono_at(take, model.codec.rate_hz)
    start = round(characteristic_start_s(mono, model.codec.rate_hz, CONTEXT_S) * model.codec.rate_hz)
    return encode(mono[start : start + round(CONTEXT_S * model.codec.rate_hz)], model)


def mono_at(take: Audio, rate_hz: int) -> np.ndarray:
    return resample(take.samples.mean(axis=0, keepdims=True), take.rate_hz, rate_hz)[0].astype(np.float32)


@dataclass(frozen=True)
class MadeTrack:
    """What was made for the whole track, mono, in a file at the take's rate."""

    path: Path
    rate_hz: int
    peak: float

    def read(self, span: slice) -> np.ndarray:
        """Some of its samples, float32 [1, n]; none beyond its end."""
        with soundfile.SoundFile(self.path) as file:
            start = min(span.start, file.frames)
            file.seek(start)
            return file.read(max(0, span.stop - start), dtype="float32")[None]


def write_made(latents: Tensor, rate_hz: int, path: Path, model: Model, report: Report) -> MadeTrack:
    """Decode a latent track [L, D] to a file at the take's rate, piece by piece."""
    resampler = soxr.ResampleStream(model.codec.rate_hz, rate_hz, 1, dtype="float32")
    peak, n_decoded = 0.0, 0
    report("codec", 0, len(latents))
    with SoundWriter(path, rate_hz) as writer:
        for samples in decode_chunks(model.codec, latents.to(model.device)):
            n_decoded += len(samples) // model.codec.hop
            is_last = n_decoded == len(latents)
            piece = resampler.resample_chunk(samples.float().cpu().numpy(), last=is_last)
            peak = max(peak, float(np.abs(piece).max(initial=0.0)))
            writer.write(piece)
            report("codec", n_decoded, len(latents))
    return MadeTrack(path, rate_hz, peak)


def joined(made: MadeTrack, take: Audio, place: Place) -> Iterator[np.ndarray]:
    """The result in blocks [C, n]: made before, the take as it was, made after."""
    n_take = min(take.samples.shape[1], place.total - place.before)
    end = place.before + n_take
    samples = take.samples[:, :n_take]  # [C, n_take]
    covered = made.read(slice(place.before, end))
    gain = gains(made.peak, samples, covered)  # [C, 1]
    rest = samples - gain * covered
    for span in spans(0, place.before, made.rate_hz):
        block = gain * made.read(span)
        yield joined_before(block, rest, made.rate_hz) if span.stop == place.before else block
    yield samples
    for span in spans(end, place.total, made.rate_hz):
        block = gain * made.read(span)
        if span.start == end:
            block = joined_after(block, rest, made.rate_hz)
        if span.stop == place.total and place.loop_step is not None:
            again = gain * made.read(slice(place.total, place.total + n_take))  # what would come next: the take
            block = joined_before(block, samples[:, : again.shape[1]] - again, made.rate_hz)
        yield block


def spans(start: int, stop: int, rate_hz: int) -> Iterator[slice]:
    """A stretch of samples in blocks, none of them short: a seam's fade lies within one."""
    n = max(1, int((stop - start) / (BLOCK_S * rate_hz)))
    edges = [start + (stop - start) * k // n for k in range(n + 1)]
    return (slice(a, b) for a, b in zip(edges, edges[1:], strict=False) if b > a)


def gains(peak: float, samples: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """What made mono sound is multiplied with in each channel of a take [C, n], float32 [C, 1].

    Each channel goes on at its own level (a take that leans to one side goes on leaning), but no louder than
    full scale or the take's own peak: nothing is clipped.  `covered` [1, n] was made where the take lies.
    """
    ceiling = max(0.89, float(np.abs(samples).max()))
    loudest = ceiling / max(peak, 1e-9)
    matched = [min(matching_gain(channel, covered[0]), loudest) for channel in samples]
    return np.array(matched, np.float32)[:, None]


def write(job: ExtendJob, blocks: Iterable[np.ndarray], take: Audio, n_samples: int, report: Report) -> FinishedSound:
    """The result to its file; WAV and FLAC keep the take's samples, rate and channels."""
    if not is_video_name(job.out):
        with replacing(job.out) as out:
            return write_sound_file(blocks, take, n_samples, out, report)
    with temporary_beside(job.out, ".wav") as wav, replacing(job.out) as out:
        write_sound_file(blocks, take, n_samples, wav, report)
        muxed = mux(job.video, wav, out, report=report)
        return FinishedSound(muxed.peak_dbtp, None, 0.0, muxed.lowered_db)


def write_sound_file(
    blocks: Iterable[np.ndarray], take: Audio, n_samples: int, out: Path, report: Report
) -> FinishedSound:
    """24 bit WAV or FLAC sample for sample; other formats through ffmpeg, under its -1 dBTP ceiling."""
    form = {"samplerate": take.rate_hz, "channels": take.samples.shape[0]}
    subtype = SUBTYPES.get(out.suffix.lower())
    if subtype:
        with soundfile.SoundFile(out, "w", **form, subtype=subtype, format=out.suffix[1:].upper()) as file:
            for block in blocks:
                # As whole numbers: libsndfile scales float by 2^23 - 1, which would move samples by one.
                whole = np.clip(np.round(block.T * 2.0**23), -(2**23), 2**23 - 1).astype(np.int32) << 8
                file.write(whole)
        return FinishedSound(None, None, 0.0, 0.0)
    with temporary_beside(out, ".wav") as wav:
        with soundfile.SoundFile(wav, "w", **form, subtype="FLOAT", format="RF64") as file:
            for block in blocks:
                file.write(block.T)
        channels = min(form["channels"], 2)
        rate_hz = take.rate_hz if take.rate_hz in LOSSY_RATES_HZ else 48000
        length = seconds_to_samples(n_samples / take.rate_hz, rate_hz)
        return finish_sound(wav, out, rate_hz=rate_hz, channels=channels, n_samples=length, report=report)
