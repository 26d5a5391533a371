"""Find ffmpeg, run it, and stream what it writes.

Command lines are composed with ffmpeg-python and handed to `run` or `read_stdout`; a failure becomes a
`FoleyError` that carries the last lines of ffmpeg's own words.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import ffmpeg

from foleycli.errors import FoleyError
from foleycli.media.output import replacing
from foleycli.records import Report, silent
from foleycli.settings.home import home

REMEMBERED = "ffmpeg.json"  # in foley's own folder: a run of ffmpeg takes 0.05 s, an eighth of a dry run
REMEMBERED_S = 24 * 3600.0
REMEMBERED_BINARIES = 8
TAIL_LINES = 4
PIPE_BYTES = 1 << 18  # decoding to it takes a fifth less processor time than to one of 64 kB


def find_ffmpeg() -> Path:
    """The ffmpeg to use: $FOLEY_FFMPEG, else the one on PATH, else the binary that imageio-ffmpeg carries.

    A FOLEY_FFMPEG that does not run is an error, not a reason to look further.
    """
    return _find(os.environ.get("FOLEY_FFMPEG", ""), os.environ.get("PATH", ""))


@lru_cache(maxsize=8)
def _find(wanted: str, search_path: str) -> Path:
    if wanted:
        if _version_text(wanted):
            return Path(wanted)
        raise FoleyError(f"FOLEY_FFMPEG={wanted} does not run", "Point it at an ffmpeg binary, or unset it")
    on_path = shutil.which("ffmpeg", path=search_path)
    if on_path and _version_text(on_path):
        return Path(on_path)
    carried = _carried_binary()
    if carried and _version_text(carried):
        return Path(carried)
    raise FoleyError("no ffmpeg that runs was found", "Install ffmpeg, or set FOLEY_FFMPEG to its binary")


def _carried_binary() -> str:
    """imageio-ffmpeg's binary, or "" where its wheel came without one."""
    import imageio_ffmpeg

    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        return ""


