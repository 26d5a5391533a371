"""The record beside a batch's results: which job made them from which inputs, so that a row that is done is known.

`.foley-batch/` in the folder of results holds one small JSON file a row.  It says "begun" before a row is made and
"done" when all of its files have their names: after a kill at any moment a row is done, or is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foleycli import __version__
from foleycli.weights.folder import sha256_of

FOLDER = ".foley-batch"


def row_key(options: Mapping[str, Any], model_sha256: str, of_cues: Mapping[str, str] | None = None) -> str:
    """A hash of what decides a row's results beside its inputs: its options, the models, this version of foley.

    options   of `foley render`, by name; of paths only the name counts, since what they hold is known by `identity`
    of_cues   hashes of the models that single cues name, by their names
    """
    given = {name: _plain(value) for name, value in options.items() if value is not None}
    models = {"model": model_sha256, **({"of_cues": dict(of_cues)} if of_cues else {})}
    text = json.dumps({"options": given, **models, "foley": __version__}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Path):
        return value.name
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


@dataclass(frozen=True)
class Record:
    """The record of one row; its file need not exist."""

    out: Path  # the result
    root: Path  # the folder of all results, which `out` is below; files in the record are relative to it

    @property
    def path(self) -> Path:
        """The file, in FOLDER."""
        return self.root / FOLDER / self.out.relative_to(self.root).with_name(self.out.name + ".json")

    @property
    def still(self) -> Path:
        """A picture from the video, for the page."""
        return self.path.with_suffix(".still.webp")

    @property
    def _lock(self) -> Path:
        return self.path.with_name(self.path.name + ".lock")

    def spectrogram(self, index: int) -> Path:
        """The picture of the row's result `index`, counted from 0, for the page."""
        return self.path.with_suffix(f".{index + 1}.webp")

    def read(self) -> dict[str, Any]:
        """What it says; empty where there is none, or none that can be read."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def own_files(self) -> set[Path]:
        """Files that a batch has written here and nobody has changed since: they may be replaced."""
        found = self.read()
        files = {self.root / name: facts for name, facts in found.get("outputs", {}).items()}
        if found.get("state") == "begun":  # it was stopped on the way: which of them it wrote is not known
            return set(files)
        return {file for file, facts in files.items() if _is_same(file, facts)}

    def done(self, key: str, inputs: Sequence[Path]) -> dict[str, Any] | None:
        """What it says, if the row was made with this key from the same inputs, and all files are whole; else None.

        inputs   those that are known before the row is checked; others that it read, the record names
        """
        found = self.read()
        if found.get("state") != "done" or found.get("key") != key:
            return None
        is_whole = all(_is_same(self.root / name, facts) for name, facts in found["outputs"].items())
        read = [*inputs, *(self.root / facts["path"] for facts in found["inputs"][len(inputs) :])]
        is_same = len(read) == len(found["inputs"]) and all(map(_is_same, read, found["inputs"]))
        return found if is_whole and is_same else None

    def relative(self, file: Path) -> str:
        """A file as the record names it, wherever the folder of results is seen from."""
        return os.path.relpath(file, self.root)

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold the row: nobody else, on a shared folder either, makes it meanwhile."""
        import filelock

        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self._lock, thread_local=False)
        with suppress(OSError, NotImplementedError):  # a file system without locks
            lock.acquire()
        try:
            yield
        finally:
            with suppress(OSError):
                self._lock.unlink()
            lock.release()

    def remove_free_lock(self) -> None:
        """Remove the lock of a process that died when the row was done and its lock not yet removed."""
        import filelock

        if not self._lock.exists():
            return
        with suppress(OSError, NotImplementedError, filelock.Timeout), filelock.FileLock(self._lock, timeout=0):
            self._lock.unlink()

    @contextmanager
    def writing(self, key: str, inputs: Sequence[Path], files: Sequence[Path]) -> Iterator[dict[str, Any]]:
        """Say that the row is begun, and when the block ends that it is done; the block adds facts of its own.

        Where the block fails the record is again as it was.
        """
        before = self.path.read_bytes() if self.path.exists() else None
        earlier = self.read()
        outputs = dict.fromkeys(map(self.relative, files))
        self._write({"state": "begun", "foley": __version__, "key": key, "outputs": outputs, "worker": this_worker()})
        facts: dict[str, Any] = {}
        try:
            yield facts
        except BaseException:
            self._restore(before)
            raise
        said = {
            "state": "done",
            "foley": __version__,
            "key": key,
            "n_made": 1 + (earlier.get("n_made", 0) if earlier.get("key") == key else 0),  # more than 1: on purpose
            "inputs": [{"path": self.relative(path), **identity(path)} for path in inputs],
            "outputs": {name: identity(self.root / name) for name in outputs},
        }
        self._write({**said, **facts})

    def _restore(self, before: bytes | None) -> None:
        if before is None:
            self.path.unlink(missing_ok=True)
        else:
            self._replace(before)

    def _write(self, value: dict[str, Any]) -> None:
        """As JSON, which reads back also where a name is no UTF-8."""
        self._replace(json.dumps(value, ensure_ascii=False, default=str).encode(errors="backslashreplace") + b"\n")

    def _replace(self, content: bytes) -> None:
        """Write aside, under a name that only the holder of the row uses, and rename."""
        part = self.path.with_name(self.path.name + ".part")
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, self.path)


def this_worker() -> str:
    """The name of this process among those of a cluster."""
    return f"{socket.gethostname()}:{os.getpid()}"


def identity(path: Path) -> dict[str, Any]:
    """What a file is known by: size, time and, for certain, SHA-256; of a folder the list of what is in it."""
    if path.is_dir():
        listing = [
            (str(file.relative_to(path)), file.stat().st_size, file.stat().st_mtime_ns)
            for file in sorted(path.rglob("*"))
            if file.is_file()
        ]
        return {"files": len(listing), "sha256": hashlib.sha256(json.dumps(listing).encode()).hexdigest()}
    facts = path.stat()
    return {"bytes": facts.st_size, "mtime_ns": facts.st_mtime_ns, "sha256": sha256_of(path)}


def _is_same(path: Path, known: dict[str, Any]) -> bool:
    """Whether a file is the one that `identity` saw; it is read only where its time has changed."""
    try:
        if path.is_dir():
            return identity(path)["sha256"] == known["sha256"]
        facts = path.stat()
        if facts.st_size != known.get("bytes"):
            return False
        return facts.st_mtime_ns == known.get("mtime_ns") or sha256_of(path) == known.get("sha256")
    except OSError:
        return False
