"""What the shipped model must be able to do, on held-out synthetic clips, each beside its control in the same run.

The model card's figures come from the same functions over more clips and recorded sounds; the bounds here
leave room for the spread over few clips.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from foleycli.hub.resolve import default_settings, resolve
from foleycli.lab import held_out
from foleycli.models.model import load_model
from foleycli.settings.preset import resolve_settings
from foleycli.settings.settings import Settings

N_CLIPS = 14


@pytest.fixture(scope="module")
def model():
    return load_model(resolve("salsav-mini"), "cpu")


@pytest.fixture(scope="module")
def drawn(model):
    clips = held_out.draw_clips(model, N_CLIPS, sounds=None)
    return [one for one in clips if len(one.clip.events) >= 2]


def test_sound_strikes_when_the_picture_strikes(model, drawn):
    settings = [Settings(prompt=one.clip.label, seed=seed) for seed, one in enumerate(drawn)]
    scores = [held_out.score_clip(model, one, its) for one, its in zip(drawn, settings, strict=True)]
    f1, shifted = np.mean([s.f1 for s in scores]), np.mean([s.shifted_f1 for s in scores])
    assert f1 >= 0.55
    assert f1 - shifted >= 0.35


@pytest.mark.parametrize("name", ["maskvat-mini", "vaura-mini", "foleyflow-mini"])
def test_the_other_families_strike_with_the_picture(name, drawn):
    """All watch alike, so that one look at the clips serves them: at least 0.25 above the shifted control."""
    family = load_model(resolve(name), "cpu")
    settings = resolve_settings(model_defaults=default_settings(name))
    scores = [held_out.score_clip(family, one, replace(settings, prompt=one.clip.label)) for one in drawn[:6]]
    assert np.mean([s.f1 for s in scores]) - np.mean([s.shifted_f1 for s in scores]) >= 0.25


def test_prompts_change_the_sound(model, drawn):
    between = np.mean([held_out.prompt_distances_db(model, one, Settings())[0] for one in drawn[:5]])
    assert between > 2.0  # dB per band, with the same seed: 0 if words were not heard


def test_a_reference_pulls_the_timbre_towards_itself(model, drawn):
    loud = [one for one in drawn if np.abs(one.other_sound[:44100]).max() > 0.02][:6]
    pairs = [held_out.reference_distances_db(model, one, Settings()) for one in loud]
    with_it, without = np.mean(pairs, axis=0)
    assert with_it < without


def test_few_steps_keep_the_timing(model, drawn):
    def f1(steps: int) -> float:
        settings = Settings(steps=steps)
        return float(
            np.mean([held_out.score_clip(model, one, replace(settings, prompt=one.clip.label)).f1 for one in drawn[:8]])
        )

    assert f1(4) > f1(32) - 0.15
