"""Folders of labelled sounds: what is in them, what is held out, and the sounds themselves.

With an `index.jsonl` (fields file, category, and perhaps sub, folder, name) the labels come from there; without one,
each sub-folder's name is the category of the sound files in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from foleycli.errors import FoleyError
from foleycli.library.index import INDEX_NAME, index_rows
from foleycli.soundset.held_out import held_out_of
from foleycli.soundset.kinds import RATE_HZ

ENDINGS = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff"}


@dataclass(frozen=True)
class ListedSound:
    """A recording in a folder of sounds, not read yet."""

    folder: Path  # of the set
    file: str  # relative to it, with forward slashes
    category: str
    subcategory: str = ""  # where an index has them
    group: str = ""  # the folder that the recording came from
    name: str = ""

    @property
    def words(self) -> str:
        """What the file and folder names say."""
        return f"{self.group} {self.name}".strip()

    @property
    def key(self) -> str:
        """`category|group|name` in lower case and without digits: the same for recordings of one series."""
        words = re.sub(r"[\d_]+", " ", f"{self.group}|{self.name}".lower())
        return re.sub(r" ?\| ?", "|", re.sub(r"\s+", " ", f"{self.category.lower()}|{words}")).strip()


@dataclass(frozen=True)
class Sound:
    """One recording, mono, in memory."""

    file: str  # relative to the folder
    category: str
    words: str  # what the file and folder names say
    samples: np.ndarray  # int16 [N] at 44.1 kHz: half the memory of float32

    def as_float(self) -> np.ndarray:
        return self.samples.astype(np.float32) / 32768


def list_sounds(folder: Path, held_out: bool | None = None) -> list[ListedSound]:
    """All sounds of the folder, or only the held-out (or the other) ones.

    Errors: FoleyError for a folder that is none or holds no such sound.
    """
    listed = _listed_by_index(folder) if (folder / INDEX_NAME).is_file() else _listed_by_folders(folder)
    if held_out is not None:
        kept_back = held_out_of(one.file for one in listed)
        listed = [one for one in listed if (one.file in kept_back) == held_out]
    if not listed:
        raise FoleyError(
            f"{folder} holds too few sounds", "Give a folder with sub-folders of .wav, .flac or .ogg files, two or more"
        )
    return listed


def _listed_by_index(folder: Path) -> list[ListedSound]:
    """In the order of the index."""
    return [
        ListedSound(
            folder=folder,
            file=row["file"],
            category=row["category"],
            subcategory=row.get("sub", ""),
            group=row.get("folder", ""),
            name=row.get("name", ""),
        )
        for row in index_rows(folder, needed=("file", "category"))
    ]


def _listed_by_folders(folder: Path) -> list[ListedSound]:
    """Sorted by path; files in no sub-folder are of the category "other"."""
    if not folder.is_dir():
        raise FoleyError(f"there is no folder {folder}", "Give a folder of sounds")
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    return [
        ListedSound(
            folder=folder,
            file=file.as_posix(),
            category=file.parts[0] if len(file.parts) > 1 else "other",
            group=file.parent.name,
            name=file.stem,
        )
        for file in files
    ]


def read_sounds(folder: Path, held_out: bool | None = None) -> list[Sound]:
    """All sounds of the folder, or only the held-out (or the other) ones; errors: see `list_sounds`, `read_sound`."""
    return [read_sound(listed) for listed in list_sounds(folder, held_out)]


def read_sound(listed: ListedSound) -> Sound:
    """One of a folder's sounds; errors: FoleyError when its file cannot be read."""
    mono = read_mono(listed.folder / listed.file)
    pcm = (np.clip(mono, -1, 1 - 2**-15) * 32768).astype(np.int16)
    return Sound(listed.file, listed.category, listed.words, pcm)


def read_mono(path: Path) -> np.ndarray:
    """A sound file as float32 [N] at 44.1 kHz; errors: FoleyError when it cannot be read."""
    try:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise FoleyError(f"{path} cannot be read: {error}", "Take the file out of the folder, or repair it") from error
    mono = samples.mean(axis=1)
    return soxr.resample(mono, rate_hz, RATE_HZ) if rate_hz != RATE_HZ else mono


def random_crop(sounds: Sequence[Sound], n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """A training crop for a codec: float32 [N]; one to three sounds, any gain, sometimes in a room.

    Categories are drawn evenly, so that two hours of rain do not outweigh two minutes of doors.
    """
    mixed = _draw_sound(sounds, n_samples, rng)
    for _ in range(rng.choice(3, p=(0.6, 0.3, 0.1))):
        mixed = mixed + _draw_sound(sounds, n_samples, rng) * 10 ** (rng.uniform(-24, 0) / 20)
    if rng.random() < 0.3:
        mixed = _add_reverb(mixed, rng)
    peak = float(np.abs(mixed).max()) + 1e-6
    return (mixed * (10 ** (rng.uniform(-30, -1) / 20) / peak)).astype(np.float32)


def _draw_sound(sounds: Sequence[Sound], n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """A random sound at a random place of the crop, float32 [N], peak 0.9."""
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


def _add_reverb(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The sound with a tail of decaying noise."""
    n = int(RATE_HZ * rng.uniform(0.05, 0.5))
    tail = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / n)
    size = 1 << (len(samples) + n - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(tail, size), size)[: len(samples)]
    return samples + wet * (rng.uniform(0.05, 0.5) * np.abs(samples).max() / (np.abs(wet).max() + 1e-6))
