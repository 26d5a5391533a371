"""Folders for temporary files, whose lock the running process holds: what belongs to a dead one is known by it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from foleycli.errors import FoleyError

if TYPE_CHECKING:
    import filelock

PREFIXES = RUN_PREFIX, NEW_PREFIX = ".foley-run-", ".foley-new-"
LOCK_NAME = "lock"
MOST_TRIES = 20  # to make a folder before another process takes it for a dead one's


def locked_folder(parent: Path) -> tuple[Path, filelock.BaseFileLock]:
    """A new folder with its lock held.

    It gets its lasting name only when the lock is taken, which fails where another process has removed it before.
    """
    import filelock

    for _ in range(MOST_TRIES):
        new = Path(tempfile.mkdtemp(dir=parent, prefix=NEW_PREFIX))
        lock = filelock.FileLock(new / LOCK_NAME)
        try:
            lock.acquire(timeout=0)
        except (filelock.Timeout, FileNotFoundError):
            continue
        except (OSError, NotImplementedError):  # a file system without locks: nobody can take it from us either
            pass
        if os.name == "nt":  # a folder with an open file in it cannot be renamed there
            return new, lock
        folder = new.with_name(RUN_PREFIX + new.name.removeprefix(NEW_PREFIX))
        try:
            new.rename(folder)
        except FileNotFoundError:
            lock.release()
            continue
        return folder, lock
    raise FoleyError(f"temporary folders in {parent} are removed by another program", "Choose another folder with -o")
