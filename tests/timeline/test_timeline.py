"""Timelines are read back by libraries that are not ours, event by event, to the sample or the frame."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote

import aaf2
import lxml.etree
import opentimelineio as otio
import pytest
import rpp

from foleycli.cues.times import ReelClock
from foleycli.errors import UsageError
from foleycli.timeline.files import check_timeline_name, write_timeline
from foleycli.timeline.timeline import Clip, Media, Region, Timeline, laid_out

RATE_HZ = 48000
CLOCKS = {
    "23.976": ReelClock(Fraction(24000, 1001), "00:59:58:00"),
    "29.97 drop": ReelClock(Fraction(30000, 1001), "00:59:58;00"),
    "29.97": ReelClock(Fraction(30000, 1001), "01:00:00:00"),
    "25": ReelClock(Fraction(25)),
}


def timeline(folder: Path, clock: ReelClock) -> Timeline:
    """Three cues that begin with pictures, the first two of which meet with their handles; the third has two takes."""
    at = [round(frame / clock.fps * RATE_HZ) for frame in (24, 60, 96, 200, 260)]

    def clip(name: str, start: int, end: int, n_takes: int, handle: int = 9600) -> Clip:
        takes = [
            Media(f"{name} {k}", folder / "stems" / f"{name} {k}.wav", k, start - handle, end - start + 2 * handle, 2)
            for k in range(1, n_takes + 1)
        ]
        return Clip(name, start, end - start, tuple(takes), notes='a "note"')

    clips = [clip("boots", at[0], at[1], 1), clip('a "door"', at[1], at[2], 1), clip("rain", at[3], at[4], 2)]
    n_frames = 480
    tracks = laid_out([("Footsteps", clips[0]), ("Footsteps", clips[1]), ("Ambience", clips[2])])
    regions = tuple(Region(k, one.name, one.start, one.end) for k, one in enumerate(clips, 1))
    return Timeline("reel", clock, RATE_HZ, folder / "a reel.mov", n_frames, 1920, 1080, tracks, regions)


@pytest.fixture(params=CLOCKS, ids=list(CLOCKS))
def made(request, tmp_path) -> Timeline:
    return timeline(tmp_path, CLOCKS[request.param])


def clips_of(made: Timeline) -> list[Clip]:
    return [clip for track in made.tracks for clip in track.clips]


def test_clips_whose_handles_meet_are_on_alternate_tracks(made):
    assert [(track.name, [clip.name for clip in track.clips]) for track in made.tracks] == [
        ("Footsteps", ["boots"]),
        ("Footsteps 2", ['a "door"']),
        ("Ambience", ["rain"]),
    ]


def test_reaper(made, tmp_path):
    write_timeline(made, tmp_path / "a.rpp")
    project = rpp.loads((tmp_path / "a.rpp").read_text(encoding="utf-8"))
    assert float(project.find("PROJOFFS")[1]) == pytest.approx(float(made.clock.start_s), abs=1e-9)
    # As REAPER saves projects: "TIMEMODE 5 5 -1 30 0 0 -1" of 30, "1 0 -1 24 2 0 -1 0" of 23.976.
    ruler, _, transport, base, fraction, *rest = map(int, project.find("TIMEMODE")[1:])
    assert (ruler, transport, rest) == (5, -1, [0, -1])
    assert Fraction(base) / (Fraction(1001, 1000) if fraction else 1) == made.clock.fps
    assert (fraction == 1) == made.clock.is_drop
    picture, *tracks = project.findall("TRACK")
    assert picture.find("ITEM").find("SOURCE").find("FILE")[1] == "a reel.mov"
    assert [track.find("NAME")[1] for track in tracks] == [track.name for track in made.tracks]
    items = [item for track in tracks for item in track.findall("ITEM")]
    for item, clip in zip(items, clips_of(made), strict=True):
        position, length, snap = (
            round(float(item.find(key)[1]) * RATE_HZ) for key in ("POSITION", "LENGTH", "SNAPOFFS")
        )
        assert (position, length, position + snap) == (clip.media.start, clip.media.n_samples, clip.start)
        assert float(item.find("POSITION")[1]) * RATE_HZ == pytest.approx(clip.media.start, abs=1e-5)
        files = [source.find("FILE")[1] for source in item.findall("SOURCE")]
        assert files == [f"stems/{take.path.name}" for take in clip.takes]
        assert sum(1 for child in item if child == "TAKE") == len(clip.takes) - 1
    marks = project.findall("MARKER")
    spans = [
        (round(float(a[2]) * RATE_HZ), round(float(b[2]) * RATE_HZ))
        for a, b in zip(marks[::2], marks[1::2], strict=True)
    ]
    assert spans == [(region.start, region.end) for region in made.regions]
    assert [mark[3] for mark in marks[::2]] == [region.name for region in made.regions]


@pytest.mark.parametrize(
    ("fps", "start", "asked"),
    [
        (Fraction(60000, 1001), "01:00:00:00", (60, 2)),
        (Fraction(60000, 1001), "01:00:00;00", (30, 1)),  # REAPER has no other drop-frame
        (Fraction(120000, 1001), "01:00:00;00", (30, 1)),
        (Fraction(120000, 1001), "01:00:00:00", (60, 2)),
        (Fraction(120), "", (60, 0)),
        (Fraction(100), "", (50, 0)),
        (Fraction(15), "", (15, 0)),
    ],
)
def test_reapers_ruler_says_the_seconds_of_every_reel(tmp_path, fps, start, asked):
    clock = ReelClock(fps, start)
    write_timeline(timeline(tmp_path, clock), tmp_path / "a.rpp")
    found = rpp.loads((tmp_path / "a.rpp").read_text(encoding="utf-8")).find("TIMEMODE")
    base, fraction = int(found[4]), int(found[5])
    assert (base, fraction) == asked
    ruler = ReelClock(Fraction(base) / (Fraction(1001, 1000) if fraction else 1), start)
    assert ruler.is_drop == (fraction == 1) == clock.is_drop
    for picture in (0, 1, 1799 * 4, 1800 * 4, 100_000):  # the first of each of these is the ruler's too
        at_s = picture / ruler.fps
        assert ruler.timecode(at_s)[:8] == clock.timecode(at_s)[:8]


@pytest.mark.parametrize("name", ["a  reel.mov", "a\u3000reel.mov", "a\u00a0reel.mov"])
def test_files_are_found_by_names_with_any_spaces(tmp_path, name):
    made = replace(timeline(tmp_path, CLOCKS["25"]), video=tmp_path / name)
    for ending, line in ((".rpp", f'        FILE "{name}"'), (".edl", f"* FROM CLIP NAME: {name}")):
        write_timeline(made, tmp_path / f"a{ending}")
        assert line in (tmp_path / f"a{ending}").read_text(encoding="utf-8").splitlines()


def test_otio(made, tmp_path):
    write_timeline(made, tmp_path / "a.otio")
    read = otio.adapters.read_from_file(str(tmp_path / "a.otio"))
    fps = float(made.clock.fps)
    assert (read.global_start_time.value, read.global_start_time.rate) == (made.clock.start_frame, fps)
    (picture,) = read.video_tracks()
    assert picture[0].trimmed_range().duration.value == made.n_frames
    for track, ours in zip(read.audio_tracks(), made.tracks, strict=True):
        for clip, wanted in zip(track.find_clips(), ours.clips, strict=True):
            placed = track.range_of_child(clip)
            assert placed.start_time.rescaled_to(RATE_HZ).value == wanted.start
            assert placed.duration.rescaled_to(RATE_HZ).value == wanted.n_samples
            into = clip.source_range.start_time - clip.available_range().start_time
            assert into.value == wanted.start - wanted.media.start
            assert clip.available_range().start_time.value == made.time_reference(wanted.media)
            urls = [unquote(each.target_url) for each in clip.media_references().values()]
            assert sorted(urls) == sorted(f"stems/{take.path.name}" for take in wanted.takes)
            assert unquote(clip.media_reference.target_url) == f"stems/{wanted.media.path.name}"
    assert [(m.name, m.marked_range.start_time.value) for m in read.tracks.markers] == [
        (region.name, region.start) for region in made.regions
    ]


def test_edl(made, tmp_path):
    write_timeline(made, tmp_path / "a.edl")
    rate = float(made.clock.fps)
    read = otio.adapters.read_from_file(str(tmp_path / "a.edl"), rate=rate)
    clips = [clip for track in read.audio_tracks() for clip in track.find_clips()]
    wanted = sorted(clips_of(made), key=lambda clip: clip.start)
    for clip, ours in zip(sorted(clips, key=lambda clip: clip.range_in_parent().start_time.value), wanted, strict=True):
        first = clip.source_range.start_time.to_timecode(rate, drop_frame=made.clock.is_drop)
        assert first == made.clock.timecode(made.seconds(ours.start))
        assert round(clip.source_range.duration.value) == made.frame(ours.end) - made.frame(ours.start)
        assert clip.name == ours.media.path.name
    text = (tmp_path / "a.edl").read_text()
    assert f"FCM: {'DROP FRAME' if made.clock.is_drop else 'NON-DROP FRAME'}" in text and "* TAKE 2: rain 2.wav" in text


def test_fcpxml(made, tmp_path):
    write_timeline(made, tmp_path / "a.fcpxml")
    (read,) = otio.adapters.read_from_file(str(tmp_path / "a.fcpxml"))
    tracks = {track[-1].name: track for track in read.tracks}  # places before rates, which it takes for whole ones
    xml = lxml.etree.parse(str(tmp_path / "a.fcpxml"))
    for clip in clips_of(made):
        for take in clip.takes:
            name = clip.name if len(clip.takes) == 1 else f"{clip.name}, take {take.take}"
            found = next(track for last, track in tracks.items() if last == name)
            assert found[0].source_range.duration.value == made.clock.start_frame + made.frame(clip.start)
            (element,) = (one for one in xml.iter("asset-clip") if one.get("name") == name)
            length = Fraction(element.get("duration").rstrip("s")) * made.clock.fps
            assert length == made.frame(clip.end) - made.frame(clip.start)
            (asset,) = (one for one in xml.iter("asset") if one.get("id") == element.get("ref"))
            into = (Fraction(element.get("start")[:-1]) - Fraction(asset.get("start")[:-1])) * RATE_HZ
            assert abs(into - (clip.start - take.start)) <= Fraction(1, 2)
            assert asset[0].get("src") == take.path.as_uri()
            assert (element.get("enabled") == "0") == (take.take > 1)


def test_aaf(made, tmp_path):
    write_timeline(made, tmp_path / "a.aaf")
    with aaf2.open(str(tmp_path / "a.aaf")) as file:
        (composition,) = file.content.toplevel()
        slots = {slot.name: slot for slot in composition.slots}
        timecode = slots["Timecode"].segment
        assert (timecode.start, timecode.fps, timecode.drop) == (
            made.clock.start_frame,
            round(made.clock.fps),
            made.clock.is_drop,
        )
        for track in made.tracks:
            slot, done, places = slots[track.name], 0, []
            assert slot.edit_rate == RATE_HZ
            for one in slot.segment.components:
                if isinstance(one, aaf2.components.SourceClip):
                    master = one.mob
                    places.append((master.name, done, one.length, one.start))
                done += one.length
            assert places == [
                (clip.media.path.name, clip.start, clip.n_samples, clip.start - clip.media.start)
                for clip in track.clips
            ]
        assert "Ambience, take 2" in slots
    otio_read = otio.adapters.read_from_file(str(tmp_path / "a.aaf"))
    assert len([clip for track in otio_read.audio_tracks() for clip in track.find_clips()]) == 4


def test_an_edl_with_too_many_events_and_unknown_endings_are_refused(tmp_path):
    made = timeline(tmp_path, CLOCKS["25"])
    many = replace(made, tracks=(replace(made.tracks[0], clips=made.tracks[0].clips * 999),))
    with pytest.raises(UsageError, match="holds 999 events"):
        write_timeline(many, tmp_path / "a.edl")
    fast = timeline(tmp_path, ReelClock(Fraction(120000, 1001)))
    with pytest.raises(UsageError, match=r"with two digits, and the reel has 119\.88 a second"):
        write_timeline(fast, tmp_path / "a.edl")
    assert os.listdir(tmp_path) == []
    with pytest.raises(UsageError, match="no known format of timelines"):
        check_timeline_name(tmp_path / "a.xml")