@lru_cache(maxsize=8)
def _version_text(binary: str) -> str:
    """What a binary says of itself, "" where it does not run; a day long it is not asked again."""
    try:
        status = os.stat(binary)
    except OSError:
        return ""
    state = [status.st_size, status.st_mtime_ns, status.st_ino]
    known = _remembered()
    told = known.get(binary)
    if told and told["state"] == state and 0 <= time.time() - told["asked_s"] < REMEMBERED_S:
        return str(told["said"])
    try:
        finished = subprocess.run([binary, "-version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    _remember({**known, binary: {"state": state, "asked_s": time.time(), "said": finished.stdout}})
    return finished.stdout


def _remembered() -> dict[str, Any]:
    """What binaries said of themselves, by their paths; nothing where it cannot be read."""
    with suppress(FoleyError, OSError, ValueError, TypeError, KeyError, AttributeError):  # it may hold anything
        known = json.loads((home() / REMEMBERED).read_text(encoding="utf-8"))
        return {
            binary: {"state": facts["state"], "asked_s": float(facts["asked_s"]), "said": str(facts["said"])}
            for binary, facts in known.items()
        }
    return {}


def _remember(known: dict[str, Any]) -> None:
    """Keep it for other runs, where there is a place."""
    recent = dict(sorted(known.items(), key=lambda item: -item[1]["asked_s"])[:REMEMBERED_BINARIES])
    with suppress(FoleyError, OSError):
        folder = home()
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / REMEMBERED) as part:
            part.write_text(json.dumps(recent), encoding="utf-8")


def ffmpeg_version() -> str:
    """What the found ffmpeg calls itself, for example "7.1" or "n9.0.2-17-g2a571b6068"."""
    words = _version_text(str(find_ffmpeg())).split()
    return words[2] if len(words) > 2 else "unknown"


def has_library(name: str) -> bool:
    """Whether the found ffmpeg was built with the library, for example "libsoxr" or "libopus"."""
    return f"--enable-{name}" in _version_text(str(find_ffmpeg()))


def file_url(path: Path) -> str:
    """A path as ffmpeg takes it: names with a colon or a leading dash are not options or protocols."""
    return f"file:{path}"


def command(output: Any, *options: str, loglevel: str = "error") -> list[str]:
    """The command line of an ffmpeg-python output, with the options that every run of ours has."""
    quiet = ("-hide_banner", "-nostdin", "-nostats", "-loglevel", loglevel)
    return output.global_args(*quiet, *options).overwrite_output().compile(cmd=str(find_ffmpeg()))


def run(args: list[str], doing: str, report: Report = silent, stage: str = "", total_s: float = 0.0) -> str:
    """Run ffmpeg to its end, passing `report` the seconds written; returns its stderr."""

    def progress(line: str) -> None:
        key, _, value = line.partition("=")
        if key == "out_time_us" and value.lstrip("-").isdigit():
            written_s = max(0.0, int(value) / 1e6)
            report(stage, min(written_s, total_s) if total_s else written_s, total_s)

    said = run_lines([args[0], "-progress", "pipe:1", *args[1:]], doing, progress)
    if total_s:
        report(stage, total_s, total_s)  # ffmpeg's last word is often a packet short
    return said


def run_lines(args: list[str], doing: str, read_line: Callable[[str], None]) -> str:
    """Run ffmpeg to its end, passing each line that it writes to stdout; returns its stderr."""
    with _child(args) as (child, log):
        assert child.stdout is not None
        for line in child.stdout:
            read_line(line.decode("ascii", "replace").strip())
        child.wait()
        said = _read_log(log)
    if child.returncode:
        raise _failure(doing, said)
    return said


def read_stdout(args: list[str], n_bytes: int, doing: str) -> Iterator[bytes]:
    """Pieces of `n_bytes` (the last may be shorter) of what ffmpeg writes to stdout.

    The child is killed and reaped whenever the generator ends: read out, closed early, or interrupted.
    A run that fails raises `FoleyError` after its last piece.
    """
    with _child(args) as (child, log):
        assert child.stdout is not None
        while piece := child.stdout.read(n_bytes):
            yield piece
        child.wait()
        said = _read_log(log)
    if child.returncode:
        raise _failure(doing, said)


@contextmanager
def _child(args: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    # stderr goes to a file: a pipe that nobody reads would stop ffmpeg once it is full.
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        assert child.stdout is not None
        _enlarge(child.stdout)
        try:
            yield child, log
        finally:
            if child.poll() is None:
                child.kill()
            child.stdout.close()
            child.wait()


def _enlarge(pipe: IO[bytes]) -> None:
    """Give a pipe room for PIPE_BYTES where the system can: with Linux's 64 kB two processes wait for one another."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _read_log(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode("utf-8", "replace")


def _failure(doing: str, said: str) -> FoleyError:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    tail = " | ".join(lines[-TAIL_LINES:]) or "it gave no reason"
    return FoleyError(f"ffmpeg failed while {doing}: {tail}", "Check the file with a player, or see foley doctor")


def open_input(path: Path, **options: Any) -> Any:
    """An ffmpeg-python input for a file of any name."""
    return ffmpeg.input(file_url(path), **options)


def join(streams: list[Any], name: str, **options: Any) -> Any:
    """An ffmpeg-python filter with several inputs."""
    return ffmpeg.filter(streams, name, **options)


def output_of(streams: list[Any], out: Path, **options: Any) -> Any:
    """An ffmpeg-python output that takes the streams in this order."""
    return ffmpeg.output(*streams, file_url(out), **options)


def merge_outputs(outputs: list[Any]) -> Any:
    """Several ffmpeg-python outputs as one run; an input that several of them take is read once."""
    return ffmpeg.merge_outputs(*outputs) if len(outputs) > 1 else outputs[0]
