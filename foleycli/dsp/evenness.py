"""One level and one timbre from the beginning of a shot to its end: slow gains in five parts of the spectrum.

A sound that is generated window by window, with takes that come and go, drifts: its second half is louder or brighter
than the first for no reason that a viewer sees.  What drifts further than is usual in a film is brought back, so slowly
that no hit changes its shape, and never by much: what is silent stays silent, and a loud moment louder than the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, pairwise

import numpy as np

Blocks = Callable[[], Iterator[np.ndarray]]  # mono float32, from the beginning each time: they are read twice

SIZE, HOP = 2048, 1024  # samples of a frame, and from one to the next
PARTS_HZ = (0.0, 200.0, 800.0, 3000.0, 8000.0)  # where the parts of the spectrum begin
SMOOTH_S, REFERENCE_S = 1.0, 6.0  # standard deviations of what counts as now, and of what it is compared with
REACH = 3.0  # standard deviations to either side that smoothing looks
# Deviations in dB that are left alone, and what share of the rest is taken out: of the level, and of a part beside it.
FREE_DB, SHARE = 1.0, 3 / 4
PART_FREE_DB, PART_SHARE = 1.0, 3 / 4
MOST_DB = 5.0  # that a gain changes
QUIET_DB, SILENT_DB = -8.0, -16.0  # under the rest: from the one on less is changed, from the other on nothing


def even_out(
    blocks: Blocks, n_samples: int, rate_hz: int, cuts_s: Sequence[float] = (), *, amount: float = 1.0
) -> Iterator[np.ndarray]:
    """A sound in blocks [n], `n_samples` in all, with its slow drift taken out, as loud on the whole as it was.

    cuts_s   where a shot ends and another begins: what is before and after are not compared
    amount   of the gains in dB: 0 none, 1 all
    """
    part_of_bin = _part_of_bin(rate_hz)
    powers = np.concatenate([np.square(np.abs(spectrum)) @ part_of_bin for spectrum in _spectra(blocks())])  # [F, P]
    cuts = sorted(min(round(cut_s * rate_hz / HOP), len(powers)) for cut_s in cuts_s)
    bounds = [(first, end) for first, end in pairwise([0, *cuts, len(powers)]) if end > first]
    gains_db = amount * np.concatenate([slow_gains_db(powers[first:end], rate_hz / HOP) for first, end in bounds])
    total = float(powers.sum())
    if total > 0:
        gains_db -= 10 * np.log10(float((powers * 10 ** (gains_db / 10)).sum()) / total)
    yield from _with_gains(blocks(), gains_db, n_samples, rate_hz)


def slow_gains_db(powers: np.ndarray, frames_per_s: float) -> np.ndarray:
    """Gains in dB that take the drift out of one shot, of the powers of its parts: [F, P] to [F, P]."""
    whole_db = _deviation_db(powers.sum(axis=1, keepdims=True), frames_per_s)  # [F, 1]
    counts = np.clip((whole_db - SILENT_DB) / (QUIET_DB - SILENT_DB), 0, 1)
    parts_db = _deviation_db(powers, frames_per_s) - whole_db  # [F, P]
    gains_db = counts * _correction_db(parts_db, PART_FREE_DB, PART_SHARE)
    whole = (powers * 10 ** (gains_db / 10)).sum(axis=1, keepdims=True)  # with one timbre
    return gains_db + counts * _correction_db(_deviation_db(whole, frames_per_s), FREE_DB, SHARE)


def _deviation_db(powers: np.ndarray, frames_per_s: float) -> np.ndarray:
    """How far powers [F, K], smoothed over SMOOTH_S, are above those over REFERENCE_S."""
    now, usual = (smooth(powers, width_s * frames_per_s) for width_s in (SMOOTH_S, REFERENCE_S))
    return 10 * np.log10((now + 1e-9) / (usual + 1e-9))


def _correction_db(deviation_db: np.ndarray, free_db: float, share: float) -> np.ndarray:
    beyond = np.sign(deviation_db) * np.maximum(np.abs(deviation_db) - free_db, 0)
    return np.clip(-share * beyond, -MOST_DB, MOST_DB)


def smooth(values: np.ndarray, width: float) -> np.ndarray:
    """Running means of [F, K] weighted by a bell of standard deviation `width` in frames, mirrored at the ends."""
    reach = round(REACH * width)
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="symmetric")
    bell /= bell.sum()
    return np.stack([np.convolve(column, bell, mode="valid") for column in padded.T], axis=1)


def _window() -> np.ndarray:
    """Its square, overlapped by half, adds up to 1."""
    return np.sin(np.pi * np.arange(SIZE) / SIZE).astype(np.float32)


def _part_of_bin(rate_hz: int) -> np.ndarray:
    """Which part a frequency bin is in: 1 or 0, float32 [SIZE / 2 + 1, P]."""
    part = np.searchsorted(PARTS_HZ, np.fft.rfftfreq(SIZE, 1 / rate_hz), side="right") - 1
    return np.eye(len(PARTS_HZ), dtype=np.float32)[part]


def _spectra(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Spectra [k, SIZE / 2 + 1] of frames in a row; the middle of the first is the sound's beginning."""
    held = np.zeros(HOP, np.float32)
    for block in chain(blocks, [np.zeros(2 * HOP, np.float32)]):
        held = np.concatenate([held, block])
        if len(held) >= SIZE:
            frames = np.lib.stride_tricks.sliding_window_view(held, SIZE)[::HOP]
            yield np.fft.rfft(frames * _window())
            held = held[len(frames) * HOP :]


def _with_gains(
    blocks: Iterable[np.ndarray], gains_db: np.ndarray, n_samples: int, rate_hz: int
) -> Iterator[np.ndarray]:
    """A sound in blocks with gains [F, P] of the parts of its frames, linear in dB between the parts' middles."""
    edges = np.log2(np.array([*PARTS_HZ, rate_hz / 2]).clip(50.0))
    octaves = np.log2(np.fft.rfftfreq(SIZE, 1 / rate_hz).clip(50.0))
    middles = (edges[1:] + edges[:-1]) / 2
    of_part = [np.interp(octaves, middles, one) for one in np.eye(len(middles))]
    weights = np.stack(of_part).astype(np.float32)  # [P, bins]
    tail, frame, skipped, left = np.zeros(HOP, np.float32), 0, HOP, n_samples
    for spectrum in _spectra(blocks):
        gain = 10 ** (gains_db[frame : frame + len(spectrum)].astype(np.float32) @ weights / np.float32(20))
        frame += len(spectrum)
        frames = (np.fft.irfft(spectrum * gain, SIZE) * _window()).astype(np.float32)  # [k, SIZE]
        out = frames[:, :HOP].copy()
        out[0] += tail
        out[1:] += frames[:-1, HOP:]
        tail = frames[-1, HOP:]
        out = out.reshape(-1)[skipped:][:left]
        skipped, left = 0, left - len(out)
        if len(out):
            yield out
