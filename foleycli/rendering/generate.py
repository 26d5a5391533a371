"""From what a video shows to sound: conditioning, sampling, decoding.  Arrays in, arrays out.

    VideoAnalysis + Settings -> Features -> plan -> latents [B, L, D] -> samples

Everything that makes sound calls these: renders, takes, extensions, validation, measurements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from foleycli.codecs.base import Codec
from foleycli.device import oom_as_foley_error
from foleycli.dsp.gain_riding import ride_gain
from foleycli.errors import FoleyError
from foleycli.families.base import Family
from foleycli.media.audio import SoundWriter, resample
from foleycli.models.model import Model
from foleycli.recordings.mix import Recorded
from foleycli.records import Audio, Features, Report, Stream, silent
from foleycli.rendering.analyze import VideoAnalysis
from foleycli.rendering.plan import RenderPlan, plan_render
from foleycli.rendering.recordings import choose_recordings
from foleycli.rendering.timbre import encode_audio, encode_reference, find_reference
from foleycli.settings.preset import resolve_settings
from foleycli.settings.settings import Settings
from foleycli.timebase import seconds_to_samples
from foleycli.windows.compose import compose, decode_chunks


@oom_as_foley_error()
@torch.inference_mode()
def generate(
    model: Model,
    analysis: VideoAnalysis,
    *,
    settings: Settings | None = None,
    reference: str | Path | Audio | None = None,
    report: Report = silent,
    **overrides: object,
) -> Audio:
    """The sound of an analysed video, as samples; no file is touched but a reference that is read.

    settings    of the generation; None: the defaults with what the model brings
    reference   a sound whose timbre is matched: a file, or mono samples; None: the library's, where the settings say so
    overrides   single settings by name, as in `Settings`: prompt="boots on gravel", seed=1
    returns     float32 [1, N] at the codec's rate, exactly as long as the analysis
    Errors: FoleyError for a setting out of range, or words for a model that reads none.
    """
    given = {**(asdict(settings) if settings else {}), **overrides}
    settings = resolve_settings(model_defaults=model.default_settings, overrides=given)
    check_prompt(settings, model)
    choice = choose_recordings(
        settings,
        analysis.labels,
        is_outdoors=analysis.is_outdoors,
        reference=Path() if reference is not None else None,
        in_video=False,
    )
    recorded = choice.read(settings, analysis, model.sync, model.codec.rate_hz)
    if recorded.is_alone(settings.engine):
        rate_hz = model.codec.rate_hz
        n_samples = seconds_to_samples(analysis.duration_s, rate_hz)
        return Audio(recorded.alone(n_samples, rate_hz, settings.seed)[None], rate_hz)
    if isinstance(reference, Audio):
        mono = resample(reference.samples.mean(axis=0, keepdims=True), reference.rate_hz, model.codec.rate_hz)[0]
        latents: Tensor | None = encode_audio(mono[: round(settings.ref_s * model.codec.rate_hz)], model)
    else:
        path = Path(reference) if reference else find_reference(settings, analysis.labels)
        latents = encode_reference(path, None, model, settings)
    return generate_takes(
        model, analysis, settings, [settings.seed], reference=latents, recorded=recorded, report=report
    )[0]


@torch.inference_mode()
def generate_takes(
    model: Model,
    analysis: VideoAnalysis,
    settings: Settings,
    seeds: Sequence[int],
    *,
    reference: Tensor | None = None,
    recorded: Recorded | None = None,
    report: Report = silent,
) -> list[Audio]:
    """Several sounds of one video, a seed each, generated in one batch.  See `generate`.

    reference   latents [R, D] of a sound whose timbre is matched
    recorded    recordings that are placed beside the model's sound; None: that sound at the level that it comes at
    """
    plan = plan_for(analysis, model, settings, reference)
    features = build_features(analysis.streams, model, settings)
    tracks = sample_latents(model.family, features, plan, settings, seeds, reference=reference, report=report)
    rate_hz = model.codec.rate_hz
    sounds = [decode(model.codec, track.to(model.device)) for track in tracks]
    if analysis.loudness_db is not None and settings.ride > 0:
        target_db = analysis.loudness_db if recorded is None else recorded.ride_target_db()
        sounds = [ride_gain(sound, rate_hz, target_db, settings.ride) for sound in sounds]
    if recorded is not None:
        sounds = [recorded.beside(sound, rate_hz, seed) for sound, seed in zip(sounds, seeds, strict=True)]
    n_samples = seconds_to_samples(analysis.duration_s, rate_hz)
    return [Audio(sound[None, :n_samples], rate_hz) for sound in sounds]


def check_prompt(settings: Settings, model: Model) -> None:
    """Errors: FoleyError when there are words for a model that reads none."""
    if model.family.spec.text_dim == 0 and (settings.prompt or settings.negative_prompt):
        raise FoleyError(
            f"{model.name} goes by the picture alone: it takes no prompt",
            "Leave out --prompt and --negative-prompt (and presets that set them), or choose another --model",
        )


def plan_for(analysis: VideoAnalysis, model: Model, settings: Settings, reference: Tensor | None) -> RenderPlan:
    """The plan of an analysed video after a reference [R, D]."""
    return plan_render(
        analysis.duration_s,
        model.family.spec,
        settings,
        cuts_s=analysis.cuts_s if settings.cuts else (),
        n_reference=0 if reference is None else len(reference),
    )


def build_features(streams: Mapping[str, Stream], model: Model, settings: Settings) -> Features:
    """The streams that the family reads, with the prompt.

    A stream of recognised labels is left out where a prompt says what is heard.
    """
    read = {name: stream for name, stream in streams.items() if name in model.family.spec.stream_dims}
    if settings.prompt and model.semantic.replaced_by_prompt:
        read.pop(model.semantic.name, None)
    text, negative = torch.from_numpy(model.text.encode([settings.prompt, settings.negative_prompt]))  # [D] or [T, D]
    return Features(read, text, negative if settings.negative_prompt else None)


def sample_latents(
    family: Family,
    features: Features,
    plan: RenderPlan,
    settings: Settings,
    seeds: Sequence[int],
    *,
    context: Tensor | None = None,
    context_mask: Tensor | None = None,
    reference: Tensor | None = None,
    report: Report = silent,
) -> Tensor:
    """Run the sampler over all windows of a plan: float32 [B, L, D] for B seeds.

    context, context_mask   float32 [L, D], bool [L]: latents that are known, and where; they come back bit for bit
    reference               float32 [R, D]: clean context before windows; it is left out of the result
    """
    if context is None or context_mask is None:
        context, context_mask = torch.zeros(plan.n_steps, family.spec.latent_dim), torch.zeros(plan.n_steps).bool()
    return compose(
        family,
        features,
        plan.windows,
        settings,
        seeds,
        context=context,
        context_mask=context_mask,
        reference=reference,
        report=report,
    )


def decode(codec: Codec, latents: Tensor) -> np.ndarray:
    """A latent track [L, D] to mono samples float32 [N]."""
    return torch.cat([piece.float().cpu() for piece in decode_chunks(codec, latents)]).numpy()


def decode_to_wav(model: Model, latents: Tensor, path: Path, report: Report = silent) -> None:
    """Decode a latent track [L, D] to a mono float WAV, piece by piece: memory does not grow with it."""
    report("codec", 0, len(latents))
    with SoundWriter(path, model.codec.rate_hz) as writer:
        for piece in decode_chunks(model.codec, latents.to(model.device)):
            writer.write(piece.float().cpu().numpy())
            report("codec", writer.n_samples // model.codec.hop, len(latents))
