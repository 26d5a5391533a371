"""Scores a model on held-out synthetic clips, through the same stages as a render: the model card's figures.

    python -m foleycli.lab held_out --model salsav-mini --clips 60 --sounds SOUNDS

Takes, textures and two kinds of scenes are held out from training.  Every figure has its control in the
same run: onsets against the same onsets shifted, prompts against two seeds of one prompt, a reference
against none.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor

from foleycli.dsp.onsets import agreement, detect_onsets, envelope_correlation
from foleycli.dsp.spectrum import spectral_distance_db
from foleycli.features.extract import extract_features
from foleycli.hub.resolve import default_settings, resolve
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

FIRST_SEED = 2_000_000_011  # held-out clips that no training has watched
TOLERANCE_S = 0.06
PROMPTS = ("hammer on anvil", "footsteps on gravel", "dog bark", "glass breaking", "drum hit", "water splash")


@dataclass(frozen=True)
class Scored:
    """One clip's figures."""

    scene: str
    f1: float  # of the finished sound's onsets, ±60 ms; nan without events
    shifted_f1: float
    sync_f1: float  # of the moments that the encoder saw
    extra_onsets_hz: float  # onsets per second in clips where nothing strikes; nan with events
    envelope: float  # correlation with the clip's own sound


@dataclass(frozen=True)
class Summary:
    """Means over the clips; what the model card says."""

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


@dataclass(frozen=True)
class Shown:
    """A held-out clip with its picture features."""

    clip: Clip
    streams: dict[str, Stream]
    other: np.ndarray  # another sound of the same motion: a reference that nothing else says
    alike: np.ndarray  # another sound of the same kind for the same picture


def shown_clips(model: Model, n: int, sounds: Path | None) -> list[Shown]:
    """Held-out clips, drawn at 224 px and watched as a video is."""
    bank = SoundBank(*[sounds] if sounds else [])
    config = WorldConfig(size_px=224, split="test")
    shown = []
    for seed in range(FIRST_SEED, FIRST_SEED + n):
        clip, track = make_clip_and_track(seed, config, bank)
        streams = extract_features([clip.frames], [model.sync, model.semantic.for_aspect(1.0)])
        [other] = sounds_for(track, bank, np.random.default_rng(seed), 1)
        alike = sound_of(track, bank, np.random.default_rng((seed, 1)))
        shown.append(Shown(clip, streams, other.samples, alike))
    return shown


def make(model: Model, shown: Shown, settings: Settings, reference: np.ndarray | None = None) -> np.ndarray:
    """The sound of a clip, mono [N] at the codec's rate."""
    return make_takes(model, shown, settings, [settings.seed], reference)[0]


@torch.inference_mode()
def make_takes(
    model: Model, shown: Shown, settings: Settings, seeds: list[int], reference: np.ndarray | None = None
) -> list[np.ndarray]:
    """Several sounds of a clip, one for each seed, as a render makes them."""
    duration_s = len(shown.clip.samples) / model.codec.rate_hz
    analysis = analysis_of_streams(shown.streams, model, duration_s=duration_s)
    if reference is not None:
        latents: Tensor | None = encode_audio(reference, model)
    else:
        latents = encode_reference(find_reference(settings, analysis.labels), None, model, settings)
    made = generate_takes(model, analysis, settings, seeds, reference=latents)
    return [sound.samples[0] for sound in made]


def score(model: Model, shown: Shown, settings: Settings) -> Scored:
    """A clip made as the settings say, against its events."""
    return score_sound(make(model, shown, settings), model, shown)


def score_sound(made: np.ndarray, model: Model, shown: Shown) -> Scored:
    """A sound mono [N] that was made for a clip, against the clip's events and its own sound."""
    clip, rate_hz = shown.clip, model.codec.rate_hz
    duration_s = len(clip.samples) / rate_hz
    found = detect_onsets(made, rate_hz)
    true = np.array(sorted(event.time_s for event in clip.events))
    envelope = envelope_correlation(made, clip.samples, rate_hz)
    if not len(true):
        return Scored(clip.scene, np.nan, np.nan, np.nan, len(found) / duration_s, envelope)
    seen = np.array(model.sync.events_s(shown.streams["sync"]))
    agreed = agreement(found, true, TOLERANCE_S, duration_s)
    sync_f1 = agreement(seen, true, TOLERANCE_S, duration_s).f1
    return Scored(clip.scene, agreed.f1, agreed.shifted_f1, sync_f1, np.nan, envelope)


