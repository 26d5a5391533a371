"""Recorded sounds that a render can take a timbre from, chosen by words: the shipped library, or a user's own folder.

A reference says how a thing sounds far better than a word does.  Where a prompt is near to what a recording of the
library is called, the recording stands before the windows as a reference would (`windows.compose`); what is made is
still made by the model, at the picture's times.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from foleycli.errors import FoleyError
from foleycli.features.text import TextEncoder, WordLlamaText
from foleycli.library.index import INDEX_NAME, index_rows

SHIPPED_LIBRARY = Path(__file__).parents[1] / "shipped" / "library"
ENDINGS = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".m4a"}  # what ffmpeg reads and people keep
# Cosines of text vectors from which on words mean the same.  By trial: "rifle shots" is 0.88 from "rifle shot", "cat on
# a keyboard" 0.61 from "typing on a keyboard".  What was only seen must say it more plainly than what was asked for.
NEAR, SEEN_NEAR = 0.65, 0.75


@dataclass(frozen=True)
class Recording:
    """A sound file and the phrases that name it."""

    path: Path
    phrases: tuple[str, ...]


class Library:
    """Recordings that words can be looked up in."""

    def __init__(self, recordings: Sequence[Recording], text: TextEncoder) -> None:
        self.recordings, self.text = recordings, text
        self._owners = [recording for recording in recordings for _ in recording.phrases]
        self._vectors = text.encode([phrase for recording in recordings for phrase in recording.phrases])  # [P, D]

    def nearest(self, words: str, at_least: float = NEAR) -> Recording | None:
        """The recording with a name nearest to the words, the first of those as near; None where none is near."""
        likeness = self._vectors @ self.text.encode([words])[0]  # [P]
        best = int(likeness.argmax())
        return self._owners[best] if likeness[best] >= at_least else None


@cache
def open_library(folder: Path = SHIPPED_LIBRARY) -> Library:
    """A folder's recordings; read once in a process.  Errors: see `read_library`."""
    return Library(read_library(folder), WordLlamaText())


def read_library(folder: Path = SHIPPED_LIBRARY) -> list[Recording]:
    """The recordings of a folder: by an index that has words, else by the names of files and folders around them.

    Errors: FoleyError for a folder that is none or holds no sound with a name, and for a broken index.
    """
    if not folder.is_dir():
        raise FoleyError(f"{folder} is not a folder", "--sounds takes a folder of recordings")
    found = [Recording(folder / row["file"], words) for row in index_rows(folder) if (words := _words_of(row))]
    missing = [recording.path for recording in found if not recording.path.is_file()]
    if missing:
        raise FoleyError(f"{missing[0]} is in {folder / INDEX_NAME}, but not there", "mend the index, or remove it")
    found = found or _by_names(folder)
    if not found:
        raise FoleyError(f"there is no sound with a name in {folder}", "--sounds takes a folder of recordings")
    return found


def lent_files(folder: Path = SHIPPED_LIBRARY) -> set[str]:
    """The files of the sound set that the reels of a library were cut from, as its index names them."""
    return {origin["file"] for row in index_rows(folder) for origin in row.get("from", ())}


def _words_of(row: dict) -> tuple[str, ...]:
    words = row.get("words", ())
    return (words,) if isinstance(words, str) else tuple(filter(None, words))


def _by_names(folder: Path) -> list[Recording]:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    shown = [path for path in files if not path.name.startswith(".")]  # macOS keeps "._" twins of files
    named = [Recording(path, _phrases(path.relative_to(folder))) for path in shown]
    return [recording for recording in named if recording.phrases]


def _phrases(path: Path) -> tuple[str, ...]:
    """`steps/wood/boot_03.wav` is called "boot", "wood boot" and "steps wood boot"."""
    words = [" ".join(re.findall(r"[^\W\d_]+", part.lower())) for part in (*path.parts[:-1], path.stem)]
    phrases = (" ".join(filter(None, words[k:])) for k in reversed(range(len(words))))
    return tuple(dict.fromkeys(filter(None, phrases)))
