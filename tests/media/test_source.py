"""What is opened, and how: local files of known formats only, with time stamps put right where they are not."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from clips import REORDERED, X264, Clips, flash_clip, run_ffmpeg

from foleycli.errors import FoleyError
from foleycli.media import source
from foleycli.media.audio import read_audio
from foleycli.media.frames import read_frames
from foleycli.media.probe import probe, probe_audio

FPS = Fraction(25)


def _pictures(path: Path) -> np.ndarray:
    return np.concatenate(list(read_frames(probe(path), FPS, 32, 16)))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe")
def test_pipes_devices_and_impossible_names_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "link.wav").symlink_to(tmp_path / "pipe.mp4")
    cases = [(tmp_path / "pipe.mp4", "is a pipe or a device"), (tmp_path / "link.wav", "is a pipe or a device")]
    cases += [
        (Path("/dev/zero"), "is a pipe or a device"),
        (Path("/dev/stdin"), "is a pipe or a device|is empty|exist"),
    ]
    cases += [(tmp_path / ("x" * 300), "cannot be read")]
    for path, words in cases:
        for read in (probe, probe_audio, read_audio):
            with pytest.raises(FoleyError, match=words):
                read(path)


def test_a_name_that_is_no_utf8_is_read_as_any_other(clips: Clips, tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"))
    folder.mkdir()
    film, sound = folder / os.fsdecode(b"film \xe9.mp4"), folder / os.fsdecode(b"sound \xe9.wav")
    film.write_bytes(clips("plain.mp4").read_bytes())
    soundfile.write(os.fsencode(sound), np.full(4800, 0.5, np.float32), 48000)
    assert probe(film).n_frames == 40
    np.testing.assert_array_equal(_pictures(film), _pictures(clips("plain.mp4")))
    assert read_audio(film).duration_s == pytest.approx(1.6, abs=0.03)
    assert read_audio(sound).samples.shape == (1, 4800)


def _playlists(folder: Path, target: Path) -> dict[str, str]:
    return {
        "concat": f"ffconcat version 1.0\nfile '{target}'\n",
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.6,\n{target}\n#EXT-X-ENDLIST\n",
        "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp4">'
        f'<Representation id="1" bandwidth="1"><BaseURL>{target}</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
        "ffmetadata": ";FFMETADATA1\ntitle=x\n",
        "lavfi": "testsrc2=d=1",
    }


@pytest.mark.parametrize("kind", ["concat", "hls", "dash", "sdp", "ffmetadata", "lavfi"])
@pytest.mark.parametrize("ending", [".mp4", ".ts", ".wav"])
def test_playlists_and_manifests_open_nothing(clips: Clips, tmp_path: Path, kind: str, ending: str) -> None:
    target = clips("plain.mp4")
    path = tmp_path / f"list{ending}"
    path.write_text(_playlists(tmp_path, target)[kind])
    for read in (probe, probe_audio, read_audio):
        with pytest.raises(FoleyError, match="of no format that foley opens|is not a media file"):
            read(path)
    video = probe(target)
    swapped = type(video)(**{**video.__dict__, "path": path})  # ffmpeg by itself must not follow it either
    with pytest.raises(FoleyError, match="ffmpeg failed"):
        list(read_frames(swapped, FPS, 32, 16))


@pytest.mark.parametrize("name", ["photo.png", "photo.jpg", "photo.bmp", "photo.webp", "photo.tiff"])
def test_a_still_image_is_called_one(tmp_path: Path, name: str) -> None:
    from PIL import Image

    Image.new("RGB", (64, 36), "red").save(tmp_path / name)
    with pytest.raises(FoleyError, match=rf"{name} is a still image"):
        probe(tmp_path / name)


@pytest.mark.parametrize("name", ["moving.gif", "moving.png"])
def test_moving_images_are_videos(tmp_path: Path, name: str) -> None:
    plays = ("-plays", 0, "-f", "apng") if name.endswith("png") else ()
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x36:r=10:d=1", *plays, tmp_path / name)
    assert probe(tmp_path / name).n_frames == 10


RAW = [("raw.h264", X264, "h264"), ("raw.h264", REORDERED, "h264"),
       ("raw.m2v", ("-c:v", "mpeg2video", "-bf", 2), "mpeg2video"),
       ("raw.hevc", ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:bframes=3"), "hevc"),
       ("raw.m4v", ("-c:v", "mpeg4", "-bf", 2), "m4v")]  # fmt: skip


@pytest.mark.parametrize(("name", "codec", "form"), RAW)
def test_raw_pictures_play_in_their_order(tmp_path: Path, name: str, codec: tuple, form: str) -> None:
    whole, raw = tmp_path / "whole.mkv", tmp_path / name
    flash_clip(whole, codec=codec)
    headers = ("-bsf:v", "dump_extra") if form in ("m4v", "mpeg2video") else ()
    run_ffmpeg("-i", whole, "-c", "copy", *headers, "-f", form, raw)
    video = probe(raw)
    assert (video.n_frames, video.fps) == (40, 25)
    assert video.duration_s == pytest.approx(1.6, abs=0.001)
    np.testing.assert_array_equal(_pictures(raw), _pictures(whole))


@pytest.fixture
def joined(tmp_path: Path) -> Path:
    """Two transport streams of 3 s, one after the other: the second's clock begins anew."""
    one = tmp_path / "one.ts"
    beep = "aevalsrc='0.5*sin(2*PI*1000*t)*between(t,1,1.1)':s=48000:d=3"
    picture = "testsrc2=s=160x90:r=25:d=3"
    run_ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", beep, *REORDERED, "-c:a", "aac", one)
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() * 2)
    return both


