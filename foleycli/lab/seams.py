"""Are the joins of a long sound's windows audible?  Jumps at the joins compared with jumps everywhere else.

    python -m foleycli.lab seams CLIP... --model salsav-mini --seeds 4

Each clip is rendered as `foley render` does it, but without starting afresh at scene cuts, and the finished sound is
read.  The jump at a moment is the difference between the 43 ms before it and the 43 ms after it, in level and in mel
bands.  A join's rank is the share of all other moments of its clip that jump less: joins that nobody can find have
ranks around 0.5.  `--context 0` is the control: windows without context from one another.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from foleycli.dsp.mel import FFT, display_filters
from foleycli.errors import FoleyError
from foleycli.hub.resolve import default_settings, resolve
from foleycli.media.audio import read_audio
from foleycli.media.probe import probe
from foleycli.models.model import Model, load_model
from foleycli.models.random_weights import random_model
from foleycli.records import Window
from foleycli.rendering.job import RenderJob
from foleycli.settings.preset import resolve_settings
from foleycli.settings.settings import Settings

KINDS = ("energy", "spectrum")
N_BANDS = 40
QUIET_DBFS = -70.0  # quieter sound counts as this loud: it is inaudible
EVERY_S = 0.01
MARGIN_S = 0.1  # of other moments from joins and from both ends
DIGITS = 3
BLOCK = 512  # moments at once: memory does not grow with the sound


@dataclass(frozen=True)
class JumpMetrics:
    """One kind of jump, in dB: at the joins, at all other moments, and how the former rank among the latter."""

    joins_mean: float
    joins_max: float
    others_mean: float
    others_95th: float  # one in twenty jumps more
    rank: float  # mean over the joins


def joins_s(windows: Sequence[Window], rate_hz: Fraction) -> list[float]:
    """When the new part of each window but the first begins."""
    return [float((window.start_step + window.n_context) / rate_hz) for window in windows[1:]]


def other_moments_s(joins: Sequence[float], duration_s: float) -> np.ndarray:
    """A moment every 10 ms, away from the joins and the ends."""
    grid = np.arange(MARGIN_S, duration_s - MARGIN_S, EVERY_S)
    far = np.abs(grid[:, None] - np.asarray(joins)[None]).min(axis=1, initial=np.inf) >= MARGIN_S
    return grid[far]


def jumps_db(samples: np.ndarray, rate_hz: int, times_s: Sequence[float] | np.ndarray) -> np.ndarray:
    """By how much mono [N] jumps at each time: [n, 2] in dB, level and mean over mel bands."""
    padded = np.pad(samples.astype(np.float64), FFT)
    at = np.round(np.asarray(times_s) * rate_hz).astype(np.int64) + FFT
    filters, window, sides = display_filters(rate_hz, N_BANDS), np.hanning(FFT), np.arange(-FFT, FFT)
    power, bands = [np.zeros((0, 2))], [np.zeros((0, 2, N_BANDS))]
    for first in range(0, len(at), BLOCK):
        both = padded[at[first : first + BLOCK, None] + sides].reshape(-1, 2, FFT)  # [n, before and after, FFT]
        power.append((both**2).mean(axis=2))
        bands.append(np.abs(np.fft.rfft(both * window, axis=2)) ** 2 @ filters.T)
    # What noise at QUIET_DBFS has in a band follows from the window's own energy (Parseval).
    quiet = 10 ** (QUIET_DBFS / 10)
    level_db = 10 * np.log10(np.maximum(np.concatenate(power), quiet))  # [n, 2]
    bands_db = 10 * np.log10(np.maximum(np.concatenate(bands), quiet * (window**2).sum()))  # [n, 2, N_BANDS]
    return np.stack([np.abs(level_db[:, 1] - level_db[:, 0]), np.abs(bands_db[:, 1] - bands_db[:, 0]).mean(axis=1)], 1)


def summarise(sounds: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, JumpMetrics]:
    """The figures by kind; of each sound the jumps at its joins [j, 2] and at its other moments [m, 2]."""
    at_joins, elsewhere = (np.concatenate(each) for each in zip(*sounds, strict=True))
    ranks = np.concatenate([_ranks(joins, others) for joins, others in sounds])  # [J, 2]
    return {
        kind: JumpMetrics(
            joins_mean=round(float(at_joins[:, k].mean()), DIGITS),
            joins_max=round(float(at_joins[:, k].max()), DIGITS),
            others_mean=round(float(elsewhere[:, k].mean()), DIGITS),
            others_95th=round(float(np.quantile(elsewhere[:, k], 0.95)), DIGITS),
            rank=round(float(ranks[:, k].mean()), DIGITS),
        )
        for k, kind in enumerate(KINDS)
    }


def join_ranks(samples: np.ndarray, rate_hz: int, joins: Sequence[float]) -> list[float]:
    """The ranks of mono [N] at its joins, in seconds, each the mean of level and spectrum; 0.5 is any moment."""
    others = jumps_db(samples, rate_hz, other_moments_s(joins, len(samples) / rate_hz))
    return [float(rank) for rank in _ranks(jumps_db(samples, rate_hz, joins), others).mean(axis=1)]


def _ranks(joins: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The share of other moments [m, 2] that jump less than each join [j, 2]; equal ones count half."""
    less, more = (compare(others[None], joins[:, None]).mean(axis=1) for compare in (np.less, np.greater))
    return (1 + less - more) / 2


