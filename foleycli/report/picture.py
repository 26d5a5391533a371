"""The report picture: film strip, waveform, mel spectrogram and detected events on one time axis.

Arrays in, one PNG out; pillow and numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from foleycli.dsp.mel import LOW_HZ, hz_to_mel, mel_picture_db

Color = tuple[int, int, int]

WIDTH, LEFT, RIGHT = 1600, 92, 32
PANEL = WIDTH - LEFT - RIGHT  # width of every panel
HEADER, STRIP, EVENTS, WAVE, GAP, MEL, AXIS = 74, 148, 34, 150, 14, 340, 58  # heights, top to bottom
PERFORATION = 16  # height of the film's edges

PAPER: Color = (16, 18, 24)
WELL: Color = (9, 10, 14)
INK: Color = (232, 234, 240)
FAINT: Color = (142, 148, 164)
RULE: Color = (52, 56, 68)
PEAK: Color = (52, 108, 142)
LOUD: Color = (118, 198, 224)
EVENT: Color = (255, 196, 84)
# Dark to bright with even steps of lightness, so that 10 dB look the same everywhere.
HEAT = (
    (6, 7, 14),
    (28, 20, 62),
    (78, 22, 100),
    (142, 36, 104),
    (204, 62, 84),
    (244, 118, 62),
    (252, 188, 84),
    (253, 246, 200),
)
RANGE_DB = 78.0
FREQUENCIES_HZ = (100, 500, 1000, 2000, 5000, 10000, 20000)


@dataclass(frozen=True)
class Axis:
    """Seconds to pixels."""

    duration_s: float

    def x(self, time_s: float) -> float:
        return LEFT + PANEL * time_s / self.duration_s


def n_pictures(width_px: int, height_px: int) -> int:
    """How many pictures of a video's proportions fill the film strip."""
    return max(3, min(24, round(PANEL / ((STRIP - 2 * PERFORATION) * width_px / height_px))))


def draw_report(
    path: Path, *, filmstrip: np.ndarray, samples: np.ndarray, rate_hz: int, events_s: Sequence[float], title: str
) -> None:
    """Write the picture of a result.

    filmstrip  uint8 [n, H, W, 3], from the middles of n equal parts; n = 0 for sound without a picture
    samples    float [N], mono, as long as the picture
    events_s   when the picture is predicted to sound
    """
    axis = Axis(max(samples.shape[-1] / rate_hz, 1e-3))
    strip = STRIP if len(filmstrip) else 0
    page = Image.new("RGB", (WIDTH, HEADER + strip + EVENTS + WAVE + GAP + MEL + AXIS), PAPER)
    draw_header(page, title, f"{clock_text(axis.duration_s)}   {rate_hz / 1000:g} kHz   {counted(len(events_s))}")
    y = HEADER
    if strip:
        draw_film(page, y, filmstrip)
    events_y = y + strip
    wave_y = events_y + EVENTS
    mel_y = wave_y + WAVE + GAP
    _waveform(page, wave_y, samples)
    _spectrogram(page, mel_y, samples, rate_hz)
    _events(page, axis, events_s, events_y, (wave_y, mel_y + MEL))
    draw_time_axis(page, axis, mel_y + MEL)
    page.save(path, optimize=True)


def draw_pair(path: Path, *, real: np.ndarray, generated: np.ndarray, rate_hz: int, title: str, facts: str) -> None:
    """Write a picture of two sounds [N] of one length: waveform and spectrogram of the real, then the generated one."""
    axis = Axis(max(real.shape[-1] / rate_hz, 1e-3))
    panels = WAVE + GAP + MEL
    page = Image.new("RGB", (WIDTH, HEADER + panels + 2 * GAP + panels + AXIS), PAPER)
    draw_header(page, title, facts)
    for y, samples, name in ((HEADER, real, "real"), (HEADER + panels + 2 * GAP, generated, "generated")):
        _waveform(page, y, samples)
        _spectrogram(page, y + WAVE + GAP, samples, rate_hz)
        ImageDraw.Draw(page).text((LEFT - 12, y + WAVE - 12), name, EVENT, font(17), anchor="rm")
    draw_time_axis(page, axis, HEADER + 2 * panels + 2 * GAP)
    page.save(path, optimize=True)


