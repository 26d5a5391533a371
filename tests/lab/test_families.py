"""The table of families, from the shipped model on two held-out clips at one step."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from mmaudio_parts import write_miniature

from foleycli.errors import FoleyError
from foleycli.features.sync_score import sync_score
from foleycli.hub.resolve import resolve
from foleycli.lab import families, held_out
from foleycli.lab.tables import markdown
from foleycli.models.model import Model, load_model
from foleycli.settings.settings import Settings

SETTINGS = Settings(steps=1)
LONG_S = 2.0  # of each clip: enough, and quick


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(resolve("salsav-mini"), "cpu")


@pytest.fixture(scope="module")
def drawn(model) -> list[held_out.HeldOutClip]:
    """The first clip without an event in its beginning, and the first with one."""
    cut = []
    for one in held_out.draw_clips(model, 6, sounds=None):
        events = [event for event in one.clip.events if event.time_s < LONG_S]
        cut.append(
            replace(one, clip=replace(one.clip, samples=one.clip.samples[: round(LONG_S * 44100)], events=events))
        )
    return [next(one for one in cut if bool(one.clip.events) == has_events) for has_events in (False, True)]


@pytest.fixture(scope="module")
def row(model, drawn) -> families.Row:
    return families.measure_model(model, drawn, SETTINGS, n_takes=2)


def test_a_row_says_what_was_made(model, drawn, row):
    assert (row.model, row.family, row.steps, row.evaluations) == ("salsav-mini", "salsa-v", 1, 1)
    assert row.parameters_m == 6.4  # the card's figure
    assert row.s_per_10s > 0
    struck = drawn[1]
    sounds = held_out.generate_sounds(model, struck, replace(SETTINGS, prompt=struck.clip.label), [2, 3])
    scored = [held_out.score_sound(sound, model, struck) for sound in sounds]
    assert (row.f1_60ms, row.f1_60ms_shifted) == (scored[0].f1, scored[0].shifted_f1)  # the other has no events
    fits = [sync_score(model.sync, struck.streams["sync"], sound, 44100) for sound in sounds]
    assert (row.takes, row.f1_60ms_best_take) == (2, scored[int(np.argmax(fits))].f1)


def test_distances_are_to_the_clips_own_sound(model, drawn, row):
    one = drawn[1]
    settings = replace(SETTINGS, prompt=one.clip.label)
    exact, with_it, of_it = families.distances_db(model, one.clip.samples, one, settings)
    assert exact == 0 and with_it > 0 and of_it > 0
    itself = replace(one, similar_sound=one.clip.samples)
    assert families.distances_db(model, one.clip.samples, itself, settings)[2] < of_it
    silent = replace(one, similar_sound=np.zeros_like(one.similar_sound))
    assert np.isnan(families.distances_db(model, one.clip.samples, silent, settings)).all()
    assert row.distance_of_reference_db > 0


def test_table_has_a_line_for_each_model(row):
    other = replace(row, model="other", f1_60ms=0.25)
    head, rule, *lines = markdown(families.COLUMNS, [asdict(row), asdict(other)]).splitlines()
    assert [line.split(" | ")[0] for line in lines] == ["| salsav-mini", "| other"]
    assert {line.count("|") for line in (head, rule, *lines)} == {13}
    assert head.endswith("F1 of the best take |") and " 0.25 " in lines[1]
    assert "take" not in markdown(families.COLUMNS, [asdict(replace(row, takes=1, f1_60ms_best_take=None))])


def test_models_that_watch_other_pictures_are_refused(tmp_path):
    with pytest.raises(FoleyError, match="mmaudio-miniature"):
        families.check_comparable(load_model(write_miniature(tmp_path), "cpu"))
