"""How a render's mix follows held-out film: what the levels of strokes, textures and room tone are tuned on.

    python -m foleycli.lab film FILM_DIR --keep KEPT_DIR --prompts FILE

Of every held-out source of a folder of film (`training.film`) at most `--per-source` clips are watched, and the model
makes its sound for them.  Both are kept in KEPT_DIR, so that a further trial, after a change of the mix, takes seconds.
A row each for all clips, those in which recordings strike, those in which recordings go on, and those without any;
sources count by the root of their number of clips.  Onsets: F1 above chance at 60 ms, of clips whose cause is visible.
Halves: how far level and spectrum of a sound's two halves are apart, 90th percentile, and the real sounds' level.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from foleycli.cli.naming import read_prompts
from foleycli.dsp.gain_riding import ride_gain
from foleycli.dsp.onsets import agreement, detect_onsets, envelope_correlation
from foleycli.dsp.spectrum import spectral_distance_db
from foleycli.evaluation.pairs import MIN_ONSETS, RATE_HZ
from foleycli.hub.catalog import DEFAULT_MODEL
from foleycli.hub.resolve import resolve
from foleycli.lab.tables import Column, markdown, without_nan
from foleycli.media.audio import read_audio
from foleycli.models.model import Model, load_model
from foleycli.recordings.mix import Recorded
from foleycli.records import Stream
from foleycli.rendering.analyze import VideoAnalysis, analyze
from foleycli.rendering.generate import generate_takes
from foleycli.rendering.recordings import choose_recordings
from foleycli.rendering.timbre import encode_reference, find_reference
from foleycli.settings.preset import resolve_settings
from foleycli.settings.settings import Settings
from foleycli.training.film import FilmedClip, read_film

ARRAYS = ("loudness_db", "dynamics_db", "position")  # of an analysis
COLUMNS = (
    Column("what", "recordings"),
    Column("sounds", "sounds"),
    Column("onsets", "onset F1 above chance, ±60 ms", 3),
    Column("loudness", "loudness correlation", 3, signed=True),
    Column("spectrum_db", "spectral distance", 2, unit="dB"),
    Column("halves_db", "halves, level", 1, unit="dB"),
    Column("halves_spectrum_db", "halves, spectrum", 1, unit="dB"),
    Column("real_halves_db", "real halves, level", 1, unit="dB"),
)


@dataclass(frozen=True)
class SoundMetrics:
    """One made sound beside the clip's own."""

    source: str
    laid: str  # "hits", "goes on" or "none": the recordings in it
    onsets: float  # NaN where no cause is visible, or there are too few
    loudness: float
    spectrum_db: float
    halves_db: float
    halves_spectrum_db: float
    real_halves_db: float


def held_out_clips(folder: Path, per_source: int) -> list[FilmedClip]:
    """The first clips of every source that no training sees."""
    taken: Counter[str] = Counter()
    clips = []
    for clip in read_film(folder):
        if clip.is_held_out and taken[clip.source] < per_source:
            taken[clip.source] += 1
            clips.append(clip)
    return clips


def watched(clip: FilmedClip, model: Model, keep: Path) -> VideoAnalysis:
    """What a clip shows, kept from the first time on."""
    kept = keep / f"{clip.path.stem}.pt"
    if not kept.is_file():
        torch.save(to_plain(analyze(clip.path, model)), kept)
    return from_plain(torch.load(kept, weights_only=True))


def to_plain(analysis: VideoAnalysis) -> dict[str, Any]:
    """An analysis in tensors and plain values: what torch.load takes with weights_only."""
    arrays = {name: getattr(analysis, name) for name in ARRAYS}
    return {
        **vars(analysis),
        "streams": {name: (one.values, str(one.rate_hz), one.late_s) for name, one in analysis.streams.items()},
        **{name: None if values is None else torch.from_numpy(values) for name, values in arrays.items()},
    }


def from_plain(kept: dict[str, Any]) -> VideoAnalysis:
    """The analysis of which `to_plain` gave these values."""
    streams = {
        name: Stream(values, Fraction(rate_hz), late_s) for name, (values, rate_hz, late_s) in kept["streams"].items()
    }
    arrays = {name: None if kept[name] is None else kept[name].numpy() for name in ARRAYS}
    return VideoAnalysis(**{**kept, **arrays, "streams": streams})


def model_sound(clip: FilmedClip, analysis: VideoAnalysis, model: Model, settings: Settings, keep: Path) -> np.ndarray:
    """The model's own sound of a clip, mono [N], before levels follow the picture; kept from the first time on."""
    kept = keep / f"{clip.path.stem}-{'words' if settings.prompt else 'picture'}-{settings.seed}.npy"
    if not kept.is_file():
        reference = encode_reference(find_reference(settings, analysis.labels), None, model, settings)
        bare = resolve_settings(model_defaults=asdict(settings), overrides={"ride": 0.0})
        [audio] = generate_takes(model, analysis, bare, [settings.seed], reference=reference)
        np.save(kept, audio.samples[0])
    samples: np.ndarray = np.load(kept)
    return samples


