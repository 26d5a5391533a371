"""Families side by side on the same held-out synthetic clips, through the same stages as a render: one table.

    python -m foleycli.lab families --clips 24 --sounds SOUNDS --takes 4

Each model runs with the settings that it brings, each clip with its label as the prompt (families without words
go by the picture alone).  The distances are those of long-term spectra to the clip's own sound: without a
reference, and with 2 s of another sound of the same kind.  How far that reference is itself from the clip's sound
is the control.  Evaluations count calls of the network for one full window; guidance runs its passes as one batch, in
one call.  Seconds are of sampler and codec: watching is the same for all.
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
from foleycli.lab.held_out import Shown, make, make_takes, score_sound, shown_clips
from foleycli.models.model import Model, load_model
from foleycli.rendering.cost import TAKES_AT_ONCE
from foleycli.rendering.takes import load_scorer
from foleycli.rendering.timbre import characteristic_start_s
from foleycli.settings.preset import resolve_settings
from foleycli.settings.settings import Settings
from foleycli.synthetic.config import RATE_HZ
from foleycli.weights.folder import read_config

LOUD = 0.02  # peak of a sound that has a timbre to measure
WATCHING = ("sync", "semantic", "text")  # parts that decide what is seen of a clip


@dataclass(frozen=True)
class Row:
    """One model's figures, means over the clips; nan where no clip says anything."""

    model: str
    family: str
    parameters: int  # of the family's network
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


def compare(names: Sequence[str], settings_of: dict[str, Settings], n: int, sounds: Path | None, takes: int,
            device: str) -> list[Row]:  # fmt: skip
    """A row for each model; clips are drawn and watched once for all models that watch alike."""
    shown: dict[tuple[Any, ...], list[Shown]] = {}
    rows = []
    for name in names:
        folder = resolve(name)
        model = load_model(folder, device)
        check_comparable(model)
        watching = tuple(read_config(folder).get(part) for part in WATCHING)
        if watching not in shown:
            shown[watching] = shown_clips(model, n, sounds)
        rows.append(row_of(model, shown[watching], settings_of[name], takes))
    return rows


def check_comparable(model: Model) -> None:
    """Errors: FoleyError for a model that cannot watch the drawn clips, or has another rate than their sounds."""
    kinds = {extractor.frame_format for extractor in (model.sync, model.semantic)}
    if kinds != {FrameFormat()} or model.codec.rate_hz != RATE_HZ:
        raise FoleyError(
            f"{model.name} does not watch pictures of {FrameFormat().side_px} px, or its sound is not of {RATE_HZ} Hz",
            "compare models that do: the shipped ones",
        )


def row_of(model: Model, shown: Sequence[Shown], settings: Settings, takes: int = 1) -> Row:
    """All figures of one model."""
    evaluations = evaluations_of_a_window(model, shown[0], settings)  # and what is first is not timed
    hears_words = model.family.spec.text_dim > 0
    prompts = [one.clip.label if hears_words else "" for one in shown]
    own = [replace(settings, prompt=prompt, seed=takes * k) for k, prompt in enumerate(prompts)]
    begun_s = time.perf_counter()
    made = [make(model, one, its) for one, its in zip(shown, own, strict=True)]
    spent_s = time.perf_counter() - begun_s
    scored = [score_sound(sound, model, one) for sound, one in zip(made, shown, strict=True)]
    distances = [distances_of(model, *given) for given in zip(made, shown, own, strict=True)]
    best = [best_take_f1(model, one, its, takes) for one, its in zip(shown, own, strict=True)] if takes > 1 else []
    f1, shifted, envelope = (mean([getattr(one, name) for one in scored]) for name in ("f1", "shifted_f1", "envelope"))
    return Row(
        model.name, model.family.spec.name, sum(weight.numel() for weight in model.family.network.parameters()),
        settings.steps, settings.guidance, evaluations, 10 * spent_s / (sum(map(len, made)) / model.codec.rate_hz),
        f1, shifted, envelope, *(mean(column) for column in zip(*distances, strict=True)),
        takes, mean(best) if best else None,
    )  # fmt: skip


def evaluations_of_a_window(model: Model, shown: Shown, settings: Settings) -> int:
    """How often the network is called for as much of a clip as goes into one window."""
    n_samples = model.family.spec.window_steps * model.codec.hop
    shown = replace(shown, clip=replace(shown.clip, samples=shown.clip.samples[:n_samples]))
    calls = []
    hook = model.family.network.register_forward_pre_hook(lambda *_: calls.append(1))
    try:
        make(model, shown, settings)
    finally:
        hook.remove()
    return len(calls)


