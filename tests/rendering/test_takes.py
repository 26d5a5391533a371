"""`foley render --takes`: as many files as asked for, ranked, each one to be made again from its seed."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import soundfile
from mmaudio_parts import write_miniature

from foleycli.errors import FoleyError
from foleycli.features.sync_score import sync_score_of_file
from foleycli.media.audio import read_audio
from foleycli.media.probe import probe
from foleycli.models.model import load_model
from foleycli.rendering import job as jobs
from foleycli.rendering import output, takes
from foleycli.rendering import render as stages
from foleycli.rendering.analyze import analyze
from foleycli.rendering.job import RenderJob
from foleycli.rendering.plan import seeds_from
from foleycli.settings.settings import Settings


def test_takes_are_ranked_and_each_is_what_its_seed_makes_alone(render, clips, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "TAKES_AT_ONCE", 2)  # three takes: a full batch and a rest
    told = render(clips("plain.mp4"), "-o", tmp_path / "out.wav", "--takes", 3, "--seed", 5, "--json")
    assert told.code == 0
    outs = [tmp_path / f"out.take{rank}.wav" for rank in (1, 2, 3)]
    assert sorted(tmp_path.iterdir()) == outs
    assert [line["output"] for line in told.lines] == [str(out) for out in outs]
    assert [line["take"] for line in told.lines] == [1, 2, 3]
    scores, seeds = zip(*((line["sync_score"], line["seed"]) for line in told.lines), strict=True)
    assert list(scores) == sorted(scores, reverse=True) and len(set(scores)) == 3
    assert sorted(seeds) == [5, 6, 7]
    for out, seed in zip(outs, seeds, strict=True):
        alone = tmp_path / f"{seed}.wav"
        assert render(clips("plain.mp4"), "-o", alone, "--seed", seed).code == 0
        made, again = read_audio(out).samples, read_audio(alone).samples
        # A batch rounds otherwise than one take alone, and the codec's phases make that larger: 60 dB below the sound.
        assert made.shape == again.shape and np.std(made - again) < 1e-3 * np.std(again)


def test_only_the_best_is_kept_when_asked(render, packets, clips, tmp_path):
    clip = clips("short.mp4")
    best = render(clip, "-o", tmp_path / "all.mp4", "--takes", 2, "--json").lines[0]
    told = render(clip, "-o", tmp_path / "out.mp4", "--takes", 2, "--pick", "best")
    assert told.code == 0 and told.out == f"{tmp_path / 'out.mp4'}\n"
    assert f"seed {best['seed']}, synchronisation score {best['sync_score']:.3f}" in told.err
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "all.take1.mp4").read_bytes()
    assert packets(tmp_path / "out.mp4") == packets(clip)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.take1.mp4", "all.take2.mp4", "out.mp4"]


def test_takes_that_are_not_wanted_leave_the_disk_at_once(kept_model, clips, tmp_path, monkeypatch):
    scores, on_disk = iter([0.3, 0.9, 0.1, 0.9]), []

    def judged(*given):
        on_disk.append(len(list(tmp_path.rglob("*.wav"))))
        return next(scores)

    monkeypatch.setattr(takes, "sync_score_of_file", judged)
    job = RenderJob(probe(clips("short.mp4")), tmp_path / "out.wav", Settings(steps=1), takes=4, pick_best=True)
    (made,) = job.run(kept_model)
    assert made.sync_score == 0.9 and made.settings.seed == 1  # of equals the first
    assert on_disk == [1, 2, 2, 2]


def test_every_take_has_its_report(render, clips, tmp_path):
    told = render(clips("short.mp4"), "-o", tmp_path / "out.wav", "--takes", 2, "--report", "--json")
    assert told.code == 0
    endings = sorted(path.name.removeprefix("out.take") for path in tmp_path.iterdir())
    assert endings == ["1.json", "1.png", "1.wav", "2.json", "2.png", "2.wav"]
    for line in told.lines:
        written = json.loads((tmp_path / f"out.take{line['take']}.json").read_text())
        facts = ("output", "take", "seed", "sync_score")
        assert [written[fact] for fact in facts] == [line[fact] for fact in facts]
        assert written["settings"]["seed"] == line["seed"]


def test_one_take_is_a_render(render, clips, tmp_path):
    plain, one = tmp_path / "plain.wav", tmp_path / "one.wav"
    assert render(clips("short.mp4"), "-o", plain).code == 0
    told = render(clips("short.mp4"), "-o", one, "--takes", 1, "--json")
    assert told.code == 0 and "take" not in told.lines[0]
    assert plain.read_bytes() == one.read_bytes()


def test_a_failure_leaves_no_take(render, clips, tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(44100), 44100)
    told = render(clips("short.mp4"), "-o", tmp_path / "out.wav", "--takes", 2, "--ref", tmp_path / "silent.wav")
    assert told.code == 1 and "is silent" in told.err
    assert [path.name for path in tmp_path.iterdir()] == ["silent.wav"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize(
    ("module", "step"), [(stages, "decode_to_wav"), (stages, "score_take"), (output, "finish_generated")]
)
@pytest.mark.parametrize("ending", [".wav", ".mp4"])
def test_what_stops_the_second_take_leaves_no_file_behind(
    kept_model, clips, tmp_path, monkeypatch, module, step, ending, error
):
    does, calls = getattr(module, step), []

    def stopped_when_asked_again(*given, **options):
        calls.append(given)
        if len(calls) == 2:
            raise error
        return does(*given, **options)

    monkeypatch.setattr(module, step, stopped_when_asked_again)
    job = RenderJob(probe(clips("short.mp4")), tmp_path / f"out{ending}", Settings(steps=1), takes=2)
    with pytest.raises(error):
        job.run(kept_model)
    # A take that was written to its end is one; videos are written together.
    is_there = step == "finish_generated" and ending == ".wav"
    assert [path.name for path in tmp_path.iterdir()] == ["out.take1.wav"] * is_there


def test_a_video_that_cannot_get_its_name_leaves_those_before_it(kept_model, clips, tmp_path):
    job = RenderJob(probe(clips("short.mp4")), tmp_path / "out.mp4", Settings(steps=1), takes=3, overwrite=False)
    (tmp_path / "out.take2.mp4").write_bytes(b"somebody's")
    with pytest.raises(FoleyError, match="out.take2.mp4 was written by somebody else"):
        job.run(kept_model)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.take1.mp4", "out.take2.mp4"]
    assert (tmp_path / "out.take2.mp4").read_bytes() == b"somebody's"


def test_takes_that_are_too_long_to_lie_beside_one_another_are_the_same(kept_model, clips, tmp_path, monkeypatch):
    for folder, beside_bytes in (("together", 1 << 30), ("apart", 1)):
        (tmp_path / folder).mkdir()
        monkeypatch.setattr(output, "BESIDE_BYTES", beside_bytes)
        video = probe(clips("short.mp4"))
        RenderJob(video, tmp_path / folder / "out.mp4", Settings(steps=1), takes=2).run(kept_model)
    for name in ("out.take1.mp4", "out.take2.mp4"):
        assert (tmp_path / "together" / name).read_bytes() == (tmp_path / "apart" / name).read_bytes()


def test_progress_of_every_stage_rises_to_its_end(kept_model, clips, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "TAKES_AT_ONCE", 2)
    told: dict[str, list[float]] = {}

    def report(stage: str, done: float, total: float) -> None:
        told.setdefault(stage, []).append(done / total)

    job = RenderJob(probe(clips("short.mp4")), tmp_path / "out.mp4", Settings(steps=1), takes=3)
    assert len(job.run(kept_model, report)) == 3
    for stage in ("features", "sampler", "codec", "mux"):
        assert told[stage] == sorted(told[stage]) and told[stage][-1] == pytest.approx(1), stage


def test_the_last_seed_is_followed_by_the_first():
    assert seeds_from(2**63 - 1, 3) == [2**63 - 1, 0, 1]


def test_takes_of_any_model_are_scored_by_an_encoder_that_none_is_conditioned_on(
    kept_model, clips, tmp_path, monkeypatch
):
    heard = []
    monkeypatch.setattr(takes, "sync_score_of_file", lambda *given: heard.append(given) or sync_score_of_file(*given))
    model = load_model(write_miniature(tmp_path / "models"), "cpu")
    work = partial(RenderJob, probe(clips("plain.mp4")), settings=Settings(steps=1), takes=2)
    made = work(out=tmp_path / "foreign.wav").run(model)
    assert len({one.sync_score for one in made}) == 2
    work(out=tmp_path / "own.wav").run(kept_model)
    # The same encoder watched the same pictures.
    (foreign_scorer, foreign, *_), _, (own_scorer, own, *_), _ = heard
    assert own_scorer is not kept_model.sync and own_scorer.name == foreign_scorer.name == "sync-scorer"
    assert foreign.values.equal(own.values) and not own.values.equal(
        analyze(clips("plain.mp4"), kept_model).streams["sync"].values
    )
