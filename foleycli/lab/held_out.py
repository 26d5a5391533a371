"""One model on held-out synthetic clips, through the same stages as a render: the figures of its card.

    python -m foleycli.lab held_out --model salsav-mini --clips 60 --sounds SOUNDS

Takes, textures and three kinds of scenes are held out from training.  Every figure has its control from the same run:
onsets against the same onsets shifted, two prompts against two seeds of one prompt, a reference against none.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import Tensor

from foleycli.dsp.onsets import agreement, detect_onsets, envelope_correlation
from foleycli.dsp.spectrum import spectral_distance_db
from foleycli.features.extract import extract_features
from foleycli.hub.resolve import default_settings, resolve
from foleycli.lab.tables import Column, markdown, without_nan
from foleycli.models.model import Model, load_model
from foleycli.records import Stream
from foleycli.rendering.analyze import analysis_of_streams
from foleycli.rendering.generate import generate_takes
from foleycli.rendering.timbre import encode_audio, encode_reference, find_reference
from foleycli.settings.preset import resolve_settings
from foleycli.settings.settings import Settings
from foleycli.synthetic import Clip, SoundBank, WorldConfig
from foleycli.synthetic.sound import sound_of
from foleycli.synthetic.variants import make_clip_and_track, sounds_for

FIRST_SEED = 2_000_000_011  # of clips that no training has drawn
TOLERANCE_S = 0.06
LOUD = 0.02  # peak of a sound that has a timbre to measure
MIN_EVENTS = 2  # of clips on which prompts and references are compared
PROMPTS = ("hammer on anvil", "footsteps on gravel", "dog bark", "glass breaking", "drum hit", "water splash")
COLUMNS = (
    Column("figure", "figure"),
    Column("value", "value"),
    Column("unit", "unit"),
    Column("control", "control"),
    Column("control_is", "what the control is"),
)


@dataclass(frozen=True)
class HeldOutClip:
    """A held-out clip with its picture features and other sounds for the same picture."""

    clip: Clip
    streams: dict[str, Stream]
    other_sound: np.ndarray  # of any kind, with the same motion: a reference that nothing else names
    similar_sound: np.ndarray  # of the same kind


@dataclass(frozen=True)
class ClipScores:
    """One clip's figures."""

    scene: str
    f1: float  # of the made sound's onsets, ±60 ms; nan without events
    shifted_f1: float  # mean over circular shifts: chance
    encoder_f1: float  # of the moments that the encoder predicts
    false_onsets_hz: float  # onsets per second in clips without events; nan with events
    envelope: float  # correlation of the loudness envelope with the clip's own


@dataclass(frozen=True)
class Summary:
    """Means over the clips; nan where no clip gives a figure."""

    model: str
    clips: int
    steps: int
    guidance: float
    f1_60ms: float
    f1_60ms_shifted: float
    f1_60ms_encoder: float
    onsets_per_s_without_events: float
    envelope_correlation: float
    prompt_distance_db: float  # between the sounds of two prompts, same clip, same seed
    seed_distance_db: float  # between two seeds, same clip, same prompt
    distance_to_reference_db: float
    distance_without_reference_db: float
    f1_by_scene: dict[str, float]


def draw_clips(model: Model, n: int, sounds: Path | None) -> list[HeldOutClip]:
    """Held-out clips, drawn at 224 px and watched as a video is; `sounds` is a folder, None: synthesised sounds."""
    bank = SoundBank(*[sounds] if sounds else [])
    config = WorldConfig(size_px=224, split="test")
    drawn = []
    for seed in range(FIRST_SEED, FIRST_SEED + n):
        clip, track = make_clip_and_track(seed, config, bank)
        streams = extract_features([clip.frames], [model.sync, model.semantic.for_aspect(1.0)])
        [other] = sounds_for(track, bank, np.random.default_rng(seed), 1)
        similar = sound_of(track, bank, np.random.default_rng((seed, 1)))
        drawn.append(HeldOutClip(clip, streams, other.samples, similar))
    return drawn


