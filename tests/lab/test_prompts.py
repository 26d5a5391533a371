"""Prompts classified by the nearest recordings: two made-up families, the shipped model, aisfx with made-up weights."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from madeup import made_up_state

from foleycli.errors import FoleyError
from foleycli.evaluation.embedders.aisfx import Aisfx, AisfxEmbedder
from foleycli.lab import prompts
from foleycli.media.probe import probe
from foleycli.settings.settings import Settings
from foleycli.soundset.held_out import is_held_out
from foleycli.soundset.kinds import SOUND_KINDS

RATE_HZ = 44100
FAMILY_NAMES = ("rain", "bird")


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """weather/rain and animal/bird: two held-out files each and two others, noise and whistles."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    for category, name in (("weather", "rain"), ("animal", "bird")):
        (folder / category).mkdir()
        wanted = {True: 2, False: 2}
        for number in count():
            file = f"{category}/{name} {number}.wav"
            if wanted[is_held_out(file)]:
                wanted[is_held_out(file)] -= 1
                t = np.arange(RATE_HZ) / RATE_HZ
                whistle = 0.4 * np.sin(2 * np.pi * (2500 + 40 * number) * t)
                sound = 0.1 * rng.standard_normal(RATE_HZ) if name == "rain" else whistle
                soundfile.write(folder / file, sound, RATE_HZ)
            if not any(wanted.values()):
                break
    return folder


@pytest.fixture(scope="module")
def references(sounds):
    network = Aisfx().eval()
    network.load_state_dict(made_up_state({k: v.shape for k, v in network.state_dict().items()}, prefix="aisfx."))
    embedder = AisfxEmbedder(network, torch.device("cpu"))
    return prompts.References(embedder, prompts.read_recordings(sounds, FAMILY_NAMES))


def test_twenty_families_whose_labels_differ():
    labels = [SOUND_KINDS[name].labels[0] for name in prompts.CHOSEN]
    assert len(set(labels)) == len(set(prompts.CHOSEN)) == 20


def test_recordings_are_of_their_family_and_held_out_ones_among_them(references):
    assert [one.family for one in references.recordings] == ["rain"] * 4 + ["bird"] * 4
    assert [one.family for one in references.held_out_recordings] == ["rain"] * 2 + ["bird"] * 2
    assert {one.series for one in references.recordings if one.family == "bird"} == {"animal|animal|bird"}


def test_recordings_that_differ_as_much_are_all_told(references):
    ceiling = references.ceiling([references.vector(one.samples) for one in references.held_out_recordings])
    assert (ceiling.held_out, ceiling.all) == (1, 1)
    assert ceiling.all_of_other_series == 0  # each family is one series: nothing of it is left


def test_series_that_the_library_lends_reels_of_are_known(sounds, monkeypatch):
    whistle = next((sounds / "animal").iterdir()).relative_to(sounds).as_posix()
    monkeypatch.setattr(prompts, "origin_files", lambda: {whistle})
    recordings = prompts.read_recordings(sounds, FAMILY_NAMES)
    assert [one.is_in_library for one in recordings] == [one.family == "bird" for one in recordings]


def test_swapped_recordings_are_all_mistaken(references):
    vectors = [references.vector(one.samples) for one in references.held_out_recordings]
    assert references.ceiling(vectors[2:] + vectors[:2]).held_out == 0


def test_too_few_held_out_recordings_are_refused(sounds):
    with pytest.raises(FoleyError, match="0 held-out recordings of 'wind'"):
        prompts.read_recordings(sounds, ("rain", "wind"))


def test_prompts_are_rendered_and_named(references, kept_model, clips, sounds):
    result = prompts.measure(kept_model, probe(clips("plain.mp4")), Settings(steps=1), references, sounds, n_seeds=2)
    assert [(one.prompt, one.family, one.seed) for one in result.sounds] == [
        ("rain", "rain", 0), ("rain", "rain", 1), ("bird call", "bird", 0), ("bird call", "bird", 1),
    ]  # fmt: skip
    right = [one.by_held_out == one.family for one in result.sounds]
    assert result.accuracy_by_held_out == np.mean(right)
    assert {one.by_all for one in result.sounds} <= set(FAMILY_NAMES)
    assert [one.by_outside_library for one in result.sounds] == [
        one.by_all for one in result.sounds
    ]  # none is in the library
    assert (result.recordings, result.recordings_held_out) == (8, 4)
    assert result.ceiling.held_out == 1 and 0 <= result.ceiling_after_codec.held_out <= 1
    assert result.placed is None or result.placed == prompts.PlacedRecordings(0, 0, 0, 0)
    right = {name: [getattr(one, name) == one.family for one in result.sounds] for name in prompts.NEIGHBOURS}
    assert result.accuracy_by_hits == np.mean(right["by_hits"])
    assert result.accuracy_by_hits_outside_library == np.mean(right["by_hits_outside_library"])


def test_a_row_of_hits_is_heard_as_one_of_them_and_what_is_even_as_a_whole(references):
    rng = np.random.default_rng(0)
    hit = np.concatenate([np.zeros(RATE_HZ // 2), rng.standard_normal(RATE_HZ // 4), np.zeros(RATE_HZ // 4)])
    hit = (0.3 * hit * np.geomspace(1, 1e-3, RATE_HZ)).astype(np.float32)
    [alone], row = prompts.cut_at_onsets(hit, RATE_HZ, prompts.LEAD_S, prompts.HIT_S), np.tile(hit, 4)
    assert references.vector_by_hits(row) @ references.vector(alone) > 0.999
    noise = (0.1 * rng.standard_normal(3 * RATE_HZ)).astype(np.float32)
    flutter = noise * (1 + 3 * (np.arange(len(noise)) % RATE_HZ < RATE_HZ // 10)).astype(np.float32)
    assert len(prompts.cut_at_onsets(flutter, RATE_HZ, prompts.LEAD_S, prompts.HIT_S)) > 0
    for even in (noise, flutter, np.zeros(RATE_HZ, np.float32)):
        assert np.allclose(references.vector_by_hits(even), references.vector(even))


def test_recordings_that_are_struck_have_no_neighbours_of_their_own_series(references, sounds, kept_model, monkeypatch):
    """Each family is one series here: once it is left out, only the other is near.  Without moments there is none."""
    monkeypatch.setattr(prompts, "extract_stream", lambda path, extractor: None)
    monkeypatch.setattr(kept_model.sync, "events_s", lambda stream: [0.5, 1.5])
    video = SimpleNamespace(path=None, duration_s=2.0)
    assert prompts.measure_placed(kept_model, video, references, sounds) == prompts.PlacedRecordings(0, 0, 0, 0)
    unrelated = copy(references)
    unrelated.recordings = [replace(one, series="another") for one in references.recordings]
    assert prompts.measure_placed(kept_model, video, unrelated, sounds).as_they_are >= 0.5
    monkeypatch.setattr(kept_model.sync, "events_s", lambda stream: [])
    assert prompts.measure_placed(kept_model, video, references, sounds) is None