def mixed(samples: np.ndarray, recorded: Recorded, settings: Settings, rate_hz: int) -> np.ndarray:
    """The model's sound with recordings and room tone, as a render mixes them."""
    ridden = ride_gain(samples, rate_hz, recorded.ride_target_db(), settings.ride)
    return recorded.beside(ridden, rate_hz, settings.seed)


def halves_db(samples: np.ndarray) -> tuple[float, float]:
    """How far the levels, and the spectra, of the two halves of a sound [N] are apart."""
    first, second = np.array_split(samples, 2)
    levels = [10 * np.log10(np.mean(np.square(half, dtype=np.float64)) + 1e-12) for half in (first, second)]
    return abs(levels[0] - levels[1]), spectral_distance_db(first, second, RATE_HZ)


def compare(clip: FilmedClip, made: np.ndarray, real: np.ndarray, recorded: Recorded) -> SoundMetrics:
    """A made sound [N] beside the real one [M], both at RATE_HZ."""
    n = min(len(made), len(real))
    made, real = made[:n], real[:n]
    onsets_s, kinds = detect_onsets(real, RATE_HZ), {one.kind for one in recorded.chosen}
    found = agreement(detect_onsets(made, RATE_HZ), onsets_s, 0.06, n / RATE_HZ)
    is_struck = clip.is_cause_visible and len(onsets_s) >= MIN_ONSETS
    level_db, spectrum_db = halves_db(made)
    return SoundMetrics(
        source=clip.source,
        laid="hits" if "hits" in kinds else "goes on" if kinds else "none",
        onsets=found.above_chance if is_struck else np.nan,
        loudness=envelope_correlation(made, real, RATE_HZ),
        spectrum_db=spectral_distance_db(made, real, RATE_HZ),
        halves_db=level_db,
        halves_spectrum_db=spectrum_db,
        real_halves_db=halves_db(real)[0],
    )


def summarise(what: str, rows: Sequence[SoundMetrics]) -> dict[str, object]:
    """Means over sounds, sources weighted by the root of their number, and 90th percentiles of halves."""
    number = Counter(row.source for row in rows)
    weights = np.array([number[row.source] ** -0.5 for row in rows])

    def mean(name: str) -> float:
        values = np.array([getattr(row, name) for row in rows])
        known = ~np.isnan(values)
        return float(np.average(values[known], weights=weights[known])) if known.any() else np.nan

    def most(name: str) -> float:
        return float(np.percentile([getattr(row, name) for row in rows], 90))

    return {
        "what": what,
        "sounds": len(rows),
        **{name: mean(name) for name in ("onsets", "loudness", "spectrum_db")},
        **{name: most(name) for name in ("halves_db", "halves_spectrum_db", "real_halves_db")},
    }


def main(
    folder: Annotated[Path, typer.Argument(metavar="FILM_DIR", help="A folder of film with an index.")],
    keep: Annotated[Path, typer.Option(help="Where analyses and the model's sounds are kept.")],
    prompts: Annotated[Path | None, typer.Option(help="Words by file name, as for foley render; only those.")] = None,
    per_source: Annotated[int, typer.Option(min=1, help="Clips of a source at most.")] = 2,
    seeds: Annotated[int, typer.Option(min=1, help="Sounds of a clip.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a row.")] = False,
) -> None:
    """Print the figures as a Markdown table, or as JSON lines."""
    clips = held_out_clips(folder, per_source)
    words = read_prompts(prompts, [clip.path for clip in clips]) if prompts else None
    clips = [clip for clip in clips if words is None or clip.path in words]
    model = load_model(resolve(DEFAULT_MODEL), device="cpu")
    keep.mkdir(parents=True, exist_ok=True)
    rows = []
    for clip in clips:
        analysis, real = watched(clip, model, keep), read_audio(clip.path, RATE_HZ, 1).samples[0]
        for seed in range(seeds):
            asked = {"prompt": words[clip.path] if words else "", "seed": seed}
            settings = resolve_settings(model_defaults=model.default_settings, overrides=asked)
            choice = choose_recordings(settings, analysis.labels, is_outdoors=analysis.is_outdoors)
            recorded = choice.read(settings, analysis, model.sync, RATE_HZ)
            made = mixed(model_sound(clip, analysis, model, settings, keep), recorded, settings, RATE_HZ)
            rows.append(compare(clip, made, real, recorded))
    groups = {"all": rows, **{what: [row for row in rows if row.laid == what] for what in ("hits", "goes on", "none")}}
    table = [summarise(what, members) for what, members in groups.items() if members]
    typer.echo("\n".join(json.dumps(without_nan(row)) for row in table) if as_json else markdown(COLUMNS, table))