def _shifted(one: Path, out: Path, shift_s: float) -> bytes:
    run_ffmpeg("-i", one, "-c", "copy", "-output_ts_offset", shift_s, out)
    return out.read_bytes()


@pytest.mark.parametrize("shift_s", [None, 3600.0, 90_000.0, 20.0])
def test_a_joined_transport_stream_goes_on_where_its_clock_begins_anew(
    joined: Path, tmp_path: Path, shift_s: float | None
) -> None:
    if shift_s is not None:  # forwards, and, the other way round, backwards
        one = joined.with_name("one.ts")
        late = _shifted(one, tmp_path / "late.ts", shift_s)
        for k, data in enumerate((one.read_bytes() + late, late + one.read_bytes())):
            (tmp_path / f"jump{k}.ts").write_bytes(data)
    for path in [joined] if shift_s is None else [tmp_path / "jump0.ts", tmp_path / "jump1.ts"]:
        video = probe(path)
        assert video.n_frames == 150
        assert video.duration_s == pytest.approx(6.0, abs=0.08)
        sound = read_audio(path)
        assert sound.duration_s == pytest.approx(6.0, abs=0.1)
        beeps = np.flatnonzero(np.abs(sound.samples[0]) > 0.2) / sound.rate_hz
        assert beeps[0] == pytest.approx(1.0, abs=0.01) and beeps[-1] == pytest.approx(4.1, abs=0.08)
        frames = _pictures(path)
        assert len(frames) in (150, 151, 152)
        assert np.abs(frames[:74].astype(int) - frames[75:149]).mean() < 8


def test_what_the_session_copies_is_gone_with_the_process(joined: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from foleycli.media.probe import probe\n"
        "from foleycli.media.source import readable\n"
        "probe(Path(sys.argv[1])); print(readable(Path(sys.argv[1])))"
    )
    place = tmp_path / "tmp"
    place.mkdir()
    told = subprocess.run(
        [sys.executable, "-c", code, joined], capture_output=True, text=True, env={**os.environ, "TMPDIR": str(place)}
    )
    assert told.stdout.startswith(str(place)), told.stderr
    assert list(place.iterdir()) == []


def test_layouts_at_which_pyav_crashes_are_read_or_in_caf_refused(tmp_path: Path) -> None:
    """In a process of its own: without the guard it aborts with PyAV 17.1, 18.0 and 18.1."""
    for layout in ("7.1", "7.1(wide-side)", "6.1", "5.1"):
        for ending in (".caf", ".mov"):
            path = tmp_path / f"sound{ending}"
            run_ffmpeg("-f", "lavfi", "-i", f"anoisesrc=d=1:r=48000,aformat=channel_layouts={layout}",
                       "-c:a", "pcm_s24le", path)  # fmt: skip
            code = (
                "import sys; from pathlib import Path\n"
                "from foleycli.errors import FoleyError\n"
                "from foleycli.media.probe import probe_audio\n"
                "try: print(probe_audio(Path(sys.argv[1])))\n"
                "except FoleyError as error: print(error, error.hint)"
            )
            done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
            assert done.returncode == 0, (layout, ending, done.stderr)
            is_read = f", 48000, {8 if '7' in layout else int(layout[0]) + 1})" in done.stdout
            assert is_read or (ending == ".caf" and "PyAV" in done.stdout), (layout, ending, done.stdout)


