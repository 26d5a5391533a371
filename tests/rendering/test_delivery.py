"""Stems of a cue sheet on disk: they null against the mix, lie where they say, and credit what they use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile
from clips import run_ffmpeg
from wavinfo import WavInfoReader

from foleycli.cues.cue import Cue, CueSheet
from foleycli.cues.times import ReelClock
from foleycli.dsp.onsets import detect_onsets
from foleycli.hub.resolve import default_settings
from foleycli.media.audio import read_audio
from foleycli.media.probe import probe
from foleycli.rendering.cues import CueJob, resolve_cue
from foleycli.rendering.delivery import StemDelivery
from foleycli.settings.preset import resolve_settings

DEMO = Path(__file__).parents[2] / "foleycli" / "shipped" / "demo.mp4"  # 7 s at 25
START = 3598 * 48000  # samples from midnight to 00:59:58:00
CUES = (
    Cue("1", Fraction(1), Fraction(5, 2), prompt="door slam", takes=2, track="HARD"),
    Cue("2", Fraction(2), Fraction(4), prompt="dog bark", gain_db=-6.0, hits_s=(Fraction(5, 2), Fraction(3))),
    Cue("3", Fraction(9, 2), Fraction(5), silent=True),
    Cue("4", Fraction(5), Fraction(6), prompt="footsteps on gravel", track="FEET"),
)


def slow(*values: object):
    """A case that is left to the slow run."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def reel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("reel") / "reel_1.mov"
    run_ffmpeg("-i", DEMO, "-map", "0:v", "-c", "copy", "-timecode", "00:59:58:00", out)
    return out


@pytest.fixture
def make(kept_model, model_name: str, reel: Path, tmp_path: Path) -> Callable[..., tuple[CueJob, StemDelivery]]:
    """`make("mix.wav", by="track")`: a job of recordings alone, which has run, and its delivery."""

    def call(name: str, cues: Sequence[Cue] = CUES, part: tuple[float, float | None] = (0.0, None), **asked):
        (tmp_path / "stems").mkdir()
        fields = {key: asked.pop(key) for key in ("by", "pattern", "sample_format") if key in asked}
        delivery = StemDelivery(tmp_path / "stems", **fields)  # type: ignore[arg-type]
        defaults, overrides, video = default_settings(model_name), {"engine": "recordings", **asked}, probe(reel)
        own = {"preset": None, "model_defaults": defaults, "overrides": overrides}
        job = CueJob(
            video=video,
            out=tmp_path / name,
            settings=resolve_settings(None, defaults, overrides),
            start_s=part[0],
            duration_s=part[1],
            sheet=CueSheet(tuple(cues)),
            cue_settings=tuple(resolve_cue(cue, **own) for cue in cues),
            clock=ReelClock.of(video),
            deliveries=(delivery,),
        )
        job.check()
        planned = [path.name for path in job.outputs()[1:]]
        job.run(kept_model)
        written = sorted(path.name for path in (tmp_path / "stems").iterdir())
        assert written == sorted(planned)  # what was said before
        needed = delivery.needed_bytes(job)[delivery.folder]
        assert needed / 1.3 < sum(path.stat().st_size for path in delivery.folder.iterdir()) <= needed
        return job, delivery

    return call


