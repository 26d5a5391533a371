"""One video in, its sound out: the only module where the stages meet.

video -> frames -> features -> windows -> sampler -> latents -> codec -> audio -> mux
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from foleycli.device import oom_as_foley_error
from foleycli.dsp.joining import characteristic_start_s
from foleycli.errors import FoleyError
from foleycli.features.base import Extractor
from foleycli.features.cuts import CutDetector, cut_times
from foleycli.features.extract import extract_features
from foleycli.features.tagger import labels_of
from foleycli.library.library import NEAR, SEEN_NEAR, SHIPPED_LIBRARY, open_library
from foleycli.media.audio import SoundWriter, read_audio
from foleycli.media.finish import FinishedSound, finish_sound
from foleycli.media.frames import grid_length, read_frames
from foleycli.media.mux import mux
from foleycli.media.output import files_of_takes, is_video_name, replacing, temporary_beside
from foleycli.media.part import Part, copyable_part
from foleycli.models.model import Model, load_model
from foleycli.records import Features, Report, Stream, Video, Window, silent
from foleycli.rendering.output import apply_gain_riding
from foleycli.settings.settings import Settings
from foleycli.timebase import FEATURE_FPS, seconds_to_samples, step_at, steps_to_cover
from foleycli.windows.compose import compose, decode_chunks
from foleycli.windows.plan import windows_for

SURELY_SEEN = 0.3  # from here on a recording of what is seen may stand for it

__all__ = ["ExtendJob", "Made", "Model", "RenderJob", "extend", "load_model", "render", "render_takes"]


@dataclass(frozen=True)
class RenderJob:
    """All that `render` needs to know, checked before a model is loaded."""

    video: Video
    out: Path  # a video or a sound file, by its ending
    settings: Settings
    start_s: float = 0.0  # part of the video, from its first picture
    duration_s: float | None = None  # None: to the end
    reference: Path | None = None  # a sound whose timbre is taken on
    ref_start_s: float | None = None  # None: its most characteristic part
    sounds: Path | None = None  # a folder of recordings, in place of the shipped library
    takes: int = 1  # so many are made, each with the seed after the one before
    pick_best: bool = False  # of several keep only the best, as `out`

    @property
    def outs(self) -> list[Path]:
        """The files that `render_takes` writes, the best take's first."""
        return files_of_takes(self.out, self.takes, self.pick_best)


@dataclass(frozen=True)
class ExtendJob:
    """All that `extend` needs to know."""

    take: Path
    video: Video | None
    out: Path
    settings: Settings
    at_s: float = 0.0  # where in the video the take stands
    duration_s: float | None = None  # without a video; None: 10 s more than the take
    loop: bool = False  # the end meets the beginning; without a video only


@dataclass(frozen=True)
class Made:
    """What came out, for the report and for `--json`; times count from `start_s` of the video."""

    out: Path
    duration_s: float
    start_s: float
    settings: Settings
    model: str
    model_sha256: str
    device: str
    windows: list[Window]
    cuts_s: list[float]
    seen: list[tuple[str, float]]  # sounding words and how sure, most sure first
    events_s: list[float]  # when the synchronisation encoder saw something sound
    stage_s: dict[str, float]  # seconds spent: decode, features, sampler, codec, mux
    peak_dbtp: float | None = None  # None: silence, or not measured
    lufs: float | None = None
    take: int | None = None  # rank among several, 1 for the best; their `stage_s` are of all together
    sync_score: float | None = None  # how well it fits the picture: comparable within one render
    timbre_of: Path | None = None  # the reference, given or found in a library


@dataclass
class Clock:
    """Seconds spent in each stage."""

    spent_s: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("decode", "features", "sampler", "codec", "mux"), 0.0)
    )

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.spent_s[name] += time.perf_counter() - began


@dataclass(frozen=True)
class Watched:
    """What a video shows."""

    features: Features
    cuts_s: list[float]
    seen: list[tuple[str, float]]
    events_s: list[float]
    streams: dict[str, Stream] = field(default_factory=dict)  # of every extractor, by its name


@dataclass(frozen=True)
class Planned:
    """What is known before the sampler begins."""

    part: Part
    watched: Watched
    n_steps: int  # of the latent track
    windows: list[Window]
    timbre_of: Path | None
    reference: Tensor | None  # [R, D] of it


@oom_as_foley_error()
@torch.inference_mode()
def render(job: RenderJob, model: Model, report: Report = silent) -> Made:
    """Make the sound of one video and write `job.out`; same settings, same seed, same bytes.

    Errors: FoleyError when the video or the reference cannot be read, or the output not be written.
    """
    clock = Clock()
    planned = watch_and_plan(job, model, clock, report)
    features, windows, nothing = planned.watched.features, planned.windows, unknown_track(planned.n_steps, model)
    with clock.stage("sampler"):
        latents = compose(model.family, features, windows, job.settings, *nothing, planned.reference, report)  # [L, D]
    with temporary_beside(job.out, ".wav") as made_wav:
        with clock.stage("codec"):
            write_sound(latents, model, made_wav, report)
            ride_along(made_wav, planned.watched, model, job.settings)
        with clock.stage("mux"):
            finished = write_result(job, planned.part, made_wav, report)
    return told(job, planned, model, finished, clock)


