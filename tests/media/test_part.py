"""Parts of videos: as long as asked to one picture, the right pictures, the sound with them, from every container."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from clips import REORDERED, X264, Clips, run_ffmpeg

from foleycli.errors import FoleyError
from foleycli.media.audio import read_audio
from foleycli.media.mux import check_mux, mux
from foleycli.media.part import Part, choose_part, copyable_part
from foleycli.media.probe import probe
from foleycli.records import Video

RATE_HZ = 48000
OPEN_GROUPS = (
    "-c:v",
    "libx264",
    "-preset",
    "fast",
    "-pix_fmt",
    "yuv420p",
    "-bf",
    3,
    "-g",
    12,
    "-x264-params",
    "open-gop=1",
)
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", 8, "-g", 20)

# Name, rate, and how it is encoded: time bases from 1/600 to 1/90000, with and without reordered pictures.
SOURCES: dict[str, tuple[str, tuple[object, ...]]] = {
    "phone.mov": ("30", (*X264, "-g", 25, "-video_track_timescale", 600)),
    "reordered.mp4": ("25", REORDERED),
    "ntsc.mov": ("60000/1001", REORDERED),
    "plain.mkv": ("30", (*X264, "-g", 25)),
    "reordered.mkv": ("24000/1001", REORDERED),
    "open.mp4": ("25", OPEN_GROUPS),
    "browser.webm": ("30", VP9),
    "camera.mxf": ("25", ("-c:v", "mpeg2video", "-bf", 2, "-g", 12, "-q:v", 5)),
    "broadcast.ts": ("25", REORDERED),
    "old.avi": ("25", ("-c:v", "mpeg4", "-bf", 2, "-vtag", "XVID", "-g", 20)),
    "h264.avi": ("25", REORDERED),
    "intra.mov": ("25", ("-c:v", "prores_ks", "-profile:v", 0)),
    "flash.flv": ("25", REORDERED),
}


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`source("old.avi")`: a film of 4 s with a sound of the same length."""
    folder = tmp_path_factory.mktemp("sources")

    def make(name: str) -> Path:
        out = folder / name
        if not out.exists():
            rate, codec = SOURCES[name]
            sound = {".webm": ("-c:a", "libopus"), ".mxf": ("-c:a", "pcm_s16le")}.get(out.suffix, ())
            run_ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=160x90:r={rate}:d=4", "-f", "lavfi", "-i", "sine=d=4:r=48000",
                       *codec, *sound, out)  # fmt: skip
        return out

    return make


def _click(out: Path, duration_s: float, at_s: float) -> Path:
    samples = np.zeros((round(duration_s * RATE_HZ), 2), np.float32)
    samples[round(at_s * RATE_HZ) :][:48] = 0.5
    soundfile.write(out, samples, RATE_HZ, "PCM_24")
    return out


def _shown(path: Path) -> list[tuple[float, str]]:
    """Times and hashes of all pictures that a player shows, in its order."""
    with av.open(str(path), options={"fflags": "+genpts"}) as container:
        frames = list(container.decode(container.streams.video[0]))
    shown = [(frame.time, hashlib.md5(frame.to_ndarray(format="rgb24").tobytes()).hexdigest()) for frame in frames]
    return sorted(shown)


def _assert_part(video: Video, part: Part, out: Path) -> None:
    """The pictures of the part and no others, on its clock, with the sound beside them."""
    before = [(time_s - video.start_s, picture) for time_s, picture in _shown(video.path)]
    wanted = [(t - part.start_s, picture) for t, picture in before if part.start_s - 0.002 <= t < part.end_s - 0.002]
    after = _shown(out)
    assert [picture for _, picture in after] == [picture for _, picture in wanted]
    zero_s = after[0][0]
    assert np.abs([t - zero_s - s for (t, _), (s, _) in zip(after, wanted, strict=True)]).max() < 0.0021
    assert zero_s == pytest.approx(0, abs=0.0011)
    audio = read_audio(out, 48000)
    assert int(np.argmax(np.abs(audio.samples[0]) > 0.2)) / RATE_HZ == pytest.approx(0.2, abs=0.002)
    assert audio.duration_s == pytest.approx(part.duration_s, abs=float(1 / video.fps) + 0.021)
    assert probe(out).duration_s == pytest.approx(
        part.duration_s, abs=0.002 + float(1 / video.fps) * (out.suffix == ".webm")
    )


