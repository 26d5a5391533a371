"""A bank of labelled sounds: folders go in, takes come out, trimmed to their attack and sorted by kind of sound.

An `index.jsonl` sorts the files by their sub-categories or, where it has none, by the kinds' patterns; without an
index, the names of their folders do.  Files are decoded when their kind is first needed, and kept as int16.  The
files that `held_out` keeps back in each folder are the split "test".  Where a game kind has no recording, `synth` makes
takes, so that no folder at all works too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from foleycli.errors import FoleyError
from foleycli.library.index import INDEX_NAME
from foleycli.soundset.held_out import held_out_of
from foleycli.soundset.kinds import EVEN_KINDS, RATE_HZ, SOUND_KINDS, Shape, SoundKind, Split
from foleycli.soundset.names import kinds_by_name
from foleycli.soundset.sounds import ListedSound, list_sounds, read_mono
from foleycli.soundset.synth import synthetic_take

_STEP = RATE_HZ // 1000  # samples of a millisecond, the step of envelopes
_MAX_S: dict[Shape, float] = {"hit": 2.5, "rough": 1.5, "voice": 3.0, "loop": 20.0}
_N_SYNTHETIC: dict[Split, int] = {"train": 24, "test": 6}
_N_SYNTHETIC_LOOPS: dict[Split, int] = {"train": 4, "test": 2}


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
    """Takes by kind of sound and split."""

    def __init__(self, *folders: Path, only_recorded: bool = False) -> None:
        """`only_recorded` leaves game kinds without recordings empty instead of synthesising them.

        Errors: FoleyError for a folder that is none, or, where no index sorts it, holds no sound of any kind.
        """
        self.folders, self._only_recorded = folders, only_recorded
        self.unused: list[str] = []  # files of folders without an index whose names mean no kind
        self._sounds: dict[tuple[str, Split], list[ListedSound]] = defaultdict(list)  # of a kind
        self._takes: dict[tuple[str, Split], list[Take]] = {}
        for folder in folders:
            kinds_of = sort_folder(folder)
            held_out = held_out_of(one.file for one in kinds_of)
            for one, kinds in kinds_of.items():
                for kind in kinds:
                    self._sounds[kind, "test" if one.file in held_out else "train"].append(one)
            if not (folder / INDEX_NAME).is_file():
                self.unused += [one.file for one, kinds in kinds_of.items() if not kinds]

    def even_kinds(self, split: Split) -> tuple[str, ...]:
        """Kinds that go with any picture: those among the game kinds, and the everyday loops that were recorded."""
        everyday = [name for name, kind in SOUND_KINDS.items() if kind.is_everyday and kind.shape == "loop"]
        return (*EVEN_KINDS, *(name for name in everyday if (name, split) in self._sounds))

    def takes(self, kind: str, split: Split) -> list[Take]:
        """All takes of a kind; with a folder, kinds that have too few recordings may be empty."""
        key = (kind, split)
        if key not in self._takes:
            self._takes[key] = self._load(SOUND_KINDS[kind], split)
        return self._takes[key]

    def choose(self, kinds: Sequence[str], split: Split) -> SoundKind:
        """The first kind of the list that has takes (the first of all if none has)."""
        for name in kinds:
            if self.takes(name, split):
                return SOUND_KINDS[name]
        return SOUND_KINDS[kinds[0]]

    def _load(self, kind: SoundKind, split: Split) -> list[Take]:
        takes = []
        for one in self._sounds.get((kind.name, split), ()):
            take = make_take(one.file, one.key, read_mono(one.folder / one.file), kind.shape)
            takes += [take] if take is not None else []
        if takes or kind.is_everyday or (self.folders and self._only_recorded):
            return takes
        first = 0 if split == "train" else 1000
        n_takes = (_N_SYNTHETIC_LOOPS if kind.shape == "loop" else _N_SYNTHETIC)[split]
        return [_synthetic(kind, first + k) for k in range(n_takes)]


@lru_cache(maxsize=4)
def shared_bank(*folders: Path) -> SoundBank:
    """One bank for the same folders in a process."""
    return SoundBank(*folders)


def sort_folder(folder: Path) -> dict[ListedSound, frozenset[str]]:
    """The kinds of each sound of a folder, in the order of the files' names.

    Errors: FoleyError for a folder that is none, or, where no index sorts it, holds no sound of any kind.
    """
    listed = sorted(list_sounds(folder), key=lambda one: one.file)
    by_index = {one: kinds_by_subcategory(one) or kinds_by_pattern(one.key) for one in listed}
    if (folder / INDEX_NAME).is_file():
        return by_index
    by_name = {one: kinds or kinds_by_name(one.file) for one, kinds in by_index.items()}
    if not any(by_name.values()):
        raise FoleyError(
            f"none of the {len(listed)} sounds in {folder} is of a kind that the synthetic worlds use",
            f"Name its sub-folders for what is in them, such as {', '.join(SOUND_KINDS)}",
        )
    return by_name


def kinds_by_subcategory(sound: ListedSound) -> frozenset[str]:
    """The kinds that have the sub-category of an index; none where it has no sub-categories."""
    subcategory = f"{sound.category}/{sound.subcategory}"
    return frozenset(name for name, kind in SOUND_KINDS.items() if subcategory in kind.subcategories)


def kinds_by_pattern(key: str) -> frozenset[str]:
    """The kinds whose pattern is found in a sound's `category|group|name`."""
    return frozenset(name for name, pattern in _patterns().items() if pattern.search(key))


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    return {name: re.compile(kind.pattern) for name, kind in SOUND_KINDS.items() if kind.pattern}


def make_take(name: str, group: str, mono: np.ndarray, shape: Shape) -> Take | None:
    """Trim float32 [N] to its attack; None when it is not of this shape (several attacks, slow rise, too short)."""
    level = envelope(mono)
    peak = float(np.abs(mono).max(initial=0.0))
    if peak < 1e-3 or (shape == "loop" and len(level) < 700):
        return None
    onset = 0 if shape == "loop" else find_onset(mono)
    if shape == "hit" and not _is_single(level, onset // _STEP):
        return None
    if shape == "rough" and not _is_short(level, onset // _STEP):
        return None
    start = max(0, onset - RATE_HZ // 400)  # 2.5 ms of air before the attack
    cut = mono[start : start + int(_MAX_S[shape] * RATE_HZ)] / peak * 0.95
    n_fade = min(len(cut), RATE_HZ // 20)
    cut[len(cut) - n_fade :] *= np.linspace(1, 0, n_fade, dtype=np.float32) if shape != "loop" else 1.0
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


def _synthetic(kind: SoundKind, index: int) -> Take:
    mono = synthetic_take(kind.material, kind.shape, index)
    onset = 0 if kind.shape == "loop" else find_onset(mono)
    pcm = (mono / (np.abs(mono).max() + 1e-9) * 0.95 * 32767).astype(np.int16)
    return Take(f"synthetic/{kind.name}/{index}", f"{kind.name} {index % 4}", pcm, onset)