@oom_as_foley_error()
@torch.inference_mode()
def render_takes(job: RenderJob, model: Model, report: Report = silent) -> list[Made]:
    """Make `job.takes` takes of one video's sound and write those to keep (`job.outs`), the best first."""
    from foleycli.rendering.takes import make_takes

    return make_takes(job, model, report)


@oom_as_foley_error()
@torch.inference_mode()
def extend(job: ExtendJob, model: Model, report: Report = silent) -> Made:
    """Carry on a take, alone or along a video, and write `job.out`; the take itself is not touched."""
    from foleycli.rendering.extend import extend_take

    check_words(job.settings, model)
    return extend_take(job, model, report)


def watch_and_plan(
    job: RenderJob, model: Model, clock: Clock, report: Report, also: Sequence[Extractor] = ()
) -> Planned:
    """All of a render before the sampler: what is seen, what is given, and the windows; `also` watch along."""
    check_words(job.settings, model)
    part = copyable_part(job.video, job.out, job.start_s, job.duration_s)
    watched = watch_video(job.video, part, model, job.settings, clock, report, also)
    n_steps = steps_to_cover(part.duration_s, model.codec.latent_rate_hz)
    with clock.stage("features"):
        timbre_of = job.reference or recording_for(job.settings, watched.seen, job.sounds)
    with clock.stage("codec"):
        reference = read_reference(timbre_of, job.ref_start_s, model, job.settings)  # [R, D] or None
    windows = windows_of(n_steps, model, job.settings, watched.cuts_s, reference)
    return Planned(part, watched, n_steps, windows, timbre_of, reference)


def check_words(settings: Settings, model: Model) -> None:
    """Errors: FoleyError when there are words for a model that hears none."""
    if model.family.spec.text_dim == 0 and (settings.prompt or settings.negative_prompt):
        raise FoleyError(
            f"{model.name} goes by the picture alone: it takes no prompt",
            "leave out --prompt and --negative-prompt (and presets that set them), or choose another --model",
        )


def watch_video(
    video: Video,
    part: Part,
    model: Model,
    settings: Settings,
    clock: Clock,
    report: Report,
    also: Sequence[Extractor] = (),
) -> Watched:
    """What is to be seen: features, scene cuts, what it is and when it sounds; `also` are fed besides.

    One pass over the pictures for each way in which extractors want them; one in all for the shipped model.
    """
    n_frames = grid_length(part.duration_s, FEATURE_FPS)
    aspect = video.width_px / video.height_px
    extractors = [extractor.for_aspect(aspect) for extractor in (model.sync, model.semantic, *also)]
    extractors += [CutDetector()] if settings.cuts else []
    streams: dict[str, Stream] = {}
    began_decode_s = clock.spent_s["decode"]
    began = time.perf_counter()
    for kind in dict.fromkeys(extractor.frame_format for extractor in extractors):
        side_px, fit, scaling = kind
        frames = read_frames(
            video, FEATURE_FPS, side_px, side_px, part.start_s, part.duration_s, fit=fit, scaling=scaling
        )
        alike = [extractor for extractor in extractors if extractor.frame_format == kind]
        report("features", 0, n_frames)
        streams |= extract_features(timed(frames, clock), alike, n_frames, report)
    waited_s = clock.spent_s["decode"] - began_decode_s
    clock.spent_s["features"] += time.perf_counter() - began - waited_s
    cuts = streams.pop("cuts", None)
    with clock.stage("features"):
        features = features_of(streams, model, settings)
    return Watched(
        features,
        cut_times(cuts) if cuts is not None else [],
        labels_of(streams[model.semantic.name]),
        model.sync.events_s(streams[model.sync.name]),
        streams,
    )


def timed(frames: Iterator[np.ndarray], clock: Clock) -> Iterator[np.ndarray]:
    """The same frames; waiting for them is time spent decoding."""
    while True:
        with clock.stage("decode"):
            chunk = next(frames, None)
        if chunk is None:
            return
        yield chunk


def features_of(streams: dict[str, Stream], model: Model, settings: Settings) -> Features:
    """The streams with the prompt, which takes the place of what is seen where that is only words too."""
    read = {name: stream for name, stream in streams.items() if name in model.family.spec.stream_dims}
    if settings.prompt and model.semantic.replaced_by_prompt:
        read.pop(model.semantic.name, None)
    words = [settings.prompt, settings.negative_prompt]
    text, negative = torch.from_numpy(model.text.encode(words))  # [D] or [T, D] each
    return Features(read, text, negative if settings.negative_prompt else None)