def distances_of(model: Model, made: np.ndarray, shown: Shown, settings: Settings) -> tuple[float, float, float]:
    """Distances to the clip's own sound: of what was made, of what is made with a reference, of the reference."""
    true, rate_hz = shown.clip.samples, model.codec.rate_hz
    first = round(characteristic_start_s(shown.alike, rate_hz, settings.ref_s) * rate_hz)
    reference = shown.alike[first : first + round(settings.ref_s * rate_hz)]
    if min(np.abs(true).max(), np.abs(reference).max()) < LOUD:
        return np.nan, np.nan, np.nan
    with_it = make(model, shown, settings, reference)
    return tuple(spectral_distance_db(sound, true, rate_hz) for sound in (made, with_it, reference))


def best_take_f1(model: Model, shown: Shown, settings: Settings, takes: int) -> float:
    """Onset F1 of the take, of so many from the settings' seed on, that fits the picture best; nan without events."""
    if not shown.clip.events:
        return np.nan
    judge, seeds = load_scorer(model), [settings.seed + k for k in range(takes)]
    streams = shown.streams if judge is model.sync else extract_features([shown.clip.frames], [judge])
    batches = [seeds[first : first + TAKES_AT_ONCE] for first in range(0, takes, TAKES_AT_ONCE)]
    sounds = [sound for batch in batches for sound in make_takes(model, shown, settings, batch)]
    best = max(sounds, key=lambda sound: sync_score(judge, streams[judge.name], sound, model.codec.rate_hz))
    return score_sound(best, model, shown).f1


def mean(values: Sequence[float]) -> float:
    """Of the values that are numbers; nan without any."""
    there = [value for value in values if not np.isnan(value)]
    return float(np.mean(there)) if there else np.nan


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a table."""
    columns = {
        "model": lambda row: f"`{row.model}`",
        "parameters": lambda row: f"{row.parameters / 1e6:.1f} M",
        "steps": lambda row: str(row.steps),
        "network evaluations": lambda row: str(row.evaluations),
        "s per 10 s of sound": lambda row: f"{row.s_per_10s:.2f}",
        "onset F1 ±60 ms": lambda row: f"{row.f1_60ms:.2f}",
        "shifted": lambda row: f"{row.f1_60ms_shifted:.2f}",
        "loudness correlation": lambda row: f"{row.envelope_correlation:.2f}",
        "distance to the real sound, dB": lambda row: f"{row.distance_db:.1f}",
        "with a reference, dB": lambda row: f"{row.distance_with_reference_db:.1f}",
        "the reference itself, dB": lambda row: f"{row.distance_of_reference_db:.1f}",
    }
    if any(row.f1_60ms_best_take is not None for row in rows):
        columns[f"F1, best of {rows[0].takes} takes"] = lambda row: f"{row.f1_60ms_best_take:.2f}"
    lines = [columns, ["---"] * len(columns), *([cell(row) for cell in columns.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def json_line(row: Row) -> str:
    """A row as JSON, which knows no nan: null is what no clip says anything of."""
    return json.dumps({key: None if value != value else value for key, value in asdict(row).items()})


def main(
    model: Annotated[list[str] | None, typer.Option(help="Name or folder; several; without: all that ship.")] = None,
    clips: Annotated[int, typer.Option(help="How many held-out clips.", min=1)] = 24,
    sounds: Annotated[Path | None, typer.Option(help="A folder of labelled sounds; without: synthesised.")] = None,
    takes: Annotated[int, typer.Option(help="Also judge so many takes of each clip.", min=1)] = 1,
    steps: Annotated[int | None, typer.Option(help="For all models, instead of each one's own.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a row.")] = False,
    device: str = "auto",
) -> None:
    """Print the table as Markdown, or as JSON lines."""
    names = model or [entry.name for entry in entries("family") if entry.is_shipped]
    given = {} if steps is None else {"steps": steps}
    settings_of = {name: resolve_settings(overrides=given, model_defaults=default_settings(name)) for name in names}
    rows = compare(names, settings_of, clips, sounds, takes, device)
    typer.echo("\n".join(map(json_line, rows)) if as_json else markdown(rows))
