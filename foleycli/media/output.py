"""Where a result may be written, and writing it so that a failure leaves nothing half done."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from foleycli.errors import FoleyError, UsageError

VIDEO_ENDINGS = (".mp4", ".mov", ".mkv", ".webm")
SOUND_ENDINGS = (".wav", ".flac", ".mp3", ".m4a", ".ogg")


def is_video_name(path: Path) -> bool:
    """Whether the ending asks for a video with the new sound in it."""
    return path.suffix.lower() in VIDEO_ENDINGS


def is_sound_name(path: Path) -> bool:
    """Whether the ending asks for the sound alone."""
    return path.suffix.lower() in SOUND_ENDINGS


def files_of_takes(out: Path, n_takes: int, pick_best: bool = False) -> list[Path]:
    """What is written for `out`: itself, or out.take1.mp4, out.take2.mp4 … where several takes are kept."""
    if n_takes == 1 or pick_best:
        return [out]
    return [out.with_name(f"{out.stem}.take{rank}{out.suffix}") for rank in range(1, n_takes + 1)]


def check_ending(out: Path) -> None:
    """Errors: UsageError for an ending that is no known format."""
    if not (is_video_name(out) or is_sound_name(out)):
        known = " ".join(VIDEO_ENDINGS + SOUND_ENDINGS)
        raise UsageError(f"{out.name}: {out.suffix or 'this'} is no known output format", f"Use one of {known}.")


def check_output(out: Path, force: bool, inputs: Sequence[Path] = ()) -> None:
    """Refuse an output that could not or must not be written, before any work is done.

    UsageError: an ending that is no known format.  FoleyError: one of the `inputs` itself (even with
    `force`), a folder, a file that exists without `force`, a folder that is missing or read-only.
    """
    check_ending(out)
    for source in inputs:
        if out.exists() and source.exists() and out.samefile(source):
            raise FoleyError(f"{out} is the input itself", "Choose another name with -o.")
    if out.is_dir():
        raise FoleyError(f"{out} is a folder", "Choose another name with -o.")
    if out.exists() and not force:
        raise FoleyError(f"{out} already exists", "Give --force to replace it, or another name with -o.")
    if not out.parent.is_dir():
        raise FoleyError(f"the folder {out.parent} does not exist", "Make it first, or give another with -o.")
    _check_writable(out.parent)


def _check_writable(folder: Path) -> None:
    # Trying is the only honest test: permission bits say nothing about read-only mounts, or to root.
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".foley-"):
            pass
    except OSError as error:
        raise FoleyError(
            f"the folder {folder} cannot be written to ({error.strerror})", "Choose another one with -o."
        ) from error


@contextmanager
def temporary_beside(out: Path, suffix: str) -> Iterator[Path]:
    """A free file name in the folder of `out`, gone when the block ends."""
    handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.stem[:40]}.", suffix=f".part{suffix}")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A temporary path beside `out`, with its ending: renamed to `out` when the block ends well.

    Any exception, Ctrl-C too, removes it and leaves an old `out` as it was.
    """
    with temporary_beside(out, out.suffix) as temporary:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp made it private
        os.replace(temporary, out)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
