"""Can one hear where the windows of a long sound join?  Jumps at the joins against jumps everywhere else.

    python -m foleycli.lab.seams CLIP... --model salsav-mini --seeds 4

Each clip is rendered as `foley render` does it, but across scene cuts, and the finished sound is read.  At a moment
the sound jumps by the difference between the 43 ms before it and the 43 ms after it, in level and in mel bands.
A join's rank is the share of all other moments of its clip that jump less: joins that nobody can find have
ranks around 0.5.
`--context 0` is the control: windows that do not hear one another.
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
QUIET_DBFS = -70.0  # nobody hears what is quieter: it does not jump
EVERY_S = 0.01
APART_S = 0.1  # from a join, for a moment to count as another one, and from both ends
BLOCK = 512  # moments at once: memory does not grow with the sound


@dataclass(frozen=True)
class Seams:
    """One kind of jump, in dB: at the joins, at all other moments, and how the former stand among the latter."""

    joins_mean: float
    joins_max: float
    others_mean: float
    others_95th: float  # one in twenty jumps more
    rank: float  # mean over the joins


def joins_s(windows: Sequence[Window], rate_hz: Fraction) -> list[float]:
    """When each window that goes on from another begins to be heard."""
    return [float((window.start_step + window.n_context) / rate_hz) for window in windows[1:]]


def other_moments_s(joins: Sequence[float], duration_s: float) -> np.ndarray:
    """A moment every 10 ms, away from the joins and the ends."""
    grid = np.arange(APART_S, duration_s - APART_S, EVERY_S)
    far = np.abs(grid[:, None] - np.asarray(joins)[None]).min(axis=1, initial=np.inf) >= APART_S
    return grid[far]


def jumps_db(samples: np.ndarray, rate_hz: int, times_s: Sequence[float] | np.ndarray) -> np.ndarray:
    """How much mono [N] jumps at each time: [n, 2] in dB, level and mean of mel bands."""
    padded = np.pad(samples.astype(np.float64), FFT)
    at = np.round(np.asarray(times_s) * rate_hz).astype(np.int64) + FFT
    bank, window, sides = (
        display_filters(rate_hz, N_BANDS),
        np.hanning(FFT),
        np.arange(-FFT, FFT),
    )
    power, bands = [np.zeros((0, 2))], [np.zeros((0, 2, N_BANDS))]
    for first in range(0, len(at), BLOCK):
        both = padded[at[first : first + BLOCK, None] + sides].reshape(-1, 2, FFT)  # [n, before and after, FFT]
        power.append((both**2).mean(axis=2))
        bands.append(np.abs(np.fft.rfft(both * window, axis=2)) ** 2 @ bank.T)
    # What noise at QUIET_DBFS has in a band follows from the window's own energy (Parseval).
    quiet = 10 ** (QUIET_DBFS / 10)
    level_db = 10 * np.log10(np.maximum(np.concatenate(power), quiet))  # [n, 2]
    bands_db = 10 * np.log10(np.maximum(np.concatenate(bands), quiet * (window**2).sum()))  # [n, 2, N_BANDS]
    return np.stack([np.abs(level_db[:, 1] - level_db[:, 0]), np.abs(bands_db[:, 1] - bands_db[:, 0]).mean(axis=1)], 1)


def summarise(sounds: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, Seams]:
    """Of each sound the jumps at its joins [j, 2] and at its other moments [m, 2]; the figures by kind."""
    at_joins, elsewhere = (np.concatenate(each) for each in zip(*sounds, strict=True))
    ranks = np.concatenate([_ranks(*each) for each in sounds])  # [J, 2]
    return {
        kind: Seams(*(round(float(value), 3) for value in (
            at_joins[:, k].mean(), at_joins[:, k].max(), elsewhere[:, k].mean(), np.quantile(elsewhere[:, k], 0.95),
            ranks[:, k].mean(),
        )))
        for k, kind in enumerate(KINDS)
    }  # fmt: skip


def _ranks(joins: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The share of other moments [m, 2] that jump less than each join [j, 2]; equal ones count half."""
    less, more = (compare(others[None], joins[:, None]).mean(axis=1) for compare in (np.less, np.greater))
    return (1 + less - more) / 2


def measure(model: Model, clip: Path, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Render one clip; the jumps in the finished sound at its joins [j, 2] and at other moments [m, 2]."""
    with tempfile.TemporaryDirectory(prefix="foley-seams-") as folder:
        made = RenderJob(probe(clip), Path(folder) / "made.wav", settings).run(model)[0]
        sound = read_audio(made.out, channels=1)
    joins = joins_s(made.windows, model.codec.latent_rate_hz)
    others = other_moments_s(joins, made.duration_s)
    return tuple(jumps_db(sound.samples[0], sound.rate_hz, times_s) for times_s in (joins, others))


def main(
    clips: Annotated[list[Path], typer.Argument(help="Videos longer than one window of the model.")],
    model: Annotated[str, typer.Option(help="Name or folder.")] = "salsav-mini",
    seeds: Annotated[int, typer.Option(help="Renders of each clip.")] = 4,
    steps: Annotated[int | None, typer.Option(help="Sampler steps; without: the model's.")] = None,
    context: Annotated[float | None, typer.Option(help="Seconds of context; without: the model's.")] = None,
    random_weights: Annotated[bool, typer.Option("--random-weights", help="Without its files and encoders.")] = False,
    device: str = "auto",
) -> None:
    """Print the figures as JSON."""
    load = random_model(model, device, without_encoders=True) if random_weights else load_model(resolve(model), device)
    asked = {"steps": steps, "context_s": context}
    options = {"cuts": False} | {name: value for name, value in asked.items() if value is not None}
    own = default_settings(model)
    settings = [resolve_settings(model_defaults=own, overrides=options | {"seed": k}) for k in range(seeds)]
    sounds = [measure(load, clip, each) for clip in clips for each in settings]
    n_joins = sum(len(joins) for joins, _ in sounds)
    if not n_joins:
        raise typer.BadParameter("every clip fits into one window: nothing joins")
    figures = {kind: asdict(seams) for kind, seams in summarise(sounds).items()}
    facts = {"model": load.name, "sounds": len(sounds), "joins": n_joins, "context_s": settings[0].context_s}
    typer.echo(json.dumps(facts | {"steps": settings[0].steps} | figures, indent=2))


if __name__ == "__main__":
    typer.run(main)
