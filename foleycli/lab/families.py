"""Families side by side on the same held-out synthetic clips, through the same stages as a render: one table.

    python -m foleycli.lab families --clips 24 --sounds SOUNDS --takes 4

Each model runs with its own default settings, each clip with its label as the prompt (families without text go by the
picture alone).  Distances are those of long-term spectra to the clip's own sound: without a reference, and with 2 s of
another sound of the same kind; the distance of that reference itself is the control.  Evaluations count calls of the
network for one full window; guidance runs its passes as one batch, in one call.  Seconds are of sampler and codec:
watching the video is the same for all.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from foleycli.dsp.spectrum import spectral_distance_db
from foleycli.errors import FoleyError
from foleycli.features.base import FrameFormat
from foleycli.features.extract import extract_features
from foleycli.features.sync_score import sync_score
from foleycli.hub.catalog import entries
from foleycli.hub.resolve import default_settings, resolve
from foleycli.lab.held_out import LOUD, HeldOutClip, draw_clips, generate_sound, generate_sounds, mean, score_sound
from foleycli.lab.tables import Column, markdown, without_nan
from foleycli.models.model import Model, load_model
from foleycli.rendering.cost import TAKES_AT_ONCE
from foleycli.rendering.takes import load_scorer
from foleycli.rendering.timbre import characteristic_start_s
from foleycli.settings.preset import resolve_settings
from foleycli.settings.settings import Settings
from foleycli.synthetic.config import RATE_HZ
from foleycli.weights.config import read_config

ENCODERS = ("sync", "semantic", "text")  # parts of a model's configuration that decide what is extracted from a clip
COLUMNS = (
    Column("model", "model"),
    Column("parameters_m", "parameters", 1, unit="M"),
    Column("steps", "steps"),
    Column("evaluations", "network evaluations"),
    Column("s_per_10s", "s per 10 s of sound", 2),
    Column("f1_60ms", "onset F1 ±60 ms", 2),
    Column("f1_60ms_shifted", "shifted", 2),
    Column("envelope_correlation", "loudness correlation", 2),
    Column("distance_db", "distance to the real sound", 1, unit="dB"),
    Column("distance_with_reference_db", "with a reference", 1, unit="dB"),
    Column("distance_of_reference_db", "the reference itself", 1, unit="dB"),
    Column("f1_60ms_best_take", "F1 of the best take", 2),
)


@dataclass(frozen=True)
class Row:
    """One model's figures, means over the clips; nan where no clip gives a figure."""

    model: str
    family: str
    parameters_m: float  # millions of the family's network
    steps: int
    guidance: float
    evaluations: int
    s_per_10s: float
    f1_60ms: float
    f1_60ms_shifted: float
    envelope_correlation: float
    distance_db: float
    distance_with_reference_db: float
    distance_of_reference_db: float
    takes: int = 1
    f1_60ms_best_take: float | None = None  # of so many takes the one that `foley render --takes` ranks first


def measure(
    settings_of: dict[str, Settings], *, n_clips: int, sounds: Path | None, n_takes: int, device: str
) -> list[Row]:
    """A row for each model by name; clips are drawn and watched once for all models with the same encoders."""
    drawn: dict[tuple[Any, ...], list[HeldOutClip]] = {}
    rows = []
    for name, settings in settings_of.items():
        folder = resolve(name)
        model = load_model(folder, device)
        check_comparable(model)
        encoders = tuple(getattr(read_config(folder), part) for part in ENCODERS)
        if encoders not in drawn:
            drawn[encoders] = draw_clips(model, n_clips, sounds)
        rows.append(measure_model(model, drawn[encoders], settings, n_takes))
    return rows


def check_comparable(model: Model) -> None:
    """Errors: FoleyError for a model that needs other pictures than the drawn clips', or has another sample rate."""
    formats = {extractor.frame_format for extractor in (model.sync, model.semantic)}
    if formats != {FrameFormat()} or model.codec.rate_hz != RATE_HZ:
        side_px = FrameFormat().side_px
        raise FoleyError(
            f"{model.name} does not watch pictures of {side_px} px, or its sound does not have {RATE_HZ} Hz",
            "Compare models that do: the shipped ones",
        )


