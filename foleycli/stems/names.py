"""What stems are called: by a pattern, after the Universal Category System where none is given.

    CatID_FXName_CreatorID_SourceID_UserData      DOORWood_Door Slam_FOLEY_Reel 2_3T1.wav

Names can be written on every system, and no two of one folder differ only in what some systems hold alike.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from foleycli.errors import UsageError
from foleycli.settings.checking import did_you_mean, short_repr

PATTERN = "{cat_id}_{fx}_{creator}_{source}_{cue}T{take}"
CREATOR = "FOLEY"
FX_CHARACTERS = 25  # of an FXName, as UCS advises
MOST_BYTES = 240  # of a name with its ending: systems take 255, and a number may have to go in
RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # devices on Windows, with any ending
HINT = f'Such as --name "{PATTERN}.wav"'


@dataclass(frozen=True)
class StemFields:
    """What a pattern can name."""

    cat_id: str = "FOLYMisc"  # UCS category
    fx: str = "Foley"  # what it is, in a few words
    creator: str = CREATOR
    source: str = "Reel"  # the reel's file
    cue: str = "1"
    take: int = 1
    seed: int = 0
    track: str = ""
    kind: str = ""  # footsteps, movement, ambience, effects; of layers model, recordings, room
    timecode: str = "00.00.00.00"  # of the first sample, with dots: colons are no part of names


FIELDS = tuple(asdict(StemFields()))


def pattern_fields(pattern: str) -> list[str]:
    """The names of a pattern's fields; errors: ValueError for no pattern, or a field wider than any file name."""
    parsed = [(name, spec or "") for _, name, spec, _ in string.Formatter().parse(pattern) if name is not None]
    if any(re.search(r"\d{3}", spec) for _, spec in parsed):
        raise ValueError(pattern)
    return [name for name, _ in parsed]


def check_pattern(pattern: str) -> None:
    """Errors: UsageError for a pattern with an unknown field, or one that names no .wav file in the folder itself."""
    try:
        fields = pattern_fields(pattern)
    except ValueError:
        raise UsageError(f"--name {short_repr(pattern)} is no pattern of a file name", HINT) from None
    unknown = [name for name in fields if name not in FIELDS]
    if unknown:
        raise UsageError(
            f"--name {short_repr(pattern)} has the field {short_repr(unknown[0])}, which stems do not have",
            did_you_mean(unknown[0], FIELDS) + f"Fields are {', '.join(FIELDS)}",
        )
    try:
        named = pattern.format(**asdict(StemFields()))
    except (ValueError, KeyError, IndexError):
        named = ""
    if not named or "/" in named or "\\" in named:
        raise UsageError(f"--name {short_repr(pattern)} is no pattern of a file name", HINT)
    ending = re.search(r"\.\w{2,4}$", named)
    if ending and ending[0].lower() != ".wav":
        raise UsageError(f"--name {short_repr(pattern)} ends in {ending[0]}", "Stems are .wav files")


def stem_names(stems: Sequence[StemFields], pattern: str = PATTERN) -> list[str]:
    """A file name for each, ending in .wav; those that would be alike get a number."""
    pattern = re.sub(r"\.wav$", "", pattern, flags=re.IGNORECASE)
    names: list[str] = []
    taken: set[str] = set()
    for fields in stems:
        texts = {key: _block(value) if isinstance(value, str) else value for key, value in asdict(fields).items()}
        base = safe_name(pattern.format(**texts))
        name, number = base, 1
        while name.casefold() in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name.casefold())
        names.append(f"{name}.wav")
    return names


def _block(text: str) -> str:
    """A text as one block of a UCS name, in which _ divides blocks."""
    return text.replace("_", " ")


def safe_name(text: str) -> str:
    """A text as the name of a file on every system, without an ending."""
    text = unicodedata.normalize("NFC", text)
    text = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else " " for c in text)
    text = re.sub(r"\s+", " ", text).strip(" .-")
    text = re.sub(r" ?_ ?", "_", text)
    while len(text.encode("utf-8", "replace")) > MOST_BYTES:
        text = text[:-1].rstrip(" .")
    if not text:
        return "stem"
    return f"{text.partition('.')[0]}-{text.partition('.')[2]}" if RESERVED.match(text) else text


def fx_name(words: str) -> str:
    """A prompt or a cue's name as an FXName: its first words, with capitals, about 25 characters."""
    words = re.sub(r"[^\w' -]+", " ", words.replace("_", " "))
    kept: list[str] = []
    for word in words.split():
        if kept and len(" ".join([*kept, word])) > FX_CHARACTERS:
            break
        kept.append(word[:1].upper() + word[1:])
    return " ".join(kept)[: 2 * FX_CHARACTERS] or "Foley"
