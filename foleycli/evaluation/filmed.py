"""Scores a model on filmed clips that have their own sound: is the made sound in time with it?

    python -m foleycli.evaluation.filmed CLIP... --model salsav-mini

Each clip is rendered as `foley render` does it, without a prompt.  Onsets of the made sound are compared
with those of the clip's own sound, at ±60 and ±100 ms, and with circular shifts of themselves: what stands
above chance is what the picture gave.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from foleycli.evaluation.onsets import agreement, detect_onsets, envelope_correlation
from foleycli.hub.resolve import resolve
from foleycli.media.audio import read_audio
from foleycli.media.probe import probe
from foleycli.model import Model, load_model
from foleycli.pipeline import RenderJob, render
from foleycli.records import Settings

RATE_HZ = 44100


@dataclass(frozen=True)
class Filmed:
    """One clip's figures; "above" is above chance."""

    clip: str
    onsets: int  # in its own sound
    made_onsets: int
    f1_60ms: float
    above_60ms: float
    above_100ms: float
    envelope: float
    made_per_s: float
    own_per_s: float


def score(model: Model, clip: Path, settings: Settings) -> Filmed:
    """Render one clip and compare its sound with its own."""
    video = probe(clip)
    with tempfile.TemporaryDirectory(prefix="foley-filmed-") as folder:
        out = Path(folder) / "made.wav"
        render(RenderJob(video, out, settings), model)
        made = read_audio(out, RATE_HZ, 1).samples[0]
    own = read_audio(clip, RATE_HZ, 1).samples[0]
    found, true = detect_onsets(made, RATE_HZ), detect_onsets(own, RATE_HZ)
    close, near = (agreement(found, true, tolerance_s, video.duration_s) for tolerance_s in (0.06, 0.1))
    return Filmed(
        clip.name, len(true), len(found), round(close.f1, 3), round(close.f1 - close.shifted_f1, 3),
        round(near.f1 - near.shifted_f1, 3), round(envelope_correlation(made, own, RATE_HZ), 3),
        round(len(found) / video.duration_s, 2), round(len(true) / video.duration_s, 2),
    )  # fmt: skip


def main(
    clips: Annotated[list[Path], typer.Argument(help="Videos with their own sound.")],
    model: Annotated[str, typer.Option(help="Name or folder.")] = "salsav-mini",
    steps: Annotated[int, typer.Option(help="Sampler steps.")] = Settings().steps,
    guidance: Annotated[float, typer.Option(help="Guidance.")] = Settings().guidance,
    device: str = "auto",
) -> None:
    """Print one JSON line a clip, and the means over clips with at least three onsets."""
    loaded = load_model(resolve(model), device)
    scored = [score(loaded, clip, Settings(steps=steps, guidance=guidance)) for clip in clips]
    for one in scored:
        typer.echo(json.dumps(asdict(one)))
    struck = [one for one in scored if one.onsets >= 3]
    names = ("f1_60ms", "above_60ms", "above_100ms", "envelope")
    means = {name: round(float(np.mean([getattr(one, name) for one in struck])), 3) for name in names}
    typer.echo(json.dumps({"clips": len(struck), **means}))


if __name__ == "__main__":
    typer.run(main)