def test_a_film_at_whose_layout_pyav_crashes_keeps_its_sound_and_time_code(tmp_path: Path) -> None:
    reel, sound = tmp_path / "reel.mov", tmp_path / "sound.wav"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1",
               "-f", "lavfi", "-i", "anoisesrc=d=1:r=48000:a=0.3,asplit=8[a][b][c][d][e][f][g][h];"
               "[a][b][c][d][e][f][g][h]join=inputs=8:channel_layout=7.1", "-c:v", "mpeg4", "-c:a", "pcm_s24le",
               "-timecode", "01:00:00:00", "-metadata", "comment=the chan of this", reel)  # fmt: skip
    run_ffmpeg("-i", reel, "-c:a", "pcm_s24le", sound)
    before = reel.read_bytes()
    code = (
        "import sys; from pathlib import Path; import numpy as np, soundfile\n"
        "from foleycli.media.audio import read_audio; from foleycli.media.probe import probe\n"
        "from foleycli.media.source import readable; from foleycli.media.timecode import start_timecode\n"
        "reel, sound = Path(sys.argv[1]), Path(sys.argv[2]); heard = read_audio(reel).samples\n"
        "true = soundfile.read(sound, dtype='float32')[0].T\n"
        "print(heard.shape, np.array_equal(heard, true), start_timecode(probe(reel))[0])\n"
        "print(readable(reel).read_bytes().count(b'chan of') == reel.read_bytes().count(b'chan of'))"
    )
    done = subprocess.run([sys.executable, "-c", code, reel, sound], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(8, 48000) True 01:00:00:00\nTrue\n"
    assert reel.read_bytes() == before


def test_every_format_of_the_list_is_one(ffmpeg_binary: str) -> None:
    """A misspelt name would silently refuse files."""
    told = subprocess.run([ffmpeg_binary, "-hide_banner", "-demuxers"], capture_output=True, text=True).stdout
    known = {name for line in told.splitlines() for name in (line.split() + ["", ""])[1].split(",")}
    known |= {name for formats in av.formats_available for name in formats.split(",")}
    assert {name for name in source.FORMATS.split(",") if name not in known} == set()


def test_an_image_sequence_is_called_one(tmp_path: Path) -> None:
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=5:d=0.6", tmp_path / "shot.%04d.png")
    with pytest.raises(FoleyError, match="names an image sequence") as raised:
        source.check_file(tmp_path / "shot.%04d.png")
    assert "ffmpeg -framerate" in raised.value.hint


def test_only_rare_layouts_are_tried_in_another_process_and_once(tmp_path: Path, monkeypatch) -> None:
    tried = []
    run = subprocess.run
    monkeypatch.setattr(source.subprocess, "run", lambda *args, **more: tried.append(args) or run(*args, **more))
    for layout, n_tries in (("mono", 0), ("stereo", 0), ("5.1", 1)):
        tried.clear()
        sound = tmp_path / f"{layout}.mov"
        run_ffmpeg("-f", "lavfi", "-i", f"anullsrc=cl={layout}:r=48000:d=0.2", "-c:a", "pcm_s16le", sound)
        assert b"chan" in sound.read_bytes()
        tried.clear()
        for _ in range(3):
            assert probe_audio(sound)[2] == {"mono": 1, "stereo": 2, "5.1": 6}[layout]
        assert len(tried) == n_tries


def test_a_busy_machine_is_not_taken_for_a_wrong_layout(tmp_path: Path, monkeypatch) -> None:
    sound = tmp_path / "sound.mov"
    run_ffmpeg("-f", "lavfi", "-i", "anullsrc=cl=5.1:r=48000:d=0.2", "-c:a", "pcm_s16le", sound)
    monkeypatch.setattr(source, "CHILD_S", 1e-9)
    with pytest.raises(FoleyError, match=r"could not be opened within 1e-09 s"):
        probe_audio(sound)
