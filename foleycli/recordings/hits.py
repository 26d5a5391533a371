"""Sound that must hit at given times: a model's strokes moved there, and what is still not heard as a hit made one.

Arrays in, arrays out; a list of hits is short, and so is its cue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from foleycli.dsp.onsets import detect_onsets
from foleycli.recordings.engine import ChosenSound, Events, place_blocks
from foleycli.recordings.takes import cut_takes, make_take

LEAST_TAKE_S = 0.15  # of a call, however close the next hit is
# A hit that is not heard as one: the sound is lowered before it and raised at it, more at every try.
DIP_S, RISE_S, FALL_S = 0.05, 0.002, 0.12
DIPS_DB, RAISE_DB = (9.0, 15.0, 24.0, 36.0), 6.0


def strike(samples: np.ndarray, rate_hz: int, hits_s: Sequence[float], seed: int) -> np.ndarray:
    """A generated sound [N] with its own strokes at the hits and nowhere else; as it was where it has no stroke."""
    takes = cut_takes(samples, rate_hz, "hits")
    if not takes or not len(hits_s):
        return samples
    events = Events(np.asarray(hits_s, np.float64), np.ones(len(hits_s)))
    blocks = place_blocks(
        [ChosenSound("the model", "hits", takes)], events, np.zeros(1), len(samples), rate_hz, seed=seed
    )
    return np.concatenate(list(blocks))


def as_hits(chosen: ChosenSound, rate_hz: int, hits_s: Sequence[float]) -> ChosenSound:
    """Calls as strokes that end before the next hit, so that every hit gets one; other sounds as they are."""
    if chosen.kind != "voice":
        return chosen
    gap_s = float(np.diff(hits_s).min()) if len(hits_s) > 1 else np.inf
    n = round(max(LEAST_TAKE_S, min(gap_s, 60.0)) * rate_hz)
    takes = [make_take(take.samples[: take.onset + n], rate_hz, "hits") for take in chosen.takes]
    return replace(chosen, kind="hits", takes=takes)


def missed_hits(samples: np.ndarray, rate_hz: int, hits_s: Sequence[float], tolerance_s: float) -> list[float]:
    """The hits that have no onset of [N] within the tolerance."""
    lead = rate_hz // 10  # the detector does not see an onset at the very beginning
    onsets_s = detect_onsets(np.pad(samples, (lead, 0)), rate_hz) - lead / rate_hz
    return [time_s for time_s in hits_s if not np.any(np.abs(onsets_s - time_s) <= tolerance_s)]


def sharpen_hits(samples: np.ndarray, rate_hz: int, hits_s: Sequence[float], tolerance_s: float) -> np.ndarray:
    """Mono [N] in which each hit is heard as an onset, as far as a gain around it can do that."""
    out = samples
    for dip_db in DIPS_DB:
        missed = missed_hits(out, rate_hz, hits_s, tolerance_s)
        if not missed:
            break
        gain_db = np.zeros(len(samples))
        for time_s in missed:
            _shape(gain_db, time_s, dip_db, rate_hz)
        out = (out * 10 ** (gain_db / 20)).astype(np.float32)
    return out


def _shape(gain_db: np.ndarray, time_s: float, dip_db: float, rate_hz: int) -> None:
    """Add the gain around one hit to [N], in place."""
    hit, n_dip, n_rise, n_fall = (round(s * rate_hz) for s in (time_s, DIP_S, RISE_S, FALL_S))
    first = max(0, hit - n_dip)
    down = np.minimum(np.linspace(0, 4, n_dip), 1.0) * -dip_db  # lowered in the first quarter, held to the hit
    gain_db[first:hit] += down[n_dip - (min(hit, len(gain_db)) - first) :][: len(gain_db[first:hit])]
    up = np.concatenate([np.linspace(-dip_db, RAISE_DB, n_rise), np.linspace(RAISE_DB, 0, n_fall)])
    gain_db[hit : hit + len(up)] += up[: len(gain_db[hit : hit + len(up)])]