def generate_sound(
    model: Model, held_out: HeldOutClip, settings: Settings, reference: np.ndarray | None = None
) -> np.ndarray:
    """The sound of a clip, mono [N] at the codec's rate."""
    return generate_sounds(model, held_out, settings, seeds=[settings.seed], reference=reference)[0]


@torch.inference_mode()
def generate_sounds(
    model: Model, held_out: HeldOutClip, settings: Settings, seeds: list[int], reference: np.ndarray | None = None
) -> list[np.ndarray]:
    """Several sounds of a clip, one for each seed, as a render makes them; `reference` is mono at the codec's rate."""
    duration_s = len(held_out.clip.samples) / model.codec.rate_hz
    analysis = analysis_of_streams(held_out.streams, model, duration_s=duration_s)
    if reference is not None:
        latents: Tensor | None = encode_audio(reference, model)
    else:
        latents = encode_reference(find_reference(settings, analysis.labels), None, model, settings)
    return [sound.samples[0] for sound in generate_takes(model, analysis, settings, seeds, reference=latents)]


def score_clip(model: Model, held_out: HeldOutClip, settings: Settings) -> ClipScores:
    """The figures of what the settings make of a clip."""
    return score_sound(generate_sound(model, held_out, settings), model, held_out)


def score_sound(samples: np.ndarray, model: Model, held_out: HeldOutClip) -> ClipScores:
    """A sound mono [N] that was made for a clip, compared with the clip's events and its own sound."""
    clip, rate_hz = held_out.clip, model.codec.rate_hz
    duration_s = len(clip.samples) / rate_hz
    onsets_s = detect_onsets(samples, rate_hz)
    events_s = np.array(sorted(event.time_s for event in clip.events))
    envelope = envelope_correlation(samples, clip.samples, rate_hz)
    if not len(events_s):
        return ClipScores(
            scene=clip.scene,
            f1=np.nan,
            shifted_f1=np.nan,
            encoder_f1=np.nan,
            false_onsets_hz=len(onsets_s) / duration_s,
            envelope=envelope,
        )
    made = agreement(onsets_s, events_s, TOLERANCE_S, duration_s)
    predicted_s = np.array(model.sync.events_s(held_out.streams[model.sync.name]))
    return ClipScores(
        scene=clip.scene,
        f1=made.f1,
        shifted_f1=made.shifted_f1,
        encoder_f1=agreement(predicted_s, events_s, TOLERANCE_S, duration_s).f1,
        false_onsets_hz=np.nan,
        envelope=envelope,
    )


def prompt_distances_db(model: Model, held_out: HeldOutClip, settings: Settings) -> tuple[float, float]:
    """Spectral distance between two prompts, and between two seeds of one prompt."""
    n_events = len(held_out.clip.events)
    first = replace(settings, prompt=PROMPTS[n_events % 2])
    second = replace(settings, prompt=PROMPTS[2 + n_events % 4])
    by_first, by_second, by_seed = (
        generate_sound(model, held_out, one) for one in (first, second, replace(first, seed=settings.seed + 1))
    )
    rate_hz = model.codec.rate_hz
    return spectral_distance_db(by_first, by_second, rate_hz), spectral_distance_db(by_first, by_seed, rate_hz)


def reference_distances_db(model: Model, held_out: HeldOutClip, settings: Settings) -> tuple[float, float]:
    """Spectral distance to a held-out sound of what is made with it as reference, and of what is made without."""
    rate_hz = model.codec.rate_hz
    reference = held_out.other_sound[: round(settings.ref_s * rate_hz)]
    with_it = generate_sound(model, held_out, settings, reference)
    without = generate_sound(model, held_out, replace(settings, library=False))
    return spectral_distance_db(with_it, reference, rate_hz), spectral_distance_db(without, reference, rate_hz)


