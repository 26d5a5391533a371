"""Makes the library of recorded sounds (`foleycli.library.library`) from sets of recordings.

    python -m foleycli.soundset.build_library sounds sounds2 --out foleycli/shipped/library

A sound is several takes of one thing, one after the other in a file.  `library_sounds.yaml` says which recordings:
in the public domain, or under licences that ask for no more than the authors' names, and none that is held out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, get_args

import numpy as np
import soundfile
import typer
import yaml

from foleycli.errors import FoleyError
from foleycli.library.index import INDEX_NAME, index_rows
from foleycli.media.audio import read_audio
from foleycli.media.output import replacing
from foleycli.recordings.takes import Kind, Take, cut_takes, is_single
from foleycli.soundset.held_out import is_held_out
from foleycli.soundset.kinds import RATE_HZ

TABLE = Path(__file__).with_name("library_sounds.yaml")
FIELD = re.compile(r"^([A-Z][\w-]*):((?:.*\n?)(?:^[ \t].*\n?)*)", re.MULTILINE)  # of a Debian copyright file
FREE, ATTRIBUTED = (
    ("CC0-1.0", "public-domain"),
    ("CC-BY-2.0", "CC-BY-3.0", "CC-BY-4.0", "MIT"),
)  # the latter ask for the authors
SAME_LICENCE = {"PD": "public-domain"}  # as sets spell it
SECONDS: dict[Kind, float] = {"hits": 8.0, "voice": 12.0, "texture": 13.0}  # of a sound in all
LONGEST_TEXTURE_S = 7.0  # of one recording
MOST_TAKES = 16
GAP_S = 0.05  # of silence between takes
TAKE_PEAK, TEXTURE_RMS = 0.7, 0.1  # of every take
ATTRIBUTION_NAME = "ATTRIBUTION.md"
ABOUT = "`index.jsonl` names for every sound the recordings it was cut from, each with its licence, authors and source."
VORBIS_LEVEL = 0.73  # of soundfile's 0 (best) to 1 (smallest)

Row = dict[str, Any]


def usable_row(file: str, row: Row, licences: Path) -> Row | None:
    """The index row of a recording's origin; None for one that may not be passed on, or is kept for tests."""
    licence = SAME_LICENCE.get(str(row.get("licence")), str(row.get("licence")))
    authors = authors_of({**row, "licence": licence}, licences)
    if is_held_out(file) or not (licence in FREE or (licence in ATTRIBUTED and authors)):
        return None
    origin = {"file": file, "licence": licence, **{key: row[key] for key in ("package", "version", "path")}}
    return {**origin, "authors": authors} if authors else origin


def authors_of(row: Row, licences: Path) -> str:
    """Who made a sound: by its index, else by the last paragraph of its package's Debian copyright file naming it."""
    if row.get("author"):
        return str(row["author"])
    path = licences / f"{row['package']}.copyright"
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    parts = PurePosixPath(str(row["path"])).parts
    tails = ["/".join(parts[k:]) for k in range(len(parts))]  # a package's files have other folders than its source's
    authors = ""
    for paragraph in re.split(r"\n\s*\n", text):
        fields = {name: " ".join(value.split()) for name, value in FIELD.findall(paragraph)}
        patterns = [one for one in fields.get("Files", "").split() if one not in ("*", "debian/*")]
        names_it = any(fnmatchcase(tail, pattern) for pattern in patterns for tail in tails)
        if names_it and fields.get("License", "").split()[:1] == [row["licence"]]:
            authors = fields.get("Copyright", "")
    return authors


def recordings_of(files: Sequence[str], sets: dict[str, Path], indexes: dict[str, dict[str, Row]]) -> Iterator[tuple]:
    """(file on disk, row of its origin) of every recording that an entry names.

    Errors: FoleyError for a single recording that may not be used; of a range those are left out.
    """
    for name in files:
        set_name, category, numbers = name.split("/")
        first, _, last = numbers.partition("-")
        for number in range(int(first), int(last or first) + 1):
            file = f"{category}/{number:04d}.ogg"
            row = indexes[set_name].get(file)
            origin = usable_row(file, row, sets[set_name] / "licences") if row else None
            if origin is not None:
                yield sets[set_name] / file, {**origin, "file": f"{set_name}/{file}"}
            elif not last:
                raise FoleyError(
                    f"{name} is not in the set, is held out, or its licence asks for more than a name that is known",
                    f"Name another recording in {TABLE}",
                )


