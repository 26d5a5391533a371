"""Recorded sounds that are looked up by words: the shipped library, or a user's own folder.

Where the words of a prompt name a sound, its takes are placed along the picture (`recordings.engine`), and it stands
before the model's windows as a reference (`windows.compose`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from foleycli.errors import FoleyError, UsageError
from foleycli.features.text import TextEncoder, WordLlamaText
from foleycli.library.index import INDEX_NAME, index_rows
from foleycli.library.phrases import PhraseIndex
from foleycli.media.audio import read_audio
from foleycli.recordings.takes import KINDS, Kind, Take, cut_takes, guess_kind, make_take
from foleycli.settings.checking import did_you_mean

SHIPPED_LIBRARY = Path(__file__).parents[1] / "shipped" / "library"
ENDINGS = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".m4a"}  # what ffmpeg reads and people keep
AMBIENCE = "ambience"  # the category of sounds under all others
AMBIENCE_HANDICAP = 0.05  # "fireworks at night" names fireworks first
MOST_KEPT = 1 << 15  # sentences whose recordings are kept
MOST_FILES = 16  # of one sound that takes are read from
LONGEST_FILE_S = 60.0  # of a user's recording that is read


@dataclass(frozen=True)
class Recording:
    """A sound file and the phrases that name it, the first being its name."""

    path: Path
    phrases: tuple[str, ...]
    kind: Kind | None = None  # None: by its sound
    category: str = ""
    place: str = ""  # where a room tone is found
    takes_s: tuple[tuple[float, float], ...] = ()  # where each take begins and ends; empty: cut by its sound
    origins: tuple[dict[str, Any], ...] = field(default=(), compare=False)  # licence, authors and source of each part

    @property
    def name(self) -> str:
        """What it is called."""
        return self.phrases[0]

    @property
    def licences(self) -> tuple[str, ...]:
        """The licences of its parts; none where nothing is stated."""
        return tuple(dict.fromkeys(str(origin["licence"]) for origin in self.origins if origin.get("licence")))

    def is_allowed(self, licences: str) -> bool:
        """Whether all its parts are under one of the licences of a list ("": any), or under none that is stated."""
        names = licence_names(licences)
        return not names or all(any(is_licence(name, one) for name in names) for one in self.licences)


@dataclass(frozen=True)
class Match:
    """A recording, and why it was found."""

    recording: Recording
    score: float  # 1 and a little more for the very words
    span: str  # the words that were looked up
    phrase: str  # and the phrase that they are near to


class Library:
    """Recordings that words can be looked up in."""

    def __init__(self, recordings: Sequence[Recording], text: TextEncoder) -> None:
        self.recordings = list(recordings)
        self._owners = [recording for recording in recordings for _ in recording.phrases]
        self._index = PhraseIndex([phrase for one in recordings for phrase in one.phrases], text)
        is_ambience = np.array([one.category == AMBIENCE for one in self._owners], np.float32)
        self._handicap = AMBIENCE_HANDICAP * is_ambience  # [P]
        self._kept = lru_cache(MOST_KEPT)(self._find)  # the plan of a job asks for the same words several times

    def find(self, words: str, n: int = 3) -> list[Match]:
        """The recordings that a sentence names, best first, at most `n` and none twice; often there is none."""
        return list(self._kept(words, n))

    def _find(self, words: str, n: int) -> tuple[Match, ...]:
        found: dict[str, Match] = {}
        for one in self._index.find(words, n, self._handicap):
            recording = self._owners[one.phrase]
            match = Match(recording, round(one.score, 3), one.span, self._index.phrases[one.phrase])
            found.setdefault(recording.name, match)
        return tuple(found.values())

    def takes(self, recording: Recording, rate_hz: int) -> tuple[Kind, list[Take]]:
        """What kind of sound a recording is, and its takes with those of all files of the same name.

        Errors: FoleyError for a file that cannot be read, or is silent.
        """
        alike = [one for one in self.recordings if one.name == recording.name]
        kind = recording.kind
        takes: list[Take] = []
        for one in sorted(alike, key=lambda one: one.path != recording.path)[:MOST_FILES]:
            samples = read_audio(one.path, rate_hz, 1, duration_s=None if one.takes_s else LONGEST_FILE_S).samples[0]
            kind = kind or guess_kind(samples, rate_hz)
            if one.takes_s:
                bounds = [(round(first * rate_hz), round(end * rate_hz)) for first, end in one.takes_s]
                takes += [make_take(samples[first:end], rate_hz, kind) for first, end in bounds]
            else:
                takes += cut_takes(samples, rate_hz, kind)
        if kind is None or not takes:
            raise FoleyError(f"{recording.path} is silent: there is nothing to use", "Give another sound")
        return kind, takes


def open_library(folder: Path = SHIPPED_LIBRARY, licences: str = "") -> Library:
    """A folder's recordings, those under one of the licences where some are named; read once in a process.

    Errors: see `read_library` and `allowed_under`.
    """
    return _opened(folder, licences)  # whether a default is named or not: for the cache these would be two calls


@cache
def _opened(folder: Path, licences: str) -> Library:
    return Library(allowed_under(licences, read_library(folder), folder), WordLlamaText())


def read_library(folder: Path = SHIPPED_LIBRARY) -> list[Recording]:
    """The recordings of a folder: by an index that has words, else by the names of files and folders around them.

    Errors: FoleyError for a folder that is none or holds no sound with a name, and for a broken index.
    """
    if not folder.is_dir():
        raise FoleyError(f"{folder} is not a folder", "Give --sounds a folder of recordings")
    found = [_indexed(folder, row, words) for row in index_rows(folder) if (words := _words_of(row))]
    missing = [recording.path for recording in found if not recording.path.is_file()]
    if missing:
        raise FoleyError(f"{missing[0]} is in {folder / INDEX_NAME}, but not there", "Mend the index, or remove it")
    found = found or _by_names(folder)
    if not found:
        raise FoleyError(f"there is no sound with a name in {folder}", "Give --sounds a folder of recordings")
    return found


def allowed_under(licences: str, recordings: Sequence[Recording], folder: Path) -> list[Recording]:
    """The recordings all of whose parts are under one of the licences, or under none that is stated: the user's own.

    licences   names, separated by commas, with or without a version: "CC0-1.0, CC-BY"; "": any
    Errors: UsageError for a name that no recording has.
    """
    there = sorted({licence for one in recordings for licence in one.licences})
    names = licence_names(licences)
    unknown = [name for name in names if there and not any(is_licence(name, licence) for licence in there)]
    if unknown:
        raise UsageError(
            f"--allow-licence names {unknown[0]}, but no sound of {folder.name} is under it",
            did_you_mean(unknown[0], there) + f"Its licences are {', '.join(there)}",
        )
    return [one for one in recordings if one.is_allowed(licences)]


def licence_names(licences: str) -> list[str]:
    """The names in a list of licences."""
    return [name for name in re.split(r"[,\s]+", licences) if name]


def is_licence(name: str, licence: str) -> bool:
    """Whether a name, with or without a version, is that of a licence: "cc-by" is CC-BY-3.0, but not CC-BY-SA-3.0."""
    return re.fullmatch(re.escape(name) + r"(-\d[\d.]*)?", licence, re.IGNORECASE) is not None


def origin_files(folder: Path = SHIPPED_LIBRARY) -> set[str]:
    """The files of the sound sets that the sounds of a library were cut from, without the sets' names."""
    return {origin["file"].partition("/")[2] for row in index_rows(folder) for origin in row.get("from", ())}


