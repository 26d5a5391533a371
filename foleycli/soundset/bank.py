"""A bank of labelled sounds: a folder goes in, takes come out, trimmed to their attack and sorted by family.

With an `index.jsonl` the families' patterns sort the files; without one, the names of their folders do too.
Files are decoded when their family is first asked for (`preload` does it for all, before workers fork) and kept as
int16.  The files that `held_out` keeps back are the split "test".  Where a family has no recording, `synth` makes
takes, so an empty checkout works too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from foleycli.errors import FoleyError
from foleycli.library.index import INDEX_NAME, index_rows
from foleycli.soundset.held_out import held_out_of
from foleycli.soundset.kinds import FAMILIES, RATE_HZ, Family, Split
from foleycli.soundset.names import families_meant
from foleycli.soundset.sounds import ENDINGS
from foleycli.soundset.synth import synthetic_take

_STEP = RATE_HZ // 1000  # envelopes are looked at in steps of one millisecond
_MAX_S = {"hit": 2.5, "rough": 1.5, "voice": 3.0, "loop": 20.0}
_N_SYNTHETIC = {"train": 24, "test": 6}
_N_SYNTHETIC_LOOPS = {"train": 4, "test": 2}


@dataclass(frozen=True)
class Take:
    """One recorded sound; sample `onset` is its audible attack (0 in a loop)."""

    name: str
    group: str  # takes of one group are recordings of the same thing
    pcm: np.ndarray  # int16 [N], peak near full scale
    onset: int

    def samples(self) -> np.ndarray:
        return self.pcm.astype(np.float32) / 32768.0  # [N]


class SoundBank:
    """Takes by family and split."""

    def __init__(self, folder: Path | None = None, only_recorded: bool = False) -> None:
        """`only_recorded` leaves families without recordings empty instead of synthesising them.

        Errors: FoleyError for a folder that is none, or, where no index sorts it, holds no sound of any family.
        """
        self.folder = folder
        self._entries = read_index(folder) if folder is not None else []
        self._kept_back = held_out_of(file for file, _ in self._entries)
        self._meant = _meant_by_folders(folder, self._entries)
        self._only_recorded = only_recorded
        self._takes: dict[tuple[str, str], list[Take]] = {}

    @property
    def unused(self) -> list[str]:
        """Files of a folder without an index whose names mean no family, so that nothing sounds like them."""
        return [file for file, families in self._meant.items() if not families]

    def takes(self, family: str, split: Split) -> list[Take]:
        """All takes of a family; with a folder, families that have too few recordings may be empty."""
        key = (family, split)
        if key not in self._takes:
            self._takes[key] = self._load(FAMILIES[family], split)
        return self._takes[key]

    def preload(self) -> None:
        """Decode everything now, so that forked workers share it."""
        for family in FAMILIES:
            for split in ("train", "test"):
                self.takes(family, split)

    def choose(self, families: Sequence[str], split: Split) -> Family:
        """The first family of the list that has takes (the first of all if none has)."""
        for name in families:
            if self.takes(name, split):
                return FAMILIES[name]
        return FAMILIES[families[0]]

    def _load(self, family: Family, split: Split) -> list[Take]:
        pattern = re.compile(family.pattern)
        takes = []
        for file, key in self._entries:
            fits = family.name in self._meant[file] if self._meant else pattern.search(key)
            if fits and (file in self._kept_back) == (split == "test"):
                take = self._read(file, key, family.kind)
                takes += [take] if take is not None else []
        if takes or (self._entries and self._only_recorded):
            return takes
        first = 0 if split == "train" else 1000
        n_takes = (_N_SYNTHETIC_LOOPS if family.kind == "loop" else _N_SYNTHETIC)[split]
        return [_synthetic(family, first + k) for k in range(n_takes)]

    def _read(self, file: str, key: str, kind: str) -> Take | None:
        import soundfile
        import soxr

        samples, rate_hz = soundfile.read(self.folder / file, dtype="float32", always_2d=True)
        mono = samples.mean(axis=1)  # [N]
        if rate_hz != RATE_HZ:
            mono = soxr.resample(mono, rate_hz, RATE_HZ)
        return make_take(file, key, mono, kind)


def _meant_by_folders(folder: Path | None, entries: list[tuple[str, str]]) -> dict[str, frozenset[str]]:
    """The families of each file of a folder without an index: by their patterns, else by its folders' names."""
    if folder is None or (folder / INDEX_NAME).is_file():
        return {}
    patterns = {name: re.compile(family.pattern) for name, family in FAMILIES.items()}
    meant = {}
    for file, key in entries:
        by_pattern = frozenset(name for name, pattern in patterns.items() if pattern.search(key))
        meant[file] = by_pattern or families_meant(file)
    if not any(meant.values()):
        raise FoleyError(
            f"none of the {len(meant)} sounds in {folder} is of a kind that the worlds know",
            f"name its sub-folders for what is in them, such as {', '.join(FAMILIES)}",
        )
    return meant


