"""Published models into model folders and out again: a name in, a folder that `resolve` returns out.

A folder appears in one step, after every file in it was checked; its files are links into the caches
where they were fetched to, and its config.json notes their hashes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from foleycli.errors import FoleyError
from foleycli.hub import failures, fetch, places
from foleycli.hub.catalog import Entry, entries, find, with_parts
from foleycli.hub.resolve import LIST_HINT
from foleycli.media.output import temporary_beside
from foleycli.records import Report, silent
from foleycli.settings.checking import did_you_mean
from foleycli.weights.config import ModelConfig, read_config, write_config


def missing(entry: Entry) -> list[Entry]:
    """What has to be fetched before the model can be used, parts first."""
    return [part for part in with_parts(entry) if not part.is_here]


def pull(name: str, report: Report = silent) -> Path:
    """The model's folder, with all its parts beside it; fetches only what is not here.

    Errors: FoleyError for an unknown name and whatever `fetch` cannot do; what has arrived is kept.
    """
    entry = published(name)
    for part in missing(entry):
        with model_lock(part.name):
            if not part.is_here:  # another process may have been first
                _pull_one(part, report)
    return entry.folder


@contextmanager
def model_lock(name: str) -> Iterator[None]:
    """Held while a model's folder is made: other processes wait."""
    folder = places.make_folder(places.home() / "locks")
    with failures.translate_errors(name, str(places.home())), fetch.locked(folder / f"{name}.lock"):
        yield


def published(name: str) -> Entry:
    """The catalogue's entry of a model that is fetched; errors: FoleyError."""
    entry = find(name)
    if entry is None:
        names = [known.name for known in entries() if not known.is_shipped]
        raise FoleyError(f"no published model is called {name!r}", did_you_mean(name, names) + LIST_HINT)
    if entry.is_shipped:
        raise FoleyError(f"{name} ships with foley: there is nothing to fetch", "If it is missing, install foley again")
    return entry


def _pull_one(entry: Entry, report: Report) -> None:
    fetched = {file.name: fetch.fetch(file, report) for file in entry.files}
    facts = {
        file.name: {"sha256": fetched[file.name].sha256, "source": file.source + ("/" if file.is_on_hub else "")
                    + file.path, "commit": fetched[file.name].commit}
        for file in entry.files
    }  # fmt: skip
    if entry.is_converted:
        (archive,) = fetched.values()
        with new_folder(entry.name) as folder:
            import_network(archive.path, folder, entry.name, [entry], facts[archive.path.name], report)
        archive.path.unlink()  # all that is used of it is in the folder now
        return
    with new_folder(entry.name) as folder:
        for name, got in fetched.items():
            _link(got.path, folder / name)
        write_config(folder, published_config(entry, facts))


def published_config(entry: Entry, facts: dict[str, dict[str, str]]) -> ModelConfig:
    """What the catalogue says of a model, with source and hash of every file."""
    config = entry.model_config
    sha256 = facts[config.weights]["sha256"] if config.weights in facts else ""
    return replace(config, files=facts, sha256=sha256)


@contextmanager
def new_folder(name: str) -> Iterator[Path]:
    """A folder to fill; it becomes the model `name` when the block ends well, and leaves nothing when it does not."""
    target = places.model_folder(name)
    places.make_folder(target.parent)
    with temporary_beside(target, "") as folder, failures.translate_errors(name, str(target.parent)):
        folder.mkdir()
        yield folder
        replaced = folder.with_name("replaced")
        if os.path.lexists(target):  # damaged, or to be replaced: what is in it goes with the temporary folder
            target.rename(replaced)
        try:
            folder.rename(target)
        except OSError:
            if os.path.lexists(replaced):
                replaced.rename(target)
            raise


def _link(path: Path, link: Path) -> None:
    """A link where the system has them, else a second name, else a copy."""
    for way in (os.symlink, os.link):
        try:
            return way(path, link)
        except OSError:
            continue
    shutil.copy2(path, link)


def import_network(
    path: Path,
    folder: Path,
    name: str,
    known: Sequence[Entry],
    origin: dict[str, str],
    report: Report = silent,
) -> None:
    """A published file as the model `name` in `folder`, by its own family.

    known    the catalogue's models of that family: what the file does not say (parts, settings) is theirs
    origin   the file's hash, and where it came from
    Errors: FoleyError when the file is none of the family's.
    """
    from foleycli.families import family_class

    report("import", 0, 1)
    family_class(known[0].model_config.family).import_files(path, folder)
    config = read_config(folder)
    alike = next(
        entry.model_config for entry in known if entry.is_converted or entry.model_config.network == config.network
    )
    is_kept = config.sha256 == origin["sha256"]  # the file itself, not what was made of it
    config = replace(
        config,
        name=name,
        codec=config.codec or alike.codec,
        sync=config.sync or alike.sync,
        semantic=config.semantic or alike.semantic,
        text=config.text or alike.text,
        settings=alike.settings,
        files={config.weights: origin} if is_kept else {},
        published_from={} if is_kept else {path.name: origin},
    )
    write_config(folder, config)
    report("import", 1, 1)