def mean(values: Sequence[float]) -> float:
    """Of the values that are numbers; nan without any."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def measure(model: Model, n: int, settings: Settings, sounds: Path | None) -> Summary:
    """All figures over `n` clips; prompts and references are compared on a quarter of them, four at least."""
    drawn = draw_clips(model, n, sounds)
    scores = [
        score_clip(model, one, replace(settings, prompt=one.clip.label, seed=seed)) for seed, one in enumerate(drawn)
    ]
    f1_by_scene = defaultdict(list)
    for score in scores:
        if not np.isnan(score.f1):
            f1_by_scene[score.scene].append(score.f1)
    with_events = [one for one in drawn if len(one.clip.events) >= MIN_EVENTS]
    with_reference = [one for one in with_events if np.abs(one.other_sound[: model.codec.rate_hz]).max() > LOUD]
    n_compared = max(4, n // 4)
    by_prompt = [prompt_distances_db(model, one, settings) for one in with_events[:n_compared]]
    by_reference = [reference_distances_db(model, one, settings) for one in with_reference[:n_compared]]
    return Summary(
        model=model.name,
        clips=n,
        steps=settings.steps,
        guidance=settings.guidance,
        f1_60ms=mean([score.f1 for score in scores]),
        f1_60ms_shifted=mean([score.shifted_f1 for score in scores]),
        f1_60ms_encoder=mean([score.encoder_f1 for score in scores]),
        onsets_per_s_without_events=mean([score.false_onsets_hz for score in scores]),
        envelope_correlation=mean([score.envelope for score in scores]),
        prompt_distance_db=mean([between for between, _ in by_prompt]),
        seed_distance_db=mean([seeds for _, seeds in by_prompt]),
        distance_to_reference_db=mean([with_it for with_it, _ in by_reference]),
        distance_without_reference_db=mean([without for _, without in by_reference]),
        f1_by_scene={scene: mean(f1) for scene, f1 in sorted(f1_by_scene.items())},
    )


def rows_of(summary: Summary, by_scene: bool = False) -> list[dict[str, Any]]:
    """The summary as rows under COLUMNS."""
    s = summary
    figures = [
        ("onset F1 at ±60 ms", round(s.f1_60ms, 2), "", round(s.f1_60ms_shifted, 2), "the same onsets shifted"),
        ("onset F1 at ±60 ms of the encoder alone", round(s.f1_60ms_encoder, 2)),
        ("correlation of the loudness envelope", round(s.envelope_correlation, 2)),
        ("onsets in clips without events", round(s.onsets_per_s_without_events, 2), "per second"),
        ("spectral distance of two prompts", round(s.prompt_distance_db, 1), "dB",
         round(s.seed_distance_db, 1), "two seeds of one prompt"),
        ("spectral distance to a 2 s reference", round(s.distance_to_reference_db, 1), "dB",
         round(s.distance_without_reference_db, 1), "without the reference"),
    ]  # fmt: skip
    if by_scene:
        figures += [(f"onset F1 at ±60 ms, scene {scene}", round(f1, 2)) for scene, f1 in s.f1_by_scene.items()]
    keys = [column.key for column in COLUMNS]
    return [{key: value for key, value in zip(keys, figure, strict=False) if value != ""} for figure in figures]


def main(
    model: Annotated[str, typer.Option(help="Name or folder.")] = "salsav-mini",
    clips: Annotated[int, typer.Option(help="How many held-out clips.", min=1)] = 60,
    sounds: Annotated[Path | None, typer.Option(help="A folder of labelled sounds; without: synthesised.")] = None,
    steps: Annotated[int | None, typer.Option(help="Sampler steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Guidance.")] = None,
    library: Annotated[bool | None, typer.Option(help="Whether the library gives a reference for the prompt.")] = None,
    by_scene: Annotated[bool, typer.Option("--by-scene", help="Also F1 for each kind of scene.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a row.")] = False,
    device: str = "auto",
) -> None:
    """Print the figures as a Markdown table, or as JSON lines."""
    options = {"steps": steps, "guidance": guidance, "library": library}
    given = {name: value for name, value in options.items() if value is not None}
    settings = resolve_settings(overrides=given, model_defaults=default_settings(model))
    rows = rows_of(measure(load_model(resolve(model), device), clips, settings, sounds), by_scene)
    typer.echo("\n".join(json.dumps(without_nan(row)) for row in rows) if as_json else markdown(COLUMNS, rows))