def rest_db(mix: Path, folder: Path, start: int) -> float:
    """What is left of a mix when every first take is taken away at the place that it states; dB of full scale."""
    rest = read_audio(mix).samples.T.astype(np.float64).copy()  # [N, C]
    assert np.abs(rest).max() > 0.01
    for path in folder.glob("*.wav"):
        info = WavInfoReader(str(path))
        if info.ixml.take == "1":
            first, samples = info.bext.time_reference - start, soundfile.read(path, always_2d=True)[0]
            rest[first : first + len(samples)] -= samples
    return float(20 * np.log10(np.abs(rest).max() + 1e-12))


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        slow("mix.wav", {"by": "track", "loudness_lufs": "r128"}),
        slow("mix.mov", {"by": "cue", "rate_hz": 96000, "loudness_lufs": "netflix"}),
        slow("mix.wav", {"by": "class", "channels": 2, "loudness_lufs": "atsc", "loudness_per": "cue"}),
    ],
)
def test_stems_null_against_the_mix(make, tmp_path: Path, name: str, asked: dict) -> None:
    job, _ = make(name, **asked)
    assert rest_db(tmp_path / name, tmp_path / "stems", START * job.settings.rate_hz // 48000) < -90


def test_places_names_and_credits_of_a_part(make, tmp_path: Path) -> None:
    """From the second second on: places count from the reel's first picture all the same."""
    make("mix.wav", part=(1.0, 4.0))
    folder = tmp_path / "stems"
    names = {
        "DOORWood_Door Slam_FOLEY_reel 1_1T1.wav": START + 48000,
        "DOORWood_Door Slam_FOLEY_reel 1_1T2.wav": START + 48000,
        "ANMLDog_Dog Bark_FOLEY_reel 1_2T1.wav": START + 2 * 48000 - 9600,
        "AMBRoom_Room Tone_FOLEY_reel 1_RoomT1.wav": START + 48000,
    }
    assert {path.name for path in folder.glob("*.wav")} == set(names)
    for name, place in names.items():
        assert WavInfoReader(str(folder / name)).bext.time_reference == place
    assert soundfile.info(folder / "ANMLDog_Dog Bark_FOLEY_reel 1_2T1.wav").frames == 2 * 48000 + 19200
    assert rest_db(tmp_path / "mix.wav", folder, START + 48000) < -90
    credits = (folder / "CREDITS.txt").read_text()
    used = [line for line in credits.splitlines()[2:] if line and not line.startswith((" ", "Licences", "Sounds"))]
    assert used == ["dog bark", "door slam", "room tone"]  # no footsteps: their cue is behind the part


@pytest.mark.parametrize("per", ["cue", pytest.param("stem", marks=pytest.mark.slow)])
def test_each_cue_or_stem_can_have_the_loudness(make, tmp_path: Path, per: str) -> None:
    """Of a cue within the mix, at one gain more where the mix would peak too high; of a stem by itself."""
    cues = [replace(cue, takes=None, gain_db=0.0) for cue in CUES[:2]]
    make("mix.wav", cues, loudness_lufs=-35.0, loudness_per=per, room="off")
    for path in (tmp_path / "stems").glob("*.wav"):
        measured = pyloudnorm.Meter(48000).integrated_loudness(soundfile.read(path)[0])
        assert measured == pytest.approx(-35.0, abs=0.1)
    assert (rest_db(tmp_path / "mix.wav", tmp_path / "stems", START) < -90) is (per == "cue")


def test_a_render_without_cues_has_stems_too(render, reel: Path, tmp_path: Path) -> None:
    """The command: one cue is the whole, each take a stem, room tone another."""
    ask = (reel, "--engine", "recordings", "--prompt", "door slam", "--takes", "2", "--stems", tmp_path / "stems")
    ask = (*ask, "--name", "{cat_id}_{take}", "-o", tmp_path / "mix.mov", "--pcm", "--duration", "3")
    told = render(*ask, "--dry-run")
    assert told.code == 0 and "stems     4 files" in told.out and "DOORWood_2.wav" in told.out
    assert list(tmp_path.iterdir()) == []
    told = render(*ask, "--report", "--json")
    assert told.code == 0, told.err
    written = {path.name for path in (tmp_path / "stems").iterdir()}
    assert {Path(file).name for file in told.lines[0]["files"]} == written
    assert written == {"DOORWood_1.wav", "DOORWood_2.wav", "AMBRoom_1.wav", "CREDITS.txt"}
    assert rest_db(tmp_path / "mix.mov", tmp_path / "stems", START) < -90
    assert {path.name for path in tmp_path.iterdir()} == {"stems", "mix.mov", "mix.json", "mix.png"}
    again = render(*ask)
    assert again.code == 1 and "already exists" in again.error


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--stems-by", "track"), "without --stems"),
        (("--stem-bits", "32"), "without --stems"),
        (("--stems", DEMO), "is not a folder"),
        (("--stems", "x", "--name", "{nmae}"), "has the field"),
        (("--stems", "x", "--takes", "2", "--pick", "best"), "--pick is given beside"),
        (("--loudness", "r128", "--loudness-per", "cue"), "there are no cues"),
    ],
)
def test_options_of_stems_that_make_no_sense(foley, reel: Path, tmp_path: Path, monkeypatch, more, words) -> None:
    monkeypatch.chdir(tmp_path)
    told = foley("render", reel, "-o", "mix.wav", *more)
    assert told.code == 2 and words in told.error
    assert list(tmp_path.iterdir()) == []


def test_a_cue_sound_goes_on_in_its_handles_and_its_neighbour_is_not_heard(render, reel: Path, tmp_path: Path) -> None:
    """The command: the first cue's last hit is half a second before its out, the second's first right behind it."""
    sheet, folder = tmp_path / "cues.csv", tmp_path / "stems"
    sheet.write_text(
        "number,in,out,prompt,hits\n1,00:59:59:00,01:00:01:00,door slam,1.5 2.5\n"
        "2,01:00:01:00,01:00:03:00,pop,3.1 3.5\n"
    )
    ask = (reel, "--cues", sheet, "--stems", folder, "--handles", "48f", "--engine", "recordings", "--name", "{cue}")
    told = render(*ask, "-o", tmp_path / "mix.wav", "--between", "silence")
    assert told.code == 0, told.err
    handle = 48 * 48000 // 25
    first, second = (soundfile.read(folder / f"{number}.wav")[0] for number in "12")
    assert len(first) == 2 * 48000 + 48000 + handle  # the reel begins a second before the cue
    assert len(second) == 2 * 48000 + 2 * handle
    assert WavInfoReader(str(folder / "2.wav")).bext.time_reference == START + 3 * 48000 - handle
    note = WavInfoReader(str(folder / "2.wav")).ixml.parsed.findtext("NOTE")
    assert f"handles: {handle} samples before, {handle} after" in note
    # A pop is short: in the handle before its cue there is nothing of the door, in that behind it next to nothing.
    assert np.abs(second[:handle]).max() < 0.02 * np.abs(second).max()
    hits = detect_onsets(first, 48000)
    assert len(hits) and max(hits) < 3.0  # of the stem, which begins with the reel
    assert rest_db(tmp_path / "mix.wav", folder, START) < -90
    for wrong, words in [("x", "is no time"), ("-1", "--handles is -1 s"), ("90", "Give 0 to 60 s")]:
        refused = render(*ask, "-o", tmp_path / "no.wav", "--handles", wrong)
        assert refused.code == 2 and words in refused.error
