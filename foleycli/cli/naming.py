"""Where the results of many inputs go: patterns for names, folders mirrored, prompts by file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foleycli.errors import FoleyError, UsageError
from foleycli.settings.checking import check_value, short_repr
from foleycli.settings.settings import Settings
from foleycli.stems.names import pattern_fields

VIDEO_INPUTS = tuple(
    ".mp4 .mov .mkv .webm .avi .m4v .mpg .mpeg .mts .m2ts .ts .mxf .wmv .flv .ogv .3gp".split()  # noqa: SIM905
)
FIELDS = ("stem", "take", "seed")


@dataclass(frozen=True)
class Source:
    """One input; `folder` is its place below the folder that was named, or that all inputs share."""

    path: Path
    folder: Path = Path()


def expand(paths: Sequence[Path]) -> list[Source]:
    """Files as they are, folders as the videos in them; two files of one name get their folders with them.

    Errors: UsageError for a folder in which there is no video.
    """
    sources: list[Source] = []
    for path in paths:
        try:
            is_folder = path.is_dir()
        except OSError:  # a name that is too long: its job says so, and the others go on
            is_folder = False
        if not is_folder:
            sources.append(Source(path))
            continue
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in VIDEO_INPUTS and file.is_file())
        found = [file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts)]
        if not found:
            raise UsageError(f"there is no video in {path}", f"Known endings: {' '.join(VIDEO_INPUTS)}")
        sources += [Source(file, file.parent.relative_to(path)) for file in found]
    names = [(source.folder, source.path.stem) for source in sources]
    if len(set(names)) == len(names):
        return sources
    return _below_shared_folder(sources)


def _below_shared_folder(sources: list[Source]) -> list[Source]:
    """Each with its folder below the deepest one that all share."""
    parents = [source.path.absolute().parent for source in sources]
    shared = parents[0]
    while not all(parent.is_relative_to(shared) for parent in parents):
        shared = shared.parent
    return [Source(source.path, parent.relative_to(shared)) for source, parent in zip(sources, parents, strict=True)]


def check_pattern(pattern: str, n_takes: int) -> None:
    """Errors: UsageError for a pattern that names no file, or not every take its own."""
    hint = 'Such as --name "{stem}_{take:02}.wav"; fields are {stem}, {take} and {seed}'
    try:
        fields = pattern_fields(pattern)
        named = pattern.format(stem="clip", take=1, seed=0)
    except (ValueError, KeyError, IndexError, AttributeError):
        raise UsageError(f"--name {short_repr(pattern)} is no pattern", hint) from None
    if any(name not in FIELDS for name in fields):
        raise UsageError(f"--name {short_repr(pattern)} has a field that is unknown", hint)
    if Path(named).name != named or not Path(named).suffix:
        raise UsageError(f"--name {short_repr(pattern)} gives no file name with an ending", hint)
    if n_takes > 1 and "take" not in fields:
        raise UsageError(f"--name {short_repr(pattern)} gives all takes one name", "Add {take} to the pattern")


def default_name(video: Path) -> str:
    """clip.foley.mp4 for clip.mp4; Matroska takes the picture of formats that are not written."""
    from foleycli.media.output import VIDEO_ENDINGS

    return f"{video.stem}.foley{video.suffix if video.suffix.lower() in VIDEO_ENDINGS else '.mkv'}"


def read_prompts(path: Path, sources: Sequence[Path]) -> dict[Path, str]:
    """The prompts of a CSV (file,prompt), JSON or YAML file (file: prompt), by input.

    Files are named as they are, with or without folder and ending.
    Errors: FoleyError for a file that is something else, or that names a file which is none of the inputs.
    """
    prompts = _read_table(path)
    by_input: dict[Path, str] = {}
    for name, prompt in prompts.items():
        meant = [source for source in sources if name in (str(source), source.name, source.stem)]
        if not meant:
            raise FoleyError(
                f"{path} has a prompt for {short_repr(name)}, which is none of the inputs",
                "Name inputs as their files are, with or without the ending",
            )
        by_input |= dict.fromkeys(meant, prompt)
    return by_input


def _read_table(path: Path) -> dict[str, str]:
    from foleycli.media.source import check_file

    check_file(path)  # a pipe would be waited for without end
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FoleyError(f"the prompts {path} cannot be read: {error}", "Give a CSV, JSON or YAML file") from error
    prompts = _csv_table(path, text) if path.suffix.lower() == ".csv" else _yaml_table(path, text)
    for name, prompt in prompts.items():
        try:
            check_value(Settings, "prompt", prompt)
        except ValueError:
            message = f"{path} has {short_repr(prompt)} as the prompt for {short_repr(name)}"
            raise FoleyError(message, "Write words, as text") from None
    return prompts


def _csv_table(path: Path, text: str) -> dict[str, str]:
    try:
        rows = [row for row in csv.reader(text.splitlines()) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise FoleyError(f"the prompts {path} cannot be read: {error}", "Each row is file,prompt") from error
    if rows and [cell.strip().lower() for cell in rows[0]] in (["file", "prompt"], ["name", "prompt"]):
        rows = rows[1:]
    wrong = next((number for number, row in enumerate(rows, start=1) if len(row) != 2), None)
    if wrong is not None:
        hint = 'Each row is file,prompt; a prompt with a comma stands in quotes: clip.mp4,"rain, then thunder"'
        raise FoleyError(f"{path}, row {wrong}, has not two columns", hint)
    return {name.strip(): prompt.strip() for name, prompt in rows}


def _yaml_table(path: Path, text: str) -> dict[str, Any]:
    from foleycli.settings import plain_yaml

    hint = "Each line is `file: prompt`"
    try:
        found = plain_yaml.parse(text)
    except ValueError as error:
        raise FoleyError(f"the prompts {path} cannot be read: {error}", hint) from error
    if not isinstance(found, dict):
        raise FoleyError(f"{path} holds no prompts by file", hint)
    return {str(name): prompt for name, prompt in found.items()}