def prompt_distances(model: Model, shown: Shown, settings: Settings) -> tuple[float, float]:
    """How far two prompts are apart, and two seeds of one prompt."""
    n_events = len(shown.clip.events)
    first, second = PROMPTS[n_events % 2], PROMPTS[2 + n_events % 4]
    one = make(model, shown, Settings(**{**asdict(settings), "prompt": first}))
    two = make(model, shown, Settings(**{**asdict(settings), "prompt": second}))
    again = make(model, shown, Settings(**{**asdict(settings), "prompt": first, "seed": settings.seed + 1}))
    rate_hz = model.codec.rate_hz
    return spectral_distance_db(one, two, rate_hz), spectral_distance_db(one, again, rate_hz)


def reference_distances(model: Model, shown: Shown, settings: Settings) -> tuple[float, float]:
    """Distance to a held-out take of what is made after it, and of what is made without it."""
    rate_hz = model.codec.rate_hz
    take = shown.other[: round(settings.ref_s * rate_hz)]
    with_it, without = make(model, shown, settings, take), make(model, shown, replace(settings, library=False))
    return spectral_distance_db(with_it, take, rate_hz), spectral_distance_db(without, take, rate_hz)


def evaluate(model: Model, n: int, settings: Settings, sounds: Path | None) -> tuple[Summary, list[Scored]]:
    """All figures over `n` clips."""
    shown = shown_clips(model, n, sounds)
    scored = [
        score(model, one, Settings(**{**asdict(settings), "prompt": one.clip.label, "seed": k}))
        for k, one in enumerate(shown)
    ]
    struck = [one for one in shown if len(one.clip.events) >= 2]
    prompts = [prompt_distances(model, one, settings) for one in islice(struck, max(4, n // 4))]
    loud = [one for one in struck if np.abs(one.other[:44100]).max() > 0.02]
    references = [reference_distances(model, one, settings) for one in islice(loud, max(4, n // 4))]
    mean = {name: float(np.nanmean([getattr(one, name) for one in scored])) for name in
            ("f1", "shifted_f1", "sync_f1", "extra_onsets_hz", "envelope")}  # fmt: skip
    (between, within), (to_reference, without) = _mean_pair(prompts), _mean_pair(references)
    summary = Summary(
        model.name, n, settings.steps, settings.guidance, mean["f1"], mean["shifted_f1"], mean["sync_f1"],
        mean["extra_onsets_hz"], mean["envelope"], float(between), float(within), float(to_reference), float(without),
    )  # fmt: skip
    return summary, scored


def _mean_pair(pairs: list[tuple[float, float]]) -> np.ndarray:
    """The means [2]; nan where too few clips had anything to measure."""
    return np.mean(pairs, axis=0) if pairs else np.full(2, np.nan)


def main(
    model: Annotated[str, typer.Option(help="Name or folder.")] = "salsav-mini",
    clips: Annotated[int, typer.Option(help="How many held-out clips.")] = 60,
    sounds: Annotated[Path | None, typer.Option(help="A folder of labelled sounds; without: synthesised.")] = None,
    steps: Annotated[int | None, typer.Option(help="Sampler steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Guidance.")] = None,
    library: Annotated[bool | None, typer.Option(help="Whether a recording may lend its timbre.")] = None,
    device: str = "auto",
) -> None:
    """Print the figures as JSON."""
    loaded = load_model(resolve(model), device)
    options = {"steps": steps, "guidance": guidance, "library": library}
    given = {name: value for name, value in options.items() if value is not None}
    summary, scored = evaluate(
        loaded, clips, resolve_settings(overrides=given, model_defaults=default_settings(model)), sounds
    )
    by_scene: dict[str, list[float]] = {}
    for one in scored:
        by_scene.setdefault(one.scene, []).append(one.f1)
    scenes = {name: round(float(np.nanmean(f1)), 3) for name, f1 in sorted(by_scene.items()) if not np.isnan(f1).all()}
    typer.echo(json.dumps({**asdict(summary), "f1_by_scene": scenes}, indent=2))
