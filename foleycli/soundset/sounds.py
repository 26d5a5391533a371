"""A folder of labelled sounds, in memory: what the codec is trained on and worlds are scored with.

With an `index.jsonl` (fields file, category, name, folder) the labels come from there; without one,
each sub-folder's name is the label of the sound files in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from foleycli.errors import FoleyError
from foleycli.library.index import INDEX_NAME, index_rows
from foleycli.soundset.held_out import held_out_of

RATE_HZ = 44100
ENDINGS = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff"}


@dataclass(frozen=True)
class Sound:
    """One recording, mono."""

    file: str  # relative to the folder
    category: str
    words: str  # what the file and folder names say
    samples: np.ndarray  # int16 [N] at 44.1 kHz: half the memory of float32

    def as_float(self) -> np.ndarray:
        return self.samples.astype(np.float32) / 32768


@dataclass(frozen=True)
class Listed:
    """A recording that has not been read yet."""

    file: str  # relative to the folder
    category: str
    words: str  # what the file and folder names say


def read_sounds(folder: Path, held_out: bool | None = None) -> list[Sound]:
    """All sounds of the folder, or only the held-out (or the other) ones."""
    return [read_sound(folder, listed) for listed in list_sounds(folder, held_out)]


def list_sounds(folder: Path, held_out: bool | None = None) -> list[Listed]:
    """What `read_sounds` would read."""
    listed = list(_entries(folder))
    kept_back = held_out_of(one.file for one in listed)
    if held_out is not None:
        listed = [one for one in listed if (one.file in kept_back) == held_out]
    if not listed:
        raise FoleyError(
            f"{folder} holds too few sounds", "give a folder with sub-folders of .wav, .flac or .ogg files, two or more"
        )
    return listed


def read_sound(folder: Path, listed: Listed) -> Sound:
    """One of the folder's sounds; errors: FoleyError when its file cannot be read."""
    return Sound(listed.file, listed.category, listed.words, _read(folder / listed.file))


def _entries(folder: Path) -> Iterator[Listed]:
    if not folder.is_dir():
        raise FoleyError(f"there is no folder {folder}", "set data.sounds in the recipe to a folder of sounds")
    if (folder / INDEX_NAME).is_file():
        for row in index_rows(folder, needed=("file", "category")):
            yield Listed(row["file"], row["category"], f"{row.get('folder', '')} {row.get('name', '')}".strip())
        return
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS):
        file = path.relative_to(folder)
        yield Listed(file.as_posix(), file.parts[0] if len(file.parts) > 1 else "other", path.stem)


def _read(path: Path) -> np.ndarray:
    try:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise FoleyError(f"{path} cannot be read: {error}", "take the file out of the folder, or repair it") from error
    mono = samples.mean(axis=1)
    if rate_hz != RATE_HZ:
        mono = soxr.resample(mono, rate_hz, RATE_HZ)
    return (np.clip(mono, -1, 1 - 2**-15) * 32768).astype(np.int16)


def random_crop(sounds: list[Sound], n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """A training crop for the codec: float32 [N]; one to three sounds, any gain, sometimes in a room.

    Categories are drawn evenly, so that two hours of rain do not outweigh two minutes of doors.
    """
    mixed = _place(sounds, n_samples, rng)
    for _ in range(rng.choice(3, p=(0.6, 0.3, 0.1))):
        mixed = mixed + _place(sounds, n_samples, rng) * 10 ** (rng.uniform(-24, 0) / 20)
    if rng.random() < 0.3:
        mixed = _in_a_room(mixed, rng)
    peak = float(np.abs(mixed).max()) + 1e-6
    return (mixed * (10 ** (rng.uniform(-30, -1) / 20) / peak)).astype(np.float32)


def _place(sounds: list[Sound], n_samples: int, rng: np.random.Generator) -> np.ndarray:
    categories = sorted({sound.category for sound in sounds})
    category = categories[rng.integers(len(categories))]
    choices = [sound for sound in sounds if sound.category == category]
    samples = choices[rng.integers(len(choices))].as_float()
    samples = samples * (0.9 / (np.abs(samples).max() + 1e-6))
    out = np.zeros(n_samples, np.float32)
    # From half a crop before the beginning (an onset in the middle) to the last stretch of a long sound.
    start = int(rng.integers(-n_samples // 2, max(1, len(samples) - n_samples // 2)))
    piece = samples[max(0, start) : start + n_samples]
    out[max(0, -start) : max(0, -start) + len(piece)] = piece
    return out


def _in_a_room(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    n = int(RATE_HZ * rng.uniform(0.05, 0.5))
    tail = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / n)
    size = 1 << (len(samples) + n - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(tail, size), size)[: len(samples)]
    return samples + wet * (rng.uniform(0.05, 0.5) * np.abs(samples).max() / (np.abs(wet).max() + 1e-6))
