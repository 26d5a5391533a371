"""`python -m foleycli.synthetic --seed 3 --out clip.mp4`: one synthetic clip to look at and listen to."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from foleycli.errors import FoleyError
from foleycli.soundset.bank import SoundBank
from foleycli.synthetic.clips import WEIGHTS, make_clip
from foleycli.synthetic.config import WorldConfig
from foleycli.synthetic.demo import FPS, make_demo
from foleycli.synthetic.export import write_mp4


def main(arguments: list[str] | None = None) -> int:
    """Write one clip; prints its path, and what happens in it to stderr."""
    given = _parse(arguments)
    try:
        if given.scene == "demo":
            frames, times_s = make_demo()
            write_mp4(given.out, frames, FPS, crf=21)
            print("events at", ", ".join(f"{time_s:.2f}" for time_s in times_s), file=sys.stderr)
        else:
            _write_clip(given)
    except FoleyError as error:
        print(error, file=sys.stderr)
        return 1
    print(given.out)
    return 0


def _write_clip(given: argparse.Namespace) -> None:
    bank = SoundBank(*given.sounds)
    config = WorldConfig(
        duration_s=given.duration,
        size_px=given.size,
        difficulty=given.difficulty,
        split=given.split,
        scene=given.scene,
        even_kinds=bank.even_kinds(given.split),
    )
    if bank.unused:
        unused = f"{len(bank.unused)} sounds, such as {bank.unused[0]}"
        print(f"not used, because the names of their folders mean no kind of sound: {unused}", file=sys.stderr)
    clip = make_clip(given.seed, config, bank)
    write_mp4(given.out, clip.frames, config.fps, clip.samples)
    print(f"{clip.scene}: {clip.label}", file=sys.stderr)
    for event in clip.events:
        print(f"{event.time_s:.3f} s  strength {event.strength:.2f}  {event.category}", file=sys.stderr)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m foleycli.synthetic", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="the mp4 to write")
    parser.add_argument("--scene", choices=[*WEIGHTS, "demo"], help="demo: the shipped clip, without sound")
    parser.add_argument(
        "--sounds", type=Path, nargs="+", default=[], help="folders of labelled sounds; without, they are synthetic"
    )
    parser.add_argument("--split", choices=["train", "test"], default="train")
    parser.add_argument("--difficulty", type=float, default=1.0)
    parser.add_argument("--size", type=int, default=112, help="picture width and height in pixels; even")
    parser.add_argument("--duration", type=float, default=5.0, help="seconds")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