def make_take(name: str, group: str, mono: np.ndarray, kind: str) -> Take | None:
    """Trim float32 [N] to its attack; None when it does not fit its kind (several attacks, slow rise, too short)."""
    level = envelope(mono)
    peak = float(np.abs(mono).max(initial=0.0))
    if peak < 1e-3 or (kind == "loop" and len(level) < 700):
        return None
    onset = 0 if kind == "loop" else find_onset(mono)
    if kind == "hit" and not _is_single(level, onset // _STEP):
        return None
    if kind == "rough" and not _is_short(level, onset // _STEP):
        return None
    start = max(0, onset - RATE_HZ // 400)  # 2.5 ms of air before the attack
    cut = mono[start : start + int(_MAX_S[kind] * RATE_HZ)] / peak * 0.95
    n_fade = min(len(cut), RATE_HZ // 20)
    cut[len(cut) - n_fade :] *= np.linspace(1, 0, n_fade, dtype=np.float32) if kind != "loop" else 1.0
    return Take(name, group, (cut * 32767).astype(np.int16), onset - start)


def envelope(mono: np.ndarray) -> np.ndarray:
    """Peak level per millisecond, float32 [N / 44]."""
    n = len(mono) // _STEP
    return np.abs(mono[: n * _STEP]).reshape(n, _STEP).max(axis=1) if n else np.zeros(0, np.float32)


def find_onset(mono: np.ndarray) -> int:
    """Sample where the loudest attack begins to be heard: first passing of -14 dB below the peak of the first burst."""
    magnitude = np.abs(mono)
    peak = magnitude.max()
    first = int(np.argmax(magnitude > 0.25 * peak))
    burst = magnitude[first : first + RATE_HZ // 20].max()
    return int(np.argmax(magnitude > 0.2 * burst))


def _is_single(level: np.ndarray, onset: int) -> bool:
    """One quick rise, then no second attack: no later level within 9 dB of the peak that rose 9 dB from a dip."""
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    body = level[onset:]
    if len(body) < 20:
        return False
    peak = body.max()
    if int(np.argmax(body > 0.6 * peak)) > 45:
        return False
    smooth = maximum_filter1d(body, 15)
    dip = minimum_filter1d(smooth, 60, origin=29)  # the lowest of the last 60 ms
    later = np.arange(len(body)) > 70
    return not bool(np.any(later & (smooth > 0.35 * peak) & (smooth > 2.8 * (dip + 1e-4))))


def _is_short(level: np.ndarray, onset: int) -> bool:
    """A quick rise, and nothing within 9 dB of the peak after 0.4 s: a step may scuff and a door may rattle."""
    body = level[onset:]
    if len(body) < 20 or int(np.argmax(body > 0.6 * body.max())) > 90:
        return False
    return len(body) <= 400 or bool(body[400:].max() < 0.35 * body.max())


def _synthetic(family: Family, index: int) -> Take:
    mono = synthetic_take(family.material, family.kind, index)
    onset = 0 if family.kind == "loop" else find_onset(mono)
    pcm = (mono / (np.abs(mono).max() + 1e-9) * 0.95 * 32767).astype(np.int16)
    return Take(f"synthetic/{family.name}/{index}", f"{family.name} {index % 4}", pcm, onset)


def read_index(folder: Path) -> list[tuple[str, str]]:
    """(file, "category|folder|name") for every sound of a folder, sorted by file."""
    if (folder / INDEX_NAME).is_file():
        rows = index_rows(folder, needed=("file", "category"))
        return sorted((r["file"], _key(r["category"], r.get("folder", ""), r.get("name", ""))) for r in rows)
    if not folder.is_dir():
        raise FoleyError(f"{folder} is not a folder", "Give a folder of sounds, or none for synthetic ones.")
    files = [p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS]
    relative = sorted(p.relative_to(folder) for p in files)
    return [(p.as_posix(), _key(p.parts[0], p.parent.name, p.stem)) for p in relative]


def _key(category: str, folder: str, name: str) -> str:
    words = re.sub(r"[\d_]+", " ", f"{folder}|{name}".lower())
    return re.sub(r" ?\| ?", "|", re.sub(r"\s+", " ", f"{category.lower()}|{words}")).strip()


@lru_cache(maxsize=4)
def shared_bank(folder: Path | None) -> SoundBank:
    """One bank per folder and process."""
    return SoundBank(folder)
