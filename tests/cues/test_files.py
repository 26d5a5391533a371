"""Cue sheets as files: read as people write them, refused in one line, written so that other libraries read them."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import lxml.etree
import mido
import opentimelineio as otio
import pretty_midi
import pysubs2
import pytest

from foleycli.cues.columns import ONE_SHOT_S
from foleycli.cues.cue import Cue, CueSheet, Event
from foleycli.cues.files import READERS, read_sheet, sheet_bytes
from foleycli.cues.times import ReelClock
from foleycli.errors import FoleyError
from foleycli.records import Video

FILM, NTSC = Fraction(24000, 1001), Fraction(30000, 1001)
CLOCKS = [
    ReelClock(FILM, "00:59:58:00"),
    ReelClock(NTSC, "00:59:58;00"),
    ReelClock(NTSC, "00:59:58:00"),
    ReelClock(Fraction(25)),
    ReelClock(Fraction(60000, 1001), "09:59:58;04"),
]


def reel(clock: ReelClock, length_s: int = 180) -> Video:
    """What a probe would say."""
    return Video(
        path=Path("/films/reel.mov"), duration_s=float(length_s), start_s=0.0, fps=clock.fps,
        n_frames=round(length_s * clock.fps), width_px=1920, height_px=1080, rotation_deg=0, video_codec="h264",
        pixel_format="yuv420p", has_audio=False, audio_rate_hz=0, audio_channels=0,
    )  # fmt: skip


def read(tmp_path: Path, name: str, text: str | bytes, clock: ReelClock = CLOCKS[0]) -> CueSheet:
    """The sheet of a file with that text."""
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_sheet(path, reel(clock), clock)


def made(clock: ReelClock) -> CueSheet:
    """Three cues at edges of pictures, with every column set somewhere."""

    def at(frame: int) -> Fraction:
        return frame / clock.fps

    cues = (
        Cue("1", at(24), at(100), name="Steps", prompt="boots on gravel", hits_s=(at(30), at(61)), takes=3, track="FS"),
        Cue("2", at(90), at(300), prompt="rain, heavily", negative_prompt="thunder", gain_db=-6.5, seed=7,
            category="RAINMisc", notes="under the talk"),
        Cue("3", at(300), at(2000), name="Hole", silent=True, preset="draft", model="salsav-mini"),
    )  # fmt: skip
    return CueSheet(cues, events={"2": (Event(at(95), 0.25), Event(at(200), 1.0))})


@pytest.mark.parametrize("clock", CLOCKS, ids=lambda clock: f"{float(clock.fps):.2f}{clock.start}")
@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.edl", "a.otio", "a.fcpxml", "a.srt"])
def test_what_is_written_reads_back(tmp_path: Path, name: str, clock: ReelClock) -> None:
    sheet = made(clock)
    back = read(tmp_path, name, sheet_bytes(sheet, tmp_path / name, reel(clock), clock), clock)
    assert back.notes == ()
    for cue, wanted in zip(back.cues, sheet.cues, strict=True):
        tolerance_s = Fraction(1, 1999) if name.endswith(".srt") else 0
        assert abs(cue.start_s - wanted.start_s) <= tolerance_s and abs(cue.end_s - wanted.end_s) <= tolerance_s
        assert (cue.hits_s, cue.takes, cue.gain_db, cue.seed) == (
            wanted.hits_s,
            wanted.takes,
            wanted.gain_db,
            wanted.seed,
        )
        same = ("number", "silent", "negative_prompt", "preset", "model", "category", "notes")
        same += () if name.endswith((".srt", ".edl")) else ("track",)
        assert [getattr(cue, field) for field in same if field != "number"] == [
            getattr(wanted, field) for field in same if field != "number"
        ]
        assert cue.prompt == wanted.prompt or not wanted.prompt


@pytest.mark.parametrize("clock", CLOCKS, ids=lambda clock: f"{float(clock.fps):.2f}{clock.start}")
def test_other_libraries_read_the_lists(tmp_path: Path, clock: ReelClock) -> None:
    """OpenTimelineIO on EDL, OTIO and FCPXML: every place to the frame."""
    sheet, video, rate = made(clock), reel(clock), float(clock.fps)
    frames = [(clock.frame(cue.start_s), clock.frame(cue.end_s)) for cue in sheet.cues]

    def spans(markers: list) -> list[tuple[int, int]]:
        times = [(mark.marked_range.start_time, mark.marked_range.end_time_exclusive()) for mark in markers]
        return [tuple(round(time.rescaled_to(rate).value) for time in pair) for pair in times]

    timeline = otio.adapters.read_from_string(sheet_bytes(sheet, Path("a.otio"), video, clock).decode(), "otio_json")
    assert spans(timeline.tracks.markers) == frames
    assert timeline.global_start_time.value == clock.start_frame
    # Its adapter takes drop-frame and 23.976 for the nominal count; places are those of the numbers.
    text = sheet_bytes(replace(sheet, cues=sheet.cues[:1]), Path("a.edl"), video, clock).decode()
    clip = list(otio.adapters.read_from_string(text, "cmx_3600", rate=rate).find_clips())[0]
    assert clip.duration().value == frames[0][1] - frames[0][0]
    assert clip.name == "Steps"
    xml = sheet_bytes(sheet, Path("a.fcpxml"), video, clock).decode()
    found = otio.adapters.read_from_string(xml, "fcpx_xml")
    clips = list(found.find_clips()) if hasattr(found, "find_clips") else list(found[0].find_clips())
    wanted = [(a + clock.start_frame, b + clock.start_frame) for a, b in frames]
    found_s = [Fraction(mark.get("start").rstrip("s")) for mark in lxml.etree.fromstring(xml.encode()).iter("marker")]
    assert found_s == [first / clock.fps for first, _ in wanted]
    # Where a rate is no whole number its adapter cuts places and lengths down to the frame before.
    slips = [
        a - b
        for one, other in zip(wanted, spans(clips[0].markers), strict=True)
        for a, b in zip(one, other, strict=True)
    ]
    assert set(slips) <= ({0} if clock.fps.denominator == 1 else {0, 1, 2})


def test_other_libraries_read_the_rest(tmp_path: Path) -> None:
    """pysubs2 on SRT, Python's csv on REAPER's regions, mido and pretty_midi on MIDI: every time to its unit."""
    clock, video = CLOCKS[0], reel(CLOCKS[0])
    sheet = made(clock)
    seconds = [(float(cue.start_s), float(cue.end_s)) for cue in sheet.cues]

    def data(name: str) -> bytes:
        return sheet_bytes(sheet, Path(name), video, clock)

    captions = pysubs2.SSAFile.from_string(data("a.srt").decode())
    assert [(one.start / 1000, one.end / 1000) for one in captions] == [
        pytest.approx(pair, abs=6e-4) for pair in seconds
    ]
    regions = list(csv.DictReader(io.StringIO(data("a.reaper.csv").decode())))
    assert [row["Start"] for row in regions] == ["0:01.001", "0:03.754", "0:12.513"]
    labels = [line.split("\t") for line in data("a.txt").decode().splitlines()]
    assert [float(label[0]) for label in labels] == [pytest.approx(pair[0], abs=1e-6) for pair in seconds]
    (tmp_path / "a.mid").write_bytes(data("a.mid"))
    notes = [note for one in pretty_midi.PrettyMIDI(str(tmp_path / "a.mid")).instruments for note in one.notes]
    events = [(*sheet.cues[0].hits_s, 127, 127)]  # type: ignore[misc] # hits count as events at full strength
    assert [note.start for note in notes] == [
        pytest.approx(float(time_s), abs=1e-6)
        for time_s in (*events[0][:2], *(one.time_s for one in sheet.events["2"]))
    ]
    assert [note.velocity for note in notes] == [127, 127, 32, 127]
    song = mido.MidiFile(str(tmp_path / "a.mid"))
    ticks_a_picture = song.ticks_per_beat / 24
    assert [message.time for message in song.tracks[1] if message.type == "note_on"][0] == 30 * ticks_a_picture
    assert [track.name for track in song.tracks[1:]] == ["boots on gravel", "rain, heavily", "Hole"]


def test_sheets_as_people_write_them(tmp_path: Path) -> None:
    """Other words for columns, other signs between them, another encoding; a length in place of an out."""
    text = (
        "Cue #;TC In;Duration;Description;Level (dB);Mute;Hit Points;Colour\n7;01:00:00:00;2,5;Tür;-3 dB;;72f 3.5;red\n"
    )
    sheet = read(tmp_path, "a.csv", text.encode("cp1252"))
    start_s = 48 / FILM
    wanted = Cue("7", start_s, start_s + Fraction(5, 2), prompt="Tür", gain_db=-3.0, hits_s=(72 / FILM, Fraction(7, 2)))
    assert (sheet.cues, sheet.notes) == ((wanted,), ())
    json_text = '[{"start": 1.1, "end": "60f", "text": "rain", "hits": [1.2, "36f"], "silent": false, "wet": 1}]'
    sheet = read(tmp_path, "a.json", json_text)
    assert sheet.cues[0].start_s == Fraction(11, 10) and sheet.cues[0].hits_s == (Fraction(6, 5), 36 / FILM)
    assert "'wet' is not known" in sheet.notes[0]


def test_points_are_hits(tmp_path: Path) -> None:
    """Audacity's labels and markers without a length: a cue of its own, struck at that time."""
    sheet = read(tmp_path, "a.txt", "1.5\t1.5\tdoor slam\n3\t5\train\n")
    wanted = [(Fraction(3, 2), Fraction(3, 2) + ONE_SHOT_S, (Fraction(3, 2),)), (Fraction(3), Fraction(5), None)]
    assert [(cue.start_s, cue.end_s, cue.hits_s) for cue in sheet.cues] == wanted
    assert [cue.prompt for cue in sheet.cues] == ["door slam", "rain"]


