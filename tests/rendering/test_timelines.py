"""A reel that begins at 00:59:58:00 becomes a preview, stamped stems and timelines, and all readers agree."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote

import av
import opentimelineio as otio
import pytest
import rpp
import wavinfo
from clips import WIDTH_PX, X264, run_ffmpeg

FPS, RATE_HZ = Fraction(24000, 1001), 48000
START_FRAME = (59 * 60 + 58) * 24
PROMPTS = ("boots on gravel", "knocking on wood", "dog bark", "rain")


@dataclass(frozen=True)
class Reel:
    """What one call has made of a reel."""

    folder: Path
    cues: list[tuple[int, int]]  # first and end frame of each, from the first picture
    n_takes: int


def timecode(frame: int) -> str:
    seconds, frames = divmod(START_FRAME + frame, 24)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}:{frames:02}"


def make(foley: Callable, folder: Path, duration_s: int, cues: list[tuple[int, int]], n_takes: int) -> Reel:
    """Render a reel that is drawn for it, by one command."""
    picture = f"testsrc2=s={WIDTH_PX}x90:r=24000/1001:d={duration_s}"
    run_ffmpeg("-f", "lavfi", "-i", picture, *X264, "-timecode", timecode(0), folder / "reel.mov")
    rows = [f"{k},{timecode(a)},{timecode(b)},{PROMPTS[k % 4]}" for k, (a, b) in enumerate(cues, 1)]
    (folder / "cues.csv").write_text("number,in,out,prompt\n" + "\n".join(rows) + "\n", encoding="utf-8")
    told = foley(
        "render", folder / "reel.mov", "--cues", folder / "cues.csv", "-o", folder / "preview.mov", "--stems",
        folder / "stems", "--takes", n_takes, "--timeline", folder / "reel.rpp", "--timeline", folder / "reel.otio",
        "--steps", 1, "--device", "cpu", "--report",
    )  # fmt: skip
    assert told.code == 0, told.err
    return Reel(folder, cues, n_takes)


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("reel")


@pytest.fixture
def reel(foley, kept_model, kept) -> Reel:
    """20 s with two cues that meet and one alone."""
    cues = [(24, 72), (72, 110), (300, 380)]
    return make(foley, kept, 20, cues, 2) if not (kept / "reel.mov").exists() else Reel(kept, cues, 2)


def sample(frame: int) -> int:
    return round(frame / FPS * RATE_HZ)


def agree(reel: Reel) -> None:
    """Every reader finds every cue where the sheet has it: stems to the sample, pictures to the frame."""
    stems = {path.name: wavinfo.WavInfoReader(path) for path in (reel.folder / "stems").glob("*.wav")}
    midnight = round(START_FRAME / FPS * RATE_HZ)
    places = {name: one.bext.time_reference - midnight for name, one in stems.items()}
    assert len(stems) == len(reel.cues) * reel.n_takes + 1  # and the room tone
    with av.open(str(reel.folder / "preview.mov")) as file:
        assert any(stream.metadata.get("timecode") == timecode(0) for stream in file.streams)
        assert file.streams.video[0].average_rate == FPS
    project = rpp.loads((reel.folder / "reel.rpp").read_text(encoding="utf-8"))
    assert round(float(project.find("PROJOFFS")[1]) * RATE_HZ) == midnight
    snaps = []
    for item in (item for track in project.findall("TRACK")[1:] for item in track.findall("ITEM")):
        position, snap, length = (
            round(float(item.find(key)[1]) * RATE_HZ) for key in ("POSITION", "SNAPOFFS", "LENGTH")
        )
        files = [Path(source.find("FILE")[1]) for source in item.findall("SOURCE")]
        assert all((reel.folder / file).is_file() for file in files)
        assert {places[file.name] for file in files} == {position}
        assert {stems[file.name].data.frame_count for file in files} == {length}
        if len(files) == reel.n_takes:
            snaps.append(position + snap)
    assert sorted(snaps) == [sample(a) for a, _ in reel.cues]
    timeline = otio.adapters.read_from_file(str(reel.folder / "reel.otio"))
    assert timeline.global_start_time.value == START_FRAME
    spans = []
    for track in timeline.audio_tracks():
        for clip in track.find_clips():
            place = track.range_of_child(clip)
            name = Path(unquote(clip.media_reference.target_url)).name
            begin = clip.source_range.start_time.value - midnight
            assert clip.available_range().start_time.value == places[name] + midnight
            assert place.start_time.rescaled_to(RATE_HZ).value == begin
            if len(clip.media_references()) == reel.n_takes:
                spans.append((begin, begin + clip.source_range.duration.value))
    assert sorted(spans) == [(sample(a), sample(b)) for a, b in reel.cues]


def test_every_reader_finds_every_cue_in_its_place(reel):
    agree(reel)


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="there is no ffprobe here")
def test_ffprobe_agrees_on_the_stems(reel):
    for path in (reel.folder / "stems").glob("*.wav"):
        args = ["ffprobe", "-v", "error", "-show_entries", "format_tags=time_reference", "-of", "csv=p=0", str(path)]
        said = subprocess.run(args, capture_output=True, text=True, check=True).stdout
        assert int(said) == wavinfo.WavInfoReader(path).bext.time_reference


@pytest.mark.slow
def test_a_reel_of_three_minutes(foley, kept_model, tmp_path):
    cues = [(24 + 340 * k, 24 + 340 * k + 96) for k in range(12)]
    reel = make(foley, tmp_path, 180, cues, 3)
    agree(reel)
    before = {path.name: path.read_bytes() for path in (tmp_path / "stems").iterdir()}
    told = foley("redo", tmp_path / "preview.json", "--cue", 5, "--force")
    assert told.code == 0, told.err
    agree(reel)
    changed = {path.name for path in (tmp_path / "stems").iterdir() if before[path.name] != path.read_bytes()}
    assert changed == {name for name in before if "_5T" in name}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--timeline", "a.rpp"), "--timeline is given without --stems"),
        (("--timeline", "a.xml", "--stems", "s"), "no known format of timelines"),
        (("--timeline", "a.rpp", "--timeline", "./a.rpp", "--stems", "s"), "would be written twice"),
        (("--timeline", "x/a.rpp", "--stems", "s"), "the folder x does not exist"),
        (("second.mp4", "--timeline", "a.rpp", "--stems", "s"), "--timeline names one file, but 2 videos"),
    ],
)
def test_timelines_that_cannot_be_written_are_refused(foley, clips, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "second.mp4").write_bytes(clips("short.mp4").read_bytes())
    told = foley("render", clips("short.mp4"), *options)
    assert told.code in (1, 2) and words in told.err


def test_an_edl_that_could_not_be_written_is_refused_before_the_work(foley, tmp_path, monkeypatch):
    monkeypatch.setattr("foleycli.batch.work.load", lambda *_: pytest.fail("a model is loaded"))
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x36:r=120000/1001:d=0.5", *X264, tmp_path / "fast.mp4")
    options = ("--stems", tmp_path / "stems", "--timeline", tmp_path / "a.edl")
    for command in (("render", tmp_path / "fast.mp4", *options), ("spot", tmp_path / "fast.mp4", "-o", options[3])):
        told = foley(*command)
        assert told.code == 2 and "with two digits, and the reel has 119.88 a second" in told.err
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x36:r=25:d=41", *X264, tmp_path / "long.mp4")
    rows = "".join(f"{k / 25},{(k + 1) / 25}\n" for k in range(999))
    (tmp_path / "cues.csv").write_text(f"in,out\n{rows}", encoding="utf-8")
    told = foley("render", tmp_path / "long.mp4", "--cues", tmp_path / "cues.csv", *options)
    assert told.code == 2 and "an .edl holds 999 events, this timeline has 100" in told.err
