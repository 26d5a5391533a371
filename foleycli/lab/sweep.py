"""One model over sampler steps, guidance and what it is told: a table over the same held-out synthetic clips.

    python -m foleycli.lab sweep --model salsav-mini --clips 24 --sounds SOUNDS

Every row changes one thing from the model's own settings, whose prompt is the clip's label.  F1 and the loudness
correlation say how well the sound follows the picture, the distance how far its long-term spectrum is from that of
the clip's own sound.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from foleycli.dsp.spectrum import spectral_distance_db
from foleycli.hub.resolve import default_settings, resolve
from foleycli.lab.families import LOUD, mean
from foleycli.lab.held_out import Shown, make, score_sound, shown_clips
from foleycli.models.model import Model, load_model
from foleycli.settings.preset import resolve_settings
from foleycli.settings.settings import Settings

STEPS = (1, 2, 4, 8, 16, 32)
GUIDANCE = (1.0, 3.0, 5.0, 7.0)
WORDS_GUIDANCE = (1.0, 4.0, 7.0, 10.0)
WRONG_PROMPT = "water stream"  # what no clip with events sounds like

Told = Callable[[Shown], "tuple[str, np.ndarray | None]"]  # a clip's prompt and reference


@dataclass(frozen=True)
class Row:
    """Means over the clips; nan where no clip says anything."""

    changed: str
    steps: int
    guidance: float
    words_guidance: float
    f1_60ms: float
    f1_60ms_shifted: float
    onsets_per_s_without_events: float
    envelope_correlation: float
    distance_db: float
    s_per_10s: float


def rows_of(model: Model, shown: Sequence[Shown], own: Settings) -> Iterator[Row]:
    """The model's own settings first, then one change after the other."""
    changes: list[tuple[str, Settings, Told]] = [("nothing", own, told_label)]
    changes += [(f"steps {n}", replace(own, steps=n), told_label) for n in STEPS if n != own.steps]
    changes += [(f"guidance {g:g}", replace(own, guidance=g), told_label) for g in GUIDANCE if g != own.guidance]
    changes += [
        (f"words_guidance {g:g}", replace(own, words_guidance=g), told_label)
        for g in WORDS_GUIDANCE
        if g != own.words_guidance
    ]
    changes += [("ride 0", replace(own, ride=0.0), told_label), ("ride 1", replace(own, ride=1.0), told_label)]
    changes += [("no library", replace(own, library=False), told_label)] if own.library else []
    changes += [("no prompt", own, lambda one: ("", None)), ("a wrong prompt", own, lambda one: (WRONG_PROMPT, None))]
    changes += [("a reference", own, lambda one: (one.clip.label, one.alike)),
                ("a reference, no prompt", own, lambda one: ("", one.alike))]  # fmt: skip
    make(model, shown[0], own)  # what is first is not timed
    for changed, settings, told in changes:
        yield row_of(model, shown, changed, settings, told)


def told_label(one: Shown) -> tuple[str, None]:
    return one.clip.label, None


def row_of(model: Model, shown: Sequence[Shown], changed: str, settings: Settings, told: Told) -> Row:
    """All clips with the same settings; clip k has seed k in every row."""
    rate_hz, made = model.codec.rate_hz, []
    begun_s = time.perf_counter()
    for seed, one in enumerate(shown):
        prompt, reference = told(one)
        given = reference[: round(settings.ref_s * rate_hz)] if reference is not None else None
        made.append(make(model, one, replace(settings, prompt=prompt, seed=seed), given))
    spent_s = time.perf_counter() - begun_s
    scored = [score_sound(sound, model, one) for sound, one in zip(made, shown, strict=True)]
    distances = [
        spectral_distance_db(sound, one.clip.samples, rate_hz)
        for sound, one in zip(made, shown, strict=True)
        if np.abs(one.clip.samples).max() > LOUD
    ]
    names = ("f1", "shifted_f1", "extra_onsets_hz", "envelope")
    return Row(
        changed, settings.steps, settings.guidance, settings.words_guidance,
        *(mean([getattr(one, name) for one in scored]) for name in names),
        mean(distances), 10 * spent_s / (sum(map(len, made)) / rate_hz),
    )  # fmt: skip


COLUMNS = ("changed", "F1 ±60 ms", "shifted", "onsets/s without events", "loudness correlation",
           "distance to the real sound, dB", "s per 10 s")  # fmt: skip


def markdown_line(row: Row) -> str:
    """A row of the table under COLUMNS."""
    cells = (row.changed, f"{row.f1_60ms:.2f}", f"{row.f1_60ms_shifted:.2f}", f"{row.onsets_per_s_without_events:.2f}",
             f"{row.envelope_correlation:.2f}", f"{row.distance_db:.1f}", f"{row.s_per_10s:.2f}")  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main(
    model: Annotated[str, typer.Option(help="Name or folder.")] = "salsav-mini",
    clips: Annotated[int, typer.Option(help="How many held-out clips.", min=1)] = 24,
    sounds: Annotated[Path | None, typer.Option(help="A folder of labelled sounds; without: synthesised.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a row.")] = False,
    device: str = "auto",
) -> None:
    """Print the table as Markdown, or as JSON lines, each row as soon as it is measured."""
    own = resolve_settings(model_defaults=default_settings(model))
    loaded = load_model(resolve(model), device)
    if not as_json:
        typer.echo(f"| {' | '.join(COLUMNS)} |\n{'| --- ' * len(COLUMNS)}|")
    for row in rows_of(loaded, shown_clips(loaded, clips, sounds), own):
        typer.echo(json.dumps(asdict(row)) if as_json else markdown_line(row))
