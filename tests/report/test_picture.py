"""The report picture: every panel shows what it was given, where it belongs on the time axis."""

import numpy as np
import pytest
from PIL import Image

from foleycli.report import picture
from foleycli.report.picture import EVENT, LEFT, PANEL, draw_report, n_pictures, tick_step_s

RATE_HZ = 48000
FILM_Y = picture.HEADER + picture.STRIP // 2
MARKER_Y = picture.HEADER + picture.STRIP + picture.EVENTS - 14
WAVE_Y = picture.HEADER + picture.STRIP + picture.EVENTS
MEL_Y = WAVE_Y + picture.WAVE + picture.GAP


def draw(tmp_path, samples, events_s=(), filmstrip=None, title="clip") -> np.ndarray:
    if filmstrip is None:
        filmstrip = np.zeros((4, 40, 60, 3), np.uint8)
    draw_report(
        tmp_path / "r.png", filmstrip=filmstrip, samples=samples, rate_hz=RATE_HZ, events_s=events_s, title=title
    )
    with Image.open(tmp_path / "r.png") as image:
        return np.asarray(image.convert("RGB")).astype(int)


def column(part: float) -> int:
    return LEFT + round(PANEL * part)


def test_markers_stand_at_the_events(tmp_path):
    page = draw(tmp_path, np.zeros(4 * RATE_HZ, np.float32), [1.0, 3.0])
    is_marker = (np.abs(page[MARKER_Y] - EVENT) <= 2).all(axis=1)
    is_marker[:LEFT] = False  # the word beside the panels has the same colour
    groups = np.split(np.flatnonzero(is_marker), np.flatnonzero(np.diff(np.flatnonzero(is_marker)) > 1) + 1)
    assert [group.mean() for group in groups] == pytest.approx([column(0.25), column(0.75)], abs=1.5)


def test_click_shows_in_waveform_and_spectrogram_under_its_marker(tmp_path):
    samples = np.zeros(4 * RATE_HZ, np.float32)
    samples[3 * RATE_HZ : 3 * RATE_HZ + 480] = np.random.default_rng(0).uniform(-1, 1, 480)
    page = draw(tmp_path, samples)
    wave = page[WAVE_Y + 20 : WAVE_Y + 40, LEFT : LEFT + PANEL].sum(axis=(0, 2))
    mel = page[MEL_Y : MEL_Y + picture.MEL, LEFT : LEFT + PANEL].sum(axis=(0, 2))
    for panel in (wave, mel):
        assert panel.argmax() / PANEL == pytest.approx(0.75, abs=0.01)
        assert panel[: PANEL // 2].max() < panel.max() / 2


def test_pictures_are_side_by_side_in_order(tmp_path):
    film = np.stack([np.full((40, 60, 3), shade, np.uint8) for shade in (50, 120, 190, 250)])
    page = draw(tmp_path, np.zeros(RATE_HZ, np.float32), filmstrip=film)
    assert [page[FILM_Y, column((k + 0.5) / 4)].tolist() for k in range(4)] == [[s] * 3 for s in (50, 120, 190, 250)]


def test_sound_without_picture_has_no_film(tmp_path):
    film = np.empty((0, 1, 1, 3), np.uint8)
    page = draw(tmp_path, np.zeros(RATE_HZ, np.float32), filmstrip=film)
    assert page.shape[0] == draw(tmp_path, np.zeros(RATE_HZ, np.float32)).shape[0] - picture.STRIP


def test_a_name_with_line_breaks_is_drawn_on_one_line(tmp_path):
    sound = np.zeros(RATE_HZ, np.float32)
    assert (draw(tmp_path, sound, title="two\nlines.mp4") == draw(tmp_path, sound, title="two lines.mp4")).all()


@pytest.mark.parametrize("length", [1, 100, 9000])
def test_short_silent_and_crowded_sounds_draw(tmp_path, length):
    draw(tmp_path, np.zeros(length, np.float32), list(np.linspace(0, length / RATE_HZ, 300)))


@pytest.mark.parametrize("duration_s", [0.04, 0.2, 1.0, 7.9, 60.0, 754.0, 7200.0])
def test_ticks_are_few_and_not_too_few(duration_s):
    assert 4 <= duration_s / tick_step_s(duration_s) <= 12.001


def test_film_holds_whole_pictures_of_any_shape():
    assert n_pictures(1080, 1920) > n_pictures(1920, 1080) >= 3
    assert n_pictures(10000, 10) == 3 and n_pictures(10, 10000) == 24
