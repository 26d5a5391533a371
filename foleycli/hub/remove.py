"""Removes fetched and imported models: their folders, and their files in the caches where nothing else needs them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from foleycli.errors import FoleyError
from foleycli.hub import places
from foleycli.hub.catalog import find
from foleycli.media.output import remove_leftovers, temporary_beside
from foleycli.weights.config import CONFIG_NAME, read_config


def remove(name: str) -> float:
    """Delete a fetched or imported model and the parts that no other needs; returns the megabytes it freed.

    Only folders directly in the models folder are removed, and of the files that they link to only those in the
    caches of foley and the Hub.
    Errors: FoleyError when it is shipped, not here, or a part of a model that is here.
    """
    entry = find(name)
    if entry is not None and entry.is_shipped:
        raise FoleyError(f"{name} ships with foley and is not removed", "Remove all of it: pip uninstall foleycli")
    if not os.path.lexists(places.model_folder(name) / CONFIG_NAME):
        raise FoleyError(f"the model {name!r} is not on this machine", "See what is: foley models list")
    others = [folder.name for folder in places.installed() if folder.name != name]
    needed = {part: other for other in others for part in _parts(other)}
    if name in needed:
        raise FoleyError(
            f"{name} is a part of {needed[name]}, which is on this machine",
            f"Remove that one first: foley models remove {needed[name]}",
        )
    parts = [part for part in _parts(name) if part not in needed]
    remove_leftovers(places.models_folder(), again=True)  # of dead imports: they are as large as models
    return sum(_remove_folder(places.models_folder() / each) for each in (name, *parts)) / 1e6


def _parts(name: str) -> list[str]:
    """The fetched models that a model uses; none of one whose config.json cannot be read."""
    folder = places.models_folder() / name
    try:
        config = read_config(folder)
    except FoleyError:
        return []
    named = dict.fromkeys((config.codec, config.sync, config.semantic, config.text))
    installed = {other.name for other in places.installed()}
    return [part for part in named if part in installed and not (folder / part).is_dir()]  # those lie in its own folder


def _remove_folder(folder: Path) -> int:
    """Remove a model's folder and what it links to; returns the bytes that this freed."""
    if folder.is_symlink():  # the user keeps it elsewhere
        folder.unlink()
        return 0
    n_bytes = 0
    with temporary_beside(folder, "") as leaving:
        folder.rename(leaving)  # from now on it is not here, and a process that is killed leaves nothing
        for file in _files(leaving):
            if file.is_symlink():
                n_bytes += _remove_target(Path(os.readlink(file)))
            elif file.stat().st_nlink == 1:
                n_bytes += file.stat().st_size
    return n_bytes


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)


def _remove_target(path: Path) -> int:
    """A file in the Hub's cache or among ours; returns the bytes that this freed."""
    from huggingface_hub import constants

    caches = (Path(constants.HF_HUB_CACHE), places.home() / "files")
    if not any(cache.absolute() in path.absolute().parents for cache in caches):
        return 0  # a link of the user's own making
    size = path.stat().st_size if path.exists() else 0
    blob = _link_target(path)
    path.unlink(missing_ok=True)
    if blob is None:
        return size
    if any(_link_target(other) == blob for other in blob.parent.parent.glob("snapshots/**/*")):
        return 0  # another revision has it too
    shared = _link_target(blob)
    blob.unlink(missing_ok=True)
    return size if shared is None else _sweep_shared(shared)


def _link_target(link: Path) -> Path | None:
    """What a link names itself, which may be a link again; None: it is none."""
    if not link.is_symlink():
        return None
    target = link.parent / os.readlink(link)
    return Path(os.path.realpath(target.parent), target.name)


def _sweep_shared(blob: Path) -> int:
    """A file in the store that all repositories in the Hub's cache share (since huggingface_hub 2.4): its client knows
    whether another one needs it."""
    from huggingface_hub import constants

    try:
        from huggingface_hub.utils._shared_blobs import sweep_shared_blob
    except ImportError:
        return 0  # `hf cache prune` collects it
    return sweep_shared_blob(blob, cache_dir=constants.HF_HUB_CACHE)
