"""Which made sound belongs to which real one: two folders in, pairs by name out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from foleycli.errors import FoleyError

ENDINGS = {
    ".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v",
    ".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".aif", ".aiff",
}  # fmt: skip
RENDERED = ".foley"  # clip.foley.mp4 is what `foley render clip.mp4` writes


@dataclass(frozen=True)
class Pair:
    """A made sound and the real one that it stands for; either may be a video."""

    name: str  # what both are called: sub-folder and stem
    real: Path
    made: Path

    @property
    def folder(self) -> str:
        """The sub-folder that it lies in; "" when it lies in none."""
        return self.name.rpartition("/")[0]


@dataclass(frozen=True)
class Pairs:
    """What two folders hold."""

    pairs: list[Pair]
    only_real: list[Path]
    only_made: list[Path]


def pair_up(real: Path, made: Path) -> Pairs:
    """Files of the same sub-folder and stem, videos or sounds; `clip.foley.mp4` goes with `clip.mp4`.

    Errors: FoleyError for what is no folder, two files of one name in a folder, or when nothing has a partner.
    """
    real_files, made_files = media_in(real), media_in(made)
    both = sorted(real_files.keys() & made_files.keys())
    if not both:
        raise FoleyError(
            f"no file in {made} has the name of one in {real} ({_some(made_files)}; {_some(real_files)})",
            "files belong together by their names without endings: clip.mp4 and clip.wav, or clip.foley.mp4",
        )
    return Pairs(
        [Pair(name, real_files[name], made_files[name]) for name in both],
        [real_files[name] for name in sorted(real_files.keys() - made_files.keys())],
        [made_files[name] for name in sorted(made_files.keys() - real_files.keys())],
    )


def media_in(folder: Path) -> dict[str, Path]:
    """Videos and sounds of a folder and its sub-folders, by their names without endings."""
    if not folder.is_dir():
        why = "is a file, not a folder" if folder.exists() else "does not exist"
        raise FoleyError(
            f"{folder} {why}", "give a folder of real sounds or videos and one of made ones, or --model and clips"
        )
    found: dict[str, Path] = {}
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file()):
        name = path.relative_to(folder).with_suffix("").as_posix().removesuffix(RENDERED)
        if name in found:
            raise FoleyError(f"{found[name]} and {path} have the same name", "keep one of them in the folder")
        found[name] = path
    if not found:
        raise FoleyError(f"{folder} holds no video and no sound", f"it may hold {' '.join(sorted(ENDINGS))}")
    return found


def _some(files: Mapping[str, Path]) -> str:
    """The first few names of a folder."""
    names = sorted(path.name for path in files.values())
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
