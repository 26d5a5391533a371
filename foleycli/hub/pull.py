"""Published models into model folders and out again: a name in, a folder that `resolve` returns out.

A folder appears in one step, after every file in it was checked; its files are links into the caches
where they were fetched to, and its config.json notes their hashes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from foleycli.errors import FoleyError
from foleycli.hub import failures, fetch, places
from foleycli.hub.catalog import Entry, entries, find, with_parts
from foleycli.hub.resolve import LIST_HINT
from foleycli.records import Report, silent
from foleycli.settings.checking import did_you_mean
from foleycli.weights.config import CONFIG_NAME, ModelConfig, read_config, write_config


def missing(entry: Entry) -> list[Entry]:
    """What has to be fetched before the model can be used, parts first."""
    return [part for part in with_parts(entry) if not part.is_here]


def pull(name: str, report: Report = silent) -> Path:
    """The model's folder, with all its parts beside it; fetches only what is not here.

    Errors: FoleyError for an unknown name and whatever `fetch` cannot do; what has arrived is kept.
    """
    entry = published(name)
    for part in missing(entry):
        places.make_folder(places.models_folder())
        with fetch.locked(places.home() / "locks" / f"{part.name}.lock"):
            if not part.is_here:  # another process may have been first
                for left in places.models_folder().glob(f".{part.name}.*"):  # of a process that was killed
                    shutil.rmtree(left, ignore_errors=True)
                _pull_one(part, report)
    return entry.folder


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
        with new_folder(entry.folder) as folder:
            import_network(archive.path, folder, entry.name, [entry], facts, report)
        archive.path.unlink()  # all that is used of it is in the folder now
        return
    with new_folder(entry.folder) as folder:
        for name, got in fetched.items():
            _link(got.path, folder / name)
        write_config(folder, published_config(entry, facts))


def published_config(entry: Entry, facts: dict[str, dict[str, str]]) -> ModelConfig:
    """What the catalogue says of a model, with source and hash of every file."""
    config = entry.model_config
    sha256 = facts[config.weights]["sha256"] if config.weights in facts else ""
    return replace(config, files=facts, sha256=sha256)


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to fill; it becomes `target` when the block ends well, and leaves nothing when it does not."""
    places.make_folder(target.parent)
    with failures.translate_errors(target.name, str(target.parent)):
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            yield folder
            folder.chmod(0o755)
            if target.exists():  # damaged: it would not be made anew
                shutil.rmtree(target)
            folder.rename(target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


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
    facts: dict[str, dict[str, str]],
    report: Report = silent,
) -> None:
    """A published file as the model `name` in `folder`, by its own family.

    known    the catalogue's models of that family: what the file does not say (parts, settings) is theirs
    facts    where the file came from, by its name
    Errors: FoleyError when the file is none of the family's.
    """
    from foleycli.families import family_class

    report("import", 0, 1)
    family_class(known[0].model_config.family).import_files(path, folder)
    config = read_config(folder)
    alike = next(
        entry.model_config for entry in known if entry.is_converted or entry.model_config.network == config.network
    )
    is_kept = (folder / path.name).exists()  # the file itself, not what was made of it
    config = replace(
        config,
        name=name,
        codec=config.codec or alike.codec,
        sync=config.sync or alike.sync,
        semantic=config.semantic or alike.semantic,
        text=config.text or alike.text,
        settings=alike.settings,
        files=facts if is_kept else {},
        published_from={} if is_kept else facts,
    )
    write_config(folder, config)
    report("import", 1, 1)


def remove(name: str) -> float:
    """Delete a fetched or imported model and the parts that no other needs; returns the megabytes it freed.

    Errors: FoleyError when it is shipped or not here.
    """
    entry = find(name)
    folder = entry.folder if entry else places.models_folder() / name
    if entry is not None and entry.is_shipped:
        raise FoleyError(f"{name} ships with foley and is not removed", "Remove all of it: pip uninstall foleycli")
    if os.sep in name or not (folder / CONFIG_NAME).is_file():
        raise FoleyError(f"the model {name!r} is not on this machine", "See what is: foley models list")
    needed = {part for other in _installed() if other != name for part in _parts(other)}
    parts = [part for part in _parts(name) if part not in needed and (places.models_folder() / part).is_dir()]
    if name in needed:
        user = next(other for other in _installed() if name in _parts(other) and other != name)
        raise FoleyError(
            f"{name} is a part of {user}, which is on this machine",
            f"Remove that one first: foley models remove {user}",
        )
    return sum(_remove_folder(places.models_folder() / each) for each in (name, *parts)) / 1e6


def _installed() -> list[str]:
    return [folder.name for folder in places.installed()]


def _parts(name: str) -> list[str]:
    """The names of other folders in a model's config.json."""
    config = read_config(places.models_folder() / name)
    named = dict.fromkeys(filter(None, (config.codec, config.sync, config.semantic, config.text)))
    return [part for part in named if (entry := find(part)) is None or not entry.is_shipped]


def _remove_folder(folder: Path) -> int:
    n_bytes = 0
    for file in folder.rglob("*"):
        if file.is_file():
            n_bytes += file.stat().st_size
        if file.is_symlink():
            _remove_target(Path(os.readlink(file)))
    (folder / CONFIG_NAME).unlink()  # first: from now on it is not here
    shutil.rmtree(folder)
    return n_bytes


def _remove_target(path: Path) -> None:
    """A file in the Hub's cache or among ours; a blob that another revision shows stays."""
    blob = path.resolve()
    path.unlink(missing_ok=True)
    if blob == path or blob.parent.name != "blobs":
        return
    shown = (other.resolve() for other in blob.parent.parent.glob("snapshots/**/*") if other.is_symlink())
    if blob not in shown:
        blob.unlink(missing_ok=True)
