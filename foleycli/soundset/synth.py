"""A small synthesiser: sounds for kinds of sound without any recording.

Impacts are damped modes plus a noise burst per material; textures are filtered noise; engines are pulse trains.
"""

from __future__ import annotations

import numpy as np

from foleycli.soundset.kinds import RATE_HZ

# base frequency range Hz, partials, decay s, noise share, noise decay s
_MODAL: dict[str, tuple[tuple[float, float], tuple[float, ...], float, float, float]] = {
    "wood": ((250, 700), (1, 2.57, 4.2, 6.1), 0.05, 0.5, 0.012),
    "metal": ((500, 1600), (1, 1.52, 2.76, 4.1, 5.4, 8.9), 0.5, 0.25, 0.01),
    "stone": ((900, 2200), (1, 1.8, 3.1), 0.025, 0.8, 0.02),
    "glass": ((1400, 3200), (1, 2.3, 3.9, 5.7), 0.22, 0.4, 0.05),
    "plastic": ((700, 1500), (1, 2.1, 3.7), 0.015, 0.6, 0.006),
    "drum": ((70, 190), (1, 1.59, 2.14, 2.65), 0.16, 0.4, 0.05),
    "ball": ((90, 200), (1, 2.0, 3.3), 0.06, 0.35, 0.01),
    "soft": ((70, 140), (1, 1.7), 0.05, 0.8, 0.03),
    "door": ((60, 130), (1, 1.9, 3.4, 5.2), 0.12, 0.7, 0.06),
    "gravel": ((800, 1800), (1,), 0.008, 1.5, 0.06),
    "leaves": ((300, 900), (1,), 0.008, 1.5, 0.09),
    "splash": ((300, 800), (1, 1.4), 0.05, 1.6, 0.2),
    "shot": ((60, 140), (1, 2.2), 0.09, 2.0, 0.13),
}
# low Hz, high Hz of the band, depth and rate Hz of the slow modulation, crackles per second
_TEXTURE: dict[str, tuple[float, float, float, float, float]] = {
    "water": (300, 7000, 0.3, 2.0, 20),
    "rain": (1200, 12000, 0.1, 1.0, 60),
    "wind": (60, 900, 0.6, 0.4, 0),
    "fire": (100, 2500, 0.3, 3.0, 30),
    "room": (40, 700, 0.1, 0.3, 0),
    "scrape": (900, 6000, 0.4, 12.0, 0),
    "roll": (60, 700, 0.5, 7.0, 0),
}


def synthetic_take(material: str, shape: str, index: int) -> np.ndarray:
    """Float32 [N] of one take, always the same for the same arguments."""
    rng = np.random.default_rng([index, len(material), sum(material.encode()), len(shape)])
    if material == "engine":
        return _engine(rng)
    if material in _TEXTURE:
        return _texture(rng, material)
    if material in ("voice", "chirp"):
        return _voice(rng, high=material == "chirp")
    return _impact(rng, material)


def _impact(rng: np.random.Generator, material: str) -> np.ndarray:
    (low, high), partials, decay_s, noise_share, noise_decay_s = _MODAL[material]
    t = np.arange(int(RATE_HZ * min(2.0, 0.1 + 6 * max(decay_s, noise_decay_s)))) / RATE_HZ
    base = rng.uniform(low, high)
    out = np.zeros_like(t)
    for k, partial in enumerate(partials):
        frequency = base * partial * rng.uniform(0.97, 1.03)
        out += (
            rng.uniform(0.4, 1.0)
            / (1 + 0.4 * k)
            * np.sin(2 * np.pi * frequency * t)
            * np.exp(-t * (1 + 0.5 * k) / decay_s)
        )
    noise = band_noise(rng, len(t), base, min(16000.0, base * 12))
    out += 1.5 * noise_share * noise * np.exp(-t / noise_decay_s)
    return (out * np.minimum(1.0, t / 0.0008)).astype(np.float32)  # [N], with an attack of 0.8 ms


def _voice(rng: np.random.Generator, high: bool) -> np.ndarray:
    length_s = rng.uniform(0.12, 0.4)
    t = np.arange(int(RATE_HZ * length_s)) / RATE_HZ
    base = rng.uniform(1800, 3500) if high else rng.uniform(160, 480)
    glide = base * (1 + rng.uniform(-0.3, 0.4) * np.sin(np.pi * t / length_s))
    phase = 2 * np.pi * np.cumsum(glide) / RATE_HZ
    n_partials = 2 if high else 14
    formant = rng.uniform(500, 1500)
    out = sum(
        np.sin(k * phase) / (1 + ((k * base - formant) / 600) ** 2) for k in range(1, n_partials + 1)
    ) + 0.1 * rng.standard_normal(len(t))
    shape = np.minimum(1, t / 0.008) * np.minimum(1, (length_s - t) / 0.06)
    return (out * shape).astype(np.float32)  # [N]


def _texture(rng: np.random.Generator, material: str) -> np.ndarray:
    low, high, depth, slow_hz, crackles = _TEXTURE[material]
    n = 6 * RATE_HZ
    out = band_noise(rng, n, low * rng.uniform(0.8, 1.3), high * rng.uniform(0.7, 1.1))
    knots = rng.uniform(1 - depth, 1, int(6 * slow_hz) + 3)
    out = out * np.interp(np.arange(n), np.linspace(0, n, len(knots)), knots)
    for start in rng.integers(0, n - 2000, int(crackles * 6)):
        out[start : start + 600] += rng.uniform(0.3, 2) * rng.standard_normal(600) * np.exp(-np.arange(600) / 80)
    return out.astype(np.float32)  # [N]


def _engine(rng: np.random.Generator) -> np.ndarray:
    n = 6 * RATE_HZ
    wander = np.interp(np.arange(n), np.linspace(0, n, 40), rng.uniform(0.97, 1.03, 40))
    phase = np.cumsum(rng.uniform(25, 90) * wander) / RATE_HZ
    pulses = sum(np.sin(2 * np.pi * k * phase + rng.uniform(0, 6)) / k**0.8 for k in range(1, 18))
    return (pulses + 0.6 * band_noise(rng, n, 80, 2500)).astype(np.float32)  # [N]


def band_noise(rng: np.random.Generator, n: int, low_hz: float, high_hz: float) -> np.ndarray:
    """White noise in a soft band, unit RMS, float64 [n]."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    frequency = np.fft.rfftfreq(n, 1 / RATE_HZ) + 1e-3
    gain = 1 / np.sqrt(1 + (low_hz / frequency) ** 4) / np.sqrt(1 + (frequency / high_hz) ** 4)
    out = np.fft.irfft(spectrum * gain, n)
    return out / (out.std() + 1e-9)
