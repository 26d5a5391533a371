"""The table over settings, from the shipped model on two short held-out clips."""

from __future__ import annotations

from dataclasses import replace

import pytest

from foleycli.hub.resolve import resolve
from foleycli.lab import held_out, sweep
from foleycli.models.model import load_model
from foleycli.settings.settings import Settings

LONG_S = 2.0


@pytest.fixture(scope="module")
def model():
    return load_model(resolve("salsav-mini"), "cpu")


@pytest.fixture(scope="module")
def drawn(model):
    """Clips cut to their first two seconds, the last with events in them."""
    cut = []
    for one in held_out.draw_clips(model, 4, sounds=None):
        events = [event for event in one.clip.events if event.time_s < LONG_S]
        cut.append(
            replace(one, clip=replace(one.clip, samples=one.clip.samples[: round(LONG_S * 44100)], events=events))
        )
    return sorted(cut, key=lambda one: len(one.clip.events))[-2:]


def test_each_row_changes_one_thing(model, drawn, monkeypatch):
    monkeypatch.setattr(sweep, "STEPS", (1, 2))
    monkeypatch.setattr(sweep, "GUIDANCE", (5.0, 1.0))
    monkeypatch.setattr(sweep, "WORDS_GUIDANCE", (7.0,))
    own = Settings(steps=2, library=True, guidance=5.0, words_guidance=7.0)
    rows = list(sweep.measure(model, drawn, own))
    assert [row.changed for row in rows] == [
        "nothing", "steps 1", "guidance 1", "ride 0", "ride 0.5", "no library", "no prompt", "a wrong prompt",
        "a reference", "a reference, no prompt",
    ]  # fmt: skip
    assert [row.steps for row in rows] == [2, 1, 2, 2, 2, 2, 2, 2, 2, 2]
    assert rows[2].guidance == 1.0 and all(row.guidance == 5.0 for row in rows if row is not rows[2])
    assert len({row.distance_db for row in rows}) == len(rows)  # every change is heard
    assert all(row.s_per_10s > 0 and 0 <= row.f1_60ms <= 1 for row in rows)


def test_a_row_is_the_sounds_that_its_settings_make(model, drawn):
    own = Settings(steps=1)
    row = sweep.measure_change(model, drawn, changed="nothing", settings=own, given=sweep.label_alone)
    settings = [replace(own, prompt=one.clip.label, seed=seed) for seed, one in enumerate(drawn)]
    made = [held_out.generate_sound(model, one, its) for one, its in zip(drawn, settings, strict=True)]
    scored = [held_out.score_sound(sound, model, one) for sound, one in zip(made, drawn, strict=True)]
    assert row.f1_60ms == pytest.approx(sum(one.f1 for one in scored) / 2)
    assert row.envelope_correlation == pytest.approx(sum(one.envelope for one in scored) / 2)
