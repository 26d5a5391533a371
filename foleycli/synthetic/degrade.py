"""What cameras and codecs do to a finished picture: light, gamma, colour, noise, JPEG and H.264."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import cv2
import numpy as np

from foleycli.synthetic.physics import smooth_noise


@lru_cache(maxsize=4)
def _noise_pool(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    return np.clip(rng.normal(0, 20, (8, height * 2, width, 3)), -127, 127).astype(np.int8)


def degrade(frames: np.ndarray, rng: np.random.Generator, difficulty: float) -> np.ndarray:
    """Uint8 [T, H, W, 3] to the same; each fault comes more often with the difficulty."""
    n, height, width, _ = frames.shape
    out = _tone(frames, rng, difficulty)
    if rng.random() < 0.08 * difficulty:
        _bars(out, rng)
    if rng.random() < 0.5 * difficulty:
        level = rng.uniform(0.1, 0.6)
        pool = _noise_pool(height, width)
        for k in range(n):
            shift = int(rng.integers(height))
            grain = pool[rng.integers(8), shift : shift + height]
            out[k] = cv2.addWeighted(out[k], 1.0, grain, level, 0.0, dtype=cv2.CV_8U)
    coded = rng.random()
    if coded < 0.2 * difficulty:
        return _h264(out, int(rng.integers(24, 38)))
    if coded < 0.65 * difficulty:
        return _jpeg(out, int(rng.integers(25, 90)))
    return out


def _tone(frames: np.ndarray, rng: np.random.Generator, difficulty: float) -> np.ndarray:
    """Gamma and colour balance for the clip, a light that may flicker or change once."""
    n = len(frames)
    gamma = np.exp(rng.normal(0, 0.25) * difficulty)
    balance = 1 + rng.normal(0, 0.08, 3) * difficulty
    light = np.full(n, 1 + rng.normal(0, 0.1) * difficulty)
    t = np.arange(n) / 25
    if rng.random() < 0.25 * difficulty:
        light = light + 0.15 * smooth_noise(rng, t, rng.uniform(0.3, 4))
    if rng.random() < 0.08 * difficulty:
        light = light * np.where(t > rng.uniform(0, t[-1]), rng.uniform(0.6, 1.4), 1)
    ramp = 255 * (np.arange(256) / 255) ** gamma
    out = np.empty_like(frames)
    for k in range(n):
        table = np.clip(ramp[:, None] * balance * light[k], 0, 255).astype(np.uint8)[None]  # [1, 256, 3]
        out[k] = cv2.LUT(frames[k], table)
    return out


def _bars(frames: np.ndarray, rng: np.random.Generator) -> None:
    """Shrink the picture between two black bars, as of a film or a phone, in place."""
    n, height, width, _ = frames.shape
    share = rng.uniform(0.55, 0.85)
    w, h = (round(width * share), height) if rng.random() < 0.5 else (width, round(height * share))
    x, y = (width - w) // 2, (height - h) // 2
    for k in range(n):
        small = cv2.resize(frames[k], (w, h), interpolation=cv2.INTER_AREA)
        frames[k] = 0
        frames[k, y : y + h, x : x + w] = small


def _jpeg(frames: np.ndarray, quality: int) -> np.ndarray:
    """All frames through JPEG, stacked in tall pictures (one call instead of hundreds)."""
    n, height, width, _ = frames.shape
    per_sheet = max(1, 60000 // height)
    sheets = []
    for k in range(0, n, per_sheet):
        sheet = frames[k : k + per_sheet].reshape(-1, width, 3)
        _, data = cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, quality])
        sheets.append(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)).reshape(-1, height, width, 3))
    return np.concatenate(sheets)


def _h264(frames: np.ndarray, crf: int) -> np.ndarray:
    """All frames through x264 with its real motion artefacts; one thread, so that a seed stays a clip."""
    import av

    n, height, width, _ = frames.shape
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width // 2 * 2, height // 2 * 2, "yuv420p"
    encoder.time_base, encoder.thread_count = Fraction(1, 25), 1
    encoder.options = {"preset": "superfast", "crf": str(crf)}
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    packets = []
    for k in range(n):
        even = np.ascontiguousarray(frames[k, : height // 2 * 2, : width // 2 * 2])
        picture = av.VideoFrame.from_ndarray(even, format="rgb24")
        picture.pts = k
        packets += encoder.encode(picture)
    packets += encoder.encode(None)
    decoded = [picture for packet in packets for picture in decoder.decode(packet)] + decoder.decode(None)
    out = frames.copy()
    for k, picture in enumerate(decoded[:n]):
        rgb = picture.to_ndarray(format="rgb24")
        out[k, : rgb.shape[0], : rgb.shape[1]] = rgb
    return out
