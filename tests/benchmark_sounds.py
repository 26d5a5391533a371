"""Small sounds for the benchmark, and what makes Cnn14 narrow: the same for the tests and for the reference numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from madeup import made_up_input

N_CLIPS, RATE_HZ, N_SAMPLES = 20, 16000, 19200
NARROW = (1, 8, 16, 24, 24, 16, 12)  # fewer embedding dimensions than clips: fadtk has no figure otherwise
PREFIX = "benchmark.cnn14."
GAIN = 1.5  # of the made-up weights: sounds get different classes


def sound(side: str, number: int) -> np.ndarray:
    """Bursts of soft noise, low enough that no resampling matters: mono [N_SAMPLES]."""
    noise = made_up_input(f"benchmark {side} {number}", [N_SAMPLES]).numpy()
    width = 3 + number % 5 + (2 if side == "real" else 0)
    smooth = np.convolve(noise, np.hanning(2 * width + 1) / width, mode="same")
    time = np.arange(N_SAMPLES) % (2400 + 300 * (number % 4))
    return (0.1 * smooth * np.exp(-time / (400 + 120 * (number % 7)))).astype(np.float32)


def write_sounds(folder: Path, side: str) -> Path:
    """A folder of 32 bit float WAV files."""
    folder.mkdir(parents=True)
    for number in range(N_CLIPS):
        soundfile.write(folder / f"clip{number:02d}.wav", sound(side, number), RATE_HZ, subtype="FLOAT")
    return folder
