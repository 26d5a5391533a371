"""A hand on the fader: the level of a made sound is moved towards the loudness that the picture shows.

A generator places hits well and levels them badly: a window that begins from nothing is softer than the next, and what
is far off can be as loud as what is near.  The synchronisation encoder tells how loud every moment should be, and a
gain that moves slowly against hits brings one nearer to the other.  Only differences count: a sound is on the whole
as loud as it was, to about a decibel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from foleycli.media.audio import SoundWriter
from foleycli.media.output import replacing

STEPS_PER_S = 25  # of levels and gains
SMOOTH_STEPS = 7  # 0.28 s: longer than a hit, shorter than what is between them
LEAST_DB, MOST_DB = -9.0, 6.0  # of the gain, against what is loud: raised further, noise between hits is heard
FLOOR_DB = -60.0  # levels below are alike
BLOCK_S = 10  # of a file that is read at once


def ride(samples: np.ndarray, rate_hz: int, shown_db: np.ndarray, share: float) -> np.ndarray:
    """Mono float32 [N] with its level moved; `shown_db` [T] is the loudness shown, STEPS_PER_S a second, any reference.

    share   of the difference between both courses that is made up: 0 changes nothing
    """
    gains_db = gains_of(levels_db([samples], rate_hz), shown_db, share)
    return np.concatenate(list(with_gains([samples], rate_hz, gains_db)))


def ride_file(path: Path, shown_db: np.ndarray, share: float) -> None:
    """`ride` for a mono WAV of any length, in memory of a few seconds; the file is renamed into place."""
    with soundfile.SoundFile(path) as file:
        rate_hz = file.samplerate
    gains_db = gains_of(levels_db(_blocks(path), rate_hz), shown_db, share)
    with replacing(path) as part, SoundWriter(part, rate_hz) as writer:
        for samples in with_gains(_blocks(path), rate_hz, gains_db):
            writer.write(samples)


def levels_db(pieces: Iterable[np.ndarray], rate_hz: int) -> np.ndarray:
    """RMS level of a mono sound in pieces [n], dB, one for each of the steps that it touches [T], FLOOR_DB at least."""
    sums, first = np.zeros((2, 0)), 0  # power, and samples
    for samples in pieces:
        index = (np.arange(first, first + len(samples)) * STEPS_PER_S) // rate_hz
        first += len(samples)
        if len(samples):
            sums = np.concatenate([sums, np.zeros((2, index[-1] + 1 - sums.shape[1]))], axis=1)
            for row, weights in zip(sums, (samples.astype(np.float64) ** 2, np.ones(len(samples))), strict=True):
                row[index[0] :] += np.bincount(index - index[0], weights)
    return np.maximum(10 * np.log10(sums[0] / sums[1] + 1e-12), FLOOR_DB)


def gains_of(made_db: np.ndarray, shown_db: np.ndarray, share: float) -> np.ndarray:
    """Gains in dB [T] that bring made levels [T] nearer to what is shown, whose last moment stands to the end."""
    if not len(made_db) or not len(shown_db):
        return np.zeros(len(made_db))
    shown_db = shown_db[np.minimum(np.arange(len(made_db)), len(shown_db) - 1)]
    missing_db = _smooth(shown_db) - _smooth(made_db)
    power = 10 ** (made_db / 10)  # what is loud decides how loud the whole is
    gains_db = np.clip(share * (missing_db - np.average(missing_db, weights=power)), LEAST_DB, MOST_DB)
    return gains_db - 10 * np.log10(np.average(10 ** (gains_db / 10), weights=power))


def with_gains(pieces: Iterable[np.ndarray], rate_hz: int, gains_db: np.ndarray) -> Iterator[np.ndarray]:
    """The pieces with the gains of their steps' middles, in straight lines between them."""
    middles, first = (np.arange(len(gains_db)) + 0.5) / STEPS_PER_S, 0
    for samples in pieces:
        times = np.arange(first, first + len(samples)) / rate_hz
        first += len(samples)
        gain = 10 ** (np.interp(times, middles, gains_db) / 20) if len(gains_db) else 1.0
        yield (samples * gain).astype(np.float32)


def _smooth(levels: np.ndarray) -> np.ndarray:
    """Running mean of [T], the ends held."""
    padded = np.pad(levels.astype(np.float64), SMOOTH_STEPS // 2, mode="edge")
    return np.convolve(padded, np.full(SMOOTH_STEPS, 1 / SMOOTH_STEPS), mode="valid")


def _blocks(path: Path) -> Iterator[np.ndarray]:
    with soundfile.SoundFile(path) as file:
        yield from file.blocks(BLOCK_S * file.samplerate, dtype="float32")
