"""Where the recorded sounds come from: Debian packages by version and hash, and the path of each sound inside.

`index.jsonl.xz` holds the rows of the set's own index; `packages.json` what Debian's archive says of each package
(Filename, Size and SHA256 of `apt-cache show`, bookworm's and trixie's).
"""

from __future__ import annotations

import json
import lzma
import re
from dataclasses import dataclass
from pathlib import Path

from foleycli.errors import FoleyError, UsageError

INDEX = Path(__file__).with_name("index.jsonl.xz")
PACKAGES = Path(__file__).with_name("packages.json")


@dataclass(frozen=True)
class Origin:
    """One sound: which file of its package it is, and its place in the set."""

    file: str  # category/NNNN.ogg
    category: str
    path: str  # in the package; goes on inside archives: usr/share/…/public.zip/audio/…
    md5: str  # of the original file; of a WAD's lump: of the WAV that is made from it
    duration_s: float  # of what is kept: 60 at most
    line: str  # its row of the index


@dataclass(frozen=True)
class Package:
    """A Debian package at one version, and the sounds that are taken from it."""

    name: str
    version: str
    pool_path: str  # on every mirror, until a later version takes its place
    size_bytes: int
    sha256: str
    sounds: tuple[Origin, ...]

    @property
    def deb_name(self) -> str:
        """The file's name, as `apt-get download` writes it."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_all.deb"

    @property
    def size_mb(self) -> float:
        return self.size_bytes / 1e6


def read_lines() -> list[str]:
    """The rows of the whole set's index, in its order."""
    return lzma.decompress(INDEX.read_bytes()).decode("utf-8").splitlines()


def read_packages(categories: list[str] | None = None) -> list[Package]:
    """The packages that hold sounds of the categories (None: of all), smallest first.

    Errors: UsageError for a category that the set does not have.
    """
    sounds: dict[tuple[str, str], list[Origin]] = {}
    for line in read_lines():
        row = json.loads(line)
        sounds.setdefault((row["package"], row["version"].replace("%3a", ":")), []).append(_origin(row, line))
    _check_categories(categories, {sound.category for each in sounds.values() for sound in each})
    packages = []
    for facts in json.loads(PACKAGES.read_text(encoding="utf-8")):
        held = sounds.pop((facts["name"], facts["version"]))
        wanted = tuple(sound for sound in held if not categories or sound.category in categories)
        packages += [Package(**facts, sounds=wanted)] if wanted else []
    assert not sounds, f"{PACKAGES.name} lacks {list(sounds)}"
    return sorted(packages, key=lambda package: package.size_bytes)


def _check_categories(chosen: list[str] | None, known: set[str]) -> None:
    if unknown := set(chosen or ()) - known:
        raise UsageError(f"the set has no category {', '.join(sorted(unknown))}", f"One of: {', '.join(sorted(known))}")


def _origin(row: dict, line: str) -> Origin:
    if not re.fullmatch(r"\w+/\w+\.ogg", row["file"]):  # it is written to
        raise FoleyError(f"{INDEX.name} names a file {row['file']!r} outside the set", "Install foley again")
    return Origin(
        file=row["file"],
        category=row["category"],
        path=row["path"],
        md5=row["md5"],
        duration_s=row["duration_s"],
        line=line,
    )
