"""Film as a share of what the synchronisation encoder learns from: events, sources kept apart, the mixture."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from clips import flash_clip

from foleycli.errors import FoleyError
from foleycli.features.dynamics import load
from foleycli.training import run
from foleycli.training.clips import ClipData
from foleycli.training.film import DETECTOR_DELAY_S, film_clips, read_film
from foleycli.training.recipe import Recipe
from foleycli.training.sources import clip_stream


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Twelve clips of twelve sources; a beep and a white picture at 0.48 s, every second cause unseen."""
    folder = tmp_path_factory.mktemp("film")
    clip = flash_clip(folder / "clip.mp4", duration_s=1.6, sound_s=1.6)
    rows = []
    for k in range(12):
        (folder / f"{k}.mp4").write_bytes(clip.read_bytes())
        seen = "yes" if k % 2 == 0 else "no"
        rows.append({"file": f"{k}.mp4", "repo": f"who/{k}", "onset_times": [0.502, 9.0], "visible_cause": seen})
    (folder / "index.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_no_source_is_both_trained_on_and_held_out(film):
    clips = read_film(film)
    assert len(clips) == 12
    assert 0 < sum(clip.is_held_out for clip in clips) < 12
    assert all(clip.is_held_out == other.is_held_out for clip, other in zip(clips, read_film(film), strict=True))


def test_events_are_the_sounds_own_where_the_cause_is_seen(film):
    data = ClipData(film=str(film), duration_s=1.0, size_px=32)
    known = unknown = 0
    for clip in itertools.islice(film_clips(data, seed=3), 24):
        assert clip.grey.shape == (25, 32, 32) and clip.samples.shape == (44100,)
        if clip.events_s is None:
            unknown += 1
        for event_s in clip.events_s if clip.events_s is not None else ():
            known += 1
            # The picture turns white and the beep begins where the event says.
            assert abs(int(clip.grey.mean(axis=(1, 2)).argmax()) / 25 - event_s) <= 0.041
            assert abs(np.flatnonzero(np.abs(clip.samples) > 0.1)[0] / 44100 - event_s) < 0.005 + DETECTOR_DELAY_S
    assert known and unknown


def test_film_is_the_asked_share_of_the_clips(film):
    data = ClipData(film=str(film), p_film=0.5, duration_s=1.0, size_px=32)
    stream = clip_stream(
        data, Recipe(name="x", seed=1, steps=1, batch_size=2, lr=1e-3), first_clip=0, rank=0, world_size=1
    )
    drawn = [clip.words == ("",) for clip in itertools.islice(stream, 20)]
    assert 4 <= sum(drawn) <= 16


def test_a_folder_without_an_index_is_refused(tmp_path):
    with pytest.raises(FoleyError, match=r"has no index\.jsonl"):
        next(film_clips(ClipData(film=str(tmp_path)), seed=0))


def test_the_dynamics_head_learns_from_film_and_tells_of_film_and_worlds(film, tmp_path):
    recipe = {
        "name": "dynamics-test", "steps": 3, "batch_size": 2, "lr": 0.1, "warmup_steps": 1, "log_every": 1,
        "precision": "float32", "objective": {"validation_clips": 1, "spread_db": 4.0},
        "data": {"film": str(film), "p_film": 1.0, "duration_s": 1.2, "size_px": 56, "pool": 4},
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    folder = run.train("dynamics", tmp_path / "recipe.yaml", tmp_path / "run", device="cpu")
    head = load(folder)
    assert head.log_weight.shape == (4,) and len(set(head.log_weight.tolist())) > 1
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert {"film_head", "film_encoder", "worlds_head", "worlds_encoder"} <= set(lines[-1]["validation"])
