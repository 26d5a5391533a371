"""What goes along beside picture and sound is kept where the container can, and else told, a line each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from boxes import DOLBY_VISION, SPHERICAL, box, insert, retag_words
from clips import X264, Clips, run_ffmpeg

from foleycli.media.mux import check_mux, mux
from foleycli.media.part import copyable_part
from foleycli.media.probe import probe
from foleycli.media.streams import describe_streams, listing, may_have_marks

PICTURE = ("-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=2")
SONG = ("-f", "lavfi", "-i", "sine=d=2:r=48000")
WORDS = [(0.2, 0.8, "A door."), (1.1, 1.6, "A step."), (1.7, 1.95, "A glass.")]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., tuple[str, ...]]:
    """`write(source, out)` puts a sound to it and gives the notes."""

    def call(source: Path, out: Path, start_s: float = 0.0, duration_s: float | None = None) -> tuple[str, ...]:
        video = probe(source)
        check_mux(video, out)
        part = copyable_part(video, out, start_s, duration_s)
        sound = tmp_path / "made.wav"
        soundfile.write(sound, np.zeros((round(part.duration_s * 48000), 2)), 48000)
        cut = {"start_s": part.start_s, "duration_s": part.duration_s} if start_s or duration_s else {}
        return mux(video, sound, out, **cut).notes

    return call


def _subtitles(folder: Path, words: list[tuple[float, float, str]] = WORDS) -> Path:
    def clock(time_s: float) -> str:
        return f"00:00:{time_s:06.3f}".replace(".", ",")

    path = folder / "words.srt"
    blocks = [f"{k}\n{clock(a)} --> {clock(b)}\n{text}\n" for k, (a, b, text) in enumerate(words, 1)]
    path.write_text("\n".join(blocks), encoding="utf-8")
    return path


def _film_with_words(out: Path, codec: str, *more: object) -> Path:
    run_ffmpeg(*PICTURE, *SONG, "-i", _subtitles(out.parent), "-map", 0, "-map", 1, "-map", 2, *X264, "-g", 25,
               "-c:s", codec, *more, out)  # fmt: skip
    return out


def _cues(path: Path) -> list[tuple[float, float, str]]:
    """Begin, end and words of the first subtitle stream."""
    cues = []
    with av.open(str(path)) as container:
        for packet in container.demux(container.streams.subtitles[0]):
            if packet.size > 2 and packet.duration:
                data = bytes(packet)
                text = next(text for _, _, text in WORDS if text.encode() in data)
                begin_s = float(packet.pts * packet.time_base)
                cues.append((begin_s, begin_s + float(packet.duration * packet.time_base), text))
    return cues


@pytest.mark.parametrize(
    ("name", "codec", "ending"),
    [("a.mp4", "mov_text", ".mp4"), ("a.mp4", "mov_text", ".mkv"), ("a.mkv", "srt", ".mp4"), ("a.mkv", "srt", ".mov"),
     ("a.mkv", "ass", ".mkv"), ("a.mkv", "ass", ".mp4"), ("a.mkv", "webvtt", ".mkv"), ("a.mkv", "srt", ".mkv")],
)  # fmt: skip
@pytest.mark.parametrize(("start_s", "duration_s"), [(1.0, 0.8), (0.48, 1.0)])
def test_words_of_a_part_come_when_they_came(
    tmp_path: Path, write: Callable, name: str, codec: str, ending: str, start_s: float, duration_s: float
) -> None:
    source, out = _film_with_words(tmp_path / name, codec, "-metadata:s:s:0", "language=ger"), tmp_path / f"out{ending}"
    if ending == ".mkv" and start_s == 0.48:
        start_s = 0.0  # where a copy can begin
    write(source, out, start_s, duration_s)
    wanted = [(max(a - start_s, 0), min(b - start_s, duration_s), text) for a, b, text in WORDS]
    wanted = [cue for cue in wanted if cue[1] > cue[0] + 0.001]
    got = _cues(out)
    assert [cue[2] for cue in got] == [cue[2] for cue in wanted]
    for cue, other in zip(got, wanted, strict=True):
        assert cue[:2] == pytest.approx(other[:2], abs=0.011)
    with av.open(str(out)) as container:
        assert container.streams.subtitles[0].metadata["language"] == "ger"
        assert container.duration / 1e6 == pytest.approx(duration_s, abs=0.045)


def test_a_part_without_words_says_so(tmp_path: Path, write: Callable) -> None:
    source = _film_with_words(tmp_path / "a.mp4", "mov_text")
    notes = write(source, tmp_path / "out.mp4", 0.84, 0.2)
    assert "1 subtitle streams have no words in this part: they are left out" in notes


def _tracks(path: Path) -> list[str]:
    return [f"{facts.kind} {facts.codec} {facts.tag}".strip() for facts in describe_streams(path).values()]


@pytest.mark.parametrize(
    ("entry", "handler", "kept"),
    [(b"gpmd", b"meta", (".mp4", ".mov")), (b"camm", b"meta", ()), (b"djmd", b"meta", ()), (b"mebx", b"meta", ()),
     (b"c608", b"clcp", (".mov",)), (b"rtmd", b"meta", ())],
)  # fmt: skip
@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_telemetry_and_captions_are_kept_or_told(
    tmp_path: Path, write: Callable, entry: bytes, handler: bytes, kept: tuple[str, ...], ending: str
) -> None:
    film, out = tmp_path / "film.mov", tmp_path / f"out{ending}"
    _subtitles(tmp_path, [(0, 1, "A glass."), (1, 2, "A hinge.")])  # without a gap, so that no sample is empty
    run_ffmpeg(*PICTURE, *SONG, "-i", tmp_path / "words.srt", "-map", 0, "-map", 1, "-map", 2, *X264,
               "-c:s", "mov_text", film)  # fmt: skip
    source = retag_words(film, tmp_path / "source.mov", entry, handler)
    if entry == b"c608":  # its samples are boxes
        data = source.read_bytes()
        for words in (b"A glass.", b"A hinge."):
            data = data.replace(b"\0\x08" + words, box(b"cdat", b"\x94\x20"))
        source.write_bytes(data)
    notes = write(source, out)
    assert any(entry.decode() in track for track in _tracks(out)) == (ending in kept)
    about = [note for note in notes if entry.decode() in note or "eia_608" in note]
    assert len(about) == (ending not in kept) == len(notes)


def test_telemetry_of_a_part_begins_with_it(tmp_path: Path, write: Callable) -> None:
    film = _film_with_words(tmp_path / "film.mov", "mov_text")
    source, out = retag_words(film, tmp_path / "source.mov", b"gpmd", b"meta"), tmp_path / "out.mp4"
    write(source, out, 1.0, 0.8)
    with av.open(str(out)) as container:
        data = next(stream for stream in container.streams if stream.type == "data")
        times_s = [float(packet.pts * packet.time_base) for packet in container.demux(data) if packet.size > 2]
    assert times_s == pytest.approx([0.1, 0.6, 0.7], abs=0.05) or times_s == pytest.approx([0.1, 0.7], abs=0.05)


def test_unknown_streams_are_told_and_do_no_harm(tmp_path: Path, write: Callable) -> None:
    ttml = tmp_path / "ttml.mp4"
    run_ffmpeg(*PICTURE, "-i", _subtitles(tmp_path), *X264, "-c:s", "ttml", ttml)
    for ending in (".mkv", ".mov"):
        (note,) = write(ttml, tmp_path / f"out{ending}")
        assert "it is left out" in note and ("ttml" in note or "stpp" in note)
    second = tmp_path / "second.mov"
    run_ffmpeg(*PICTURE, *PICTURE, "-map", 0, "-map", 1, "-c:v:0", "libx264", "-c:v:1", "qtrle", second)
    second.write_bytes(second.read_bytes().replace(b"rle ", b"xyz1"))
    for ending in (".mkv", ".mp4", ".mov"):
        (note,) = write(second, tmp_path / f"out{ending}")
        assert "further picture" in note and "it is left out" in note
    third = tmp_path / "third.mov"  # a second picture that can be kept
    run_ffmpeg(*PICTURE, *PICTURE, "-map", 0, "-map", 1, "-c:v", "libx264", third)
    assert write(third, tmp_path / "out.mp4") == ()
    assert [track.split()[1] for track in _tracks(tmp_path / "out.mp4")] == ["h264", "aac", "h264"]


def _with_cover(out: Path, kind: str) -> Path:
    cover = out.parent / f"cover.{kind}"
    run_ffmpeg("-f", "lavfi", "-i", "color=red:s=64x64:d=1", "-frames:v", 1, cover)
    if out.suffix == ".mkv":
        run_ffmpeg(*PICTURE, *X264, "-g", 25, "-attach", cover, "-metadata:s:t", f"mimetype=image/{kind}", out)
    else:
        run_ffmpeg(*PICTURE, "-i", cover, "-map", 0, "-map", 1, "-c:v:0", "libx264", "-g", 25, "-c:v:1", "copy",
                   "-disposition:v:1", "attached_pic", out)  # fmt: skip
    return out


@pytest.mark.parametrize("kind", ["png", "jpeg"])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize(("start_s", "duration_s"), [(0.0, None), (1.0, 0.8)])
def test_cover_art_is_kept(
    tmp_path: Path, write: Callable, name: str, kind: str, start_s: float, duration_s: float | None
) -> None:
    codec = {"png": "png", "jpeg": "mjpeg"}[kind]
    source = tmp_path / name
    _with_cover(source, kind)
    for ending in (".mp4", ".mov", ".mkv"):
        out = tmp_path / f"out{ending}"
        lost = [note for note in write(source, out, start_s, duration_s) if "left out" in note]
        assert lost == ([f".mov cannot hold stream 1 (cover art, {codec}): it is left out"] if ending == ".mov" else [])
        if ending == ".mov":
            continue
        with av.open(str(out)) as container:
            covers = [s for s in container.streams.video if s.disposition & av.stream.Disposition.attached_pic]
            assert [cover.codec_context.name for cover in covers] == [codec], ending
            picture = next(iter(container.decode(covers[0]))).to_ndarray(format="rgb24")
        assert picture.shape == (64, 64, 3) and picture[..., 0].min() > 240


def test_fonts_go_from_matroska_to_matroska(tmp_path: Path, write: Callable) -> None:
    font, source, out = tmp_path / "font.ttf", tmp_path / "a.mkv", tmp_path / "out.mkv"
    font.write_bytes(b"not really a font")
    run_ffmpeg(*PICTURE, *X264, "-attach", font, "-metadata:s:t", "mimetype=font/ttf", source)
    assert write(source, out) == ()
    with av.open(str(out)) as container:
        (attachment,) = (stream for stream in container.streams if stream.type == "attachment")
        assert attachment.metadata["filename"] == "font.ttf"


PHONE = {"make": "Apple", "model": "iPhone 15", "creationdate": "2024-05-01T10:00:00+0200",
         "location.ISO6709": "+52.5200+013.4050+034.0/"}  # fmt: skip


@pytest.mark.parametrize("ending", [".mov", ".mp4", ".mkv"])
def test_a_phones_metadata_stays(tmp_path: Path, write: Callable, ending: str) -> None:
    source, out = tmp_path / "phone.mov", tmp_path / f"out{ending}"
    tags = [word for key, value in PHONE.items() for word in ("-metadata", f"com.apple.quicktime.{key}={value}")]
    run_ffmpeg(*PICTURE, *X264, *tags, "-metadata", "title=Holiday", "-movflags", "use_metadata_tags", source)
    assert write(source, out) == ()
    with av.open(str(out)) as container:
        told = {key.lower(): value for key, value in container.metadata.items()}
    assert {key: told.get(f"com.apple.quicktime.{key}".lower()) for key in PHONE} == PHONE
    assert told["title"] == "Holiday"


def test_ordinary_tags_stay_where_ordinary_readers_look(tmp_path: Path, write: Callable) -> None:
    source, out = tmp_path / "a.mp4", tmp_path / "out.mp4"
    run_ffmpeg(*PICTURE, *X264, "-metadata", "title=Holiday", source)
    write(source, out)
    assert b"\xa9nam" in out.read_bytes() and b"mdta" not in out.read_bytes()


def test_tags_that_a_container_does_not_take_are_told(tmp_path: Path, write: Callable) -> None:
    source = tmp_path / "a.mkv"
    run_ffmpeg(*PICTURE, *X264, "-metadata", "SCENE_ID=12", "-metadata", "title=Holiday", source)
    assert write(source, tmp_path / "out.mkv") == ()
    (note,) = write(source, tmp_path / "out.mp4")
    assert note == "tags that the container does not take are left out: SCENE_ID"


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_360_degree_and_dolby_vision_descriptions_are_kept_or_told(
    tmp_path: Path, write: Callable, ending: str
) -> None:
    flat, out = tmp_path / "flat.mp4", tmp_path / f"out{ending}"
    run_ffmpeg(*PICTURE, *X264, flat)
    notes = write(insert(flat, tmp_path / "sphere.mp4", SPHERICAL, b"avc1"), out)
    is_kept = "spherical" in listing(out).lower()
    assert is_kept == (not any("360-degree" in note for note in notes))
    assert is_kept or ending == ".mov"  # which ffmpeg 5.1 cannot
    hevc = ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=error")
    run_ffmpeg(*PICTURE, *hevc, flat)
    notes = write(insert(flat, tmp_path / "dolby.mp4", DOLBY_VISION, b"hev1"), out)
    is_kept = "DOVI configuration" in listing(out)
    assert is_kept == (not any("Dolby Vision" in note for note in notes))
    assert is_kept or ending == ".mov"


def test_a_plain_film_is_not_listed_by_another_run_of_ffmpeg(
    tmp_path: Path, write: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, sphere = tmp_path / "plain.mp4", tmp_path / "sphere.mp4"
    run_ffmpeg(*PICTURE, *SONG, *X264, plain)
    insert(plain, sphere, SPHERICAL, b"avc1")
    assert not may_have_marks(probe(plain)) and may_have_marks(probe(sphere))
    monkeypatch.setattr("foleycli.media.streams._listing", None)
    assert write(plain, tmp_path / "out.mp4") == ()


@pytest.mark.parametrize("ending", [".mkv", ".mp4", ".mov", ".webm"])
def test_the_new_sound_is_the_default_track(clips: Clips, tmp_path: Path, write: Callable, ending: str) -> None:
    source = clips("no_duration.webm") if ending == ".webm" else clips("silent.mp4")
    write(source, tmp_path / f"out{ending}")
    with av.open(str(tmp_path / f"out{ending}")) as container:
        assert container.streams.audio[0].disposition & av.stream.Disposition.default


def test_hap_goes_into_mov(tmp_path: Path, write: Callable) -> None:
    source = tmp_path / "hap.mov"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=160x96:r=25:d=1", "-c:v", "hap", source)
    assert write(source, tmp_path / "out.mov") == ()
    assert probe(tmp_path / "out.mov").video_codec == "hap"


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_chapters_of_a_part_count_from_it(tmp_path: Path, write: Callable, ending: str) -> None:
    marks, source, out = tmp_path / "marks.txt", tmp_path / "a.mkv", tmp_path / f"out{ending}"
    chapters = [(0, 600, "One"), (600, 1400, "Two"), (1400, 2000, "Three")]
    marks.write_text(";FFMETADATA1\n" + "".join(
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={start}\nEND={end}\ntitle={title}\n" for start, end, title in chapters
    ))  # fmt: skip
    run_ffmpeg(*PICTURE, "-i", marks, "-map_chapters", 1, *X264, "-g", 25, source)
    write(source, out, 1.0, 0.8)
    with av.open(str(out)) as container:
        found = [(float(c["start"] * c["time_base"]), c["metadata"]["title"]) for c in container.chapters()]
    assert [title for _, title in found] == ["Two", "Three"]
    assert [start_s for start_s, _ in found] == pytest.approx([0.0, 0.4], abs=0.002)
