"""Recordings and a model's sound put together: at equal level, with the room tone of the place under them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from foleycli.dsp.evenness import Blocks, even_out
from foleycli.dsp.gain_riding import rms_levels_db
from foleycli.recordings.engine import (
    EVERYTHING,
    LEVEL_DB,
    ChosenSound,
    Events,
    Heard,
    block_samples,
    place_blocks,
    room_tone_blocks,
    soft_limit,
)

MODEL_GAIN = 0.5  # of the model's sound beside recordings of what is seen, both at equal level
NAMED_MODEL_GAIN = 0.35  # beside recordings that the user's words name: they are surer to be right
USUAL_ROOM_DB = LEVEL_DB - 26.0  # RMS of room tone; more of it covers how hits die away
# Where no recording is placed there is more room tone, unless what is seen to strike is as sure as SURE_STRIKES.
UNKNOWN_ROOM_DB = LEVEL_DB - 14.0
UNSURE_STRIKES, SURE_STRIKES = 0.7, 0.8  # mean confidence of events: for all of the above, and for the usual level
GATE_DB = 15.0  # a sound's level is that of its moments within so much of its loud ones
LOUD_PERCENT = 98  # a moment that is louder than so many


@dataclass(frozen=True)
class Recorded:
    """What is placed along one video, ready for any seed; see `engine.place_blocks`."""

    chosen: list[ChosenSound]  # empty: only the model sounds
    room_tone: ChosenSound | None
    room_db: float  # RMS of the room tone, dB of full scale
    events: Events
    loudness_db: np.ndarray
    dynamics_db: np.ndarray | None = None  # see `engine.place_blocks`
    model_gain: float = MODEL_GAIN  # of the model's sound beside the recordings
    evenness: float = 0.0  # how much of its drift within a shot is taken out of the whole: see `dsp.evenness`
    cuts_s: Sequence[float] = ()  # where shots end

    def ride_target_db(self) -> np.ndarray:
        """The loudness that the model's sound is to follow: hits by the moment, what goes on over seconds."""
        goes_on = self.chosen and not any(one.kind == "hits" for one in self.chosen)
        return self.dynamics_db if goes_on and self.dynamics_db is not None else self.loudness_db

    @property
    def has_sound(self) -> bool:
        """Whether there is any recording at all."""
        return bool(self.chosen) or self.room_tone is not None

    def is_alone(self, engine: str) -> bool:
        """Whether the engine is recordings alone, and there are some: no model needs to run."""
        return engine == "recordings" and bool(self.chosen)

    def blocks(self, model_blocks: Blocks | None, n_samples: int, rate_hz: int, seed: int) -> Iterator[np.ndarray]:
        """The whole sound, mono float32 in blocks of `engine.BLOCK_S`, in memory that does not grow.

        model_blocks   the model's sound in blocks of the same size, n_samples in all; None: recordings alone
        """
        return mix_layers([Layer(self, seed)], model_blocks, n_samples, rate_hz, room_seed=seed)

    def beside(self, samples: np.ndarray, rate_hz: int, seed: int) -> np.ndarray:
        """The whole sound with a model's sound [N], mono float32 [N], evened: what a render writes."""
        return self._evened(self.blocks(blocks_of(samples, rate_hz), len(samples), rate_hz, seed), rate_hz)

    def alone(self, n_samples: int, rate_hz: int, seed: int) -> np.ndarray:
        """The whole sound without a model's, mono float32 [N], evened."""
        return self._evened(self.blocks(None, n_samples, rate_hz, seed), rate_hz)

    def _evened(self, blocks: Iterator[np.ndarray], rate_hz: int) -> np.ndarray:
        mixed = np.concatenate(list(blocks))
        if self.evenness == 0:
            return mixed
        blocks = even_out(blocks_of(mixed, rate_hz), len(mixed), rate_hz, self.cuts_s, amount=self.evenness)
        return np.concatenate(list(blocks))

    def gain(self, has_model: bool, n_samples: int, rate_hz: int, seed: int) -> float:
        """What its recordings are multiplied with, beside a model or alone."""
        norm = np.hypot(1.0, self.model_gain) if has_model else 1.0
        return gain_to(LEVEL_DB, self.placed(n_samples, rate_hz, seed), rate_hz) / norm

    def placed(self, n_samples: int, rate_hz: int, seed: int, heard: Heard = EVERYTHING) -> Iterator[np.ndarray]:
        """Its recordings in their places, as blocks."""
        return place_blocks(
            self.chosen,
            self.events,
            self.loudness_db,
            n_samples,
            rate_hz,
            dynamics_db=self.dynamics_db,
            seed=seed,
            heard=heard,
        )