def _write(video: Video, part: Part, out: Path, folder: Path, exact: bool = False) -> tuple[str, ...]:
    sound = _click(folder / "sound.wav", part.duration_s, 0.2)
    return mux(video, sound, out, start_s=part.start_s, duration_s=part.duration_s, exact=exact).notes


PARTS = [(1.37, 0.7), (2.0, 1.5), (0.0, 0.9), (2.6, None)]
ENDINGS = {name: [".mp4", ".mov", ".mkv"] for name in SOURCES}
ENDINGS["browser.webm"] = [".mp4", ".webm", ".mkv"]
ENDINGS["intra.mov"] = [".mov", ".mkv"]


@pytest.mark.parametrize(
    ("start_s", "duration_s"), [PARTS[0], *(pytest.param(*part, marks=pytest.mark.slow) for part in PARTS[1:])]
)
@pytest.mark.parametrize(("name", "ending"), [(name, ending) for name in SOURCES for ending in ENDINGS[name]])
def test_a_part_is_as_asked_or_refused_with_an_offer(
    source: Callable[[str], Path], tmp_path: Path, name: str, ending: str, start_s: float, duration_s: float | None
) -> None:
    video, out = probe(source(name)), tmp_path / f"out{ending}"
    check_mux(video, out)
    whole = choose_part(video, start_s, duration_s)
    picture_s = float(1 / video.fps)
    assert start_s - picture_s - 0.001 < whole.start_s <= start_s + 0.001
    assert abs(whole.duration_s - (duration_s or video.duration_s - start_s)) <= picture_s + 0.001
    asked = (start_s, duration_s)
    for _ in range(3):  # an offered start can need an offered end
        try:
            part = copyable_part(video, out, *asked)
        except FoleyError as error:
            assert ending in (".mkv", ".webm") and "--exact" in error.hint
            option, value = re.search(r"--(start|duration) ([\d.]+)", error.hint).groups()  # type: ignore[union-attr]
            asked = (float(value), asked[1]) if option == "start" else (asked[0], float(value))
        else:
            break
    if ending not in (".mkv", ".webm"):
        assert (part.start_s, part.duration_s) == (whole.start_s, whole.duration_s)
    notes = _write(video, part, out, tmp_path)
    _assert_part(video, part, out)
    with av.open(str(video.path), options={"fflags": "+genpts"}) as container:
        packets = [
            packet for packet in container.demux(container.streams.video[0]) if packet.is_keyframe and packet.size
        ]
    keys_s = [float(packet.pts * packet.time_base) - video.start_s for packet in packets]
    has_key = any(abs(key_s - part.start_s) < 0.001 for key_s in keys_s)
    assert any("hidden by its edit list" in note for note in notes) == (not has_key)


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("name", ["phone.mov", "reordered.mkv", "open.mp4", "camera.mxf", "broadcast.ts", "old.avi"])
def test_exact_encodes_where_a_copy_would_hide_pictures(
    source: Callable[[str], Path], tmp_path: Path, name: str, ending: str
) -> None:
    video, out = probe(source(name)), tmp_path / f"out{ending}"
    part = copyable_part(video, out, 1.37, 0.7, exact=True)
    notes = _write(video, part, out, tmp_path, exact=True)
    assert "the picture of this part is encoded again (--exact)" in notes
    with av.open(str(out)) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
        assert packets[0].is_keyframe and not any(packet.is_discard for packet in packets)
        pictures = [frame.to_ndarray(format="gray").astype(int) for frame in container.decode(video=0)] or []
    made = probe(out)
    assert len(packets) == round(0.7 * video.fps + 0.499) == made.n_frames
    assert made.duration_s == pytest.approx(part.duration_s, abs=0.002)
    with av.open(str(video.path), options={"fflags": "+genpts"}) as container:
        frames = sorted(
            (f.time - video.start_s, f.to_ndarray(format="gray").astype(int)) for f in container.decode(video=0)
        )
    wanted = [p for t, p in frames if part.start_s - 0.002 <= t < part.end_s - 0.002]
    with av.open(str(out)) as container:
        pictures = [frame.to_ndarray(format="gray").astype(int) for frame in container.decode(video=0)]
    assert max(np.abs(a - b).mean() for a, b in zip(pictures, wanted, strict=True)) < 2


