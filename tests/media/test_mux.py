"""The picture untouched, the new sound in sync, everything else kept or dropped aloud."""

from __future__ import annotations

import hashlib
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from clips import FLASH_FRAME, Clips, run_ffmpeg

from foleycli.errors import FoleyError
from foleycli.media.audio import read_audio
from foleycli.media.ffmpeg import ffmpeg_version
from foleycli.media.mux import check_mux, mux
from foleycli.media.probe import probe

RATE_HZ = 48000


def _click(out: Path, duration_s: float, at_s: float) -> Path:
    samples = np.zeros((round(duration_s * RATE_HZ), 2), np.float32)
    first = round(at_s * RATE_HZ)
    samples[first : first + 48] = 0.5
    soundfile.write(out, samples, RATE_HZ, "PCM_24")
    return out


def _click_s(path: Path) -> float:
    samples = np.abs(read_audio(path).samples[0])
    return int(np.argmax(samples > 0.2)) / RATE_HZ


def _payloads(path: Path) -> list[str]:
    """The picture's packets in file order, without the container's framing."""
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.video[0])
        return [hashlib.md5(bytes(packet)).hexdigest() for packet in packets if packet.size]


def _shown(path: Path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(container.streams.video[0]))
    return [(frame.time, hashlib.md5(frame.to_ndarray(format="rgb24").tobytes()).digest()) for frame in frames]


SAME = [
    (name, ending)
    for name in ["plain.mp4", "reordered.mp4", "variable.mp4", "portrait.mp4", "2997.mp4", "hevc_10bit.mp4",
                 "short.mp4", "offset.mp4", "long_sound.mp4", "subtitles.mkv"]
    for ending in [".mp4", ".mov", ".mkv"]
]  # fmt: skip
SAME += [("negative.mp4", ".mp4"), ("negative.mp4", ".mov"), ("no_duration.webm", ".webm"), ("odd_size.mkv", ".mkv")]


@pytest.mark.parametrize(("name", "ending"), SAME)
def test_picture_is_the_same_and_sound_starts_with_it(clips: Clips, tmp_path: Path, name: str, ending: str) -> None:
    video, out = probe(clips(name)), tmp_path / f"out{ending}"
    click_s = video.duration_s / 2
    sound = _click(tmp_path / "sound.wav", video.duration_s, click_s)
    if video.rotation_deg and ending == ".mkv" and ffmpeg_version().startswith("5."):
        with pytest.raises(FoleyError, match="cannot write into .mkv that the picture is shown turned"):
            mux(video, sound, out)
        return
    mux(video, sound, out)
    made = probe(out)
    assert _payloads(out) == _payloads(video.path)
    before, after = _shown(video.path), _shown(out)
    assert [picture for _, picture in after] == [picture for _, picture in before]
    gaps_s = [t - after[0][0] - (s - before[0][0]) for (t, _), (s, _) in zip(after, before, strict=True)]
    assert np.abs(gaps_s).max() < 0.0011
    assert (made.rotation_deg, made.pixel_format) == (video.rotation_deg, video.pixel_format)
    assert made.start_s == pytest.approx(0, abs=0.0011)
    assert _click_s(out) == pytest.approx(click_s, abs=0.002)
    assert read_audio(out).duration_s == pytest.approx(video.duration_s, abs=float(1 / video.fps))


def test_old_sound_goes_subtitles_chapters_and_title_stay(clips: Clips, tmp_path: Path) -> None:
    video = probe(clips("subtitles.mkv"))
    sound = _click(tmp_path / "sound.wav", video.duration_s, 0.5)
    for ending, sound_codec, subtitle in [(".mkv", "flac", "srt"), (".mp4", "aac", "mov_text")]:
        out = tmp_path / f"out{ending}"
        muxed = mux(video, sound, out)
        with av.open(str(out)) as container:
            assert [s.codec_context.name for s in container.streams.audio] == [sound_codec]
            assert [s.codec_context.name for s in container.streams.subtitles] == [subtitle]
            assert container.metadata["title"] == "Door test"
            assert len(container.chapters()) == 1
            words = b"".join(bytes(p) for p in container.demux(container.streams.subtitles[0]))
        assert b"A door." in words
        assert muxed.notes == ()


def test_colour_tags_stay(clips: Clips, tmp_path: Path) -> None:
    tagged = tmp_path / "tagged.mp4"
    tags = "h264_metadata=colour_primaries=9:transfer_characteristics=16:matrix_coefficients=9"
    run_ffmpeg("-i", clips("silent.mp4"), "-c", "copy", "-bsf:v", tags, tagged)
    for ending in (".mp4", ".mkv"):
        out = tmp_path / f"out{ending}"
        mux(probe(tagged), _click(tmp_path / "sound.wav", 1.6, 0.5), out)
        with av.open(str(out)) as container:
            context = next(container.decode(container.streams.video[0]))
            assert (int(context.color_primaries), int(context.color_trc), int(context.colorspace)) == (9, 16, 9)


