"""Stems on disk: where they begin, what they say, and that they sum to the mix."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile
from wavinfo import WavInfoReader

from foleycli.cues.cue import Cue, Stem
from foleycli.cues.times import ReelClock
from foleycli.media.audio import SoundWriter
from foleycli.settings.loudness import SPECIFICATIONS
from foleycli.stems.write import WAYS, By, Reel, blocks_of, files_of, write_stem_files

RATE_HZ = 48000
START = 86352 * 1001 * 2  # samples from midnight to 00:59:58:00 at 23.976, counted in real seconds
N = 6 * RATE_HZ


@pytest.fixture
def reel(tmp_path: Path) -> Reel:
    path = tmp_path / "reel_1.mov"
    path.write_bytes(b"a reel")
    return Reel(path, ReelClock(Fraction(24000, 1001), "00:59:58:00"), RATE_HZ, RATE_HZ, N)  # from its first second on


@pytest.fixture
def stems(tmp_path: Path) -> list[Stem]:
    """Two overlapping cues, the first with two takes, and room tone under all; stereo."""
    door = Cue("1", Fraction(2), Fraction(4), name="Door", prompt="a door slams", track="HARD FX")
    steps = Cue("2", Fraction(7, 2), Fraction(6), prompt="footsteps on gravel", category="FEETHmn", notes="loud")
    rng = np.random.default_rng(5)

    def stem(cue: Cue | None, take: int, start: int, n_samples: int, level: float) -> Stem:
        wav = tmp_path / f"{cue.number if cue else 'room'}.{take}.float.wav"
        with SoundWriter(wav, RATE_HZ, 2) as writer:
            writer.write(level * rng.standard_normal((2, n_samples)).clip(-3, 3))
        handle = 0 if cue is None else 9600
        return Stem(cue, take, wav, start, n_samples, RATE_HZ, handle, handle, seed=take)

    return [
        stem(door, 1, 2 * RATE_HZ - 9600, 2 * RATE_HZ + 19200, 0.1),
        stem(door, 2, 2 * RATE_HZ - 9600, 2 * RATE_HZ + 19200, 0.1),
        stem(steps, 1, 7 * RATE_HZ // 2 - 9600, 5 * RATE_HZ // 2 + 19200, 0.2),
        stem(None, 1, RATE_HZ, N, 0.001),
    ]


def _mix(stems: list[Stem], reel: Reel) -> np.ndarray:
    mix = np.zeros((reel.n_samples, 2))
    for stem in stems:
        if stem.take == 1:
            mix[stem.start - reel.start :][: stem.n_samples] += soundfile.read(stem.wav)[0]
    return mix


@pytest.mark.parametrize(("by", "sample_format"), [("cue", "pcm24"), ("track", "float32"), ("class", "pcm24")])
def test_stems_null_against_the_mix(stems: list[Stem], reel: Reel, tmp_path: Path, by: By, sample_format) -> None:
    """Placed by their own TimeReference, as an editor places them."""
    out = tmp_path / "out"
    out.mkdir()
    files = files_of(stems, reel, by)
    assert write_stem_files(files, out, reel, sample_format=sample_format) == ()
    rest = _mix(stems, reel)
    for file in files:
        info = WavInfoReader(str(out / file.name))
        if int(info.ixml.take) == 1:
            first = info.bext.time_reference - START - reel.start
            samples = soundfile.read(out / file.name)[0]
            rest[first : first + len(samples)] -= samples
    assert 20 * np.log10(np.abs(rest).max()) < -120
    assert sorted(path.name for path in out.iterdir()) == sorted(file.name for file in files)


def test_files_by_cue_are_named_placed_and_described(stems: list[Stem], reel: Reel, tmp_path: Path) -> None:
    files = files_of(stems, reel)
    assert [file.name for file in files] == [
        "DOORWood_Door_FOLEY_reel 1_1T1.wav",
        "DOORWood_Door_FOLEY_reel 1_1T2.wav",
        "FEETHmn_Footsteps On Gravel_FOLEY_reel 1_2T1.wav",
        "AMBRoom_Room Tone_FOLEY_reel 1_RoomT1.wav",
    ]
    write_stem_files(files, tmp_path, reel)
    info = WavInfoReader(str(tmp_path / files[2].name))
    assert info.bext.time_reference == START + 7 * RATE_HZ // 2 - 9600
    assert info.bext.description == "reel_1, 2, take 1: footsteps on gravel"
    assert (info.ixml.project, info.ixml.scene, info.ixml.take) == ("reel_1", "2", "1")
    assert [track.name for track in info.ixml.track_list] == ["Footsteps On Gravel L", "Footsteps On Gravel R"]
    assert info.ixml.parsed.findtext("SPEED/TIMECODE_RATE") == "24000/1001"
    assert info.ixml.parsed.findtext("NOTE") == "footsteps on gravel; loud; handles: 9600 samples before, 9600 after"
    loudness = pyloudnorm.Meter(RATE_HZ).integrated_loudness(soundfile.read(tmp_path / files[2].name)[0])
    assert info.bext.loudness_value == pytest.approx(loudness, abs=0.1)
    uids = {WavInfoReader(str(tmp_path / file.name)).bext.originator_ref for file in files}
    assert len(uids) == len(files)


def test_tracks_and_classes_hold_first_takes_from_the_beginning_to_the_end(stems: list[Stem], reel: Reel) -> None:
    tracks = files_of(stems, reel, "track", "{track}")
    assert [(file.name, len(file.stems)) for file in tracks] == [
        ("HARD FX.wav", 1),
        ("footsteps.wav", 1),
        ("ambience.wav", 1),
    ]
    classes = files_of(stems, reel, "class", "{cat_id}-{kind}")
    assert [file.name for file in classes] == ["DOORWood-effects.wav", "FEETHmn-footsteps.wav", "AMBRoom-ambience.wav"]
    assert {(file.start, file.n_samples) for file in tracks + classes} == {(reel.start, reel.n_samples)}
    silence = next(iter(blocks_of(replace(tracks[0], start=6 * RATE_HZ, n_samples=RATE_HZ), RATE_HZ)))
    assert silence == RATE_HZ


def test_names_are_known_before_there_is_any_sound(stems: list[Stem], reel: Reel) -> None:
    planned = [replace(stem, wav=Path("nowhere.wav")) for stem in stems]
    for by in WAYS:
        assert [file.name for file in files_of(planned, reel, by)] == [file.name for file in files_of(stems, reel, by)]


def test_a_stem_above_full_scale_is_float(stems: list[Stem], reel: Reel, tmp_path: Path) -> None:
    loud = replace(stems[0], wav=tmp_path / "loud.wav")
    with SoundWriter(loud.wav, RATE_HZ) as writer:
        writer.write(np.linspace(-1.5, 1.5, loud.n_samples, dtype=np.float32))
    [file] = files_of([loud], reel)
    [note] = write_stem_files([file], tmp_path, reel)
    assert "is 32 bit float" in note
    read, _ = soundfile.read(tmp_path / file.name, dtype="float32")
    assert np.array_equal(read, soundfile.read(loud.wav, dtype="float32")[0])


@pytest.mark.parametrize("name", ["r128", "netflix"])
def test_each_stem_can_have_a_loudness_of_its_own(stems: list[Stem], reel: Reel, tmp_path: Path, name: str) -> None:
    files = files_of(stems[:1] + stems[2:3], reel)
    write_stem_files(files, tmp_path, reel, target=SPECIFICATIONS[name])
    for file in files:
        measured = pyloudnorm.Meter(RATE_HZ).integrated_loudness(soundfile.read(tmp_path / file.name)[0])
        assert measured == pytest.approx(SPECIFICATIONS[name].lufs, abs=0.1)


def test_a_stem_whose_peaks_keep_it_from_its_loudness_is_told(stems: list[Stem], reel: Reel, tmp_path: Path) -> None:
    clicks = replace(stems[0], wav=tmp_path / "clicks.wav")
    with SoundWriter(clicks.wav, RATE_HZ) as writer:
        samples = np.zeros(clicks.n_samples, np.float32)
        samples[::4800] = 0.5
        writer.write(samples)
    [file] = files_of([clicks], reel)
    [note] = write_stem_files([file], tmp_path, reel, target=SPECIFICATIONS["r128"])
    assert note.startswith(f"{file.name}: -") and note.endswith("LUFS instead of -23: its peaks are at -1 dBTP")


def test_a_reel_that_passes_midnight(stems: list[Stem], reel: Reel) -> None:
    late = replace(reel, clock=ReelClock(Fraction(25), "23:59:59:00"))
    assert late.time_reference(2 * RATE_HZ) == RATE_HZ
    assert late.timecode(2 * RATE_HZ) == "00:00:01:00"
    drop = replace(reel, clock=ReelClock(Fraction(30000, 1001), "01:00:00;00"))
    assert drop.time_reference(0) == 107892 * 1001 * RATE_HZ // 30000