def levelled(samples: np.ndarray, kind: Kind) -> np.ndarray:
    """A recording [N] as loud as all others of its kind: by its peak, or by the level of its louder half."""
    if kind != "texture":
        return samples * (TAKE_PEAK / max(float(np.abs(samples).max(initial=0.0)), 1e-6))
    power = np.square(samples[: len(samples) // 441 * 441]).reshape(-1, 441).mean(axis=1)
    rms = float(np.sqrt(np.sort(power)[len(power) // 2 :].mean() + 1e-12)) if len(power) else 1.0
    gain = TEXTURE_RMS / max(rms, 1e-6)
    return samples * min(gain, 0.95 / max(float(np.abs(samples).max(initial=0.0)), 1e-6))


def takes_of(recordings: Sequence[tuple[Path, Row]], kind: Kind, seconds: float) -> tuple[list[Take], list[Row]]:
    """Takes in turn from every recording, as many as `seconds` hold, and the recordings that they are from."""
    queues = []
    for path, origin in recordings:
        samples = levelled(read_audio(path, RATE_HZ, 1).samples[0], kind)
        takes = cut_takes(samples, RATE_HZ, kind)
        if kind == "hits":
            takes.sort(
                key=lambda take: not is_single(take, RATE_HZ)
            )  # those with a second attack only as a last resort
        if kind == "texture":
            longest = round(LONGEST_TEXTURE_S * RATE_HZ)
            takes = [Take(_middle(take.samples, longest), 0) for take in takes]
        queues.append((origin, takes))
    chosen: list[Take] = []
    origins: list[Row] = []
    total = 0
    for turn in range(max((len(takes) for _, takes in queues), default=0)):
        for origin, takes in queues:
            if turn < len(takes) and len(chosen) < MOST_TAKES:
                length = len(takes[turn].samples)
                if not chosen or total + length <= seconds * RATE_HZ:
                    chosen.append(takes[turn])
                    total += length
                    origins += [origin] if origin not in origins else []
    return chosen, origins


def _middle(samples: np.ndarray, longest: int) -> np.ndarray:
    first = max(0, (len(samples) - longest) // 2)
    return samples[first : first + longest]


def write_sound(path: Path, takes: Sequence[Take]) -> list[list[float]]:
    """One Ogg file of all takes; returns where each begins and ends, in seconds."""
    gap = round(GAP_S * RATE_HZ)
    pieces, bounds, position = [], [], 0
    for take in takes:
        bounds.append([round(position / RATE_HZ, 4), round((position + len(take.samples)) / RATE_HZ, 4)])
        pieces += [take.samples, np.zeros(gap, np.float32)]
        position += len(take.samples) + gap
    with replacing(path) as part:
        samples = np.concatenate(pieces)
        soundfile.write(part, samples, RATE_HZ, format="OGG", subtype="VORBIS", compression_level=VORBIS_LEVEL)
    return bounds


def attribution(origins: Sequence[Row], sets: Sequence[Path]) -> str:
    """Whose recordings they are, package by package: what the sets' own notes say, or the authors in the index."""
    parts = [f"# Where the recordings of the library come from\n\n{ABOUT}\n"]
    for package in sorted({str(origin["package"]) for origin in origins}):
        own = [origin for origin in origins if origin["package"] == package]
        licences = ", ".join(sorted({str(origin["licence"]) for origin in own}))
        parts.append(f"## {package} {own[0]['version']}: {len(own)} recordings ({licences})\n")
        name = package.removeprefix("github:").replace("/", "_")
        notes = [note for folder in sets if (note := folder / "licences" / f"{name}.txt").is_file()]
        if notes:
            parts.append("\n".join(line.rstrip() for line in notes[0].read_text(encoding="utf-8").splitlines()) + "\n")
        else:
            authors = sorted({str(origin["authors"]) for origin in own if "authors" in origin})
            parts.append("".join(f"- {author}\n" for author in authors) or "No credit is asked for.\n")
    return "\n".join(parts)


def write(table: list[dict], sets: Sequence[Path], out: Path) -> None:
    """The folder: one Ogg file a sound, and the index with words, kinds, takes and origins."""
    by_name = {folder.name: folder for folder in sets}
    indexes = {name: {row["file"]: row for row in index_rows(folder)} for name, folder in by_name.items()}
    out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for entry in table:
        kind, words = entry["kind"], entry["words"]
        if kind not in get_args(Kind):
            raise FoleyError(f"{words[0]} is of the kind {kind!r}", f"Name one of {', '.join(get_args(Kind))}")
        recordings = list(recordings_of(entry["files"], by_name, indexes))
        takes, origins = takes_of(recordings, kind, entry.get("seconds", SECONDS[kind]))
        if not takes:
            raise FoleyError(f"{words[0]} has no take", f"Name other recordings in {TABLE}")
        file = f"{re.sub(r'[^a-z-]+', '_', words[0])}.ogg"
        row: Row = {"file": file, "words": words, "category": entry["category"], "kind": kind}
        if "place" in entry:
            row["place"] = entry["place"]
        rows.append({**row, "takes_s": write_sound(out / file, takes), "from": origins})
    by_file = {str(origin["file"]): origin for row in rows for origin in row["from"]}
    with replacing(out / ATTRIBUTION_NAME) as part:
        part.write_text(attribution(list(by_file.values()), sets), encoding="utf-8")
    with replacing(out / INDEX_NAME) as part:
        part.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def main(
    sets: Annotated[list[Path], typer.Argument(help="The sets of sounds, with their indexes.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
) -> None:
    """Write the library and say how large it is."""
    for folder in sets:
        if not (folder / INDEX_NAME).is_file():
            raise FoleyError(
                f"{folder} has no {INDEX_NAME}, which names each sound's licence",
                "Make the set: python -m foleycli.lab sound_set --out DIR",
            )
    table = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    write(table, sets, out)
    typer.echo(f"{len(table)} sounds in {out}, {sum(file.stat().st_size for file in out.iterdir()) / 1e6:.2f} MB")


if __name__ == "__main__":
    typer.run(main)
