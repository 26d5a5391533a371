"""Spans made anew: what changes, what stays bit for bit, and what is remembered of earlier ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from clips import flash_clip

from foleycli.errors import UsageError
from foleycli.media.probe import probe
from foleycli.recordings.engine import LEVEL_DB, ChosenSound, Events
from foleycli.recordings.mix import Recorded
from foleycli.recordings.takes import make_take
from foleycli.rendering.job import SpanEdit, SpanJob
from foleycli.rendering.redo import heard_of, splice
from foleycli.settings.settings import Settings

RATE_HZ = 48000
WORDS = Settings(steps=1, prompt="knocking on wood", channels=2, seed=3)


def samples(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="int32", always_2d=True)[0]


def changed_s(one: Path, other: Path) -> tuple[float, float]:
    """The first and the last second in which two files differ."""
    places = np.flatnonzero((samples(one) != samples(other)).any(axis=1))
    return places[0] / RATE_HZ, places[-1] / RATE_HZ


@pytest.fixture(scope="module")
def job(kept_model, tmp_path_factory) -> SpanJob:
    """A rendered clip of 2.4 s."""
    folder = tmp_path_factory.mktemp("redo")
    job = SpanJob(probe(flash_clip(folder / "clip.mp4", duration_s=2.4)), folder / "first.wav", WORDS)
    job.run(kept_model)
    return job


def test_only_the_span_and_its_edges_change(job, kept_model, tmp_path):
    edit = SpanEdit(0.6, 1.1, seed=8)
    once = replace(job, out=tmp_path / "once.wav", edits=(edit,), kept=job.out)
    (result,) = once.run(kept_model)
    first_s, last_s = changed_s(job.out, once.out)
    assert 0.58 - 1e-9 <= first_s < 0.6 and 1.1 < last_s <= 1.12
    assert result.notes == () and result.peak_dbtp <= -1.0
    twice = replace(
        job, out=tmp_path / "twice.wav", edits=(edit, SpanEdit(1.8, 2.4, seed=9, prompt="rain")), kept=once.out
    )
    twice.run(kept_model)
    first_s, last_s = changed_s(once.out, twice.out)
    assert 1.78 - 1e-9 <= first_s < 1.8 and last_s > 2.3  # to the end, without an edge


@pytest.mark.slow
def test_the_same_edits_make_the_same_bytes(job, kept_model, tmp_path):
    edits = (SpanEdit(0.6, 1.1, seed=8), SpanEdit(1.8, 2.4, seed=9, prompt="rain"))
    once = replace(job, out=tmp_path / "once.wav", edits=edits[:1], kept=job.out)
    twice = replace(job, out=tmp_path / "twice.wav", edits=edits, kept=once.out)
    again = replace(job, out=tmp_path / "again.wav", edits=edits)
    for one in (once, twice, again):
        one.run(kept_model)
    assert again.out.read_bytes() == twice.out.read_bytes()


def test_latents_outside_the_span_are_known(job, kept_model, monkeypatch, tmp_path):
    from foleycli.rendering import redo

    seen, inpainted = [], redo.inpainted

    def watched(latents, span_s, **given):
        seen.append((latents, inpainted(latents, span_s, **given)))
        return seen[-1][1]

    monkeypatch.setattr(redo, "inpainted", watched)
    replace(job, out=tmp_path / "out.wav", edits=(SpanEdit(0.6, 1.1, seed=8),)).run(kept_model)
    ((before, after),) = seen
    differs = torch.nonzero((before != after).any(dim=1))[:, 0]
    rate_hz = float(kept_model.codec.latent_rate_hz)
    assert int(0.6 * rate_hz) == int(differs[0]) and int(differs[-1]) == int(1.1 * rate_hz)


@pytest.mark.slow
def test_a_lossy_result_is_made_again_before_its_span(job, kept_model, tmp_path):
    video, edits = replace(job, out=tmp_path / "first.mp4"), (SpanEdit(0.0, 1.0, seed=1),)
    video.run(kept_model)
    (told,) = replace(video, out=tmp_path / "second.mp4", edits=edits, kept=video.out).run(kept_model)
    assert told.notes == ()  # proven: the sound made again encodes to the very same file
    soundfile.write(tmp_path / "other.mp3", np.zeros(RATE_HZ), RATE_HZ)
    (told,) = replace(video, out=tmp_path / "third.mp4", edits=edits, kept=tmp_path / "other.mp3").run(kept_model)
    assert len(told.notes) == 1 and "alike, not equal" in told.notes[0]


def test_splicing_takes_each_sample_from_one_file_but_for_the_edges(tmp_path):
    rng = np.random.default_rng(0)
    old, new = (rng.integers(-(2**22), 2**22, (30 * 1000, 2)).astype(np.int32) << 8 for _ in range(2))
    for name, what in (("old.wav", old), ("new.wav", new)):
        soundfile.write(tmp_path / name, what, 1000, subtype="PCM_24")
    splice(tmp_path / "old.wav", tmp_path / "new.wav", tmp_path / "out.wav", 9.0, 21.0)
    out = samples(tmp_path / "out.wav")
    assert (out[: 9000 - 20] == old[: 9000 - 20]).all() and (out[21020:] == old[21020:]).all()
    assert (out[9000:21001] == new[9000:21001]).all()
    assert np.abs(out[8990] - (old[8990] / 2 + new[8990] / 2)).max() < 2**9


def test_recordings_of_a_span_are_those_of_the_latest_edit_that_owns_their_attack():
    edits = [SpanEdit(1.0, 2.0, seed=1), SpanEdit(1.5, 3.0, seed=2)]
    times_s = (0.5, 1.2, 1.7, 2.5, 3.5)
    heard = [[t for t in times_s if heard_of(edits, k, 1000).is_heard(round(t * 1000))] for k in range(3)]
    assert heard == [[0.5, 3.5], [1.2], [1.7, 2.5]]
    assert [heard_of(edits, k, 1000).textures for k in range(3)] == [False, False, True]


def test_hits_that_are_not_heard_move_no_others():
    rate_hz = 8000
    click = make_take(np.r_[np.zeros(80), np.ones(400)].astype(np.float32), rate_hz, "hits")
    events = Events(np.array([0.5, 1.5, 2.5]), np.ones(3))
    recorded = Recorded([ChosenSound("click", "hits", [click] * 3)], None, LEVEL_DB, events, np.zeros(75))
    whole = np.concatenate(list(recorded.placed(3 * rate_hz, rate_hz, seed=4)))
    kept = heard_of([SpanEdit(1.0, 2.0, seed=1)], 0, rate_hz)
    rest = np.concatenate(list(recorded.placed(3 * rate_hz, rate_hz, seed=4, heard=kept)))
    assert np.array_equal(rest[:8000], whole[:8000]) and np.array_equal(rest[16000:], whole[16000:])
    assert np.abs(whole[8000:16000]).max() > 0.01 and not rest[8000:16000].any()


@pytest.mark.parametrize(("start_s", "end_s"), [(2.0, 2.0), (3.0, 2.0), (-1.0, 2.0), (1.0, 1.01), (2.4, 5.0)])
def test_spans_that_are_none_are_refused(job, start_s, end_s):
    with pytest.raises(UsageError, match="span"):
        replace(job, edits=(SpanEdit(start_s, end_s, seed=1),)).check()
