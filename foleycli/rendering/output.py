"""What happens to decoded sound before it is handed over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from foleycli.dsp.gain_riding import apply_gains, riding_gains_db, rms_levels_db
from foleycli.media.audio import SoundWriter
from foleycli.media.output import replacing

BLOCK_S = 10  # of a file that is read at once


def apply_gain_riding(wav: Path, target_db: np.ndarray, amount: float) -> None:
    """Move the level of a mono WAV towards `target_db` [T], 25 a second: `dsp.gain_riding.ride_gain` for a file.

    The file may be of any length: a few seconds of it are in memory at a time.  It is replaced when all is written.
    """
    with soundfile.SoundFile(wav) as file:
        rate_hz = file.samplerate
    gains_db = riding_gains_db(rms_levels_db(_blocks(wav), rate_hz), target_db, amount)
    with replacing(wav) as part, SoundWriter(part, rate_hz) as writer:
        for samples in apply_gains(_blocks(wav), rate_hz, gains_db):
            writer.write(samples)


def _blocks(wav: Path) -> Iterator[np.ndarray]:
    with soundfile.SoundFile(wav) as file:
        yield from file.blocks(BLOCK_S * file.samplerate, dtype="float32")