def measure_model(model: Model, drawn: Sequence[HeldOutClip], settings: Settings, n_takes: int = 1) -> Row:
    """All figures of one model."""
    evaluations = count_evaluations(model, drawn[0], settings)  # also warms up: the first call is not timed
    reads_text = model.family.spec.text_dim > 0
    own = [
        replace(settings, prompt=one.clip.label if reads_text else "", seed=n_takes * k) for k, one in enumerate(drawn)
    ]
    started_s = time.perf_counter()
    generated = [generate_sound(model, one, its) for one, its in zip(drawn, own, strict=True)]
    spent_s = time.perf_counter() - started_s
    scores = [score_sound(sound, model, one) for sound, one in zip(generated, drawn, strict=True)]
    distances = [distances_db(model, sound, one, its) for sound, one, its in zip(generated, drawn, own, strict=True)]
    best = None
    if n_takes > 1:
        best = mean([best_take_f1(model, one, its, n_takes) for one, its in zip(drawn, own, strict=True)])
    return Row(
        model=model.name,
        family=model.family.spec.name,
        parameters_m=round(sum(weight.numel() for weight in model.family.network.parameters()) / 1e6, 1),
        steps=settings.steps,
        guidance=settings.guidance,
        evaluations=evaluations,
        s_per_10s=10 * spent_s / (sum(map(len, generated)) / model.codec.rate_hz),
        f1_60ms=mean([score.f1 for score in scores]),
        f1_60ms_shifted=mean([score.shifted_f1 for score in scores]),
        envelope_correlation=mean([score.envelope for score in scores]),
        distance_db=mean([without for without, _, _ in distances]),
        distance_with_reference_db=mean([with_it for _, with_it, _ in distances]),
        distance_of_reference_db=mean([of_it for _, _, of_it in distances]),
        takes=n_takes,
        f1_60ms_best_take=best,
    )


def count_evaluations(model: Model, held_out: HeldOutClip, settings: Settings) -> int:
    """How often the network is called for as much of a clip as fits into one window."""
    n_samples = model.family.spec.window_steps * model.codec.hop
    cut = replace(held_out, clip=replace(held_out.clip, samples=held_out.clip.samples[:n_samples]))
    calls: list[int] = []
    hook = model.family.network.register_forward_pre_hook(lambda *_: calls.append(1))
    try:
        generate_sound(model, cut, settings)
    finally:
        hook.remove()
    return len(calls)


def distances_db(
    model: Model, generated: np.ndarray, held_out: HeldOutClip, settings: Settings
) -> tuple[float, float, float]:
    """Distances to the clip's own sound: of a sound generated without reference, of one with it, of the reference."""
    own, similar, rate_hz = held_out.clip.samples, held_out.similar_sound, model.codec.rate_hz
    first = round(characteristic_start_s(similar, rate_hz, settings.ref_s) * rate_hz)
    reference = similar[first : first + round(settings.ref_s * rate_hz)]
    if min(np.abs(own).max(), np.abs(reference).max()) < LOUD:
        return np.nan, np.nan, np.nan
    with_it = generate_sound(model, held_out, settings, reference)
    return (
        spectral_distance_db(generated, own, rate_hz),
        spectral_distance_db(with_it, own, rate_hz),
        spectral_distance_db(reference, own, rate_hz),
    )


def best_take_f1(model: Model, held_out: HeldOutClip, settings: Settings, n_takes: int) -> float:
    """Onset F1 of the take, of so many from the settings' seed on, that is ranked first; nan without events."""
    if not held_out.clip.events:
        return np.nan
    scorer, seeds = load_scorer(model), [settings.seed + k for k in range(n_takes)]
    streams = held_out.streams if scorer is model.sync else extract_features([held_out.clip.frames], [scorer])
    batches = [seeds[first : first + TAKES_AT_ONCE] for first in range(0, n_takes, TAKES_AT_ONCE)]
    sounds = [sound for batch in batches for sound in generate_sounds(model, held_out, settings, batch)]
    best = max(sounds, key=lambda sound: sync_score(scorer, streams[scorer.name], sound, model.codec.rate_hz))
    return score_sound(best, model, held_out).f1


def main(
    model: Annotated[list[str] | None, typer.Option(help="Name or folder; several; without: all that ship.")] = None,
    clips: Annotated[int, typer.Option(help="How many held-out clips.", min=1)] = 24,
    sounds: Annotated[Path | None, typer.Option(help="A folder of labelled sounds; without: synthesised.")] = None,
    takes: Annotated[int, typer.Option(help="Also rank so many takes of each clip.", min=1)] = 1,
    steps: Annotated[int | None, typer.Option(help="For all models, instead of each one's own.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a row.")] = False,
    device: str = "auto",
) -> None:
    """Print the table as Markdown, or as JSON lines."""
    names = model or [entry.name for entry in entries("family") if entry.is_shipped]
    given = {} if steps is None else {"steps": steps}
    settings_of = {name: resolve_settings(overrides=given, model_defaults=default_settings(name)) for name in names}
    rows = [
        without_nan(asdict(row))
        for row in measure(settings_of, n_clips=clips, sounds=sounds, n_takes=takes, device=device)
    ]
    typer.echo("\n".join(map(json.dumps, rows)) if as_json else markdown(COLUMNS, rows))
