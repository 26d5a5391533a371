"""A cue sheet becomes one sound: stems that sum to it, hits and silence where they were asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from foleycli.cues.cue import Cue, CueSheet, Stem
from foleycli.cues.times import ReelClock
from foleycli.errors import FoleyError
from foleycli.hub.resolve import default_settings
from foleycli.media.probe import probe
from foleycli.recordings.hits import missed_hits
from foleycli.rendering.cues import CueJob, resolve_cue
from foleycli.rendering.result import RenderResult
from foleycli.settings.preset import resolve_settings

DEMO = Path(__file__).parents[2] / "foleycli" / "shipped" / "demo.mp4"  # 7 s
HITS_S = tuple(Fraction(n, 20) for n in (25, 31, 42, 52))


@dataclass
class Kept:
    """A delivery that keeps the samples of every stem."""

    stems: list[tuple[Stem, np.ndarray]] = field(default_factory=list)

    def outputs(self, job: CueJob) -> list[Path]:
        return []

    def check(self, job: CueJob) -> None:
        pass

    def needed_bytes(self, job: CueJob) -> dict[Path, int]:
        return {}

    def deliver(self, job: CueJob, stems: Sequence[Stem], report: object) -> tuple[str, ...]:
        self.stems = [(stem, soundfile.read(stem.wav, dtype="float32", always_2d=True)[0]) for stem in stems]
        return ("kept",)


@pytest.fixture
def make(kept_model, model_name: str) -> Callable[..., tuple[RenderResult, Kept]]:  # noqa: ANN001
    """`make(out, cues, between="room")`: the job's result and its stems, at one step."""

    def call(out: Path, cues: Sequence[Cue], **options: object) -> tuple[RenderResult, Kept]:
        job, kept = prepare(out, cues, model_name, **options)
        job.check()
        return job.run(kept_model)[0], kept

    return call


def prepare(out: Path, cues: Sequence[Cue], model_name: str = "salsav-mini", **options: object) -> tuple[CueJob, Kept]:
    """The job and what keeps its stems."""
    defaults, overrides, video, kept = default_settings(model_name), {"steps": 1}, probe(DEMO), Kept()
    own = {"preset": None, "model_defaults": defaults, "overrides": overrides}
    job = CueJob(
        video=video,
        out=out,
        settings=resolve_settings(None, defaults, overrides),
        sheet=CueSheet(tuple(cues)),
        cue_settings=tuple(resolve_cue(cue, **own) for cue in cues),
        clock=ReelClock.of(video),
        deliveries=(kept,),
    )
    return replace(job, **options), kept  # type: ignore[arg-type]


def db(samples: np.ndarray) -> float:
    """Peak, dB of full scale."""
    return float(20 * np.log10(np.abs(samples).max(initial=0.0) + 1e-12))


CUES = (
    Cue("1", Fraction(1), Fraction(3), prompt="boots on gravel", hits_s=HITS_S),
    Cue("2", Fraction(5, 2), Fraction(5), prompt="dog bark", takes=2, gain_db=-6.0),
    Cue("3", Fraction(5), Fraction(6), silent=True),
    Cue("4", Fraction(6), Fraction(7), prompt="rain"),
)