def test_attachment_is_left_out_aloud(clips: Clips, tmp_path: Path) -> None:
    font, source = tmp_path / "font.ttf", tmp_path / "fonts.mkv"
    font.write_bytes(b"not really a font")
    run_ffmpeg("-i", clips("silent.mp4"), "-c", "copy", "-attach", font, "-metadata:s:t", "mimetype=font/ttf", source)
    sound = _click(tmp_path / "sound.wav", 1.6, 0.5)
    assert mux(probe(source), sound, tmp_path / "out.mkv").notes == ()
    (note,) = mux(probe(source), sound, tmp_path / "out.mp4").notes
    # What a font's codec is called depends on the version of ffmpeg's libraries.
    assert note.startswith(".mp4 cannot hold stream 1 (attachment font.ttf") and note.endswith("): it is left out")


def test_refuses_a_picture_the_container_cannot_hold(clips: Clips) -> None:
    for name, out in [("plain.mp4", "out.webm"), ("no_duration.webm", "out.mov"), ("odd_size.mkv", "out.webm")]:
        with pytest.raises(FoleyError, match="cannot hold") as caught:
            check_mux(probe(clips(name)), Path(out))
        assert ".mkv" in caught.value.hint
    check_mux(probe(clips("plain.mp4")), Path("out.mov"))


def test_hidden_start_in_mkv_is_told_and_in_sync(clips: Clips, tmp_path: Path) -> None:
    video, out = probe(clips("negative.mp4")), tmp_path / "out.mkv"
    click_s = FLASH_FRAME / 25 - 0.2
    muxed = mux(video, _click(tmp_path / "sound.wav", video.duration_s, click_s), out)
    assert any("edit list" in note for note in muxed.notes)
    with av.open(str(out)) as container:
        frames = container.decode(container.streams.video[0])
        flash_s = next(f.time for f in frames if f.to_ndarray(format="gray").min() > 220)
        first_s = container.streams.audio[0].start_time * float(container.streams.audio[0].time_base)
    samples, rate_hz = _decoded(out)
    assert first_s + int(np.argmax(np.abs(samples) > 0.2)) / rate_hz == pytest.approx(flash_s, abs=0.041)


def _decoded(path: Path) -> tuple[np.ndarray, int]:
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("fltp", "mono", RATE_HZ)
        pieces = [r.to_ndarray()[0] for f in container.decode(audio=0) for r in resampler.resample(f)]
    return np.concatenate(pieces), RATE_HZ


def test_loud_sound_is_lowered_until_its_aac_stays_below_the_ceiling(clips: Clips, tmp_path: Path) -> None:
    video, out = probe(clips("plain.mp4")), tmp_path / "out.mp4"
    noise = np.random.default_rng(0).uniform(-0.89, 0.89, (round(1.6 * RATE_HZ), 2)).astype(np.float32)
    soundfile.write(tmp_path / "sound.wav", noise, RATE_HZ, "PCM_24")
    muxed = mux(video, tmp_path / "sound.wav", out)
    assert muxed.lowered_db < 0
    assert muxed.peak_dbtp is not None and muxed.peak_dbtp <= -1.0


def test_same_input_same_bytes(clips: Clips, tmp_path: Path) -> None:
    video = probe(clips("plain.mp4"))
    sound = _click(tmp_path / "sound.wav", video.duration_s, 0.5)
    for ending in (".mp4", ".mkv"):
        made = [tmp_path / f"{k}{ending}" for k in "ab"]
        for out in made:
            mux(video, sound, out)
        assert made[0].read_bytes() == made[1].read_bytes()


@pytest.mark.parametrize("codec", ["hap", "dxv", "cinepak", "r210", "magicyuv"])
def test_a_mov_holds_what_came_in_a_mov(tmp_path: Path, codec: str) -> None:
    source, out = tmp_path / "in.mov", tmp_path / "out.mov"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=0.4", "-c:v", codec, source)
    video = probe(source)
    check_mux(video, out)
    mux(video, _click(tmp_path / "sound.wav", video.duration_s, 0.1), out)
    assert (probe(out).video_codec, probe(out).n_frames) == (codec, 10)


@pytest.mark.parametrize(
    ("sound", "pcm", "rate_hz", "written"),
    [
        ("pcm_s16le", None, 48000, "pcm_s24le"),
        ("pcm_s16le", False, 48000, "aac"),
        ("aac", None, 96000, "pcm_s24le"),
    ],
)
def test_a_mov_holds_pcm_where_its_source_did(
    tmp_path: Path, sound: str, pcm: bool | None, rate_hz: int, written: str
) -> None:
    source, wav, out = tmp_path / "in.mov", tmp_path / "sound.wav", tmp_path / "out.mov"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=0.4", "-f", "lavfi", "-i", "sine=d=0.4",
               "-c:v", "mjpeg", "-c:a", sound, source)  # fmt: skip
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, (round(0.4 * rate_hz), 2))
    soundfile.write(wav, samples, rate_hz, "PCM_24")
    mux(probe(source), wav, out, pcm=pcm)
    made = probe(out)
    assert (made.audio_codec, made.audio_rate_hz) == (written, rate_hz)
    if written.startswith("pcm"):
        assert np.array_equal(read_audio(out).samples, read_audio(wav).samples)  # sample for sample