def auto_room_db(strengths: np.ndarray, *, has_recordings: bool) -> float:
    """RMS of room tone, dB of full scale, where nobody says how loud; `strengths` [E] are those of the events."""
    if has_recordings:
        return USUAL_ROOM_DB
    confidence = float(strengths.mean()) if len(strengths) else 0.0
    return float(np.interp(confidence, (UNSURE_STRIKES, SURE_STRIKES), (UNKNOWN_ROOM_DB, USUAL_ROOM_DB)))


@dataclass(frozen=True)
class Layer:
    """Recordings as one seed places them, and what of them is heard."""

    recorded: Recorded
    seed: int
    heard: Heard = EVERYTHING


def mix_layers(
    layers: Sequence[Layer], model_blocks: Blocks | None, n_samples: int, rate_hz: int, *, room_seed: int
) -> Iterator[np.ndarray]:
    """Layers and the model's sound as one, mono float32 in blocks: see `Recorded.blocks`.

    layers     the last one says what the room tone is, and whether the model's sound stands beside recordings
    """
    last, has_model = layers[-1].recorded, model_blocks is not None
    parts: list[tuple[Iterator[np.ndarray], float]] = []
    for layer in layers:
        if layer.recorded.chosen:
            gain = layer.recorded.gain(has_model, n_samples, rate_hz, layer.seed)
            parts.append((layer.recorded.placed(n_samples, rate_hz, layer.seed, layer.heard), gain))
    if model_blocks is not None:
        norm = np.hypot(1.0, last.model_gain) if last.chosen else 1.0
        gain = gain_to(LEVEL_DB, model_blocks(), rate_hz)
        parts.append((model_blocks(), gain * (last.model_gain / norm if last.chosen else 1.0)))
    if last.room_tone is not None:
        parts.append(
            (
                room_tone_blocks(last.room_tone, n_samples, rate_hz, dynamics_db=last.dynamics_db, seed=room_seed),
                10 ** (last.room_db / 20),
            )
        )
    for first in range(0, n_samples, block_samples(rate_hz)):
        out = np.zeros(min(block_samples(rate_hz), n_samples - first), np.float32)
        for blocks, gain in parts:
            out += next(blocks) * np.float32(gain)
        yield soft_limit(out)


def gain_to(level_db: float, blocks: Iterator[np.ndarray], rate_hz: int) -> float:
    """The gain that brings a sound to a level; 1 where it is silent."""
    levels_db = rms_levels_db(blocks, rate_hz)
    own_db = loud_level_db(levels_db)
    return 10 ** ((level_db - own_db) / 20) if own_db > -55.0 else 1.0


def loud_level_db(levels_db: np.ndarray) -> float:
    """The mean level of a sound's loud moments, of levels [T]: gaps between hits do not count."""
    if not len(levels_db):
        return -60.0
    loud_db = float(np.percentile(levels_db, LOUD_PERCENT))
    counted = levels_db[levels_db >= loud_db - GATE_DB]
    return float(10 * np.log10(np.mean(10 ** (counted / 10))))


def blocks_of(samples: np.ndarray, rate_hz: int) -> Blocks:
    """An array [N] as blocks."""
    size = block_samples(rate_hz)
    return lambda: (samples[first : first + size] for first in range(0, len(samples), size))
