"""Where a result may be written, and writing it so that a failure leaves nothing half done.

Temporary files are written beside the result, each in a folder of its own (`.foley-run-*`) whose lock the running
process holds.  The next run that writes there removes the folders of processes that have died: their locks are free.
A folder whose process is still about to take its lock looks the same: it may be removed, and is made once more.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from foleycli.errors import FoleyError, UsageError
from foleycli.media.held import LOCK_NAME, NEW_PREFIX, PREFIXES, RUN_PREFIX, locked_folder
from foleycli.media.together import TAKEN_HINT, current, finish

VIDEO_ENDINGS = (".mp4", ".mov", ".mkv", ".webm")
SOUND_ENDINGS = (".wav", ".flac", ".mp3", ".m4a", ".ogg")
HIGH_RATE_ENDINGS = (".wav", ".flac", ".mov", ".mkv")  # whose sound is written sample for sample, at any rate
PCM_ENDINGS = (".mov", ".wav")
NAME_BYTES = 255  # the longest name that the usual file systems take
FULL_BYTES = 1 << 20  # less free space than this: a write that failed, failed for want of space
FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT)
SNDFILE_REFUSED = 2  # libsndfile's SF_ERR_SYSTEM: the system did not write, and why is not said
_Identity = str | tuple[int, int]  # a path, or the numbers of a disk and of a file on it
_looked_through: set[tuple[str, int]] = set()  # folders, and the process that has done it: a fork has not


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


def report_files(out: Path) -> tuple[Path, Path]:
    """The JSON and the PNG that `--report` writes beside `out`."""
    return out.with_suffix(".json"), out.with_suffix(".png")


def check_ending(out: Path) -> None:
    """Errors: UsageError for an ending that is no known format."""
    if out.suffix.lower() == ".mxf":
        raise UsageError(
            f"{out.name}: .mxf is not written, because a copied picture would lose what its header says of it",
            "Write .mov, which copies the picture and holds PCM, or the sound as .wav, and wrap it in your editor",
        )
    if not (is_video_name(out) or is_sound_name(out)):
        known = " ".join(VIDEO_ENDINGS + SOUND_ENDINGS)
        raise UsageError(f"{out.name}: {out.suffix or 'this'} is no known output format", f"Use one of {known}")


def check_rate(out: Path, rate_hz: int, pcm: bool | None) -> None:
    """Errors: UsageError for a rate that the format does not hold, or PCM where it is not written."""
    ending = out.suffix.lower()
    if rate_hz > 48_000 and ending not in HIGH_RATE_ENDINGS:
        raise UsageError(f"--rate {rate_hz} is not written to {ending}", f"Use one of {' '.join(HIGH_RATE_ENDINGS)}")
    if pcm and ending not in PCM_ENDINGS:
        raise UsageError(f"--pcm is not written to {ending}", f"Use one of {' '.join(PCM_ENDINGS)}")
    if pcm is False and rate_hz > 48_000 and ending == ".mov":
        raise UsageError(f"--no-pcm is given with --rate {rate_hz}", "Leave one of them out: AAC goes up to 48000")


def check_output(out: Path, force: bool, inputs: Sequence[Path] = ()) -> None:
    """`check_outputs` for a single result, whose ending must be a known format (else a UsageError)."""
    check_ending(out)
    check_outputs([out], inputs, force=force)


def check_outputs(outputs: Sequence[Path], inputs: Iterable[Path], *, force: bool) -> None:
    """Refuse results that could not or must not be written, before any work is done.

    outputs   everything that a run writes: results, takes, reports
    inputs    everything that it reads: videos, references, presets, folders of recordings, model folders

    Errors: FoleyError for an output that is an input or an existing file in an input folder, in any spelling and even
    with `force`; for two outputs that are one file; for a folder, a file that exists without `force`, a name that is
    too long, and a folder that is missing or cannot be written to.
    """
    sources = list(dict.fromkeys(inputs))
    read, folders = {_identity(source) for source in sources}, [source for source in sources if os.path.isdir(source)]
    written: set[_Identity] = set()
    for out in outputs:
        _check_name(out)
        own = _identity(out)
        if own in read:
            raise FoleyError(f"{out} is the input itself", "Choose another name with -o")
        # Inside an input folder nothing that exists is replaced: it may be one of its recordings or weights.
        for folder in folders if out.exists() else ():
            if folder.resolve() in out.resolve().parents:
                raise FoleyError(f"{out} is in the input folder {folder}", "Choose another name with -o")
        if own in written:
            raise FoleyError(f"{out} would be written twice", "Give the results different names")
        written.add(own)
        _check_free(out, force)
    for folder in dict.fromkeys(out.parent for out in outputs):
        _check_writable(folder)


def _identity(path: Path) -> _Identity:
    """The same for two paths that are one file, also over links; of files that do not exist, that would be one."""
    try:
        facts = path.stat()
    except OSError:  # it does not exist, or cannot be read
        return _real_path(path)
    return facts.st_dev, facts.st_ino


def is_blind_to_case(folder: Path) -> bool:
    """Whether X.wav and x.wav are one file in a folder, as on most disks of macOS and Windows.

    Asked of its own name, or of the nearest folder above it that is there.
    """
    folder = folder.absolute()
    while not os.path.exists(folder):
        folder = folder.parent
    other = folder.with_name(folder.name.swapcase()) if folder.name else folder
    return other != folder and _identity(other) == _identity(folder)


def name_on_disk(path: Path, *, blind_to_case: bool) -> str:
    """A text that is the same for two paths that are one file by their names."""
    text = str(path.absolute())
    return unicodedata.normalize("NFC", text).casefold() if blind_to_case else text


def _real_path(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path))


def _check_name(out: Path) -> None:
    name_bytes = len(os.fsencode(out.name))
    if name_bytes > NAME_BYTES:
        raise FoleyError(
            f"the name {out.name} has {name_bytes} bytes, more than the {NAME_BYTES} that a file can have",
            "Choose a shorter name with -o",
        )


def _check_free(out: Path, force: bool) -> None:
    if out.is_dir():
        raise FoleyError(f"{out} is a folder", "Choose another name with -o")
    if os.path.lexists(out) and not force:
        raise FoleyError(f"{out} already exists", TAKEN_HINT)
    if out.exists() and not out.is_file():
        raise FoleyError(f"{out} is no regular file", "Choose another name with -o")
    if not out.parent.is_dir():
        raise FoleyError(f"the folder {out.parent} does not exist", "Make it first, or give another with -o")


def _check_writable(folder: Path) -> None:
    # Trying is the only honest test: permission bits say nothing about read-only mounts, or to root.
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=NEW_PREFIX):  # without a name, which a kill would leave
            pass
    except OSError as error:
        if error.errno in FULL_ERRORS:
            raise _full_disk(folder) from error
        raise FoleyError(
            f"the folder {folder} cannot be written to ({error.strerror})", "Choose another one with -o"
        ) from error


def check_free_space(needed_bytes: Mapping[Path, int]) -> None:
    """Refuse a run for which there is not room enough, where several folders are on one disk for all of them.

    needed_bytes   by folder
    Errors: FoleyError.
    """
    disks: dict[int, list[Path]] = {}
    for folder in needed_bytes:
        disks.setdefault(folder.stat().st_dev, []).append(folder)
    for folders in disks.values():
        free, needed = shutil.disk_usage(folders[0]).free, sum(needed_bytes[folder] for folder in folders)
        if free < needed:
            raise FoleyError(
                f"{' and '.join(map(str, folders))} {'has' if len(folders) == 1 else 'have'} {_megabytes(free)} MB "
                f"of free space, about {_megabytes(needed)} MB are needed",
                "Free some space, or choose another folder",
            )


def _full_disk(folder: Path, needed_bytes: int = 0) -> FoleyError:
    free = _megabytes(shutil.disk_usage(folder).free)
    needed = f", about {_megabytes(needed_bytes)} MB are needed" if needed_bytes else ""
    return FoleyError(
        f"no space is left in {folder} ({free} MB free{needed})", "Free some space, or choose another folder with -o"
    )


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f}"


@contextmanager
def temporary_beside(out: Path, suffix: str, needed_bytes: int = 0) -> Iterator[Path]:
    """A free file name in a folder beside `out` that is gone when the block ends.

    What dead processes left there is removed first.  `needed_bytes` is named in the error where the disk runs full
    within the block.
    Errors: FoleyError when no space is left, or the folder cannot be made.
    """
    remove_leftovers(out.parent)
    with _disk_errors(out.parent):
        folder, lock = locked_folder(out.parent)
    try:
        with _disk_errors(out.parent, needed_bytes), _named_in_utf8(folder) as named:
            yield named / f"part{suffix}"
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _named_in_utf8(folder: Path) -> Iterator[Path]:
    """The folder, or a link to it where its name is no UTF-8: soundfile, PyAV and ffmpeg-python take no other."""
    if is_utf8(folder) or not is_utf8(tempfile.gettempdir()):
        yield folder
        return
    with temporary_beside(Path(tempfile.gettempdir()) / "link", "") as link:
        link.symlink_to(folder.absolute(), target_is_directory=True)
        yield link


def is_utf8(path: str | Path) -> bool:
    """Whether a path's name can be written as UTF-8; Linux takes any bytes."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def _disk_errors(folder: Path, needed_bytes: int = 0) -> Iterator[None]:
    """Turn what a full disk or a limit causes (OSError, a writer's own error, ffmpeg's) into one FoleyError."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL_ERRORS:
            raise _full_disk(folder, needed_bytes) from error
        if error.errno == errno.EFBIG:
            raise _refused_write(folder) from error
        raise
    except Exception as error:
        if shutil.disk_usage(folder).free < FULL_BYTES:
            raise _full_disk(folder, needed_bytes) from error
        if type(error).__name__ == "LibsndfileError" and getattr(error, "code", 0) == SNDFILE_REFUSED:
            raise _refused_write(folder) from error
        raise


def _refused_write(folder: Path) -> FoleyError:
    if folder.name.startswith(RUN_PREFIX):  # one of our own, within the user's
        folder = folder.parent
    return FoleyError(
        f"a file in {folder} could not be written to its end",
        "Look for a limit on the size of files (ulimit -f, a quota, 4 GB on FAT), or choose another folder with -o",
    )


def remove_leftovers(folder: Path, *, again: bool = False) -> None:
    """Remove the temporary folders that dead processes left in `folder`; those of living ones stay.

    Files that were whole and about to get their names together get them now: see `media.together`.

    A process looks through each folder once, or `again`: in one of a hundred thousand files that takes longer than to
    write a small result.
    """
    place = (_real_path(folder), os.getpid())
    if place in _looked_through and not again:
        return
    _looked_through.add(place)
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.name.startswith(PREFIXES)]
    except OSError:
        return
    import filelock

    for path in (folder / name for name in names):
        lock = filelock.FileLock(path / LOCK_NAME)
        with suppress(OSError, NotImplementedError, filelock.Timeout):  # held, gone meanwhile, or not readable for us
            lock.acquire(timeout=0)
            is_free = finish(path)
            if os.name == "nt":  # a file that is open cannot be removed there
                lock.release()
            if is_free:
                shutil.rmtree(path, ignore_errors=True)
            lock.release()  # only now: until then nobody can take it for their own


@contextmanager
def replacing(out: Path, *, overwrite: bool = True, needed_bytes: int = 0) -> Iterator[Path]:
    """A temporary path with the ending of `out`, renamed to `out` when the block ends well.

    Any exception, Ctrl-C too, removes it and leaves an old `out` as it was.  Without `overwrite` an `out` that
    somebody else wrote meanwhile stays, and a FoleyError says so.  Within `media.together.together` it may wait for
    its name until other files are whole too.
    """
    with temporary_beside(out, out.suffix, needed_bytes) as temporary:
        yield temporary
        _sync(temporary)
        temporary.chmod(0o666 & ~_umask())
        if (files := current.get()) is not None and files.wants(out):
            files.take(temporary, out, overwrite=overwrite)
        elif overwrite:
            os.replace(temporary, out)
        else:
            _rename_to_free(temporary, out)


def _sync(path: Path) -> None:
    """Have the data on the disk before the name: after a power cut a name stands for a whole file."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _rename_to_free(temporary: Path, out: Path) -> None:
    """Rename, but never over a file: one step on file systems with hard links."""
    try:
        os.link(temporary, out)
    except FileExistsError as error:
        raise FoleyError(
            f"{out} was written by somebody else meanwhile",
            TAKEN_HINT,
        ) from error
    except OSError:  # no hard links here (FAT, some network shares): nearly as good
        if os.path.lexists(out):
            raise FoleyError(
                f"{out} was written by somebody else meanwhile",
                TAKEN_HINT,
            ) from None
        os.replace(temporary, out)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
