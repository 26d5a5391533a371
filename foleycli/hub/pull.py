"""Published models into model folders and out again: a name in, a folder that `resolve` returns out.

A folder appears in one step, after every file in it was checked; its files are links into the caches
where they were fetched to, and its config.json notes their hashes.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from foleycli.errors import FoleyError
from foleycli.hub import failures, fetch, places
from foleycli.hub.catalog import Entry, entries, find, with_parts
from foleycli.hub.resolve import LIST_HINT
from foleycli.records import Report, silent
from foleycli.settings.checking import did_you_mean
from foleycli.weights.folder import CONFIG_NAME, read_config


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
        raise FoleyError(f"{name} ships with foley: there is nothing to fetch", "if it is missing, install foley again")
    return entry


def _pull_one(entry: Entry, report: Report) -> None:
    fetched = {file.name: fetch.fetch(file, report) for file in entry.files}
    facts = {
        file.name: {"sha256": fetched[file.name].sha256, "source": file.source + ("/" if file.is_on_hub else "")
                    + file.path, "commit": fetched[file.name].commit}
        for file in entry.files
    }  # fmt: skip
    if entry.name == "vaura":
        (archive,) = fetched.values()
        with new_folder(entry.folder) as folder:
            convert_vaura(archive.path, folder, facts, report)
        archive.path.unlink()  # all that is used of it is in the folder now
        return
    with new_folder(entry.folder) as folder:
        for name, got in fetched.items():
            _link(got.path, folder / name)
        write_config(folder, entry, facts)


def write_config(folder: Path, entry: Entry, facts: Mapping[str, Mapping[str, str]]) -> None:
    """The folder's config.json: what the catalogue says, and the hash of every file."""
    config = {"name": entry.name, "kind": entry.kind, **entry.config, "files": dict(facts)}
    if weights := entry.config.get("weights"):
        config["sha256"] = facts[str(weights)]["sha256"]
    (folder / CONFIG_NAME).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


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


def convert_vaura(path: Path, folder: Path, facts: Mapping[str, Mapping[str, str]], report: Report = silent) -> None:
    """V-AURA's archive, or the checkpoint in it, to safetensors in `folder`."""
    from foleycli.families.vaura.convert import convert

    report("convert", 0, 1)
    with checkpoint_of(path, folder) as checkpoint:
        convert(checkpoint, folder)
    config = {**read_config(folder), "name": "vaura", "from": dict(facts)}
    (folder / CONFIG_NAME).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    report("convert", 1, 1)


@contextmanager
def checkpoint_of(path: Path, folder: Path) -> Iterator[Path]:
    """The checkpoint itself; out of an archive it lies in `folder` for as long as it is needed."""
    if not path.name.endswith((".tar.gz", ".tgz", ".tar")):
        yield path
        return
    target = folder / ".checkpoint.ckpt"
    try:
        with tarfile.open(path) as archive, target.open("wb") as out:
            shutil.copyfileobj(_best(archive, path), out, 1 << 20)
        yield target
    except (tarfile.TarError, EOFError) as error:
        raise FoleyError(f"{path} is no archive that can be read: {error}", "get it again") from error
    finally:
        target.unlink(missing_ok=True)


def _best(archive: tarfile.TarFile, path: Path) -> IO[bytes]:
    """The checkpoint with the lowest validation loss in its name (papers.md 3.3), else the only one."""
    found = [member for member in archive.getmembers() if member.isfile() and member.name.endswith(".ckpt")]
    if not found:
        raise FoleyError(f"{path} holds no .ckpt", "pass V-AURA's published archive, or its checkpoint")
    best = min(found, key=lambda member: _loss(member.name))
    stream = archive.extractfile(best)
    assert stream is not None  # a regular file has content
    return stream


def _loss(name: str) -> float:
    """0.5 of `epoch=3-val_loss=0.5.ckpt`; infinite where no loss is named."""
    digits = name.removesuffix(".ckpt").rpartition("loss=")[2]
    try:
        return float(digits.split("-")[0])
    except ValueError:
        return float("inf")


def remove(name: str) -> float:
    """Delete a fetched or imported model and the parts that no other needs; returns the megabytes it freed.

    Errors: FoleyError when it is shipped or not here.
    """
    entry = find(name)
    folder = entry.folder if entry else places.models_folder() / name
    if entry is not None and entry.is_shipped:
        raise FoleyError(f"{name} ships with foley and is not removed", "pip uninstall foleycli removes all of it")
    if os.sep in name or not (folder / CONFIG_NAME).is_file():
        raise FoleyError(f"the model {name!r} is not on this machine", "see what is: foley models list")
    needed = {part for other in _installed() if other != name for part in _parts(other)}
    parts = [part for part in _parts(name) if part not in needed and (places.models_folder() / part).is_dir()]
    if name in needed:
        user = next(other for other in _installed() if name in _parts(other) and other != name)
        raise FoleyError(f"{name} is a part of {user}, which is on this machine", f"foley models remove {user} first")
    return sum(_remove_folder(places.models_folder() / each) for each in (name, *parts)) / 1e6


def _installed() -> list[str]:
    return [folder.name for folder in places.installed()]


def _parts(name: str) -> list[str]:
    """The names of other folders in a model's config.json."""
    config = read_config(places.models_folder() / name)
    names = (config.get(key) for key in ("codec", "sync", "semantic", "text"))
    named = dict.fromkeys(name for name in names if isinstance(name, str))
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
