"""What a synchronisation encoder predicts for filmed clips: onsets and loudness, compared with the clips' own sound.

    python -m foleycli.lab encoder CLIP... --model sync-mini

Shows how well training on synthetic worlds carries over to film.  The clips with onsets come in two halves, every
second one by name: "watched" may be looked at while a training runs, "kept" is for the final figure.  The detector
that finds the onsets of the clips' own sound is late by DETECTOR_DELAY_S on clicks; the predicted onsets are moved by
as much.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from foleycli.device import choose_device
from foleycli.dsp.onsets import agreement, detect_onsets, loudness_envelope
from foleycli.evaluation.pairs import MIN_ONSETS, RATE_HZ
from foleycli.evaluation.synchrony import extract_streams
from foleycli.features import sync
from foleycli.features.position import MotionPosition
from foleycli.hub.resolve import resolve
from foleycli.media.audio import read_audio
from foleycli.media.probe import probe
from foleycli.rendering.dynamics import predict_dynamics_db
from foleycli.timebase import FEATURE_FPS

DETECTOR_DELAY_S = 0.022  # of `detect_onsets`, on clicks with attacks of 1 to 40 ms
FLOOR_DB = -60.0
DIGITS = 3


@dataclass(frozen=True)
class ClipMetrics:
    """One clip's figures; "above" is above chance."""

    clip: str
    onsets: int  # of its own sound
    predicted_onsets: int
    above_60ms: float  # F1 less the mean F1 over circular shifts
    above_100ms: float
    loudness: float  # correlation of the predicted loudness with the sound's level
    dynamics: float  # the same of the loudness over seconds, by `features.dynamics`


def measure_clip(encoder: sync.SyncExtractor, clip: Path) -> ClipMetrics:
    """The figures of one clip; errors: FoleyError when it cannot be read or has no sound."""
    streams = extract_streams(clip, [encoder, MotionPosition()])
    stream, motion = streams[encoder.name], streams["position"].values[:, 2:].numpy()
    dynamics = predict_dynamics_db(encoder.loudness_db(stream), motion)
    return compare(
        name=clip.name,
        predicted_s=np.array(encoder.events_s(stream)),
        loudness=stream.values[:, -1].float().cpu().numpy(),  # [T], the loudness head
        dynamics=np.zeros(1) if dynamics is None else dynamics,
        samples=read_audio(clip, RATE_HZ, 1).samples[0],
        duration_s=probe(clip).duration_s,
    )


def compare(
    *,
    name: str,
    predicted_s: np.ndarray,
    loudness: np.ndarray,
    dynamics: np.ndarray,
    samples: np.ndarray,
    duration_s: float,
) -> ClipMetrics:
    """Predicted onset times [n] and two loudness curves [T] at 25 Hz against a sound, mono [N] at RATE_HZ."""
    onsets_s = detect_onsets(samples, RATE_HZ)
    at_60ms, at_100ms = (
        agreement(predicted_s + DETECTOR_DELAY_S, onsets_s, tolerance_s, duration_s) for tolerance_s in (0.06, 0.1)
    )
    levels_db = np.maximum(loudness_envelope(samples, RATE_HZ, float(1 / FEATURE_FPS)), FLOOR_DB)
    return ClipMetrics(
        clip=name,
        onsets=len(onsets_s),
        predicted_onsets=len(predicted_s),
        above_60ms=round(at_60ms.above_chance, DIGITS),
        above_100ms=round(at_100ms.above_chance, DIGITS),
        loudness=round(_correlation(loudness, levels_db), DIGITS),
        dynamics=round(_correlation(dynamics, levels_db), DIGITS),
    )


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson correlation of what two curves have in common; 0 where one of them is flat."""
    n = min(len(one), len(other))
    is_flat = min(one[:n].std(), other[:n].std()) < 1e-6
    return 0.0 if is_flat else float(np.corrcoef(one[:n], other[:n])[0, 1])


def halves(rows: Sequence[ClipMetrics]) -> dict[str, list[ClipMetrics]]:
    """The clips with onsets, and each half of them, every second one by name."""
    with_onsets = sorted((row for row in rows if row.onsets >= MIN_ONSETS), key=lambda row: row.clip)
    return {"all": with_onsets, "watched": with_onsets[::2], "kept": with_onsets[1::2]}


def main(
    clips: Annotated[list[Path], typer.Argument(help="Videos with their own sound.")],
    model: Annotated[str, typer.Option(help="Name or folder of a synchronisation encoder.")] = "sync-mini",
    device: str = "auto",
) -> None:
    """Print a JSON line a clip, and the means over clips with at least three onsets, and over each half of them."""
    for clip in clips:
        probe(clip)
    encoder = sync.load_extractor(resolve(model), choose_device(device), torch.float32)
    rows = [measure_clip(encoder, clip) for clip in clips]
    for row in rows:
        typer.echo(json.dumps(asdict(row)))
    for half, members in halves(rows).items():
        names = ("above_60ms", "above_100ms", "loudness", "dynamics") if members else ()
        means = {name: round(float(np.mean([getattr(row, name) for row in members])), DIGITS) for name in names}
        typer.echo(json.dumps({"half": half, "clips": len(members), **means}))