def font(size: int) -> ImageFont.FreeTypeFont:
    """The font of everything written, in pixels of height."""
    return ImageFont.load_default(size)  # type: ignore[return-value]  # with a size: pillow's own TrueType


def counted(n: int) -> str:
    return "no events" if n == 0 else "1 event" if n == 1 else f"{n} events"


def draw_header(page: Image.Image, title: str, facts: str) -> None:
    """A title on the left, facts on the right."""
    draw = ImageDraw.Draw(page)
    title = cut_to(title, PANEL - draw.textlength(facts, font(20)) - 40, 30)
    draw.text((LEFT, HEADER - 26), title, INK, font(30), anchor="ls")
    draw.text((LEFT + PANEL, HEADER - 26), facts, FAINT, font(20), anchor="rs")


def cut_to(text: str, room_px: float, size: int) -> str:
    """Text as one line, shortened until it is no wider."""
    text = " ".join(text.split())  # names of files can have line breaks, and Pillow measures single lines alone
    while font(size).getlength(text) > room_px and len(text) > 8:
        text = text[: len(text) - 4].rstrip() + "…"
    return text


def draw_film(page: Image.Image, y: int, pictures: np.ndarray) -> None:
    """Pictures side by side between two perforated edges."""
    draw = ImageDraw.Draw(page)
    draw.rectangle((LEFT, y, LEFT + PANEL - 1, y + STRIP - 1), WELL)
    edges = np.linspace(0, PANEL, len(pictures) + 1).round().astype(int)
    for picture, left, right in zip(pictures, edges[:-1], edges[1:], strict=True):
        cell = _cover(picture, right - left - 3, STRIP - 2 * PERFORATION)
        page.paste(cell, (LEFT + left + 1, y + PERFORATION))
    for x in range(LEFT + 8, LEFT + PANEL - 12, 24):
        for top in (y + 4, y + STRIP - PERFORATION + 4):
            draw.rounded_rectangle((x, top, x + 12, top + 8), 2, RULE)


def _cover(picture: np.ndarray, width_px: int, height_px: int) -> Image.Image:
    """The middle of a picture [H, W, 3], filling a cell without being squashed."""
    image = Image.fromarray(picture)
    scale = max(width_px / image.width, height_px / image.height)
    size = (max(width_px, round(image.width * scale)), max(height_px, round(image.height * scale)))
    left, top = (size[0] - width_px) // 2, (size[1] - height_px) // 2
    return image.resize(size, Image.Resampling.LANCZOS).crop((left, top, left + width_px, top + height_px))


def _waveform(page: Image.Image, y: int, samples: np.ndarray) -> None:
    """Extremes and RMS of every column, on a scale that the loudest sample fills."""
    draw = ImageDraw.Draw(page)
    draw.rectangle((LEFT, y, LEFT + PANEL - 1, y + WAVE - 1), WELL)
    middle, half = y + WAVE / 2, WAVE / 2 - 8
    top = float(np.abs(samples).max(initial=0.0))
    draw.line((LEFT, middle, LEFT + PANEL - 1, middle), RULE)
    if top > 0:
        draw_columns(draw, LEFT, PANEL, middle, samples / top * half)
        draw.text((LEFT - 12, y + 8), f"{20 * np.log10(top):.0f} dB", FAINT, font(17), anchor="rm")


def draw_columns(draw: ImageDraw.ImageDraw, left: float, width_px: int, middle: float, scaled: np.ndarray) -> None:
    """Extremes and RMS of every column of samples [N] in pixels, side by side from `left` on."""
    starts = np.linspace(0, scaled.shape[0], width_px, endpoint=False).astype(np.int64)
    high, low = np.maximum.reduceat(scaled, starts), np.minimum.reduceat(scaled, starts)
    counts = np.diff(np.append(starts, scaled.shape[0])).clip(1)
    rms = np.sqrt(np.add.reduceat(scaled**2, starts) / counts)
    for k in range(width_px):
        x = left + k
        draw.line((x, middle - high[k], x, middle - low[k]), PEAK)
        draw.line((x, middle - min(rms[k], high[k]), x, middle + min(rms[k], -low[k])), LOUD)


