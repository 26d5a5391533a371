"""Recordings placed at events and loudness: timing, level, variation, length and seeds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from foleycli.dsp.onsets import agreement, detect_onsets
from foleycli.recordings.engine import (
    RANGE_DB,
    VOICE_GAP_S,
    ChosenSound,
    Events,
    block_samples,
    evened,
    place_blocks,
    room_tone_blocks,
    soft_limit,
)
from foleycli.recordings.mix import UNKNOWN_ROOM_DB, USUAL_ROOM_DB, Recorded, auto_room_db, blocks_of, loud_level_db
from foleycli.recordings.takes import make_take

RATE = 44100
NO_EVENTS = Events(np.zeros(0), np.zeros(0))


def hit(hz: float, length_s: float = 0.4, lead_s: float = 0.003) -> np.ndarray:
    t = np.arange(round(length_s * RATE)) / RATE - lead_s
    return np.where(t >= 0, 0.7 * np.exp(-20 * np.abs(t)) * np.sin(2 * np.pi * hz * t), 0).astype(np.float32)


def noise(length_s: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(length_s * RATE))).astype(np.float32)


def sound(kind: str, *samples: np.ndarray) -> ChosenSound:
    return ChosenSound(kind, kind, [make_take(one, RATE, kind) for one in samples])


KNOCKS = sound("hits", *(hit(hz) for hz in (300, 500, 900, 1500)))
RAIN = sound("texture", noise(3.0), noise(2.0, 1))


def at(*times_s: float, strengths: tuple[float, ...] = ()) -> Events:
    return Events(np.array(times_s), np.array(strengths or (1.0,) * len(times_s)))


def rms_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2) + 1e-12))


def place_recordings(chosen, events, loudness_db, n_samples: int, rate_hz: int, seed: int = 0) -> np.ndarray:
    return np.concatenate(list(place_blocks(chosen, events, loudness_db, n_samples, rate_hz, seed=seed)))


def test_a_hit_strikes_at_every_event():
    events = at(0.5, 1.3, 2.0, 3.1, 4.7)
    made = place_recordings([KNOCKS], events, np.zeros(150), 6 * RATE, RATE)
    found = detect_onsets(made, RATE)
    assert made.dtype == np.float32 and len(made) == 6 * RATE
    assert agreement(found, events.times_s, 0.02, 6.0).f1 == 1.0


def test_neighbouring_hits_differ_and_all_takes_are_heard():
    times_s = np.arange(0.5, 8.5, 0.5)
    made = place_recordings([KNOCKS], at(*times_s), np.zeros(230), 9 * RATE, RATE)
    pitches = []
    for time_s in times_s:
        spectrum = np.abs(np.fft.rfft(made[round(time_s * RATE) :][: RATE // 5]))
        pitches.append(float(np.argmax(spectrum) * 5))
    nearest = [min((300, 500, 900, 1500), key=lambda hz, p=pitch: abs(hz - p)) for pitch in pitches]
    assert set(nearest) == {300, 500, 900, 1500}
    assert all(a != b for a, b in zip(nearest, nearest[1:], strict=False))


def test_a_hit_is_louder_where_more_is_shown_and_seen():
    loudness_db = np.full(150, -40.0)
    loudness_db[70:] = -32.0
    made = place_recordings([sound("hits", hit(500))], at(1.0, 4.0, strengths=(0.9, 0.9)), loudness_db, 6 * RATE, RATE)
    soft, loud = (np.abs(made[round(s * RATE) :][:RATE]).max() for s in (1.0, 4.0))
    assert 2 < 20 * np.log10(loud / soft) < 6
    made = place_recordings(
        [sound("hits", hit(500))], at(1.0, 4.0, strengths=(0.9, 0.45)), np.zeros(150), 6 * RATE, RATE
    )
    strong, weak = (np.abs(made[round(s * RATE) :][:RATE]).max() for s in (1.0, 4.0))
    assert 1.5 < 20 * np.log10(strong / weak) < 5


def test_a_texture_goes_on_without_gaps_and_follows_the_loudness():
    loudness_db = np.concatenate([np.full(250, -40.0), np.full(250, -30.0)])
    made = place_recordings([RAIN], NO_EVENTS, loudness_db, 20 * RATE, RATE)
    levels_db = [rms_db(made[first : first + RATE // 2]) for first in range(RATE // 2, 19 * RATE, RATE // 2)]
    assert np.std(levels_db[:17]) < 1.0 and np.std(levels_db[-17:]) < 1.0  # no seam between takes is heard
    assert 8 < np.mean(levels_db[-17:]) - np.mean(levels_db[:17]) < 11


def test_calls_begin_with_events_and_never_overlap():
    calls = sound("voice", noise(0.4), noise(1.2, 1))
    made = place_recordings([calls], at(0.5, 1.2, 5.0), np.zeros(150), 6 * RATE, RATE)
    level = np.abs(made).reshape(-1, RATE // 100).max(axis=1)
    starts_s = np.flatnonzero((level[1:] > 0.01) & (level[:-1] <= 0.01)) / 100
    assert np.abs(starts_s[:, None] - [0.5, 1.2, 5.0]).min(axis=0).max() < 0.025
    ends_s = np.flatnonzero((level[1:] <= 0.01) & (level[:-1] > 0.01)) / 100
    assert min(start - end for end, start in zip(ends_s, starts_s[1:], strict=False)) > VOICE_GAP_S - 0.05


@pytest.mark.parametrize("chosen", [KNOCKS, sound("voice", noise(0.5))], ids=["hits", "calls"])
def test_what_is_asked_for_is_heard_where_nothing_is_seen(chosen):
    made = place_recordings([chosen], NO_EVENTS, np.zeros(1), 8 * RATE, RATE)
    assert 3 <= len(detect_onsets(made, RATE)) <= 16


def test_two_struck_sounds_share_the_events():
    high, low = sound("hits", hit(3000)), sound("hits", hit(200))
    times_s = np.arange(0.5, 20.5, 0.5)
    made = place_recordings([high, low], at(*times_s), np.zeros(500), 21 * RATE, RATE)
    heard = []
    for time_s in times_s:
        spectrum = np.abs(np.fft.rfft(made[round(time_s * RATE) :][: RATE // 10]))
        heard.append(spectrum[250:].max() > spectrum[:100].max())
    assert 0.4 < np.mean(heard) < 0.95


def test_blocks_are_the_whole_whatever_their_number_and_seeds_matter():
    arguments = ([KNOCKS, RAIN], at(0.2, 3.98, 4.01, 9.0), np.zeros(300), 11 * RATE + 7, RATE)
    blocks = list(place_blocks(*arguments, seed=3))
    assert [len(block) for block in blocks] == [block_samples(RATE)] * 2 + [3 * RATE + 7]
    assert np.array_equal(np.concatenate(blocks), place_recordings(*arguments, seed=3))
    assert not np.array_equal(np.concatenate(blocks), place_recordings(*arguments, seed=4))


def test_the_bed_has_unit_level_and_no_silence():
    room_tone = np.concatenate(list(room_tone_blocks(RAIN, 15 * RATE, RATE)))
    levels_db = [rms_db(room_tone[first : first + RATE // 4]) for first in range(RATE, 14 * RATE, RATE // 4)]
    assert np.mean(levels_db) == pytest.approx(0, abs=1.0) and min(levels_db) > -3


def test_peaks_are_bent_and_the_rest_is_left_alone():
    samples = np.array([-3.0, -0.5, 0.0, 0.79, 0.9, 2.0], np.float32)
    limited = soft_limit(samples)
    assert np.array_equal(limited[1:4], samples[1:4]) and np.abs(limited).max() <= 1.0
    assert np.all(np.diff(limited) > 0)


def recorded(chosen: list[ChosenSound], room_tone: ChosenSound | None = None) -> Recorded:
    return Recorded(chosen, room_tone, -46.0, at(0.5, 2.0, 3.5), np.zeros(125))


@pytest.mark.parametrize(("model_gain", "expected"), [(0.5, 0.447), (0.35, 0.330)])  # g / sqrt(1 + g^2)
def test_recordings_and_the_model_stand_at_equal_levels(model_gain, expected):
    n, model = 5 * RATE, noise(5.0) * 8
    alone = np.concatenate(list(recorded([RAIN]).blocks(None, n, RATE, 0)))
    beside = replace(recorded([RAIN]), model_gain=model_gain)
    both = np.concatenate(list(beside.blocks(blocks_of(model, RATE), n, RATE, 0)))
    only_model = np.concatenate(list(recorded([], RAIN).blocks(blocks_of(model, RATE), n, RATE, 0)))
    assert rms_db(both) == pytest.approx(rms_db(alone), abs=1.0)
    assert rms_db(only_model) == pytest.approx(rms_db(alone), abs=1.0)
    share = both @ model / (np.linalg.norm(both) * np.linalg.norm(model))
    assert share == pytest.approx(expected, abs=0.03)


def test_room_tone_lies_between_hits():
    made = np.concatenate(list(recorded([KNOCKS], RAIN).blocks(None, 5 * RATE, RATE, 0)))
    quiet = made[round(1.3 * RATE) : round(1.9 * RATE)]
    assert rms_db(quiet) == pytest.approx(-46, abs=2)
    dry = np.concatenate(list(recorded([KNOCKS]).blocks(None, 5 * RATE, RATE, 0)))
    assert rms_db(dry[round(1.3 * RATE) : round(1.9 * RATE)]) < -90


def test_room_tone_is_louder_where_nothing_is_placed_and_no_strike_is_sure():
    assert auto_room_db(np.array([0.6, 0.65]), has_recordings=True) == USUAL_ROOM_DB
    assert auto_room_db(np.array([0.85, 0.9]), has_recordings=False) == USUAL_ROOM_DB
    assert auto_room_db(np.array([0.6, 0.65]), has_recordings=False) == UNKNOWN_ROOM_DB
    assert auto_room_db(np.zeros(0), has_recordings=False) == UNKNOWN_ROOM_DB
    assert USUAL_ROOM_DB < auto_room_db(np.array([0.75]), has_recordings=False) < UNKNOWN_ROOM_DB


def test_a_stroke_that_rings_for_long_dies_away():
    t = np.arange(2 * RATE) / RATE
    gong = sound("hits", (0.7 * np.sin(2 * np.pi * 300 * t)).astype(np.float32))
    made = place_recordings([gong], at(0.5), np.zeros(75), 3 * RATE, RATE)
    first, later = (np.abs(made[round(s * RATE) :][: RATE // 50]).max() for s in (0.55, 1.25))
    assert 20 * np.log10(first / later) == pytest.approx(8.7, abs=1.0)  # 0.7 s later


def test_gaps_do_not_make_a_sound_softer():
    gated = np.full(200, -60.0)
    gated[::10] = -20.0
    assert loud_level_db(gated) == pytest.approx(-20) and loud_level_db(np.full(50, -20.0)) == pytest.approx(-20)
    assert loud_level_db(np.zeros(0)) == -60


def test_textures_follow_the_loudness_over_seconds_and_hits_that_of_the_moment():
    up = np.concatenate([np.full(250, -40.0), np.full(250, -34.0)])
    events = at(*np.arange(1.0, 20.0, 2.0))
    for one, (first_db, second_db) in ((RAIN, (-6.0, 6.0)), (KNOCKS, (6.0, -6.0))):
        blocks = place_blocks([one], events, up[::-1], 20 * RATE, RATE, dynamics_db=up, seed=1)
        made = np.concatenate(list(blocks))
        change_db = rms_db(made[11 * RATE :]) - rms_db(made[: 9 * RATE])
        assert change_db * (second_db - first_db) > 0 and 1.5 < abs(change_db) < 8, one.kind


def test_a_texture_is_moved_by_its_range_at_most():
    steep = np.linspace(-100.0, 0.0, 500)
    made = np.concatenate(list(place_blocks([RAIN], NO_EVENTS, steep, 20 * RATE, RATE)))
    change_db = rms_db(made[18 * RATE : 19 * RATE]) - rms_db(made[RATE : 2 * RATE])
    assert abs(change_db) == pytest.approx(2 * RANGE_DB["texture"], abs=1.5)


def test_what_a_texture_does_by_itself_is_mostly_taken_out_and_its_grain_stays():
    swell = noise(8.0) * (10 ** (6 * np.sin(np.arange(8 * RATE) / RATE * 2) / 20)).astype(np.float32)
    calm = evened(swell, RATE)
    seconds = [np.ptp([rms_db(x[k * RATE : (k + 1) * RATE]) for k in range(8)]) for x in (swell, calm)]
    assert seconds[0] > 7 and seconds[1] < 0.35 * seconds[0]
    assert len(calm) == len(swell) and abs(rms_db(np.diff(calm)) - rms_db(np.diff(swell))) < 2
    assert np.isfinite(evened(np.zeros(RATE, np.float32), RATE)).all() and len(evened(noise(0.001), RATE)) == 44


def test_room_tone_follows_what_moves_by_a_share():
    up = np.concatenate([np.full(250, -40.0), np.full(250, -34.0)])
    tone = np.concatenate(list(room_tone_blocks(RAIN, 20 * RATE, RATE, dynamics_db=up)))
    assert rms_db(tone[11 * RATE :]) - rms_db(tone[: 9 * RATE]) == pytest.approx(3.6, abs=0.5)
