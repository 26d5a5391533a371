"""`foley doctor`: what works on this machine and what does not, each with what to do."""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from foleycli import __version__
from foleycli.cli import console, options
from foleycli.errors import EXIT_FAILED, FoleyError
from foleycli.hub.catalog import entries
from foleycli.threads import import_torch

ENCODERS = ("aac", "libmp3lame", "libvorbis", "libopus", "flac", "pcm_s24le")  # what outputs are written with
LOW_DISK_MB = 500


@dataclass(frozen=True)
class Check:
    """One line of the doctor's report."""

    name: str
    works: bool
    is_needed: bool  # foley cannot do its main job without it
    found: str
    hint: str = ""


def doctor(json: options.Json = False) -> None:
    """Say what works here and what does not; exit 1 if something that is needed fails."""
    checks = [_run(name, is_needed, probe) for name, is_needed, probe in PROBES]
    if json:
        for check in checks:
            console.result_json(asdict(check))
    else:
        console.table(("state", "part", "found"), [_row(check) for check in checks])
    if any(check.is_needed and not check.works for check in checks):
        raise typer.Exit(EXIT_FAILED)


def _row(check: Check) -> tuple[str, str, str]:
    state = "ok" if check.works else "FAIL" if check.is_needed else "no"
    return state, check.name, check.found + (f" ({check.hint})" if check.hint else "")


def _run(name: str, is_needed: bool, probe: Callable[[], str]) -> Check:
    """A probe returns what it found, or raises what is wrong."""
    try:
        return Check(name, True, is_needed, probe())
    except FoleyError as error:
        return Check(name, False, is_needed, error.message, error.hint)
    except Exception as error:  # an import may fail in any way; the other checks still run
        return Check(name, False, is_needed, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")


def _foley() -> str:
    return f"{__version__}, Python {platform.python_version()} on {platform.system()} {platform.machine()}"


def _ffmpeg() -> str:
    from foleycli.media.ffmpeg import ffmpeg_version, find_ffmpeg

    return f"{ffmpeg_version()} at {find_ffmpeg()}"


def _encoders() -> str:
    from foleycli.media.ffmpeg import find_ffmpeg, read_stdout

    args = [str(find_ffmpeg()), "-hide_banner", "-loglevel", "error", "-encoders"]
    listed = b"".join(read_stdout(args, 1 << 16, "listing its encoders")).decode("utf-8", "replace")
    have = {words[1] for line in listed.splitlines() if len(words := line.split()) > 1}
    missing = [name for name in ENCODERS if name not in have]
    if missing:
        raise FoleyError(f"ffmpeg has no {', '.join(missing)}", "Some output formats cannot be written; WAV always can")
    return ", ".join(ENCODERS)


def _torch() -> str:
    import_torch()
    import torch

    return f"{torch.__version__}, {torch.get_num_threads()} threads"


def _cuda() -> str:
    import torch

    if not torch.cuda.is_available():
        raise FoleyError("none", "The CPU is used")
    facts = torch.cuda.get_device_properties(0)
    return f"{torch.cuda.device_count()} x {facts.name}, {facts.total_memory / 1e9:.0f} GB"


def _mps() -> str:
    import torch

    if not torch.backends.mps.is_available():
        raise FoleyError("none", "Only Apple machines have it")
    return "Apple GPU"


def _media() -> str:
    import av
    import soundfile

    return f"PyAV {av.__version__}, libsndfile {soundfile.__libsndfile_version__}"


def _codec() -> str:
    from importlib.metadata import version

    from foleycli.codecs.dac_blocks import dac_blocks

    dac_blocks()
    return f"descript-audio-codec {version('descript-audio-codec')}"


def _words() -> str:
    from importlib.metadata import version

    from foleycli.features.text import WordLlamaText

    WordLlamaText().encode(["rain"])  # reads the package's files without importing it
    return f"wordllama {version('wordllama')}"


def _cache() -> str:
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE)
    if not folder.exists():
        return f"{folder} (empty; the shipped model needs none)"
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".foley-"):
        return f"{folder}, writable"


def _disk() -> str:
    free_mb = {place: shutil.disk_usage(place).free / 1e6 for place in (Path.cwd(), Path(tempfile.gettempdir()))}
    free = ", ".join(f"{mb / 1e3:.1f} GB free in {place}" for place, mb in free_mb.items())
    if min(free_mb.values()) < LOW_DISK_MB:
        raise FoleyError(free, "Make room: long videos need it for their sound")
    return free


def _models() -> str:
    from foleycli.hub import places
    from foleycli.weights.folder import verify

    shipped = [f"{entry.name} {verify(entry.folder)[:12]}" for entry in entries() if entry.is_shipped]
    return ", ".join([*shipped, *(folder.name for folder in places.installed())])


PROBES: tuple[tuple[str, bool, Callable[[], str]], ...] = (
    ("foley", True, _foley),
    ("ffmpeg", True, _ffmpeg),
    ("encoders", False, _encoders),
    ("media", True, _media),
    ("torch", True, _torch),
    ("cuda", False, _cuda),
    ("mps", False, _mps),
    ("codec", True, _codec),
    ("words", True, _words),
    ("models", True, _models),
    ("cache", False, _cache),
    ("disk", False, _disk),
)