def _spectrogram(page: Image.Image, y: int, samples: np.ndarray, rate_hz: int) -> None:
    """`spectrogram` with its frequencies."""
    page.paste(spectrogram(samples, rate_hz, PANEL, MEL), (LEFT, y))
    draw = ImageDraw.Draw(page)
    low, high = hz_to_mel(LOW_HZ, "htk"), hz_to_mel(rate_hz / 2, "htk")
    for hz in FREQUENCIES_HZ:
        if hz < rate_hz / 2:
            tick = y + MEL * (1 - float((hz_to_mel(hz, "htk") - low) / (high - low)))
            draw.line((LEFT - 6, tick, LEFT - 1, tick), FAINT)
            label = f"{hz // 1000} kHz" if hz >= 1000 else f"{hz} Hz"
            draw.text((LEFT - 12, tick), label, FAINT, font(17), anchor="rm")


def spectrogram(samples: np.ndarray, rate_hz: int, width_px: int, height_px: int) -> Image.Image:
    """Mel bands over the full band of samples [N], in colours that span the loudest 78 dB."""
    levels = mel_picture_db(samples, rate_hz, height_px // 2, width_px)[::-1]  # [bands, columns], highest first
    shade = np.clip((levels - max(float(levels.max()), -40.0)) / RANGE_DB + 1, 0, 1)  # silence stays dark
    return Image.fromarray(_heat(shade)).resize((width_px, height_px), Image.Resampling.BICUBIC)


def _heat(shade: np.ndarray) -> np.ndarray:
    """Colours uint8 [..., 3] of values in 0..1."""
    places = np.linspace(0, 1, len(HEAT))
    channels = [np.interp(shade, places, [color[c] for color in HEAT]) for c in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def _events(page: Image.Image, axis: Axis, events_s: Sequence[float], y: int, panels: tuple[int, int]) -> None:
    """A marker for each event above the waveform, and a faint line through what is below."""
    veil = Image.new("RGBA", page.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(veil)
    crowded = len(events_s) > PANEL / 20
    for time_s in events_s:
        x, base = axis.x(time_s), y + EVENTS - 5
        size = 5 if crowded else 8
        draw.polygon([(x - size, base - 1.7 * size), (x + size, base - 1.7 * size), (x, base)], (*EVENT, 255))
        if not crowded:
            draw.line((x, panels[0], x, panels[1] - 1), (*EVENT, 110), 1)
    page.paste(veil, (0, 0), veil)
    ImageDraw.Draw(page).text((LEFT - 12, y + EVENTS - 12), "events", EVENT, font(17), anchor="rm")


def draw_time_axis(page: Image.Image, axis: Axis, y: int) -> None:
    """Seconds below everything, from `y` on."""
    draw = ImageDraw.Draw(page)
    step_s = tick_step_s(axis.duration_s)
    for k in range(int(axis.duration_s / step_s + 1e-6) + 1):
        x = axis.x(k * step_s)
        draw.line((x, y + 2, x, y + 9), FAINT)
        draw.text((x, y + 14), clock_text(k * step_s), FAINT, font(18), anchor="mt")


def tick_step_s(duration_s: float) -> float:
    """A round distance between ticks that gives 5 to 13 of them."""
    steps = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
    return next((step for step in steps if duration_s / step <= 12), steps[-1])


def clock_text(time_s: float) -> str:
    """1.5 s, and 2:05 from a minute on."""
    if time_s >= 60:
        return f"{int(time_s) // 60}:{time_s % 60:04.1f}".removesuffix(".0")
    return f"{round(time_s, 2):g} s"
