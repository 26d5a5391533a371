"""Sound that is longer than memory: blocks in, blocks out, cut, resampled, faded and silenced on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import soxr

FADE_S = 0.001, 0.005  # in and out, of a sound that has no handle there
MUTE_FADE_S = 0.005  # beside a span that is silent, outside it


def skipped(blocks: Iterable[np.ndarray], n: int) -> Iterator[np.ndarray]:
    """Blocks [n] without the first samples."""
    for block in blocks:
        left, n = block[n:], max(0, n - len(block))
        if len(left):
            yield left


def resampled(blocks: Iterable[np.ndarray], from_hz: int, to_hz: int) -> Iterator[np.ndarray]:
    """Mono blocks at another rate; how they are cut makes no difference."""
    if from_hz == to_hz:
        yield from blocks
        return
    stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def fitted(blocks: Iterable[np.ndarray], n_samples: int) -> Iterator[np.ndarray]:
    """Mono blocks of exactly so many samples in all: cut, or silence behind."""
    left = n_samples
    for block in blocks:
        piece = block[:left]
        left -= len(piece)
        yield piece
    while left:
        piece = np.zeros(min(left, 1 << 18), np.float32)
        left -= len(piece)
        yield piece


def shape(
    blocks: Iterable[np.ndarray], *, gain: float, n_in: int, n_out: int, n_samples: int, rate_hz: int
) -> Iterator[np.ndarray]:
    """Mono blocks at a gain, coming in over the first `n_in` samples and going out over the last `n_out`.

    Where two neighbours' handles meet, one goes out as the other comes in: at equal power, as they are not alike.
    """
    n_in, n_out = (max(n, round(fade_s * rate_hz)) for n, fade_s in zip((n_in, n_out), FADE_S, strict=True))
    first = 0
    for block in blocks:
        position = first + np.arange(len(block))
        first += len(block)
        rise = np.clip((position + 1) / n_in, 0, 1)
        fall = np.clip((n_samples - position) / n_out, 0, 1)
        yield (block * (gain * np.sin(np.pi / 2 * rise) * np.sin(np.pi / 2 * fall))).astype(np.float32)


def muted(blocks: Iterable[np.ndarray], mutes: Sequence[tuple[int, int]], rate_hz: int) -> Iterator[np.ndarray]:
    """Blocks [C, n] with nothing in the spans of samples, and a short fade to either side of them."""
    fade, first = max(1, round(MUTE_FADE_S * rate_hz)), 0
    for block in blocks:
        position = first + np.arange(block.shape[1])
        first += block.shape[1]
        for start, end in mutes:
            if start - fade < first and end + fade > first - block.shape[1]:
                distance = np.maximum(start - position, position - end + 1)  # 0 and less: within
                block = (block * np.clip(distance / fade, 0, 1)).astype(np.float32)
        yield block