def _indexed(folder: Path, row: dict[str, Any], words: tuple[str, ...]) -> Recording:
    kind = row.get("kind")
    if kind is not None and kind not in KINDS:
        raise FoleyError(f"{folder / INDEX_NAME}: {row['file']} is of the kind {kind!r}", f"Use {', '.join(KINDS)}")
    return Recording(
        path=folder / row["file"],
        phrases=words,
        kind=kind,
        category=str(row.get("category", "")),
        place=str(row.get("place", "")),
        takes_s=tuple((float(first), float(end)) for first, end in row.get("takes_s", ())),
        origins=tuple(row.get("from", ())) or ((row,) if row.get("licence") else ()),
    )


def _words_of(row: dict) -> tuple[str, ...]:
    words = row.get("words", ())
    return (words,) if isinstance(words, str) else tuple(filter(None, words))


def _by_names(folder: Path) -> list[Recording]:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    shown = [path for path in files if not path.name.startswith(".")]  # macOS keeps "._" twins of files
    named = [Recording(path, _phrases(path.relative_to(folder))) for path in shown]
    return [recording for recording in named if recording.phrases]


def _phrases(path: Path) -> tuple[str, ...]:
    """`steps/wood/boot_03.wav` is called "boot", "wood boot" and "steps wood boot", and by its folders "steps wood"."""
    words = [" ".join(re.findall(r"[^\W\d_]+", part.lower())) for part in (*path.parts[:-1], path.stem)]
    phrases = [" ".join(filter(None, words[k:])) for k in reversed(range(len(words)))]
    return tuple(dict.fromkeys(filter(None, (*phrases, " ".join(filter(None, words[:-1]))))))
