"""Makes the library of short reels that foley takes a timbre from (`foleycli.library`) out of the recorded sounds.

    python -m foleycli.training.reels --sounds ../shared/sounds --out foleycli/shipped/library

A reel is what a reference was in training: a few hits of one thing in two seconds, or a stretch of something even.
`reels.yaml` says which recordings: under licences that ask for no more than the authors' names, and none held out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import soundfile
import typer
import yaml

from foleycli.errors import FoleyError
from foleycli.library import INDEX_NAME
from foleycli.media.audio import read_audio
from foleycli.media.output import replacing
from foleycli.training.held_out import is_held_out
from foleycli.training.worlds.bank import INDEX_NAME as SOUNDS_INDEX
from foleycli.training.worlds.bank import make_take
from foleycli.training.worlds.config import RATE_HZ

TABLE = Path(__file__).with_name("reels.yaml")
FREE = ("CC0-1.0", "public-domain", "MIT", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-3.0", "CC-BY-4.0")
LENGTH_S = 1.6
FIRST_HIT_S, GAP_S, LONGEST_GAP_S = 0.04, 0.52, 0.9  # three hits to a reel, or two of what rings long
LAST_HIT_S = LENGTH_S - 0.25
PEAK = 0.6  # as loud as the training's sounds
FADE_S = 0.02
VORBIS_LEVEL = 0.5  # of soundfile's 0 (best) to 1 (smallest)


def hits(takes: list[np.ndarray]) -> np.ndarray:
    """Takes of one thing, float32 [N] each from its attack on, struck again and again."""
    out = np.zeros(round(LENGTH_S * RATE_HZ), np.float32)
    start_s, k = FIRST_HIT_S, 0
    while start_s < LAST_HIT_S:
        take, first = takes[k % len(takes)], round(start_s * RATE_HZ)
        piece = take[: len(out) - first]
        out[first : first + len(piece)] += piece
        start_s += float(np.clip(len(take) / RATE_HZ, GAP_S, LONGEST_GAP_S))
        k += 1
    return out


def stretch(samples: np.ndarray) -> np.ndarray:
    """The middle of something even."""
    n = min(len(samples), round(LENGTH_S * RATE_HZ))
    first = (len(samples) - n) // 2
    return samples[first : first + n]


def levelled(samples: np.ndarray) -> np.ndarray:
    """At `PEAK`, with a fade where the end was cut off."""
    out = samples / max(float(np.abs(samples).max()), 1e-6) * PEAK
    n_fade = round(FADE_S * RATE_HZ)
    out[-n_fade:] *= np.linspace(1, 0, n_fade, dtype=np.float32)
    return out.astype(np.float32)


def reel(kind: str, files: list[str], sounds: Path) -> np.ndarray:
    """One reel float32 [N] of the recordings named; errors: FoleyError for one that is not what the table says."""
    read = [read_audio(sounds / file, RATE_HZ, 1).samples[0] for file in files]  # [N] each
    if kind == "even":
        return levelled(stretch(read[0]))
    takes = [make_take(file, "", samples, "voice") for file, samples in zip(files, read, strict=True)]
    if None in takes:
        raise FoleyError(f"{files[takes.index(None)]} is silent", f"name another recording in {TABLE}")
    return levelled(hits([take.samples() for take in takes]))


def origins_of(files: list[str], index: dict[str, dict]) -> list[dict[str, str]]:
    """What is to be told of recordings; errors: FoleyError for one that may not be passed on, or is kept for tests."""
    for file in files:
        if file not in index or is_held_out(file) or index[file]["licence"] not in FREE:
            raise FoleyError(
                f"{file} is not in the set, is held out, or is under a licence that asks for more than a name",
                f"name another recording in {TABLE}",
            )
    return [{key: index[file][key] for key in ("file", "licence", "package", "version", "path")} for file in files]


def write(table: list[dict], sounds: Path, out: Path) -> None:
    """The folder: one Ogg file a reel, and the index with words and origins."""
    rows_of_set = (sounds / SOUNDS_INDEX).read_text(encoding="utf-8").splitlines()
    index = {row["file"]: row for row in map(json.loads, rows_of_set)}
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for entry in table:
        files = [f"{name}.ogg" for name in entry["files"]]
        row = {"file": f"{entry['words'][0].replace(' ', '_')}.ogg", "words": entry["words"],
               "from": origins_of(files, index)}  # fmt: skip
        samples = reel(entry["kind"], files, sounds)
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
    if not (sounds / SOUNDS_INDEX).is_file():
        raise FoleyError(
            f"{sounds} has no {SOUNDS_INDEX}, which names each sound's licence", "make it: foleycli.training.sound_set"
        )
    table = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    write(table, sounds, out)
    typer.echo(f"{len(table)} reels in {out}, {sum(file.stat().st_size for file in out.iterdir()) / 1e6:.2f} MB")


if __name__ == "__main__":
    typer.run(main)
