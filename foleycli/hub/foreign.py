"""Files that the user got elsewhere into model folders, as if they had been pulled.

The publisher's own files are known by name and checked by hash; any other file is left to the family to recognise
(mirrors, fine-tuned networks).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from foleycli.errors import FoleyError
from foleycli.hub import fetch, places, pull
from foleycli.hub.catalog import Entry, entries, fetched_models, find, with_parts
from foleycli.records import Report, silent
from foleycli.settings.checking import check_name
from foleycli.weights.config import CONFIG_NAME, write_config
from foleycli.weights.folder import sha256_of


def import_files(
    path: Path, family: str, name: str | None = None, force: bool = False, report: Report = silent
) -> list[Path]:
    """The model folders made from a file or a folder of files; `name`: of the model, where it is not known.

    Errors: FoleyError when nothing in it is of that family, a known file is damaged, or a model of that name
    is here and `force` is not set.
    """
    models = fetched_models(family)
    if not models:
        known = dict.fromkeys(str(entry.config["family"]) for entry in entries("family") if not entry.is_shipped)
        raise FoleyError(f"--family is {family!r}", f"Choose one of: {', '.join(known)}")
    if not path.exists():
        raise FoleyError(f"{path} does not exist", "Name the file or folder that you have")
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    by_name = {file.name: file for file in files}
    complete = [entry for entry in _used_as_they_are(models) if all(file.name in by_name for file in entry.files)]
    if complete:
        return [_published(entry, by_name, force, report) for entry in complete]
    return [_other_network(_only_network(path, files, family), models, name, force, report)]


def _used_as_they_are(models: Sequence[Entry]) -> list[Entry]:
    """Those models, and all their parts, whose published files are used without conversion."""
    names = {part.name for model in models if not model.is_converted for part in with_parts(model)}
    return [entry for entry in entries() if entry.name in names and not entry.is_shipped]


def _published(entry: Entry, files: Mapping[str, Path], force: bool, report: Report) -> Path:
    """A catalogue entry from the user's copies, checked by the hashes that are known."""
    _check_free(entry.name, force)
    facts = {
        file.name: {"sha256": fetch.check(files[file.name], file, "", report), "source": _printable(files[file.name])}
        for file in entry.files
    }
    with pull.model_lock(entry.name), pull.new_folder(entry.name) as folder:
        for name in facts:
            shutil.copyfile(files[name], folder / name)
        write_config(folder, pull.published_config(entry, facts))
    return entry.folder


def _only_network(path: Path, files: Sequence[Path], family: str) -> Path:
    """The one file that the family may recognise; errors: FoleyError when there is none, or more than one."""
    from foleycli.families import family_class

    endings = family_class(family).published_endings
    known = {file.name for entry in entries() if not entry.is_converted for file in entry.files}
    candidates = [file for file in files if file.name not in known and file.name.endswith(endings)]
    if len(candidates) != 1:
        raise FoleyError(
            f"{path} holds {len(candidates) or 'no'} files that can be a network of {family}",
            f"Name one file ({', '.join(endings)}), or a folder with the publisher's files under their own names",
        )
    return candidates[0]


def _other_network(path: Path, models: Sequence[Entry], name: str | None, force: bool, report: Report) -> Path:
    """A network under any file name; the family says what it is."""
    own = models[0].name if models[0].is_converted else None  # the family publishes one model, in one file
    named = check_name(
        name if name is not None else own or path.stem.lower().replace("_", "-"),
        "the model name",
        "Choose one with --name: letters, digits, - and _; a name is no path",
    )
    if named != own and find(named) is not None:
        raise FoleyError(f"{named!r} is the name of a published model", "Choose another: --name NAME")
    _check_free(named, force)
    origin = {"sha256": sha256_of(path), "source": _printable(path)}
    with pull.model_lock(named), pull.new_folder(named) as folder:
        pull.import_network(path, folder, named, models, origin, report)
    return places.model_folder(named)


def _printable(path: Path) -> str:
    """The path as text that can be written, whatever its bytes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _check_free(name: str, force: bool) -> None:
    """Errors: FoleyError where something of that name is in the models folder and may not be replaced."""
    target = places.model_folder(name)
    if not os.path.lexists(target):
        return
    if not force:
        raise FoleyError(f"a model {name} is on this machine", "Write over it with --force, or use --name")
    if find(name) is None and not (target / CONFIG_NAME).is_file():
        raise FoleyError(f"{target} is no model folder, and is not replaced", "Move it away, or use --name")
