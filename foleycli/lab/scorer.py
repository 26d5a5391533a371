"""How well an encoder tells a film's own sound from the same sound moved, and so whether it can rank takes.

    python -m foleycli.lab scorer FILM_DIR --encoder sync-mini

Every clip's sound is compared with itself moved around by 0.3 s and more; the figure is how often the true alignment
scores higher than a moved one (the area under the ROC curve of such pairs; 0.5 is chance).  In a folder with an index
only clips of held-out sources, with a visible cause and three onsets or more, are measured.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from foleycli.dsp.onsets import detect_onsets
from foleycli.errors import FoleyError
from foleycli.evaluation.pairs import MIN_ONSETS, RATE_HZ
from foleycli.evaluation.synchrony import extract_stream
from foleycli.features.sync import SyncExtractor, load_extractor
from foleycli.features.sync_score import gain_of, score_chunks
from foleycli.hub.resolve import resolve
from foleycli.library.index import INDEX_NAME
from foleycli.media.audio import read_audio
from foleycli.training.film import read_film

SHIFTS_S = (0.3, 0.5, 0.8, 1.2, 1.7, 2.3, 3.0)
PARTS = ("onsets", "loudness", "embedding", "total")
LONGEST_S = 20.0
VIDEO_ENDINGS = (".mp4", ".mov", ".mkv", ".webm")


@dataclass(frozen=True)
class Alignment:
    """How often the true alignment of one clip beats a moved one, by part of the score."""

    clip: str
    wins: dict[str, float]


def clips_of(folder: Path) -> list[Path]:
    """The clips that are measured; see the module."""
    if (folder / INDEX_NAME).is_file():
        film = read_film(folder)
        return [c.path for c in film if c.is_held_out and c.is_cause_visible and len(c.onsets_s) >= MIN_ONSETS]
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_ENDINGS)


def align(extractor: SyncExtractor, clip: Path) -> Alignment | None:
    """One clip's figures; None for one with too few onsets, or too short to move."""
    import torch

    try:
        samples = read_audio(clip, RATE_HZ, 1).samples[0][: round(LONGEST_S * RATE_HZ)]
    except FoleyError:  # no sound in it
        return None
    if len(detect_onsets(samples, RATE_HZ)) < MIN_ONSETS or len(samples) < 2 * SHIFTS_S[0] * RATE_HZ:
        return None
    samples = samples * gain_of([samples])
    stream = extract_stream(clip, extractor)
    with torch.inference_mode():
        scores = [
            score_chunks(extractor, stream, [np.roll(samples, round(shift_s * RATE_HZ))], RATE_HZ)
            for shift_s in (0.0, *SHIFTS_S, *(-s for s in SHIFTS_S))
            if 2 * abs(shift_s) < len(samples) / RATE_HZ
        ]
    true, moved = scores[0], scores[1:]
    wins = {
        part: float(np.mean([_wins(getattr(true, part), getattr(other, part)) for other in moved])) for part in PARTS
    }
    return Alignment(clip.name, wins)


def _wins(true: float, other: float) -> float:
    return 1.0 if true > other else 0.5 if true == other else 0.0


def main(
    folder: Annotated[Path, typer.Argument(help="A folder of clips with their own sound.")],
    encoder: Annotated[str, typer.Option(help="Name or folder.")] = "sync-mini",
) -> None:
    """Print the figures as JSON."""
    import torch

    extractor = load_extractor(resolve(encoder), torch.device("cpu"), torch.float32)
    rows = [row for clip in clips_of(folder) if (row := align(extractor, clip)) is not None]
    figures = {part: round(float(np.mean([row.wins[part] for row in rows])), 3) for part in PARTS} if rows else {}
    typer.echo(json.dumps({"encoder": encoder, "folder": folder.name, "clips": len(rows), **figures}))
