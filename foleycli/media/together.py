"""Several files that get their names at the same time: all of them, or none.

Each is written aside and checked as ever, and then waits in a folder beside its name.  When all are whole, a journal
says which they are, and they are renamed one right after the other.  A process that dies before the journal is there
has changed nothing; what one that dies later has not yet renamed is renamed by the next run that writes there, in
`media.output.remove_leftovers`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from foleycli.errors import FoleyError
from foleycli.media.held import PREFIXES, locked_folder

if TYPE_CHECKING:
    import filelock

JOURNAL = "journal.json"  # in the folder beside the first file: [[waiting file, its name], ...], as seen from there
AGAIN = "Close it where it is open, and call foley once more: files that go with it, which are written, get their names"
TAKEN_HINT = "Give --force to replace it, --resume to keep it, or another name"
FIRST = "first"  # in the other folders: where that folder is, as seen from here

current: ContextVar[Waiting | None] = ContextVar("current", default=None)  # those of the block that is running


class Waiting:
    """Files that are whole and wait for their names."""

    def __init__(self, outputs: Iterable[Path]) -> None:
        self._outputs = list(outputs)
        self._wanted = frozenset(self._outputs)
        self._folders: dict[Path, tuple[Path, filelock.BaseFileLock]] = {}  # by where the files belong
        self._files: dict[Path, tuple[Path, bool]] = {}  # by name: where it is, and whether it may replace another

    def wants(self, out: Path) -> bool:
        """Whether a file is one of them; others, such as those on the way, get their names at once."""
        return out in self._wanted

    def take(self, whole: Path, out: Path, *, overwrite: bool) -> None:
        """Keep a whole file until all are there."""
        first = self._folder(self._outputs[0].parent)
        folder = self._folder(out.parent)
        if folder != first and not (folder / FIRST).exists():
            (folder / FIRST).write_bytes(os.fsencode(_seen_from(folder, first)))
        waiting = folder / f"{self._outputs.index(out)}{out.suffix}"
        os.replace(whole, waiting)
        self._files[out] = waiting, overwrite

    def _folder(self, parent: Path) -> Path:
        if parent not in self._folders:
            self._folders[parent] = locked_folder(parent)
        return self._folders[parent][0]

    def place_of(self, out: Path) -> Path:
        """Where a file is read until it has its name."""
        return self._files[out][0] if out in self._files else out

    def rename(self) -> None:
        """Give all files their names; errors: FoleyError where one of them is taken and must not be replaced."""
        for out, (_, overwrite) in self._files.items():
            if not overwrite and os.path.lexists(out):
                raise FoleyError(f"{out} was written by somebody else meanwhile", TAKEN_HINT)
        if not self._files:
            return
        folder = self._folder(self._outputs[0].parent)
        pairs = [(_seen_from(folder, waiting), _seen_from(folder, out)) for out, (waiting, _) in self._files.items()]
        part = folder / f"{JOURNAL}.part"
        with part.open("w", encoding="ascii") as file:
            json.dump(pairs, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, folder / JOURNAL)
        for out, (waiting, _) in self._files.items():
            try:
                os.replace(waiting, out)
            except OSError as error:
                raise FoleyError(f"{out} cannot be replaced ({error.strerror})", AGAIN) from error
        (folder / JOURNAL).unlink()

    def let_go(self) -> None:
        """Remove the folders; those of renames that were begun and failed stay, for the next run to try again."""
        is_begun = any((folder / JOURNAL).exists() for folder, _ in self._folders.values())
        for folder, lock in self._folders.values():
            lock.release()
            if not is_begun:
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def together(outputs: Iterable[Path]) -> Iterator[None]:
    """Within the block `replacing` keeps these files waiting; they get their names when it ends well, else none does.

    outputs   as `replacing` is told them; the first one's folder holds the journal
    """
    files = Waiting(outputs)
    before = current.set(files)
    try:
        yield
        files.rename()
    finally:
        current.reset(before)
        files.let_go()


def as_written(out: Path) -> Path:
    """Where a file that was written is read: aside, as long as it waits for its name."""
    files = current.get()
    return out if files is None else files.place_of(out)


def finish(folder: Path) -> bool:
    """Rename what a process that has died was about to rename, by the journal of its folders.

    folder   one of them, which nobody holds
    Returns whether the folder can be removed: there was no journal, or it has been followed.
    """
    try:
        first = folder = folder.resolve()
        if (folder / FIRST).exists():
            first = Path(os.path.normpath(folder / os.fsdecode((folder / FIRST).read_bytes())))
        if not (first / JOURNAL).exists():
            return True
        if not _is_ours(first):
            return False
        for waiting, out in json.loads((first / JOURNAL).read_text(encoding="ascii")):
            source, target = (Path(os.path.normpath(first / one)) for one in (waiting, out))
            if source.parent.parent == target.parent and source.parent.name.startswith(PREFIXES):
                with suppress(FileNotFoundError):  # it has its name already
                    os.replace(source, target)
        (first / JOURNAL).unlink(missing_ok=True)
    except (ValueError, TypeError):  # no journal of ours
        return True
    except OSError:
        return False
    return True


def _is_ours(folder: Path) -> bool:
    """Whether the user made a folder: nobody else is to say what is renamed here."""
    return os.name == "nt" or folder.stat().st_uid == os.geteuid()


def _seen_from(folder: Path, path: Path) -> str:
    """A path as seen from a folder, so that both can be moved; absolute on another drive of Windows.

    The folders are those that links lead to: from one of them ".." does not lead back to where the link is.
    """
    real = os.path.join(os.path.realpath(path.parent), path.name)
    try:
        return os.path.relpath(real, os.path.realpath(folder))
    except ValueError:
        return real
