"""Recordings in renders: which are chosen, what is heard of them, and what is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foleycli.media.audio import read_audio
from foleycli.rendering.recordings import INSIDE, OUTSIDE, choose_recordings
from foleycli.settings.settings import Settings

BOTH = Settings(engine="both", library=True, room="auto")


def names(settings: Settings, *labels: tuple[str, float], **more) -> tuple[list[str], str | None]:
    choice = choose_recordings(settings, labels, **more)
    return [match.recording.name for match in choice.matches], choice.room_tone.name if choice.room_tone else None


def test_the_prompt_names_what_is_laid_and_where():
    assert names(replace(BOTH, prompt="a dog barks in a forest")) == (["dog bark"], "forest")
    assert names(replace(BOTH, prompt="a dog barks while rain falls"))[0] in (
        ["dog bark", "rain"],
        ["rain", "dog bark"],
    )
    assert names(replace(BOTH, prompt="a door slams")) == (["door slam"], INSIDE)
    assert names(replace(BOTH, prompt="a motorcycle passes"))[1] == OUTSIDE
    assert names(replace(BOTH, prompt="a door slams"), is_outdoors=True)[1] == OUTSIDE
    assert names(replace(BOTH, prompt="a dog barks in a forest"), is_outdoors=False)[1] == "forest"


def test_without_a_prompt_what_is_seen_is_laid():
    assert names(BOTH, ("dog bark", 0.8)) == (["dog bark"], OUTSIDE)
    assert names(BOTH, ("dog bark", 0.8), is_outdoors=False) == (["dog bark"], INSIDE)
    assert names(BOTH, ("forest", 0.6)) == ([], "forest")
    assert names(BOTH) == ([], INSIDE)
    assert names(replace(BOTH, prompt="string quartet"), ("dog bark", 0.8)) == ([], INSIDE)


@pytest.mark.parametrize(
    ("change", "more"),
    [({"engine": "flow"}, {}), ({"library": False}, {}), ({}, {"reference": Path("mine.wav")})],
    ids=["engine", "no library", "reference"],
)
def test_what_leaves_recordings_out(change, more):
    placed, room_tone = names(replace(BOTH, prompt="door slam", **change), **more)
    assert placed == [] and room_tone == INSIDE


def test_room_tone_is_for_videos_or_asked_for():
    assert names(replace(BOTH, prompt="door slam"), in_video=False)[1] is None
    assert names(replace(BOTH, prompt="door slam", room=-50.0), in_video=False)[1] == INSIDE
    assert names(replace(BOTH, prompt="door slam", room="off"))[1] is None


def test_only_allowed_licences_are_used_and_the_dry_run_says_what_is_left_out(foley, clips):
    """Of the library's sounds the dog's parts are partly CC-BY, the room tone wholly; the city is CC0."""
    free = replace(BOTH, allow_licence="CC0-1.0, public-domain")
    assert names(replace(free, prompt="a dog barks")) == ([], None)
    assert names(replace(free, prompt="a dog barks in the city")) == ([], "city")
    assert names(replace(BOTH, prompt="a dog barks", allow_licence="CC0,CC-BY")) == (["dog bark"], OUTSIDE)
    ask = ("render", clips("plain.mp4"), "-o", "out.mp4", "--prompt", "a dog barks", "--dry-run", "--allow-licence")
    told = foley(*ask, "CC0-1.0")
    assert told.code == 0 and "left out by --allow-licence: dog bark (CC-BY-3.0, CC0-1.0), outdoors" in told.out
    assert foley(*ask, "GPL").code == 2


def test_recordings_alone_are_laid_without_a_sampler_and_credited(render, clips, tmp_path):
    ask = (clips("plain.mp4"), "--prompt", "door slam", "--engine", "recordings", "--json")
    told = render(*ask, "-o", tmp_path / "a.wav")
    assert told.code == 0, told.err
    [result] = told.lines
    assert [one["name"] for one in result["recordings"]] == ["door slam"] and result["room_tone"] is None
    assert all(one["licence"] and one["package"] for one in result["recordings"][0]["from"])
    assert result["stage_s"]["sampler"] < 0.1
    assert render(*ask, "-o", tmp_path / "b.wav").code == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    render(*ask, "-o", tmp_path / "c.wav", "--seed", "1")
    assert (tmp_path / "a.wav").read_bytes() != (tmp_path / "c.wav").read_bytes()
    assert np.abs(read_audio(tmp_path / "a.wav").samples).max() > 0.05


def test_a_video_is_never_digitally_silent(render, clips, tmp_path):
    assert render(clips("plain.mp4"), "-o", tmp_path / "a.mp4", "--prompt", "door slam").code == 0
    samples = read_audio(tmp_path / "a.mp4", 44100, 1).samples[0]
    blocks = samples[: len(samples) // 441 * 441].reshape(-1, 441)
    assert np.mean(np.sqrt((blocks**2).mean(axis=1)) < 1e-4) < 0.02


@pytest.mark.parametrize("value", ["loud", "-100", "3"])
def test_room_takes_words_or_a_level(render, clips, tmp_path, value):
    told = render(clips("plain.mp4"), "-o", tmp_path / "a.wav", "--room", value)
    assert told.code == 2 and "auto, off or a number from -90 to -10" in told.error
