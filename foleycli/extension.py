"""`extend`: a take in, the take and what follows it (and leads up to it) out.

The take's latents are known steps of the track, so that every window that touches them goes on in its
timbre, room and level; what is decoded is brought to the take's level and joined to the real take, whose
samples are written as they were.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor

from foleycli.errors import FoleyError
from foleycli.media.audio import read_audio, resample
from foleycli.media.finish import FinishedSound, finish_sound
from foleycli.media.mux import mux
from foleycli.media.output import is_video_name, replacing, temporary_beside
from foleycli.media.part import Part
from foleycli.model import Model
from foleycli.pipeline import Clock, ExtendJob, Made, Watched, encode, features_of, watch_video, windows_of
from foleycli.records import Audio, Report, silent
from foleycli.reference import characteristic_start_s, joined_after, joined_before, matching_gain
from foleycli.timebase import seconds_to_samples, steps_to_cover
from foleycli.windows.compose import compose, decode_chunks

EXTRA_S = 10.0  # without --duration
CONTEXT_S = 2.0  # of the take that each window goes on from: as much as SALSA-V is trained on
LOOP_S = 1.0  # of the beginning that the end of a loop leads up to
SUBTYPES = {".wav": "PCM_24", ".flac": "PCM_24"}
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
    clock, settings, codec = Clock(), replace(job.settings, context_s=CONTEXT_S), model.codec
    take = read_audio(job.take)  # [C, N] at its own rate
    if not np.abs(take.samples).max(initial=0.0) > 1e-4:
        raise FoleyError(f"{job.take} is silent: there is nothing to carry on", "give another take")
    watched, total_s = look(job, take, model, clock, report)
    place = placed(job, take, total_s, model)
    n_steps = steps_to_cover(place.total / take.rate_hz, codec.latent_rate_hz)
    if place.loop_step is not None:
        n_steps = place.loop_step + round(LOOP_S * codec.latent_rate_hz)
    with clock.stage("codec"):
        known, is_known = known_track(take, place, n_steps, model)
        reference = characteristic_latents(take, model)
    windows = windows_of(n_steps, model, settings, watched.cuts_s, reference)
    with clock.stage("sampler"):
        latents = compose(model.family, watched.features, windows, settings, known, is_known, reference, report)
    with clock.stage("codec"):
        made = decoded(latents, take, model, report)
        result = joined(made, take, place)
    with clock.stage("mux"):
        finished = write(job, result, report)
    duration_s = place.total / take.rate_hz
    return Made(
        job.out, duration_s, 0.0, settings, model.name, model.sha256, str(model.device), windows, watched.cuts_s,
        watched.seen, watched.events_s, clock.spent_s, finished.peak_dbtp, finished.lufs,
    )  # fmt: skip


def look(job: ExtendJob, take: Audio, model: Model, clock: Clock, report: Report) -> tuple[Watched, float]:
    """What the video shows and how long it is; without one, the prompt alone and the asked length."""
    if job.video is None:
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


def decoded(latents: Tensor, take: Audio, model: Model, report: Report) -> np.ndarray:
    """The whole track as mono sound [N] at the take's rate."""
    pieces, n_made = [], 0
    report("codec", 0, len(latents))
    for samples in decode_chunks(model.codec, latents.to(model.device)):
        pieces.append(samples.float().cpu().numpy())
        n_made += len(samples) // model.codec.hop
        report("codec", n_made, len(latents))
    return soxr.resample(np.concatenate(pieces), model.codec.rate_hz, take.rate_hz).astype(np.float32)


def joined(made: np.ndarray, take: Audio, place: Place) -> Audio:
    """The result [C, total]: made before, the take as it was, made after."""
    n_take = min(take.samples.shape[1], place.total - place.before)
    end = place.before + n_take
    samples = take.samples[:, :n_take]  # [C, n_take]
    made = made * gains(made, samples, slice(place.before, end))  # [C, N]
    rest = samples - made[:, place.before : end]
    before = joined_before(made[:, : place.before], rest, take.rate_hz)
    after = joined_after(made[:, end : place.total], rest, take.rate_hz)
    if place.loop_step is not None:
        again = made[:, place.total : place.total + n_take]  # what would come next: the take's beginning
        after = joined_before(after, samples[:, : again.shape[1]] - again, take.rate_hz)
    return Audio(np.concatenate([before, samples, after], axis=1), take.rate_hz)


def gains(made: np.ndarray, samples: np.ndarray, covered: slice) -> np.ndarray:
    """What made mono [N] is multiplied with in each channel of a take [C, n], float32 [C, 1].

    Each channel goes on at its own level (a take that leans to one side goes on leaning), but no louder than
    full scale or the take's own peak: nothing is clipped.
    """
    ceiling = max(0.89, float(np.abs(samples).max()))
    loudest = ceiling / max(float(np.abs(made).max(initial=0.0)), 1e-9)
    matched = [min(matching_gain(channel, made[covered]), loudest) for channel in samples]
    return np.array(matched, np.float32)[:, None]


def write(job: ExtendJob, result: Audio, report: Report) -> FinishedSound:
    """The result to its file; WAV and FLAC keep the take's samples, rate and channels."""
    if not is_video_name(job.out):
        with replacing(job.out) as out:
            return write_sound_file(result, out, report)
    with temporary_beside(job.out, ".wav") as wav, replacing(job.out) as out:
        write_sound_file(result, wav, report)
        muxed = mux(job.video, wav, out, report=report)
        return FinishedSound(muxed.peak_dbtp, None, 0.0, muxed.lowered_db)


def write_sound_file(result: Audio, out: Path, report: Report) -> FinishedSound:
    """24 bit WAV or FLAC sample for sample; other formats through ffmpeg, under its -1 dBTP ceiling."""
    subtype = SUBTYPES.get(out.suffix.lower())
    if subtype:
        # As whole numbers: libsndfile scales float by 2^23 - 1, which would move samples by one.
        whole = np.clip(np.round(result.samples.T * 2.0**23), -(2**23), 2**23 - 1).astype(np.int32) << 8
        soundfile.write(out, whole, result.rate_hz, subtype=subtype, format=out.suffix[1:].upper())
        return FinishedSound(None, None, 0.0, 0.0)
    with temporary_beside(out, ".wav") as wav:
        soundfile.write(wav, result.samples.T, result.rate_hz, subtype="FLOAT")
        channels = min(result.samples.shape[0], 2)
        rate_hz = result.rate_hz if result.rate_hz in LOSSY_RATES_HZ else 48000
        n_samples = seconds_to_samples(result.duration_s, rate_hz)
        return finish_sound(wav, out, rate_hz=rate_hz, channels=channels, n_samples=n_samples, report=report)
