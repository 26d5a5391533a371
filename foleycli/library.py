"""Recorded sounds that a render can take a timbre from, chosen by words: the shipped library, or a user's own folder.

A reference says how a thing sounds far better than a word does.  Where a prompt is near to what a recording of the
library is called, the recording stands before the first window as a reference would (`windows.compose`); what is made
is still made by the model, at the picture's times.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foleycli.errors import FoleyError
from foleycli.features.text import TextEncoder

SHIPPED_LIBRARY = Path(__file__).with_name("shipped") / "library"
INDEX_NAME = "index.jsonl"
ENDINGS = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".m4a"}
NEAR = 0.5  # cosine of text vectors from which on words mean the same


@dataclass(frozen=True)
class Recording:
    """A sound file and the phrases that name it."""

    path: Path
    phrases: tuple[str, ...]


def read_library(folder: Path = SHIPPED_LIBRARY) -> list[Recording]:
    """The recordings of a folder: by its index, else by the names of files and of the folders around them.

    Errors: FoleyError for a folder that is none or holds no sound.
    """
    if not folder.is_dir():
        raise FoleyError(f"{folder} is not a folder", "--sounds takes a folder of recordings")
    index = folder / INDEX_NAME
    if index.is_file():
        rows = map(json.loads, index.read_text(encoding="utf-8").splitlines())
        found = [Recording(folder / row["file"], tuple(row["words"])) for row in rows if "words" in row]
    else:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
        found = [Recording(path, _phrases(path.relative_to(folder))) for path in files]
    if not found:
        raise FoleyError(f"there is no sound in {folder}", "--sounds takes a folder of recordings")
    return found


def lent_files(folder: Path = SHIPPED_LIBRARY) -> set[str]:
    """The files of the sound set that the reels of a library were cut from, as its index names them."""
    rows = map(json.loads, (folder / INDEX_NAME).read_text(encoding="utf-8").splitlines())
    return {origin["file"] for row in rows for origin in row.get("from", ())}


def _phrases(path: Path) -> tuple[str, ...]:
    """`steps/wood/boot_03.wav` is called "boot", "wood boot" and "steps wood boot"."""
    words = [" ".join(re.findall(r"[a-z]+", part.lower())) for part in (*path.parts[:-1], path.stem)]
    phrases = (" ".join(filter(None, words[k:])) for k in reversed(range(len(words))))
    return tuple(dict.fromkeys(filter(None, phrases)))


def choose(words: str, library: Sequence[Recording], text: TextEncoder) -> Recording | None:
    """The recording with a name nearest to the words, the first of those as near; None where none is near."""
    owners = [k for k, recording in enumerate(library) for _ in recording.phrases]
    phrases = [phrase for recording in library for phrase in recording.phrases]
    likeness = text.encode(phrases) @ text.encode([words])[0]  # [phrases]
    nearest = int(likeness.argmax())
    return library[owners[nearest]] if likeness[nearest] >= NEAR else None