@pytest.mark.parametrize("between", ["room", pytest.param("auto", marks=pytest.mark.slow)])
def test_stems_sum_to_the_mix(make, model_name: str, tmp_path: Path, between: str) -> None:
    out, channels = tmp_path / "mix.wav", 2 if between == "room" else 1
    settings = resolve_settings(None, default_settings(model_name), {"steps": 1, "channels": channels})
    result, kept = make(out, CUES, between=between, settings=settings)
    mix, rate_hz = soundfile.read(out, dtype="float32", always_2d=True)
    rest = mix.copy()
    for stem, samples in kept.stems:
        assert samples.shape == (stem.n_samples, channels)
        if stem.take == 1:
            rest[stem.start : stem.start + stem.n_samples] -= samples
    assert db(rest) < -90 < db(mix)
    assert db(mix[5 * rate_hz : 6 * rate_hz]) < -60
    assert np.abs(mix[6 * rate_hz + rate_hz // 10 :]).max() > 0
    assert [(stem.cue and stem.cue.number, stem.take) for stem, _ in kept.stems] == [
        ("1", 1),
        ("2", 1),
        ("2", 2),
        ("4", 1),
        (None, 1),
    ]
    by_number = {stem.cue.number: stem for stem, _ in kept.stems if stem.cue is not None and stem.take == 1}
    assert [by_number[n].start + by_number[n].handle_in for n in "124"] == [48000, 120000, 288000]
    assert (by_number["1"].handle_in, by_number["4"].handle_out) == (9600, 0)
    assert [one.cue.number for one in result.cues] == ["1", "2", "3", "4"]
    hits_s = [float(time_s) - by_number["1"].start / rate_hz for time_s in HITS_S]
    struck = next(samples for stem, samples in kept.stems if stem is by_number["1"])
    assert missed_hits(struck.mean(axis=1), rate_hz, hits_s, float(1 / probe(DEMO).fps)) == []
    assert "kept" in result.notes and {match.recording.name for match in result.recordings} >= {"dog bark"}


@pytest.mark.slow
def test_asked_hits_are_heard(make, model_name: str, tmp_path: Path) -> None:
    """Within one picture: of recordings that strike, that call, that go on, and of the model alone."""
    wanted = [("footsteps", "flow"), ("dog bark", "flow"), ("dog bark", "both"), ("rain", "both")]
    cues = [Cue(str(k), Fraction(1), Fraction(3), prompt=prompt, hits_s=HITS_S) for k, (prompt, _) in enumerate(wanted)]
    job, _ = prepare(tmp_path / "a.wav", cues, model_name)
    settings = [replace(own, engine=engine, steps=4) for own, (_, engine) in zip(job.cue_settings, wanted, strict=True)]
    result, kept = make(tmp_path / "a.wav", cues, cue_settings=tuple(settings), between="silence")
    n_missed = 0
    for stem, samples in kept.stems:
        hits_s = [float(time_s) - stem.start / stem.rate_hz for time_s in HITS_S]
        n_missed += len(missed_hits(samples.mean(axis=1), stem.rate_hz, hits_s, float(1 / probe(DEMO).fps)))
    assert n_missed <= 0.05 * len(HITS_S) * len(cues)
    assert result.cues[0].events_s == tuple(float(time_s) for time_s in HITS_S)


@pytest.mark.slow
def test_a_part_has_the_cues_that_lie_in_it(make, tmp_path: Path) -> None:
    result, kept = make(tmp_path / "a.wav", CUES, start_s=4.0, duration_s=2.5, between="silence")
    first_picture = round(result.start_s * 48000)
    assert [one.cue.number for one in result.cues] == ["2", "3", "4"]
    assert all(stem.start >= first_picture for stem, _ in kept.stems)
    assert soundfile.info(tmp_path / "a.wav").frames == round(result.duration_s * 48000)
    assert db(soundfile.read(tmp_path / "a.wav")[0][48000:96000]) < -60


@pytest.mark.parametrize(
    ("cue", "why"),
    [
        (Cue("1", Fraction(1), Fraction(1)), "ends at 00:00:01:00, not after it begins"),
        (Cue("1", Fraction(-1), Fraction(1)), "before the reel"),
        (Cue("1", Fraction(8), Fraction(9)), "after the reel, which lasts 7 s"),
        (Cue("1", Fraction(1), Fraction(9)), "after the reel, which lasts 7 s"),
        (Cue("1", Fraction(1), Fraction(2), hits_s=(Fraction(3),)), "has a hit at 00:00:03:00"),
        (Cue("1", Fraction(1), Fraction(2), takes=0), "has 0 takes"),
        (Cue("1", Fraction(1), Fraction(2), gain_db=99), "has a gain of 99 dB"),
        (Cue("1", Fraction(1), Fraction(2), silent=True, hits_s=(Fraction(1),)), "is silent and has hits"),
        (Cue("1", Fraction(1), Fraction(2), reference=Path("no.wav")), "no.wav"),
    ],
)
def test_what_cannot_be_made_is_refused(tmp_path: Path, cue: Cue, why: str) -> None:
    with pytest.raises(FoleyError, match=why):
        prepare(tmp_path / "a.wav", [cue])[0].check()


def test_a_hit_is_not_asked_for_where_all_is_silent(tmp_path: Path) -> None:
    cues = [CUES[0], Cue("2", Fraction(2), Fraction(4), silent=True)]
    with pytest.raises(FoleyError, match="cue 1 has a hit at 00:00:02:03, where cue 2 is silent"):
        prepare(tmp_path / "a.wav", cues)[0].check()


def test_a_cue_keeps_its_seed_when_others_come(model_name: str) -> None:
    own = {"preset": None, "model_defaults": default_settings(model_name)}
    first, second = (
        resolve_cue(Cue(number, Fraction(0), Fraction(1)), **own, overrides={"seed": 5}) for number in "12"
    )
    given = resolve_cue(Cue("1", Fraction(0), Fraction(1), seed=7, prompt="rain"), **own, overrides={"prompt": "wind"})
    assert first.seed != second.seed and first.seed >= 5
    assert (given.seed, given.prompt) == (7, "rain")
