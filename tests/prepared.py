"""Makes clips with a CSV in VGGSound's form, for tests of prepared data sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clips import run_ffmpeg

from foleycli.datasets.prepare import Prepared
from foleycli.datasets.shards import PrepareSettings

SETTINGS = PrepareSettings(duration_s=5.0, size_px=48, examples_per_shard=2)
# id, start, label, split, and the colour that the picture turns to as the noise gets louder.
LINES = (
    ("abc_def-12", 30, "dog barking", "train"),
    ("-x_1", 7, "waves, on a beach", "train"),
    ("whole", 2, "rain", "train"),
    ("milli", 4, "dog barking", "train"),
    ("fifth", 0, "rain", "train"),
    ("held", 10, "dog barking", "test"),
)
FILES = {"abc_def-12": "abc_def-12_000030", "-x_1": "-x_1_7", "whole": "whole", "milli": "milli_4000_14000",
         "fifth": "fifth_000000", "held": "held_000010"}  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A folder of videos with its CSV, and what was made of it."""

    table: Path
    videos: Path
    prepared: Prepared

    @property
    def out(self) -> Path:
        return self.prepared.folder


def write_clip(out: Path, number: int, duration_s: float = 5.1) -> None:
    """A moving picture with noise, both unlike any other number's."""
    run_ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=64x48:r=25:d={duration_s}", "-f", "lavfi",
               "-i", f"anoisesrc=d={duration_s}:seed={number}:r=44100:a={0.05 * (number + 1)}",
               "-vf", f"hue=h={40 * number}", "-preset", "ultrafast", "-shortest", out)  # fmt: skip