def windows_of(
    n_steps: int,
    model: Model,
    settings: Settings,
    cuts_s: list[float],
    reference: Tensor | None = None,
    is_heard_again: bool = True,
) -> list[Window]:
    """The windows of a clip, by the settings' context, the scene cuts and what stands before them."""
    spec, rate_hz = model.family.spec, model.codec.latent_rate_hz
    cut_steps = [step_at(cut_s, rate_hz) for cut_s in cuts_s]
    n_reference = len(reference) if reference is not None else 0
    return windows_for(
        n_steps, spec.window_steps, rate_hz, settings.context_s, n_reference, cut_steps, spec.window_grid_s,
        spec.whole_windows, is_heard_again,
    )  # fmt: skip


def unknown_track(n_steps: int, model: Model) -> tuple[Tensor, Tensor]:
    """A track [L, D] and which of its steps are known, bool [L]: none."""
    return torch.zeros(n_steps, model.codec.latent_dim), torch.zeros(n_steps, dtype=torch.bool)


def recording_for(settings: Settings, seen: list[tuple[str, float]], sounds: Path | None = None) -> Path | None:
    """The recording of a library that the prompt names, or else what is surely seen; None: there is none.

    `sounds` is a folder in place of the shipped library; given, it is used whatever the settings say.
    """
    words = settings.prompt or next((word for word, sure in seen[:1] if sure >= SURELY_SEEN), "")
    if not words or not (settings.library or sounds):
        return None
    found = open_library(sounds or SHIPPED_LIBRARY).nearest(words, NEAR if settings.prompt else SEEN_NEAR)
    return found.path if found else None


def read_reference(path: Path | None, start_s: float | None, model: Model, settings: Settings) -> Tensor | None:
    """Latents [R, D] of up to `ref_s` seconds of a sound, from `start_s` or its most characteristic part."""
    if path is None:
        return None
    samples = read_audio(path, model.codec.rate_hz, 1).samples[0]  # [N]
    if not np.abs(samples).max(initial=0.0) > 1e-4:
        raise FoleyError(f"{path} is silent: it has no timbre to take on", "give another sound")
    if start_s is None:
        start_s = characteristic_start_s(samples, model.codec.rate_hz, settings.ref_s)
    first = round(start_s * model.codec.rate_hz)
    return encode(samples[first : first + round(settings.ref_s * model.codec.rate_hz)], model)


def encode(samples: np.ndarray, model: Model) -> Tensor:
    """Mono sound [N] at the codec's rate to latents float32 [L, D] on the CPU."""
    return model.codec.encode(torch.from_numpy(samples)[None].to(model.device))[0].float().cpu()


def write_sound(latents: Tensor, model: Model, path: Path, report: Report = silent) -> None:
    """Decode a latent track [L, D] to a mono float WAV, piece by piece."""
    report("codec", 0, len(latents))
    with SoundWriter(path, model.codec.rate_hz) as writer:
        for samples in decode_chunks(model.codec, latents.to(model.device)):
            writer.write(samples.float().cpu().numpy())
            report("codec", writer.n_samples // model.codec.hop, len(latents))


def ride_along(made_wav: Path, watched: Watched, model: Model, settings: Settings) -> None:
    """Move a made sound's level towards the loudness seen, where the encoder can tell and the settings ask for it."""
    shown_db = model.sync.loudness_db(watched.streams[model.sync.name])
    if shown_db is not None and settings.ride > 0:
        apply_gain_riding(made_wav, shown_db, settings.ride)


def write_result(job: RenderJob, part: Part, made_wav: Path, report: Report) -> FinishedSound:
    """Rate, channels, level and mix; then the file itself, written aside and renamed into place."""
    settings, in_video = job.settings, is_video_name(job.out)
    facts = {
        "rate_hz": settings.rate_hz,
        "channels": settings.channels or (2 if in_video else 1),
        "n_samples": seconds_to_samples(part.duration_s, settings.rate_hz),
        "gain_db": settings.gain_db,
        "loudness_lufs": settings.loudness_lufs,
        "original": job.video.path if settings.mix and job.video.has_audio else None,
        "original_gain_db": settings.original_gain_db,
        "original_start_s": part.start_s,
        "report": report,
    }
    if not in_video:
        with replacing(job.out) as out:
            return finish_sound(made_wav, out, **facts)
    with temporary_beside(job.out, ".wav") as finished_wav, replacing(job.out) as out:
        finished = finish_sound(made_wav, finished_wav, **facts)
        mux(job.video, finished_wav, out, report=report, **mux_part(job.video, part))
        return finished


def mux_part(video: Video, part: Part) -> dict[str, float]:
    """`mux`'s arguments for a part; a whole video is copied without being cut."""
    is_whole = part.start_s == 0 and abs(part.duration_s - video.duration_s) < 1e-6
    return {} if is_whole else {"start_s": part.start_s, "duration_s": part.duration_s}


def told(job: RenderJob, planned: Planned, model: Model, finished: FinishedSound, clock: Clock) -> Made:
    """The finished render's facts."""
    part, watched = planned.part, planned.watched
    return Made(
        job.out, part.duration_s, part.start_s, job.settings, model.name, model.sha256, str(model.device),
        planned.windows, watched.cuts_s, watched.seen, watched.events_s, clock.spent_s,
        finished.peak_dbtp, finished.lufs, timbre_of=planned.timbre_of,
    )  # fmt: skip
