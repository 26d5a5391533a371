"""`foley render` end to end with the shipped model: the picture stays, the sound fits, settings do what they say."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from foleycli.cli.jobs import loudness_note
from foleycli.dsp.gain_riding import MAX_GAIN_DB, MIN_GAIN_DB
from foleycli.hub.resolve import default_settings
from foleycli.media.audio import read_audio
from foleycli.media.loudness import measure_file
from foleycli.media.probe import probe
from foleycli.rendering import api
from foleycli.rendering.result import RenderResult
from foleycli.report.files import write_picture
from foleycli.settings.preset import names, resolve_settings
from foleycli.settings.settings import Settings

INTO = [
    ("plain.mp4", ".mp4"),
    ("reordered.mp4", ".mov"),
    ("23976.mp4", ".mp4"),
    ("2997.mp4", ".mkv"),
    ("5994.mp4", ".mov"),
    ("variable.mp4", ".mp4"),
    ("variable.mp4", ".mkv"),
    ("portrait.mp4", ".mp4"),
    ("upside_down.mp4", ".mov"),
    ("odd_size.mkv", ".mkv"),
    ("hevc_10bit.mp4", ".mp4"),
    ("silent.mp4", ".mkv"),
    ("short.mp4", ".mp4"),
    ("offset.mp4", ".mp4"),
    ("negative.mp4", ".mp4"),
    ("no_duration.webm", ".webm"),
    ("subtitles.mkv", ".mkv"),
    ("long_sound.mp4", ".mp4"),
]


@pytest.mark.parametrize(("name", "ending"), INTO)
def test_picture_is_untouched_and_sound_is_as_long(render, packets, clips, tmp_path, name, ending):
    out = tmp_path / f"out{ending}"
    told = render(clips(name), "-o", out)
    assert (told.code, told.out) == (0, f"{out}\n")
    before, after = probe(clips(name)), probe(out)
    assert packets(out) == packets(clips(name))
    facts = ("rotation_deg", "width_px", "height_px", "pixel_format", "video_codec")
    assert [getattr(after, fact) for fact in facts] == [getattr(before, fact) for fact in facts]
    sound = read_audio(out)
    assert sound.duration_s == pytest.approx(before.duration_s, abs=max(float(1 / before.fps), 0.021))
    assert (sound.rate_hz, sound.samples.shape[0]) == (48000, 2)
    assert np.abs(sound.samples).max() > 0
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    with av.open(str(out)) as container:
        assert len(container.streams.audio) == 1


@pytest.mark.parametrize("ending", [".wav", ".flac", ".mp3", ".m4a", ".ogg"])
def test_sound_alone(render, clips, tmp_path, ending):
    late_s = 0 if ending in (".wav", ".flac") else 0.03  # the frames of an encoder
    out = tmp_path / f"out{ending}"
    assert render(clips("23976.mp4"), "-o", out).code == 0
    sound, video = read_audio(out), probe(clips("23976.mp4"))
    assert (sound.rate_hz, sound.samples.shape[0]) == (48000, 1)
    assert sound.duration_s == pytest.approx(video.duration_s, abs=max(late_s, 1 / 48000))
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    if not late_s:
        assert soundfile.info(out).subtype == "PCM_24"


def test_rate_and_channels(render, clips, tmp_path):
    assert render(clips("plain.mp4"), "-o", tmp_path / "out.wav", "--rate", "44100", "--channels", "2").code == 0
    told = soundfile.info(tmp_path / "out.wav")
    assert (told.samplerate, told.channels, told.frames) == (44100, 2, round(1.6 * 44100))


@pytest.mark.parametrize("ending", [".wav", ".mp4"])
def test_same_seed_same_bytes_other_seed_other_sound(render, clips, tmp_path, ending):
    outs = [tmp_path / f"{k}{ending}" for k in range(3)]
    for out, seed in zip(outs, (7, 7, 8), strict=True):
        assert render(clips("short.mp4"), "-o", out, "--seed", seed).code == 0
    assert outs[0].read_bytes() == outs[1].read_bytes() != outs[2].read_bytes()


@pytest.mark.parametrize("steps", [1, 2, 4, 8, 16, 32, 64])
def test_every_number_of_steps_runs(render, clips, tmp_path, steps):
    assert render(clips("short.mp4"), "-o", tmp_path / "out.wav", "--steps", steps).code == 0
    assert np.isfinite(read_audio(tmp_path / "out.wav").samples).all()


@pytest.mark.parametrize("name", names())
def test_every_preset_runs(foley, kept_model, model_name, clips, tmp_path, name):
    args = ("--preset", name, "--model", model_name, "--device", "cpu", "--json")
    told = foley("render", clips("short.mp4"), "-o", tmp_path / "out.wav", *args)
    assert told.code == 0
    assert told.lines[0]["settings"] == resolve_settings(name, model_defaults=default_settings(model_name)).__dict__


def test_words_and_guidance_change_the_sound(render, clips, tmp_path):
    choices = [(), ("--guidance", "1"), ("--negative-prompt", "rain")]
    choices += [("--prompt", "rain"), ("--prompt", "hammer on anvil")]
    heard = []
    for k, options in enumerate(choices):
        assert render(clips("short.mp4"), "-o", tmp_path / f"{k}.wav", *options).code == 0
        heard.append((tmp_path / f"{k}.wav").read_bytes())
    assert len(set(heard)) == len(choices)


def test_the_level_follows_what_is_seen_as_far_as_asked(render, clips, tmp_path):
    """Half of the gain for half of the ride, and the whole as loud as without."""
    sounds = {}
    for ride in ("0", "0.5", "1"):
        out = tmp_path / f"{ride}.wav"
        assert render(clips("plain.mp4"), "-o", out, "--ride", ride, "--rate", "44100").code == 0
        sounds[ride] = soundfile.read(out)[0]
    plain = sounds["0"]
    heard = np.abs(plain) > 0.05 * np.abs(plain).max()
    half_db, whole_db = (20 * np.log10(np.abs(sounds[ride][heard] / plain[heard])) for ride in ("0.5", "1"))
    assert 1.0 < np.ptp(whole_db) < MAX_GAIN_DB - MIN_GAIN_DB + 0.1
    assert np.corrcoef(half_db, whole_db)[0, 1] > 0.95
    assert np.mean(sounds["0.5"] ** 2) == pytest.approx(np.mean(plain**2), rel=0.25)  # a decibel
    assert render(clips("plain.mp4"), "-o", tmp_path / "no.wav", "--ride", "2").code == 2


@pytest.mark.parametrize("engine", ["both", "flow"])
def test_a_sound_alone_is_as_loud_as_the_same_in_a_video(render, clips, tmp_path, engine):
    outs = [tmp_path / "out.wav", tmp_path / "out.mov", tmp_path / "quiet.mov"]
    for out, more in zip(outs, ((), ("--channels", 1), ("--channels", 1, "--room", "off")), strict=True):
        assert render(clips("plain.mp4"), "-o", out, "--engine", engine, "--no-library", *more).code == 0
    alone, with_room, without_room = (measure_file(out).lufs for out in outs)
    assert alone == pytest.approx(without_room, abs=0.1)
    assert alone == pytest.approx(with_room, abs=1.0)  # which has room tone as well


def test_part_of_a_video(render, packets, clips, tmp_path):
    part = ("--start", "0.5", "--duration", "0.7")
    (stem,) = render(clips("reordered.mp4"), "-o", tmp_path / "out.wav", *part, "--json").lines
    (made,) = render(clips("reordered.mp4"), "-o", tmp_path / "out.mp4", *part, "--json").lines
    # From the picture shown at 0.5 s on, as many whole pictures as 0.7 s need: the same in every file.
    assert (stem["duration_s"], stem["windows"]) == (made["duration_s"], made["windows"])
    assert made["duration_s"] == pytest.approx(0.72, abs=0.001)
    assert soundfile.info(tmp_path / "out.wav").frames == round(0.72 * 48000)
    assert made["notes"] == stem["notes"]
    assert all("nothing was recognised" in note for note in made["notes"])  # it begins at a key frame
    after = probe(tmp_path / "out.mp4")
    assert after.duration_s == pytest.approx(made["duration_s"], abs=0.041)
    assert read_audio(tmp_path / "out.mp4").duration_s == pytest.approx(after.duration_s, abs=0.041)
    assert set(packets(tmp_path / "out.mp4")) < set(packets(clips("reordered.mp4")))


def test_a_part_that_a_copy_cannot_show_is_refused_or_encoded(render, clips, tmp_path):
    part, out = ("--start", "0.9", "--duration", "0.5"), tmp_path / "out.mkv"
    told = render(clips("reordered.mp4"), "-o", out, *part)
    assert told.code == 1 and not out.exists()
    assert ".mkv cannot begin at 0.880 s of reordered.mp4 by copying" in told.error
    assert "--start 0.52" in told.error and "--exact" in told.error
    (plan,) = render(clips("reordered.mp4"), "-o", tmp_path / "out.mp4", *part, "--json", "--dry-run").lines
    assert plan["notes"] == ["0.36 s of pictures before the part are in the file, hidden by its edit list "
                             "(--exact leaves them out)"]  # fmt: skip
    (made,) = render(clips("reordered.mp4"), "-o", out, *part, "--exact", "--json").lines
    assert "the picture of this part is encoded again (--exact)" in made["notes"]
    assert probe(out).n_frames == 13 and made["duration_s"] == pytest.approx(0.52, abs=0.001)


def test_tracks_are_chosen_only_for_a_mix(render, clips, tmp_path):
    for options in (("--tracks", "1"), ("--mix", "--tracks", "0"), ("--mix", "--tracks", "one")):
        assert render(clips("plain.mp4"), "-o", tmp_path / "out.wav", *options).code == 2
    told = render(clips("plain.mp4"), "-o", tmp_path / "out.wav", "--mix", "--tracks", "2")
    assert told.code == 1 and "has no sound track 2, only 1" in told.error


def test_own_sound_is_kept_or_replaced(render, clips, tmp_path):
    kept, gone = tmp_path / "kept.wav", tmp_path / "gone.wav"
    assert render(clips("plain.mp4"), "-o", kept, "--mix", "--gain-db", "-60").code == 0
    assert render(clips("plain.mp4"), "-o", gone, "--gain-db", "-60").code == 0
    original = read_audio(clips("plain.mp4"), 48000, 1).samples[0]
    mixed = read_audio(kept).samples[0]
    n = min(len(original), len(mixed))
    assert np.corrcoef(original[:n], mixed[:n])[0, 1] > 0.95
    assert np.abs(read_audio(gone).samples).max() < 0.01


@pytest.mark.parametrize("ending", [".wav", ".mp3", ".ogg", ".mp4", ".mkv"])
def test_true_peak_stays_below_the_ceiling(render, clips, tmp_path, ending):
    out = tmp_path / f"out{ending}"
    assert render(clips("plain.mp4"), "-o", out, "--gain-db", "24", "--mix").code == 0
    assert measure_file(out).peak_dbtp <= -1.0


def test_loudness_is_met_unless_peaks_forbid_it(render, clips, tmp_path):
    out = tmp_path / "out.wav"
    told = render(clips("plain.mp4"), "-o", out, "--loudness", "-40", "--gain-db", "24")
    assert told.code == 0
    measured = measure_file(out)  # a single short hit reaches the ceiling before it is that loud
    assert measured.lufs == pytest.approx(-40, abs=0.3) or -1.5 < measured.peak_dbtp <= -1.0
    assert ("instead of -40" in told.err) == (abs(measured.lufs + 40) > 0.5)
    told = render(clips("plain.mp4"), "-o", out, "--loudness", "-5", "--gain-db", "24", "--force")
    assert told.code == 0 and "LUFS instead of -5: " in told.err
    assert measure_file(out).peak_dbtp <= -1.0


def test_report_beside_the_result(render, clips, tmp_path):
    assert render(clips("plain.mp4"), "-o", tmp_path / "out.mp4", "--report", "--seed", "5").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json", "out.mp4", "out.png"]
    told = json.loads((tmp_path / "out.json").read_text())
    assert told["seed"] == 5 and len(told["model_sha256"]) == 64 and len(told["windows"]) == 1
    assert set(told["stage_s"]) == {"decode", "features", "sampler", "codec", "mux"}
    assert all(spent_s > 0 for spent_s in told["stage_s"].values())
    with Image.open(tmp_path / "out.png") as picture:
        picture.load()
        colours = picture.convert("RGB").getcolors(1 << 20)
    assert len(colours) > 1000  # film, waveform and spectrogram are there


def test_a_reference_changes_the_sound_of_a_clip_of_several_windows(render, clips, write_take, tmp_path):
    take = write_take(tmp_path / "take.wav", 44100, 1, duration_s=3.0)
    long = tmp_path / "long.mp4"
    from clips import flash_clip

    flash_clip(long, duration_s=6.0)
    plain, with_ref = tmp_path / "plain.wav", tmp_path / "ref.wav"
    assert render(long, "-o", plain).code == 0
    told = render(long, "-o", with_ref, "--ref", take, "--json")
    assert told.code == 0
    windows = told.lines[0]["windows"]
    assert len(windows) >= 2 and all(window["n_context"] > 0 for window in windows[1:])
    assert plain.read_bytes() != with_ref.read_bytes()
    assert soundfile.info(with_ref).frames == 6 * 48000
    assert render(long, "-o", with_ref, "--ref", take, "--ref-start", "2.5", "--force").code == 0


def test_one_bad_input_does_not_stop_the_others(render, clips, tmp_path):
    folder = tmp_path / "new"
    told = render(clips("short.mp4"), clips("text.mp4"), clips("silent.mp4"), "--out-dir", folder, "--json")
    assert told.code == 3
    assert sorted(path.name for path in folder.iterdir()) == ["short.foley.mp4", "silent.foley.mp4"]
    assert [("error" in line) for line in told.lines] == [True, False, False]


def test_half_a_file_gets_its_sound(render, packets, clips, tmp_path):
    assert render(clips("broken.mkv"), "-o", tmp_path / "out.mkv").code == 0
    whole = [packet for packet in packets(tmp_path / "out.mkv") if packet in set(packets(clips("broken.mkv")))]
    assert len(whole) >= 20


def test_odd_name_without_output_name(render, clips, tmp_path):
    clip = tmp_path / "-take 2: the 'dööör' [x].mp4"
    clip.write_bytes(clips("short.mp4").read_bytes())
    told = render("--", clip)
    assert told.code == 0
    assert (tmp_path / "-take 2: the 'dööör' [x].foley.mp4").is_file()


def test_failure_after_loading_leaves_everything_as_it_was(render, clips, tmp_path):
    take, out = tmp_path / "silent.wav", tmp_path / "out.mp4"
    soundfile.write(take, np.zeros(44100), 44100)
    out.write_bytes(b"mine")
    told = render(clips("short.mp4"), "-o", out, "--ref", take, "--force", "--quiet")
    assert told.code == 1
    assert "silent" in told.error
    assert out.read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "silent.wav"]


def test_missing_device_is_refused_before_work(foley, model_name, clips, tmp_path):
    import torch

    if torch.backends.mps.is_available():
        pytest.skip("this machine has MPS")
    for command in (("render", clips("short.mp4")), ("extend", clips("plain.mp4"), "--ref", _beep(tmp_path))):
        told = foley(*command, "-o", tmp_path / "out.mp4", "--model", model_name, "--device", "mps", "--quiet")
        assert told.code == 1
        assert "mps" in told.error
        assert not (tmp_path / "out.mp4").exists()


def _beep(folder: Path) -> Path:
    soundfile.write(folder / "beep.wav", 0.1 * np.sin(np.arange(22050) / 10), 44100)
    return folder / "beep.wav"


def test_progress_of_every_stage_ends_at_its_end(kept_model, clips, tmp_path):
    from foleycli.rendering.job import RenderJob

    told: dict[str, list[tuple[float, float]]] = {}
    job = RenderJob(probe(clips("variable.mp4")), tmp_path / "out.mp4", Settings(steps=2, loudness_lufs=-30.0))
    job.run(kept_model, lambda stage, done, total: told.setdefault(stage, []).append((done, total)))
    assert {"features", "sampler", "codec", "mux"} <= set(told)
    for stage, seen in told.items():
        assert seen[-1][0] == seen[-1][1] > 0, stage
        assert all(done <= total for done, total in seen if total), stage
    assert [told[stage][0][0] for stage in ("features", "sampler", "codec")] == [0, 0, 0]


@pytest.mark.parametrize(
    ("lufs", "peak_dbtp", "told"),
    [
        (-23.3, -9.0, ""),
        (-45.0, -20.0, "-45.0 LUFS instead of -23: it is raised by 24 dB at most"),
        (-27.0, -1.1, "-27.0 LUFS instead of -23: its peaks are at -1 dBTP"),
        (None, None, "it is too soft to have a loudness"),
    ],
)
def test_why_a_loudness_is_another(tmp_path, lufs, peak_dbtp, told):
    facts = (Settings(loudness_lufs=-23.0), "bare", "", "cpu", [], [], [], [], {})
    assert loudness_note(RenderResult(tmp_path / "out.wav", 1.0, 0.0, *facts, peak_dbtp=peak_dbtp, lufs=lufs)) == told


def test_words_find_a_recording_in_the_library(render, clips, tmp_path):
    made, notes = {}, {}
    for name, more in (
        ("found", ()),
        ("other", ("--prompt", "string quartet")),
        ("without", ("--no-library",)),
    ):
        told = render(clips("plain.mp4"), "-o", tmp_path / f"{name}.wav", "--prompt", "metal hit", "--json", *more)
        assert told.code == 0
        made[name], notes[name] = told.lines[0]["reference"], told.err
    assert Path(made["found"]).name == "metal_hit.ogg"
    assert "found.wav: it has recordings of metal hit" in notes["found"]
    told = render(clips("plain.mp4"), "-o", tmp_path / "a.wav", "--prompt", "metal hit", "--engine", "flow")
    assert "a.wav: it has the timbre of the library sound metal_hit\n" in told.err
    assert not {"timbre", "recordings"} & set((notes["other"] + notes["without"]).split())
    assert made["other"] is made["without"] is None
    assert (tmp_path / "found.wav").read_bytes() != (tmp_path / "without.wav").read_bytes()


def test_words_find_a_recording_among_ones_own(render, clips, write_take, tmp_path):
    (tmp_path / "own" / "metal hits").mkdir(parents=True)
    own = write_take(tmp_path / "own" / "metal hits" / "spade_1.wav", 44100, 1, duration_s=1.0)
    told = render(clips("plain.mp4"), "-o", tmp_path / "a.wav", "--prompt", "hit on metal", "--sounds", own.parents[1],
                  "--json")  # fmt: skip
    assert told.code == 0 and told.lines[0]["reference"] == str(own)


def test_a_plan_counts_the_windows_that_a_found_recording_takes_room_in(render, tmp_path):
    from clips import flash_clip

    flash_clip(tmp_path / "long.mp4", duration_s=21.0)
    n_windows = {}
    for more in ((), ("--no-library",)):
        ask = (tmp_path / "long.mp4", "-o", tmp_path / "a.wav", "--prompt", "metal hit", "--no-cuts", "--json", *more)
        n_windows[more] = render(*ask, "--dry-run").lines[0]["windows"]
        assert n_windows[more] == len(render(*ask).lines[0]["windows"])
        (tmp_path / "a.wav").unlink()
    assert n_windows[()] > n_windows[("--no-library",)]


def test_broken_recordings_and_words_without_one_are_told(render, clips, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "metal hit.wav").write_bytes(b"no sound")
    ask = ("-o", tmp_path / "a.wav", "--sounds", own, "--prompt")
    told = render(clips("plain.mp4"), *ask, "metal hit")
    assert told.code == 1 and "metal hit.wav" in told.error
    told = render(clips("plain.mp4"), *ask, "string quartet")
    assert told.code == 0 and f"nothing in {own} is called like the prompt 'string quartet'" in told.err


@pytest.mark.parametrize("name", ["o.wav", "o.mp3", "o.mkv", "o\udce9.wav"])
def test_results_and_reports_go_into_folders_whose_names_are_no_utf_8(kept_model, clips, write_take, tmp_path, name):
    folder = tmp_path / "caf\udce9"
    folder.mkdir()
    take = write_take(tmp_path / "take.wav", 44100, 1).rename(folder / "take.wav")
    options = dict(model=kept_model, duration_s=1.0, reference=take, steps=1)
    (result,) = api.render(clips("plain.mp4"), folder / name, **options)
    write_picture(folder / "o.png", result, probe(clips("plain.mp4")))
    assert {path.name for path in folder.iterdir()} == {"take.wav", name, "o.png"}
    assert read_audio(folder / name).duration_s == pytest.approx(1, abs=0.1)


def test_mix_says_where_there_is_nothing_to_keep(render, clips, tmp_path):
    note = "the video has no sound of its own that --mix could keep"
    for clip, lacks_sound in (("silent.mp4", True), ("plain.mp4", False)):
        ask = (clips(clip), "-o", tmp_path / f"{clip}.wav", "--mix", "--duration", "1", "--json")
        assert (note in render(*ask, "--dry-run").lines[0]["notes"]) is lacks_sound
        told = render(*ask)
        assert (note in told.lines[0]["notes"], note in told.err) == (lacks_sound, lacks_sound)


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ((), "nothing was recognised in the picture: say with --prompt what is heard"),
        (("--prompt", "xyzzy"), "no bundled recording is called like 'xyzzy'"),
        (("--prompt", "xyzzy", "--engine", "flow"), "no bundled recording is called like 'xyzzy'"),
        (("--prompt", "xyzzy", "--no-library"), ""),
        (("--prompt", "metal hit"), "it has recordings of metal hit"),
    ],
)
def test_what_decides_the_sound_is_told(render, clips, tmp_path, options, note):
    told = render(clips("plain.mp4"), "-o", tmp_path / "a.wav", "--duration", "1", *options)
    assert told.code == 0
    notes = [line for line in told.err.splitlines() if line.startswith("a.wav: ")]
    assert [line[: len(f"a.wav: {note}")] for line in notes] == ([f"a.wav: {note}"] if note else [])


def test_ones_own_recordings_are_not_written_over(render, clips, write_take, tmp_path):
    own = write_take(tmp_path / "metal hit.wav", 44100, 1, duration_s=1.0)
    before = own.read_bytes()
    told = render(clips("plain.mp4"), "-o", own, "--sounds", tmp_path, "--prompt", "metal hit", "--force")
    assert told.code == 1 and own.read_bytes() == before


@pytest.mark.parametrize(("more", "names"), [(("--ref", "x.wav"), "--ref"), (("--no-library",), "--no-library")])
def test_two_sources_of_one_timbre_are_refused(render, clips, tmp_path, more, names):
    told = render(clips("plain.mp4"), "-o", tmp_path / "a.wav", "--sounds", tmp_path, *more)
    assert told.code == 2 and names in told.error


def test_a_folder_without_sounds_is_refused_before_a_model_is_loaded(render, clips, tmp_path):
    told = render(clips("plain.mp4"), "-o", tmp_path / "a.wav", "--sounds", tmp_path, "--model", "salsav-mini")
    assert told.code == 1 and "there is no sound with a name in" in told.error