def test_clips_are_cues_where_there_is_no_marker(tmp_path: Path) -> None:
    clock, rate = CLOCKS[0], 24000 / 1001
    span = otio.opentime.range_from_start_end_time(
        otio.opentime.RationalTime(10, rate), otio.opentime.RationalTime(58, rate)
    )
    clips = [otio.schema.Clip(name=name, source_range=span) for name in ("rain", "wind")]
    timeline = otio.schema.Timeline(global_start_time=otio.opentime.RationalTime(86400, rate))  # 01:00:00:00
    timeline.tracks.append(otio.schema.Track(children=[*clips[:1], otio.schema.Gap(source_range=span), *clips[1:]]))
    sheet = read(tmp_path, "a.otio", otio.adapters.write_to_string(timeline, "otio_json"))
    assert [(cue.prompt, clock.frame(cue.start_s), clock.frame(cue.end_s)) for cue in sheet.cues] == [
        ("rain", 48, 96),
        ("wind", 144, 192),
    ]


FCPXML = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE fcpxml>
<fcpxml version="1.10"><library><event><project>
<sequence tcStart="86384000/24000s" duration="180s"><spine>
  <asset-clip offset="86384000/24000s" start="1001/24s" duration="100100/24000s" name="A">
    <marker start="1026025/24000s" duration="24024/24000s" value="steps" note="takes: 2"/>
    <asset-clip lane="-1" offset="1049048/24000s" duration="48048/24000s" name="B">
      <marker start="12012/24000s" duration="1001/24000s" value="slam"/></asset-clip>
  </asset-clip></spine></sequence></project></event></library></fcpxml>"""


def test_places_in_fcpxml(tmp_path: Path) -> None:
    """A marker stands on its clip's own clock, a connected clip on its parent's."""
    clock = ReelClock(FILM, "00:59:56:00")
    sheet = read(tmp_path, "a.fcpxml", FCPXML.replace("86384000", str(clock.start_frame * 1001)), clock)
    found = [(cue.prompt, clock.frame(cue.start_s), clock.frame(cue.end_s), cue.takes) for cue in sheet.cues]
    assert found == [("steps", 25, 49, 2), ("slam", 60, 60 + round(2 * FILM), None)]
    assert sheet.cues[1].hits_s == (60 / FILM,)


EDL = """TITLE: REEL
FCM: NON-DROP FRAME

