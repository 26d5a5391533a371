"""Makes the library of short sounds that foley takes a timbre from (`foleycli.library.library`) from recordings.

    python -m foleycli.soundset.build_library --sounds sounds --out foleycli/shipped/library

A library sound is what a reference was in training: a few hits of one thing, or a stretch of something even.
`library_sounds.yaml` says which recordings: in the public domain, or under licences that ask for no more than
the authors' names, which are read from the Debian copyright files beside the set; and none that is held out.
"""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Annotated

import numpy as np
import soundfile
import typer
import yaml

from foleycli.errors import FoleyError
from foleycli.library.index import INDEX_NAME, index_rows
from foleycli.media.audio import read_audio
from foleycli.media.output import replacing
from foleycli.soundset.bank import make_take
from foleycli.soundset.held_out import is_held_out
from foleycli.soundset.kinds import RATE_HZ
from foleycli.soundset.library_sound import N_SAMPLES, normalise, repeat_hits

TABLE = Path(__file__).with_name("library_sounds.yaml")
FIELD = re.compile(r"^([A-Z][\w-]*):((?:.*\n?)(?:^[ \t].*\n?)*)", re.MULTILINE)  # of a Debian copyright file
FREE, ATTRIBUTED = ("CC0-1.0", "public-domain"), ("CC-BY-3.0", "CC-BY-4.0")  # the latter ask for the authors
MIN_EVENNESS = 0.1  # RMS of the softest quarter of a stretch over that of the loudest
VORBIS_LEVEL = 0.5  # of soundfile's 0 (best) to 1 (smallest)


def library_sound(shape: str, files: list[str], sounds: Path) -> np.ndarray:
    """One library sound float32 [N] of the recordings named.

    Errors: FoleyError for a recording that is not of the shape that the table says.
    """
    read = [read_audio(sounds / file, RATE_HZ, 1).samples[0] for file in files]  # [N] each
    takes = [
        take for file, samples in zip(files, read, strict=True)
        if (take := make_take(file, group="", mono=samples, shape="voice")) is not None
    ]  # fmt: skip
    try:
        if shape not in ("hits", "even") or len(takes) < len(files):
            raise ValueError("it is silent, or its shape is neither hits nor even")
        return normalise(even_stretch(read[0]) if shape == "even" else repeat_hits([take.samples() for take in takes]))
    except ValueError as error:
        raise FoleyError(f"{', '.join(files)}: {error}", f"Name another recording in {TABLE}") from error


def even_stretch(samples: np.ndarray) -> np.ndarray:
    """The middle of something even, [N_SAMPLES]; errors: ValueError where it is too short, or falls off."""
    first = (len(samples) - N_SAMPLES) // 2
    piece = samples[max(0, first) : first + N_SAMPLES]
    rms = np.sqrt(np.mean(piece[: len(piece) // 4 * 4].reshape(4, -1) ** 2, axis=1))
    if first < 0 or rms.min() < MIN_EVENNESS * rms.max():
        raise ValueError("it is shorter than a library sound, or not even")
    return piece


def origins_of(files: list[str], index: dict[str, dict], licences: Path) -> list[dict[str, str]]:
    """What is to be said of recordings; errors: FoleyError for one that may not be passed on, or is kept for tests."""
    origins = []
    for file in files:
        row = index.get(file, {})
        authors = authors_of(row, licences) if row.get("licence") in ATTRIBUTED else ""
        if is_held_out(file) or not (row.get("licence") in FREE or authors):
            raise FoleyError(
                f"{file} is not in the set, is held out, or its licence asks for more than a name that is known",
                f"Name another recording in {TABLE}",
            )
        origin = {key: row[key] for key in ("file", "licence", "package", "version", "path")}
        origins.append({**origin, "authors": authors} if authors else origin)
    return origins


def authors_of(row: dict, licences: Path) -> str:
    """Who made a sound, by the last paragraph of its package's copyright file that names it under its licence."""
    path = licences / f"{row['package']}.copyright"
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    parts = PurePosixPath(row["path"]).parts
    tails = ["/".join(parts[k:]) for k in range(len(parts))]  # a package's files stand elsewhere than its source's
    authors = ""
    for paragraph in re.split(r"\n\s*\n", text):
        fields = {name: " ".join(value.split()) for name, value in FIELD.findall(paragraph)}
        patterns = [one for one in fields.get("Files", "").split() if one not in ("*", "debian/*")]
        names_it = any(fnmatchcase(tail, pattern) for pattern in patterns for tail in tails)
        if names_it and fields.get("License", "").split()[:1] == [row["licence"]]:
            authors = fields.get("Copyright", "")
    return authors


def write(table: list[dict], sounds: Path, out: Path) -> None:
    """The folder: one Ogg file a sound, and the index with words and origins."""
    index = {row["file"]: row for row in index_rows(sounds)}
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for entry in table:
        files = [f"{name}.ogg" for name in entry["files"]]
        row = {"file": f"{entry['words'][0].replace(' ', '_')}.ogg", "words": entry["words"],
               "from": origins_of(files, index, sounds / "licences")}  # fmt: skip
        samples = library_sound(entry["shape"], files, sounds)
        with replacing(out / row["file"]) as part:
            soundfile.write(part, samples, RATE_HZ, format="OGG", subtype="VORBIS", compression_level=VORBIS_LEVEL)
        rows.append(row)
    with replacing(out / INDEX_NAME) as part:
        part.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def main(
    sounds: Annotated[Path, typer.Option(help="The set of sounds, with its index.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
) -> None:
    """Write the library and say how large it is."""
    if not (sounds / INDEX_NAME).is_file():
        raise FoleyError(
            f"{sounds} has no {INDEX_NAME}, which names each sound's licence",
            "Make the set: python -m foleycli.lab sound_set --out DIR",
        )
    table = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    write(table, sounds, out)
    typer.echo(f"{len(table)} sounds in {out}, {sum(file.stat().st_size for file in out.iterdir()) / 1e6:.2f} MB")


if __name__ == "__main__":
    typer.run(main)