def measure(model: Model, clip: Path, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Render one clip; the jumps in the finished sound at its joins [j, 2] and at other moments [m, 2]."""
    with tempfile.TemporaryDirectory(prefix="foley-seams-") as folder:
        generated = RenderJob(probe(clip), Path(folder) / "generated.wav", settings).run(model)[0]
        sound = read_audio(generated.out, channels=1)
    joins = joins_s(generated.windows, model.codec.latent_rate_hz)
    others = other_moments_s(joins, generated.duration_s)
    return jumps_db(sound.samples[0], sound.rate_hz, joins), jumps_db(sound.samples[0], sound.rate_hz, others)


def main(
    clips: Annotated[list[Path], typer.Argument(help="Videos longer than one window of the model.")],
    model: Annotated[str, typer.Option(help="Name or folder.")] = "salsav-mini",
    seeds: Annotated[int, typer.Option(help="Renders of each clip.")] = 4,
    steps: Annotated[int | None, typer.Option(help="Sampler steps; without: the model's.")] = None,
    context: Annotated[float | None, typer.Option(help="Seconds of context; without: the model's.")] = None,
    random_weights: Annotated[bool, typer.Option("--random-weights", help="Untrained, without its files.")] = False,
    device: str = "auto",
) -> None:
    """Print the figures as JSON."""
    for clip in clips:
        probe(clip)
    if random_weights:
        loaded = random_model(model, device, without_encoders=True)
    else:
        loaded = load_model(resolve(model), device)
    options = {"steps": steps, "context_s": context}
    given = {"cuts": False} | {name: value for name, value in options.items() if value is not None}
    own = default_settings(model)
    settings = [resolve_settings(model_defaults=own, overrides=given | {"seed": k}) for k in range(seeds)]
    sounds = [measure(loaded, clip, each) for clip in clips for each in settings]
    n_joins = sum(len(joins) for joins, _ in sounds)
    if not n_joins:
        raise FoleyError("every clip fits into one window, so nothing joins", "Give clips longer than a window")
    facts = {
        "model": loaded.name,
        "sounds": len(sounds),
        "joins": n_joins,
        "context_s": settings[0].context_s,
        "steps": settings[0].steps,
    }
    typer.echo(json.dumps(facts | {kind: asdict(jumps) for kind, jumps in summarise(sounds).items()}, indent=2))