001  AX       A2    C        00:00:00:00 00:00:02:00 00:59:59:00 01:00:01:00
* FROM CLIP NAME: steps_01.wav
* COMMENT: boots on gravel
* HITS: 01:00:00:00 60f
002  AX       V     D    012 00:00:00:00 00:00:01:00 01:00:01:00 01:00:02:00
* FROM CLIP NAME: rain
"""


def test_edit_decision_lists(tmp_path: Path) -> None:
    cues = read(tmp_path, "a.edl", EDL).cues
    assert [(cue.number, cue.prompt, cue.track) for cue in cues] == [("1", "boots on gravel", "A2"), ("2", "rain", "")]
    assert (cues[0].start_s, cues[0].hits_s) == (24 / FILM, (48 / FILM, 60 / FILM))


WRONG = [
    ("a.csv", "in,out\n1,2\n3,soon\n", r"a\.csv, row 3, out: 'soon' is no time"),
    ("a.csv", "in,out\n1,2\n\n2,1\n5,400\n", r"a\.csv, row 4, ends at .* not after it begins .*one more row is wrong"),
    ("a.csv", "in,out\n1\n", "row 2, has neither an out nor a duration"),
    ("a.csv", "in,out,takes\n1,2,many\n", "row 2, takes: 'many' is no whole number"),
    ("a.csv", "in,out,gain\n1,2,loud\n", "row 2, gain: 'loud' is no number"),
    ("a.csv", "in,out,mute\n1,2,perhaps\n", "row 2, silent: 'perhaps' is neither yes nor no"),
    ("a.csv", "in,out,hits\n1,2,1.5 3\n", r"row 2, has a hit at .* which is not in it"),
    ("a.csv", "in,out,duration\n1,2,3\n", "row 2, has an out and a duration that do not agree"),
    ("a.csv", "no,in,out\nA,1,2\nA,2,3\n", "row 3, has the number 'A', as has row 2"),
    ("a.csv", "in,out\n1,2,3\n", "row 2, has 3 cells, but there are 2 columns"),
    ("a.csv", "in,start,out\n1,1,2\n", "the columns 'in' and 'start' are one"),
    ("a.csv", "a,b\n1,2\n", "no column for where cues begin"),
    ("a.csv", "in,out\n", "has no cues"),
    ("a.csv", "", "is empty"),
    ("a.csv", 'in,out\n1,"2\n', "cannot be read as CSV"),
    ("a.csv", b"\x00\x01\x02\x03", "is no text"),
    ("a.csv", "in,out\n00:00:01:00,00:00:02:00\n", "row 2, begins at .* before the reel|after the reel"),
    ("a.csv", "in,out\n00:59:59;00,01:00:00;00\n", "row 2, in: '00:59:59;00' is drop-frame"),
    ("a.json", "{", "is no JSON"),
    ("a.json", '{"cues": 3}', "holds no list of cues"),
    ("a.json", '[{"in": [1], "out": 2}]', "cue 1, in: "),
    ("a.json", '[{"in": NaN, "out": 2}]', "cue 1, in: nan is no time"),
    ("a.json", '[{"in": 1, "out": 2, "prompt": {"a": 1}}]', "cue 1, has .* as its prompt"),
    ("a.edl", "TITLE: x\n", "has no events"),
    ("a.edl", "001  AX V C 00:00:00:00 00:00:01:00 00:00:00:00\n", "line 1, is no event"),
    ("a.edl", EDL.replace("NON-DROP", "DROP"), "line 4, in: '00:59:59;00' is drop-frame"),
    ("a.srt", "hello\n", "has no captions"),
    ("a.srt", "1\n00:00:03,000 --> 00:00:02,000\nrain\n", "line 2, ends at"),
    ("a.otio", "{}", "is no OpenTimelineIO file|holds no timeline"),
    ("a.otio", '{"OTIO_SCHEMA": "Clip.2"}', "holds no timeline"),
    ("a.fcpxml", "<fcpxml/>", "is no FCPXML with a sequence"),
    ("a.fcpxml", "<fcpxml>", "is no XML"),
    ("a.fcpxml", '<!DOCTYPE x [<!ENTITY a "b">]><fcpxml>&a;</fcpxml>', "declares entities"),
    ("a.fcpxml", FCPXML.replace("24024/24000s", "1/0s"), "'1/0s' is no time"),
    ("a.txt", "one line\n", "line 1, is no label"),
    ("a.txt", "2.5\t2.2\train\n", "line 1, ends at .*, not after it begins"),
    ("a.doc", "in,out\n1,2\n", "a.doc: .doc is no cue sheet"),
]


@pytest.mark.parametrize(("name", "text", "why"), WRONG, ids=range(len(WRONG)))
def test_what_is_wrong_is_told_in_one_line(tmp_path: Path, name: str, text: str | bytes, why: str) -> None:
    with pytest.raises(FoleyError, match=why) as told:
        read(tmp_path, name, text)
    assert "\n" not in told.value.message and told.value.hint


def test_the_hint_says_how_times_are_written_only_where_a_time_is_wrong(tmp_path: Path) -> None:
    for cell, speaks_of_times in (("x,2,1", True), ("0.5,2,99", False)):
        with pytest.raises(FoleyError) as told:
            read(tmp_path, "a.csv", f"in,out,takes\n{cell}\n")
        assert ("time code" in told.value.hint) == speaks_of_times


@pytest.mark.parametrize("ending", [ending for ending in READERS if ending != ".tsv"])
def test_a_damaged_file_is_refused_and_nothing_worse(tmp_path: Path, ending: str) -> None:
    clock, name = CLOCKS[0], f"a{ending}"
    whole = sheet_bytes(made(clock), Path(name), reel(clock), clock)
    for k in range(40):
        cut = len(whole) * k // 40
        broken = whole[:cut] + (bytes((k * 37 % 256,)) if k % 2 else b"") + whole[cut + k :]
        try:
            read(tmp_path, name, broken)
        except FoleyError as error:
            assert "\n" not in error.message


def test_events_are_told(tmp_path: Path) -> None:
    clock = CLOCKS[0]
    told = json.loads(sheet_bytes(made(clock), Path("a.json"), reel(clock), clock))
    assert told["start"] == "00:59:58:00" and [one["strength"] for one in told["cues"][1]["events"]] == [0.25, 1.0]
    assert "3.962@0.25 8.342@1.00" in sheet_bytes(made(clock), Path("a.csv"), reel(clock), clock).decode()
