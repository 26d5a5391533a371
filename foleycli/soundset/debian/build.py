"""The set of sounds as a folder that `data.sounds` takes: category/NNNN.ogg, index.jsonl, licences/PACKAGE.copyright.

Each original is checked by its MD5, then ffmpeg makes it mono at 44.1 kHz, a minute at most, as Vorbis of quality 4
(3 above 20 s). Stereo becomes (left + right) / sqrt(2), ffmpeg's own way, because the first set was made so. What is
there and can be read is kept, so a run that was stopped goes on.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import soundfile

from foleycli.errors import FoleyError
from foleycli.media import ffmpeg
from foleycli.media.output import replacing
from foleycli.records import Report, silent
from foleycli.soundset.debian.archives import files_inside, files_of_deb
from foleycli.soundset.debian.mirrors import Sources, fetch_package
from foleycli.soundset.debian.origins import Origin, Package, read_lines
from foleycli.soundset.kinds import RATE_HZ

LONGEST_S = 60
LONG_S = 20  # from here on a lower quality
QUALITY, QUALITY_LONG = 4, 3  # of libvorbis
# Same original, same bytes: no writer's version or random serial number in the file.
VORBIS = {"format": "ogg", "c:a": "libvorbis", "fflags": "+bitexact", "flags:a": "+bitexact"}


@dataclass(frozen=True)
class Missing:
    """A sound that could not be made, and why not."""

    sound: Origin
    package: Package
    error: FoleyError


def is_made(sound: Origin, out: Path) -> bool:
    """Whether the sound is there and can be read."""
    try:
        facts = soundfile.info(out / sound.file)
    except soundfile.LibsndfileError:
        return False
    return (facts.samplerate, facts.channels) == (RATE_HZ, 1) and facts.frames > 0


def still_needed(packages: list[Package], out: Path) -> list[Package]:
    """The packages that have something to give, each with only those sounds that are not in the folder."""
    needed = []
    for package in packages:
        sounds = tuple(sound for sound in package.sounds if not is_made(sound, out))
        needed += [replace(package, sounds=sounds)] if sounds else []
    return needed


def check_folder(out: Path) -> None:
    """Errors: FoleyError for a folder that holds another set, or an ffmpeg that writes no Vorbis; before any work."""
    if not ffmpeg.has_library("libvorbis"):
        raise FoleyError("this ffmpeg cannot write Vorbis", "Set FOLEY_FFMPEG to one that was built with libvorbis")
    index = out / "index.jsonl"
    try:
        there = index.read_text(encoding="utf-8").splitlines() if index.is_file() else []
    except (OSError, ValueError) as error:
        raise FoleyError(f"{index} cannot be read: {error}", "Name another folder with --out") from error
    if not set(there) <= set(read_lines()):
        raise FoleyError(f"{out} holds another set of sounds", "Name another folder with --out")


def build(
    packages: list[Package], out: Path, sources: Sources, keep_debs: bool, report: Report = silent
) -> list[Missing]:
    """Make all sounds of the packages; returns those that could not be made. `keep_debs`: packages stay on the disk.

    Errors: FoleyError when `out` cannot be made; what is wrong with one package does not stop the others.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FoleyError(f"{out} cannot be made: {error.strerror}", "Name another folder with --out") from error
    missing: list[Missing] = []
    n_done, n_sounds = 0, sum(len(package.sounds) for package in packages)
    for package in packages:
        try:
            for sound in package.sounds:  # what cannot be read must not be listed
                (out / sound.file).unlink(missing_ok=True)
            deb = fetch_package(package, sources, report)
            missing += _add(package, deb, out, partial(_report_sounds, report, n_done, n_sounds))
            if not keep_debs:
                deb.unlink()
        except (FoleyError, OSError) as error:
            why = error if isinstance(error, FoleyError) else FoleyError(f"{package.deb_name}: {error}")
            missing += [Missing(sound, package, why) for sound in package.sounds if not is_made(sound, out)]
        n_done += len(package.sounds)
        report("sounds", n_done, n_sounds)
        _write_index(out)
    if not keep_debs and not missing:
        shutil.rmtree(sources.debs, ignore_errors=True)  # empty but for locks; else a download goes on in it
    return missing


def _report_sounds(report: Report, n_before: int, n_sounds: int, n_of_package: int) -> None:
    report("sounds", n_before + n_of_package, n_sounds)


def _add(package: Package, deb: Path, out: Path, count: Callable[[int], None]) -> list[Missing]:
    """Make the sounds of one package, and put its copyright file beside them."""
    left, missing = {sound.path: sound for sound in package.sounds}, []
    licence, placed = f"usr/share/doc/{package.name}/copyright", out / "licences" / f"{package.name}.copyright"
    wanted = {licence}.union(*map(_beginnings, left))
    with tempfile.TemporaryDirectory(dir=out, prefix=".unpacked-") as folder:
        for path, file in files_of_deb(deb, wanted, Path(folder)):
            if path == licence:
                _place(file, placed)
            for sound_path, original in _originals(path, file, left):
                sound = left.pop(sound_path)
                try:
                    _make(original, sound, out)
                except FoleyError as error:
                    missing.append(Missing(sound, package, error))
                count(len(package.sounds) - len(left))
            if not left and placed.is_file():  # the rest of a game may be a gigabyte
                break
    absent = FoleyError(f"{package.deb_name} does not hold it")
    return missing + [Missing(sound, package, absent) for sound in left.values()]


def _beginnings(path: str) -> list[str]:
    """The path and all that it begins with, up to a slash: one of them is the plain file in the package."""
    parts = path.split("/")
    return ["/".join(parts[: k + 1]) for k in range(len(parts))]


def _originals(path: str, file: Path, left: Collection[str]) -> Iterator[tuple[str, Path]]:
    """The sounds that the package's file `path` is or holds: their whole path, and a file with their bytes."""
    if path in left:
        yield path, file
        return
    inner = [sound_path.removeprefix(f"{path}/") for sound_path in left if sound_path.startswith(f"{path}/")]
    for name, content in files_inside(file, inner) if inner else ():
        original = file.with_name(f"sound{Path(name).suffix}")
        original.write_bytes(content)
        yield f"{path}/{name}", original


def _make(original: Path, sound: Origin, out: Path) -> None:
    """One sound to its place; errors: FoleyError when the original is not the one that the index names."""
    if hashlib.md5(original.read_bytes(), usedforsecurity=False).hexdigest() != sound.md5:
        raise FoleyError(f"{sound.path} is not the file that the set was made from")
    target = out / sound.file
    target.parent.mkdir(exist_ok=True)
    quality = QUALITY_LONG if sound.duration_s > LONG_S else QUALITY
    with replacing(target) as made:
        output = ffmpeg.open_input(original).audio.output(
            ffmpeg.file_url(made), t=LONGEST_S, ac=1, ar=RATE_HZ, map_metadata=-1, **VORBIS, **{"q:a": quality}
        )
        ffmpeg.run(ffmpeg.command(output), f"writing {sound.file}")


def _place(file: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    with replacing(target) as made:
        shutil.copyfile(file, made)


def _write_index(out: Path) -> None:
    """The rows of all sounds that are there, in the set's order."""
    with replacing(out / "index.jsonl") as made:
        lines = [line for line in read_lines() if (out / json.loads(line)["file"]).is_file()]
        made.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
