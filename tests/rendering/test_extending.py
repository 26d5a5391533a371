"""`foley extend` end to end with the shipped model: the take stays sample for sample, what is made meets it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from clips import run_ffmpeg
from wavinfo import WavInfoReader

from foleycli.media.audio import read_audio, write_lossless
from foleycli.media.loudness import measure_file
from foleycli.media.probe import channel_mask, probe
from foleycli.records import Audio
from foleycli.rendering import api
from foleycli.stems.bwf import Bext, BwfWriter, Ixml


def whole_numbers(path: Path) -> np.ndarray:
    """Samples [N, C] as 32 bit integers: exact for every PCM file."""
    return soundfile.read(path, dtype="int32", always_2d=True)[0]


def assert_no_click(sound: np.ndarray, seam: int, take: np.ndarray) -> None:
    """The step over the seam [.., C] is no larger than steps that the take itself has."""
    step = np.abs(sound[seam].astype(np.float64) - sound[seam - 1])
    own = np.abs(np.diff(take.astype(np.float64), axis=0))
    assert (step <= own.max(axis=0)).all()


@pytest.mark.parametrize(
    ("rate_hz", "channels", "subtype", "name"),
    [(48000, 2, "PCM_16", "take.wav"), (22050, 1, "PCM_16", "take.flac"), (44100, 2, "PCM_24", "take.wav")],
)
def test_take_alone_goes_on_at_its_own_rate(extend, write_take, tmp_path, rate_hz, channels, subtype, name):
    take = write_take(tmp_path / name, rate_hz, channels, subtype=subtype)
    out = tmp_path / "out.wav"
    assert extend("--ref", take, "-o", out, "--duration", "3.1").code == 0
    told = soundfile.info(out)
    assert (told.samplerate, told.channels, told.subtype) == (rate_hz, channels, "PCM_24")
    assert told.frames == round(3.1 * rate_hz)
    before, after = whole_numbers(take), whole_numbers(out)
    assert np.array_equal(after[: len(before)], before)
    assert_no_click(after, len(before), before)
    assert np.abs(after[len(before) + rate_hz // 2 :]).max() > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "out.wav"])


def test_a_length_just_over_a_whole_step_is_reached_to_the_last_sample(extend, write_take, tmp_path):
    take, n_samples = write_take(tmp_path / "take.wav", 44100, 1), 100 * 1024 + 1
    assert extend("--ref", take, "-o", tmp_path / "out.wav", "--duration", f"{n_samples / 44100:.9f}").code == 0
    assert soundfile.info(tmp_path / "out.wav").frames == n_samples


def test_without_any_option_ten_seconds_more(extend, write_take, tmp_path):
    take = write_take(tmp_path / "take.wav", 16000, 1)
    told = extend("--ref", take)
    assert (told.code, told.out) == (0, f"{tmp_path / 'take.extended.wav'}\n")
    assert soundfile.info(tmp_path / "take.extended.wav").frames == round(11.3 * 16000)


def test_channels_go_on_at_their_own_levels(extend, write_take, tmp_path):
    take = write_take(tmp_path / "take.wav", 44100, 2)  # the right channel is 6 dB softer
    assert extend("--ref", take, "-o", tmp_path / "out.wav", "--duration", "4").code == 0
    made = read_audio(tmp_path / "out.wav").samples[:, 2 * 44100 :]
    left, right = np.sqrt((made**2).mean(axis=1))
    assert 0.4 < right / left < 0.6


@pytest.mark.parametrize("sounding", [0, 1])
def test_a_silent_channel_stays_silent(extend, write_take, tmp_path, sounding):
    take = write_take(tmp_path / "mono.wav", 44100, 1)
    sides = np.zeros((round(1.3 * 44100), 2))
    sides[:, sounding] = soundfile.read(take)[0]
    soundfile.write(tmp_path / "take.wav", sides, 44100)
    assert extend("--ref", tmp_path / "take.wav", "-o", tmp_path / "out.wav", "--duration", "2").code == 0
    made = whole_numbers(tmp_path / "out.wav")[len(sides) :]
    assert np.abs(made[:, sounding]).max() > 0
    assert not made[:, 1 - sounding].any()


@pytest.mark.parametrize("options", [(), ("--loop",)])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_a_float_take_stays_as_it_is_also_above_full_scale(extend, write_take, tmp_path, options, subtype):
    sound = 9 * soundfile.read(write_take(tmp_path / "soft.wav", 44100, 1), dtype="float32")[0]
    assert np.abs(sound).max() > 2
    soundfile.write(tmp_path / "take.wav", sound, 44100, subtype=subtype)
    out = tmp_path / "out.wav"
    assert extend("--ref", tmp_path / "take.wav", "-o", out, "--duration", "2", *options).code == 0
    assert soundfile.info(out).subtype == "FLOAT"
    assert np.array_equal(soundfile.read(out, dtype="float32")[0][: len(sound)], sound)


def test_a_take_above_full_scale_is_not_clipped_into_a_flac(extend, tmp_path):
    soundfile.write(tmp_path / "take.wav", 1.5 * np.sin(np.arange(22050)), 44100, subtype="FLOAT")
    told = extend("--ref", tmp_path / "take.wav", "-o", tmp_path / "out.flac", "--quiet")
    assert told.code == 1
    assert "full scale" in told.error and "Write to .wav" in told.error
    assert not (tmp_path / "out.flac").exists()


@pytest.mark.parametrize("mask", [0x3F, 0x60F])  # 5.1 with loudspeakers behind, and at the sides
def test_surround_keeps_its_loudspeakers(extend, write_take, tmp_path, mask):
    sound = soundfile.read(write_take(tmp_path / "plain.wav", 48000, 6, duration_s=0.5))[0]
    take = tmp_path / "take.wav"
    write_lossless([sound.T], Audio(sound.T, 48000), take, channel_mask=mask)
    assert channel_mask(take) == mask
    assert extend("--ref", take, "-o", tmp_path / "out.wav", "--duration", "1").code == 0
    assert channel_mask(tmp_path / "out.wav") == mask
    assert np.array_equal(whole_numbers(tmp_path / "out.wav")[: len(sound)], whole_numbers(take))


@pytest.mark.parametrize("duration_s", ["3", "3.137"])
def test_end_of_a_loop_meets_its_beginning(extend, write_take, tmp_path, duration_s):
    take = write_take(tmp_path / "take.wav", 48000, 1)
    out = tmp_path / "out.wav"
    assert extend("--ref", take, "-o", out, "--duration", duration_s, "--loop").code == 0
    before, after = whole_numbers(take), whole_numbers(out)
    assert len(after) == round(float(duration_s) * 48000)
    assert np.array_equal(after[: len(before)], before)
    twice = np.concatenate([after, after])
    assert_no_click(twice, len(after), before)
    assert_no_click(twice, len(before), before)


def test_take_stands_at_the_beginning_of_a_video(extend, packets, clips, write_take, tmp_path):
    take = write_take(tmp_path / "take.wav", 44100, 2, duration_s=0.7)
    sound, film = tmp_path / "out.wav", tmp_path / "out.mp4"
    assert extend(clips("23976.mp4"), "--ref", take, "-o", sound).code == 0
    before, after = whole_numbers(take), whole_numbers(sound)
    assert np.array_equal(after[: len(before)], before)
    assert_no_click(after, len(before), before)
    assert len(after) == round(probe(clips("23976.mp4")).duration_s * 44100)
    assert extend(clips("23976.mp4"), "--ref", take, "-o", film).code == 0
    assert packets(film) == packets(clips("23976.mp4"))
    heard, meant = read_audio(film, 44100, 1).samples[0], read_audio(sound, 44100, 1).samples[0]
    n = min(len(heard), len(meant))
    assert np.corrcoef(heard[:n], meant[:n])[0, 1] > 0.6  # AAC keeps little of the phase of noise


@pytest.mark.parametrize("at_s", [0.5, 1.2])
def test_take_in_the_middle_or_over_the_end(extend, clips, write_take, tmp_path, at_s):
    take = write_take(tmp_path / "take.wav", 22050, 1, duration_s=0.6)
    out = tmp_path / "out.wav"
    told = extend(clips("plain.mp4"), "--ref", take, "-o", out, "--at", at_s, "--report")
    assert told.code == 0
    assert ("only 0.40 s of the take are heard, not 0.60 s" in told.err) == (at_s == 1.2)
    first, total = round(at_s * 22050), round(1.6 * 22050)
    before, after = whole_numbers(take)[: total - first], whole_numbers(out)
    assert len(after) == total
    assert np.array_equal(after[first : first + len(before)], before)
    assert_no_click(after, first, before)
    if first + len(before) < total:
        assert_no_click(after, first + len(before), before)
    assert np.abs(after[:first]).max() > 0
    assert (tmp_path / "out.json").is_file() and (tmp_path / "out.png").is_file()


def test_same_seed_same_bytes(extend, write_take, tmp_path):
    take = write_take(tmp_path / "take.wav", 44100, 1, duration_s=0.5)
    outs = [tmp_path / f"{k}.ogg" for k in range(3)]
    for out, seed in zip(outs, (1, 1, 2), strict=True):
        assert extend("--ref", take, "-o", out, "--duration", "1.5", "--seed", seed).code == 0
    assert outs[0].read_bytes() == outs[1].read_bytes() != outs[2].read_bytes()


@pytest.mark.parametrize(("channels", "rate_hz"), [(2, 44100), (6, 96000)])
@pytest.mark.parametrize("ending", [".mp3", ".ogg"])
def test_lossy_result_keeps_left_and_right(extend, write_take, tmp_path, channels, rate_hz, ending):
    take = write_take(tmp_path / "take.wav", rate_hz, channels, duration_s=0.5)
    out = tmp_path / f"out{ending}"
    assert extend("--ref", take, "-o", out, "--duration", "0.9").code == 0
    heard = read_audio(out)
    assert heard.rate_hz in (44100, 48000) and heard.duration_s == pytest.approx(0.9, abs=0.03)
    # The take's channels are not alike; what follows it is one sound at each channel's level.
    left, right = heard.samples[:, : round(0.45 * heard.rate_hz)]
    assert abs(np.corrcoef(left, right)[0, 1]) < 0.6
    assert measure_file(out).peak_dbtp <= -1.0


def test_a_take_in_a_folder_whose_name_is_no_utf_8(kept_model, write_take, tmp_path):
    (tmp_path / "caf\udce9").mkdir()
    plain = write_take(tmp_path / "take.wav", 44100, 2)
    before = whole_numbers(plain)
    take = plain.rename(tmp_path / "caf\udce9" / "take.wav")
    api.extend(take, take.with_name("made.wav"), model=kept_model, duration_s=2.0, steps=1)
    made = take.with_name("made.wav").rename(tmp_path / "made.wav")
    assert np.array_equal(whole_numbers(made)[: len(before)], before)


def test_silent_take_is_refused_and_nothing_is_left(extend, tmp_path):
    soundfile.write(tmp_path / "take.wav", np.zeros(44100), 44100)
    told = extend("--ref", tmp_path / "take.wav", "--quiet")
    assert told.code == 1
    assert "silent" in told.error
    assert [path.name for path in tmp_path.iterdir()] == ["take.wav"]


def test_a_hot_take_gives_the_same_bytes_and_is_softer_in_a_video(extend, clips, tmp_path):
    sound = np.full(22050, 0.3, np.float32) * np.sin(np.arange(22050) / 5)
    sound[5000:5100] *= 8
    take = tmp_path / "hot.wav"
    soundfile.write(take, sound, 44100, "FLOAT")
    for out in (tmp_path / "a.wav", tmp_path / "b.wav"):
        assert extend("--ref", take, "-o", out, "--duration", "2").code == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    for ending in (".mkv", ".mp4"):
        told = extend(clips("plain.mp4"), "--ref", take, "-o", tmp_path / f"out{ending}")
        assert told.code == 0 and "dB softer: in this file it would be clipped" in told.err
        assert measure_file(tmp_path / f"out{ending}").peak_dbtp <= -1.0


@pytest.mark.parametrize("active", [[0], [1], [2], [0, 2]])
def test_silent_channels_stay_silent_and_the_others_keep_their_level(extend, tmp_path, active):
    rng = np.random.default_rng(5)
    channels = max(2, max(active) + 1)
    samples = np.zeros((44100, channels), np.float32)
    for channel in active:
        samples[:, channel] = 0.2 * rng.standard_normal(44100).clip(-3, 3)
    soundfile.write(tmp_path / "take.wav", samples, 44100, "PCM_24")
    assert extend("--ref", tmp_path / "take.wav", "-o", tmp_path / "out.wav", "--duration", "3").code == 0
    made = read_audio(tmp_path / "out.wav").samples[:, 45000:]
    rms = np.sqrt((made**2).mean(axis=1))
    silent = [channel for channel in range(channels) if channel not in active]
    assert not made[silent].any()
    assert (rms[active] > 0.01).all() and rms[active].max() / rms[active].min() < 1.2


@pytest.mark.parametrize(
    ("layout", "mask"), [("5.1", 0x3F), ("5.1(side)", 0x60F), ("quad", 0x33), ("3.0", 0x7), ("7.1", 0x63F)]
)
@pytest.mark.parametrize("subtype", ["pcm_s16le", "pcm_f32le"])
def test_loudspeakers_of_a_take_stay(extend, tmp_path, layout, mask, subtype):
    take, out = tmp_path / "take.wav", tmp_path / "out.wav"
    noise = f"anoisesrc=d=0.6:r=48000:a=0.1,aformat=channel_layouts={layout}"
    run_ffmpeg("-f", "lavfi", "-i", noise, "-c:a", subtype, take)
    assert extend("--ref", take, "-o", out, "--duration", "1.2").code == 0
    head = out.read_bytes()[:48]
    assert head[20:22] == b"\xfe\xff" and int.from_bytes(head[40:44], "little") == mask
    assert np.array_equal(whole_numbers(out)[: round(0.6 * 48000)], whole_numbers(take))


@pytest.mark.parametrize(("at", "n_before"), [pytest.param(None, 0, marks=pytest.mark.slow), ("0.5", 24000)])
def test_a_broadcast_wav_stays_one_and_its_take_keeps_its_time(extend, clips, write_take, tmp_path, at, n_before):
    samples = read_audio(write_take(tmp_path / "plain.wav", 48000, 2)).samples
    bext = Bext(
        "Door 3", "Mixer", "REF1", "2026-11-28", "10:00:00", 10 * 3600 * 48000, coding_history="A=PCM,T=Cantar\r\n"
    )
    take, out = tmp_path / "take.wav", tmp_path / "out.wav"
    with BwfWriter(
        take, rate_hz=48000, channels=2, bext=bext, ixml=Ixml(scene="12", take="3", tracks=("L", "R"))
    ) as file:
        file.write(samples)
    where = () if at is None else (clips("silent.mp4"), "--at", at)
    assert extend(*where, "--ref", take, "-o", out).code == 0
    info = WavInfoReader(str(out))
    assert info.bext.time_reference == bext.time_reference - n_before
    assert (info.bext.description, info.bext.originator, info.bext.originator_date) == ("Door 3", "Mixer", "2026-11-28")
    assert info.bext.coding_history == "A=PCM,T=Cantar\r\nA=PCM,F=48000,W=24,M=stereo,T=foley extend\r\n"
    assert (info.ixml.scene, info.ixml.take) == ("12", "3")
    place = info.ixml.parsed.findtext("SPEED/TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO")
    assert int(place) == (bext.time_reference - n_before) % 2**32
    assert info.bext.loudness_value == pytest.approx(measure_file(out).lufs, abs=0.01)
    kept = whole_numbers(take)[: soundfile.info(out).frames - n_before]
    assert np.array_equal(whole_numbers(out)[n_before : n_before + len(kept)], kept)