def test_exact_copies_where_nothing_is_hidden(source: Callable[[str], Path], tmp_path: Path) -> None:
    video = probe(source("intra.mov"))
    part = copyable_part(video, tmp_path / "out.mkv", 1.37, 0.7, exact=True)
    assert _write(video, part, tmp_path / "out.mkv", tmp_path, exact=True) == ()
    _assert_part(video, part, tmp_path / "out.mkv")


@pytest.mark.parametrize("name", ["phone.mov", "reordered.mkv", "ntsc.mov"])
def test_the_sound_of_a_part_does_not_depend_on_the_file_it_goes_to(source: Callable[[str], Path], name: str) -> None:
    video = probe(source(name))
    parts = {
        (part.start_s, part.duration_s)
        for out in ("a.wav", "a.mp4", "a.mov", "a.flac", "a.m4a")
        for part in [copyable_part(video, Path(out), 1.37, 0.7)]
    }
    assert len(parts) == 1


@pytest.mark.parametrize(
    ("start_s", "duration_s", "note"),
    [
        (0.0, 10.0, "only 4.00 s are left, not 10"),
        (3.0, 2.0, "only 1.00 s are left from 3 s on, not 2"),
        (1.0, 3.0, ""),
    ],
)
def test_a_length_past_the_end_is_told(
    source: Callable[[str], Path], start_s: float, duration_s: float, note: str
) -> None:
    part = copyable_part(probe(source("phone.mov")), Path("out.mov"), start_s, duration_s)
    assert part.notes == ((note,) if note else ())
    assert part.end_s == pytest.approx(4.0, abs=0.001)


def test_late_picture_and_hidden_start(clips: Clips, tmp_path: Path) -> None:
    for name in ("offset.mp4", "negative.mp4"):
        video = probe(clips(name))
        for ending in (".mp4", ".mov"):
            out = tmp_path / f"out{ending}"
            part = copyable_part(video, out, 0.7, 0.6)
            _write(video, part, out, tmp_path)
            _assert_part(video, part, out)


def test_a_part_of_a_part_hides_what_the_first_hid(source: Callable[[str], Path], tmp_path: Path) -> None:
    video, first, second = probe(source("reordered.mp4")), tmp_path / "first.mp4", tmp_path / "second.mp4"
    part = copyable_part(video, first, 1.37, 0.7)
    _write(video, part, first, tmp_path)
    again = probe(first)
    whole = Part(0.0, again.duration_s)
    mux(again, _click(tmp_path / "sound.wav", again.duration_s, 0.2), second)  # its edit list ends early, too
    _assert_part(again, whole, second)
    part = copyable_part(again, second, 0.2, 0.3)
    _write(again, part, second, tmp_path)
    _assert_part(again, part, second)


def test_variable_rate_part(clips: Clips, tmp_path: Path) -> None:
    video, out = probe(clips("variable.mp4")), tmp_path / "out.mov"
    part = copyable_part(video, out, 0.45, 0.5)  # two pictures of 200 ms and more
    assert part.start_s == pytest.approx(0.4, abs=0.001)
    _write(video, part, out, tmp_path)
    _assert_part(video, part, out)
    assert video.fps != Fraction(25)
