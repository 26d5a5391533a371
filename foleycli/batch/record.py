"""The record beside a batch's results: which job made them from which inputs, so that a row that is done is known.

`.foley-batch/` in the folder of results holds one small JSON file a row.  It says "begun" before a row is made and
"done" when all of its files have their names: after a kill at any moment a row is done, or is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol

import filelock

from foleycli import __version__
from foleycli.settings.settings import Settings
from foleycli.weights.folder import sha256_of

FOLDER = ".foley-batch"
NOT_IN_KEY = (
    "video",
    "out",
    "overwrite",
)  # of a job: its input is known by its content, its output by the record's name


class Job(Protocol):
    """What a batch needs to know of a job."""

    @property
    def out(self) -> Path: ...

    @property
    def settings(self) -> Settings: ...

    def inputs(self) -> list[Path]:
        """The files and folders that are read."""

    def outputs(self) -> list[Path]:
        """The files that are written."""

    def length_s(self) -> float:
        """Seconds of sound."""


def job_key(job: Job, *, model_sha256: str, dtype: str, files: Sequence[Path]) -> str:
    """A hash of what decides the result beside its inputs: the job's own fields, the model, this version of foley.

    files   everything that is written, reports too: another set is another job
    """
    assert is_dataclass(job)
    own = {field.name: _plain(getattr(job, field.name)) for field in fields(job) if field.name not in NOT_IN_KEY}
    kind = type(job).__name__
    names = [file.name for file in files]
    of_all = {"job": kind, **own, "model": model_sha256, "dtype": dtype, "files": names, "foley": __version__}
    return hashlib.sha256(json.dumps(of_all, sort_keys=True).encode()).hexdigest()


def _plain(value: object) -> Any:
    """A value as JSON has it; of paths only the name, since what they hold counts."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Path):
        return value.name
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


@dataclass(frozen=True)
class Record:
    """The record of one row; `path` is in FOLDER, and need not exist."""

    path: Path

    @classmethod
    def of(cls, out: Path, out_dir: Path) -> Record:
        """The record of the result `out`, which is below `out_dir`."""
        return cls(out_dir / FOLDER / out.relative_to(out_dir).with_name(out.name + ".json"))

    @property
    def still(self) -> Path:
        """A picture from the video, for the page."""
        return self.path.with_suffix(".still.webp")

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
        if found.get("state") == "begun":  # it was stopped on the way: which of them it wrote is not known
            return {Path(name) for name in found["outputs"]}
        return {Path(name) for name, facts in found.get("outputs", {}).items() if _is_same(Path(name), facts)}

    def done(self, key: str, inputs: Sequence[Path], files: Sequence[Path]) -> dict[str, Any] | None:
        """What it says, if the same job has made all `files` from the same inputs and they are whole; else None."""
        found = self.read()
        if found.get("state") != "done" or found.get("key") != key:
            return None
        kept, read = found["outputs"], found["inputs"]
        is_whole = set(kept) == set(map(str, files)) and all(_is_same(Path(name), kept[name]) for name in kept)
        is_same = len(inputs) == len(read) and all(map(_is_same, inputs, read))
        return found if is_whole and is_same else None

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold the row: nobody else, on a shared folder either, makes it meanwhile."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self.path.with_name(self.path.name + ".lock"), thread_local=False)
        with suppress(OSError, NotImplementedError):  # a file system without locks
            lock.acquire()
        try:
            yield
        finally:
            with suppress(OSError):
                Path(lock.lock_file).unlink()
            lock.release()

    @contextmanager
    def writing(self, key: str, inputs: Sequence[Path], files: Sequence[Path]) -> Iterator[dict[str, Any]]:
        """Say that the row is begun, and when the block ends that it is done; the block adds facts of its own.

        Where the block fails the record is again as it was.
        """
        before = self.path.read_bytes() if self.path.exists() else None
        earlier = self.read()
        outputs = dict.fromkeys(map(str, files))
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
            "inputs": [identity(path) for path in inputs],
            "outputs": {name: identity(Path(name)) for name in outputs},
        }
        self._write({**said, **facts})

    def _restore(self, before: bytes | None) -> None:
        if before is None:
            self.path.unlink(missing_ok=True)
        else:
            self._replace(before)

    def _write(self, value: dict[str, Any]) -> None:
        self._replace(json.dumps(value, ensure_ascii=False, default=str).encode() + b"\n")

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
            return identity(path) == known
        facts = path.stat()
        if facts.st_size != known.get("bytes"):
            return False
        return facts.st_mtime_ns == known.get("mtime_ns") or sha256_of(path) == known.get("sha256")
    except OSError:
        return False
