"""One model over sampler steps, guidance, prompts and references: a table over the same held-out synthetic clips.

    python -m foleycli.lab sweep --model salsav-mini --clips 24 --sounds SOUNDS

Every row changes one thing from the model's default settings, whose prompt is the clip's label.  F1 and the loudness
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
from foleycli.lab.held_out import LOUD, HeldOutClip, draw_clips, generate_sound, mean, score_sound
from foleycli.lab.tables import Column, markdown, without_nan
from foleycli.models.model import Model, load_model
from foleycli.settings.preset import resolve_settings
from foleycli.settings.settings import Settings

STEPS = (1, 2, 4, 8, 16, 32)
GUIDANCE = (1.0, 3.0, 5.0, 7.0)
WORDS_GUIDANCE = (1.0, 4.0, 7.0, 10.0)
WRONG_PROMPT = "water stream"  # what no clip with events sounds like
COLUMNS = (
    Column("changed", "changed"),
    Column("f1_60ms", "F1 ±60 ms", 2),
    Column("f1_60ms_shifted", "shifted", 2),
    Column("onsets_per_s_without_events", "onsets/s without events", 2),
    Column("envelope_correlation", "loudness correlation", 2),
    Column("distance_db", "distance to the real sound", 1, unit="dB"),
    Column("s_per_10s", "s per 10 s", 2),
)

PromptAndReference = Callable[[HeldOutClip], "tuple[str, np.ndarray | None]"]


@dataclass(frozen=True)
class Row:
    """Means over the clips; nan where no clip gives a figure."""

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


def label_alone(held_out: HeldOutClip) -> tuple[str, None]:
    """The clip's label as the prompt, and no reference."""
    return held_out.clip.label, None


def measure(model: Model, drawn: Sequence[HeldOutClip], own: Settings) -> Iterator[Row]:
    """The model's own settings first, then one change after the other."""
    changes: list[tuple[str, Settings, PromptAndReference]] = [("nothing", own, label_alone)]
    changes += [(f"steps {n}", replace(own, steps=n), label_alone) for n in STEPS if n != own.steps]
    changes += [(f"guidance {g:g}", replace(own, guidance=g), label_alone) for g in GUIDANCE if g != own.guidance]
    changes += [
        (f"words_guidance {g:g}", replace(own, words_guidance=g), label_alone)
        for g in WORDS_GUIDANCE
        if g != own.words_guidance
    ]
    changes += [("ride 0", replace(own, ride=0.0), label_alone), ("ride 0.5", replace(own, ride=0.5), label_alone)]
    changes += [("no library", replace(own, library=False), label_alone)] if own.library else []
    changes += [
        ("no prompt", own, lambda one: ("", None)),
        ("a wrong prompt", own, lambda one: (WRONG_PROMPT, None)),
        ("a reference", own, lambda one: (one.clip.label, one.similar_sound)),
        ("a reference, no prompt", own, lambda one: ("", one.similar_sound)),
    ]
    generate_sound(model, drawn[0], own)  # warms up: the first call is not timed
    for changed, settings, given in changes:
        yield measure_change(model, drawn, changed=changed, settings=settings, given=given)


def measure_change(
    model: Model, drawn: Sequence[HeldOutClip], *, changed: str, settings: Settings, given: PromptAndReference
) -> Row:
    """All clips with the same settings; clip k has seed k in every row."""
    rate_hz, generated = model.codec.rate_hz, []
    started_s = time.perf_counter()
    for seed, one in enumerate(drawn):
        prompt, reference = given(one)
        reference = reference[: round(settings.ref_s * rate_hz)] if reference is not None else None
        generated.append(generate_sound(model, one, replace(settings, prompt=prompt, seed=seed), reference))
    spent_s = time.perf_counter() - started_s
    scores = [score_sound(sound, model, one) for sound, one in zip(generated, drawn, strict=True)]
    distances = [
        spectral_distance_db(sound, one.clip.samples, rate_hz)
        for sound, one in zip(generated, drawn, strict=True)
        if np.abs(one.clip.samples).max() > LOUD
    ]
    return Row(
        changed=changed,
        steps=settings.steps,
        guidance=settings.guidance,
        words_guidance=settings.words_guidance,
        f1_60ms=mean([score.f1 for score in scores]),
        f1_60ms_shifted=mean([score.shifted_f1 for score in scores]),
        onsets_per_s_without_events=mean([score.false_onsets_hz for score in scores]),
        envelope_correlation=mean([score.envelope for score in scores]),
        distance_db=mean(distances),
        s_per_10s=10 * spent_s / (sum(map(len, generated)) / rate_hz),
    )


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
    for index, row in enumerate(measure(loaded, draw_clips(loaded, clips, sounds), own)):
        figures = without_nan(asdict(row))
        lines = markdown(COLUMNS, [figures], keep_empty=True).splitlines()
        typer.echo(json.dumps(figures) if as_json else "\n".join(lines if index == 0 else lines[2:]))
