"""What the synchronisation encoder alone sees in filmed clips: its onsets and loudness against the clips' own sound.

    python -m foleycli.lab.encoder CLIP... --model sync-mini

Two numbers tell how far training on drawn worlds has carried over to film.  The clips come in two halves, every
second one by name: "watched" may be looked at while a training runs, "kept" is for the last figure.  Onsets are those
that `foley render` reports; the detector that finds the sound's own onsets is late by DETECTOR_LATE_S on clicks, which
is taken into account.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from foleycli.device import choose_device
from foleycli.dsp.onsets import agreement, detect_onsets, loudness_envelope
from foleycli.evaluation.pairs import MIN_ONSETS, RATE_HZ
from foleycli.evaluation.synchrony import extract_stream
from foleycli.features import sync
from foleycli.hub.resolve import resolve
from foleycli.media.audio import read_audio
from foleycli.media.probe import probe
from foleycli.records import Stream
from foleycli.timebase import FEATURE_FPS

DETECTOR_LATE_S = 0.022  # of `detect_onsets`, on clicks with attacks of 1 to 40 ms
FLOOR_DB = -60.0


@dataclass(frozen=True)
class Seen:
    """One clip's figures; "above" is above chance."""

    clip: str
    onsets: int  # of its own sound
    seen: int  # by the encoder
    above_60ms: float
    above_100ms: float
    loudness: float  # correlation of the loudness head with the sound's level


def look(encoder: sync.SyncExtractor, clip: Path) -> Seen:
    """The figures of one clip; errors: FoleyError when it cannot be read or has no sound."""
    stream = extract_stream(clip, encoder)
    samples = read_audio(clip, RATE_HZ, 1).samples[0]
    return score(clip.name, np.array(encoder.events_s(stream)), loudness_of(stream), samples, probe(clip).duration_s)


def score(name: str, seen_s: np.ndarray, loudness: np.ndarray, samples: np.ndarray, duration_s: float) -> Seen:
    """Onset times [n] and a loudness curve [T] at 25 Hz against a sound, mono [N]."""
    true_s = detect_onsets(samples, RATE_HZ)
    close, near = (agreement(seen_s + DETECTOR_LATE_S, true_s, tolerance_s, duration_s) for tolerance_s in (0.06, 0.1))
    return Seen(
        name, len(true_s), len(seen_s), round(close.f1 - close.shifted_f1, 3), round(near.f1 - near.shifted_f1, 3),
        round(_correlation(loudness, np.maximum(loudness_envelope(samples, RATE_HZ, 1 / FEATURE_FPS), FLOOR_DB)), 3),
    )  # fmt: skip


def loudness_of(stream: Stream) -> np.ndarray:
    """The loudness head's curve [T] in a stream of the encoder."""
    return stream.values[:, -1].float().cpu().numpy()


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    n = min(len(a), len(b))
    flat = min(a[:n].std(), b[:n].std()) < 1e-6
    return 0.0 if flat else float(np.corrcoef(a[:n], b[:n])[0, 1])


def halves(rows: list[Seen]) -> dict[str, list[Seen]]:
    """The struck clips, and every second of them by name."""
    struck = sorted((row for row in rows if row.onsets >= MIN_ONSETS), key=lambda row: row.clip)
    return {"all": struck, "watched": struck[::2], "kept": struck[1::2]}


def main(
    clips: Annotated[list[Path], typer.Argument(help="Videos with their own sound.")],
    model: Annotated[str, typer.Option(help="Name or folder of a synchronisation encoder.")] = "sync-mini",
    device: str = "auto",
) -> None:
    """Print one JSON line a clip, and the means over clips with at least three onsets, and over each half of them."""
    encoder = sync.load_extractor(resolve(model), choose_device(device), torch.float32)
    rows = [look(encoder, clip) for clip in clips]
    for row in rows:
        typer.echo(json.dumps(asdict(row)))
    for half, its in halves(rows).items():
        names = ("above_60ms", "above_100ms", "loudness")
        means = {name: round(float(np.mean([getattr(row, name) for row in its])), 3) for name in names} if its else {}
        typer.echo(json.dumps({"half": half, "clips": len(its), **means}))


if __name__ == "__main__":
    typer.run(main)
