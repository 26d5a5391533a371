"""Pictures on a regular grid: a `Video` in, uint8 arrays out, in one ffmpeg pass with flat memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Literal

import numpy as np

from foleycli.errors import FoleyError
from foleycli.media import ffmpeg
from foleycli.media.source import open_input
from foleycli.records import Video
from foleycli.threads import decoder_threads

# Containers round time stamps to a millisecond at worst: a picture that comes so little late is on time.
LATE_S = 0.001
Fit = Literal["squash", "crop"]
# Area averages; fast_bilinear is faster, but flickers.  The others are what published encoders were trained on.
Scaling = Literal["area", "bilinear", "bicubic"]
TURNS = {0: (), 90: ("transpose=clock",), 180: ("hflip", "vflip"), 270: ("transpose=cclock",)}


def _ignore(_: str) -> None:
    """Ignores warnings: the default."""


def grid_length(duration_s: float, fps: Fraction) -> int:
    """How many pictures `read_frames` yields for a duration: ceil(duration x fps), at least one."""
    return max(1, math.ceil(duration_s * fps - LATE_S))


def read_frames(
    video: Video,
    fps: Fraction,
    width_px: int,
    height_px: int,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    chunk_frames: int = 50,
    warn: Callable[[str], None] = _ignore,
    fit: Fit = "squash",
    scaling: Scaling = "area",
) -> Iterator[np.ndarray]:
    """Chunks uint8 [n, H, W, 3] of RGB pictures, turned as a player shows them, in the given size.

    They are squashed to it; with fit "crop" they keep their proportions and what is too wide or too high is
    cut off on both sides alike.
    Picture k is the latest one not after start_s + k / fps, counted from the video's first picture;
    exactly `grid_length` of them come.  Where the file gives fewer (it ends early or is broken midway)
    the last one is repeated, and `warn` is called if half a second or more is missing.  A file that gives
    none at all is a FoleyError.
    """
    left_s = video.duration_s - start_s
    wanted = grid_length(left_s if duration_s is None else min(duration_s, left_s), fps)
    args = _command(video, fps, start_s, wanted, _sizing(video, width_px, height_px, fit, scaling))
    frame_bytes = width_px * height_px * 3
    n_made, last = 0, None
    try:
        for piece in ffmpeg.read_stdout(args, chunk_frames * frame_bytes, f"reading {video.path}"):
            count = len(piece) // frame_bytes
            chunk = np.frombuffer(piece, np.uint8, count * frame_bytes).reshape(-1, height_px, width_px, 3)
            n_made += count
            if count:
                last = chunk[-1:]  # [1, H, W, 3]
                yield chunk
    except FoleyError:
        if last is None:
            raise
    if last is None:
        raise FoleyError(f"{video.path} gives no picture at {start_s:.2f} s", "Play it: it may be broken")
    missing_s = float((wanted - n_made) / fps)
    if missing_s >= 0.5:
        warn(f"{video.path.name}: the last {missing_s:.1f} s cannot be read, the last frame is repeated")
    for first in range(n_made, wanted, chunk_frames):
        yield np.repeat(last, min(chunk_frames, wanted - first), axis=0)  # [n, H, W, 3]


def _sizing(video: Video, width_px: int, height_px: int, fit: Fit, scaling: Scaling) -> tuple[str, ...]:
    """Filters to the given size, before the picture is turned.

    With "area" the small picture is YCbCr still: ffmpeg scales to RGB by slower and coarser code, which takes a sixth
    more time and is 2 of 255 levels too dark.
    """
    width_px, height_px = (height_px, width_px) if video.rotation_deg in (90, 270) else (width_px, height_px)
    small = ("format=yuv420p",) if scaling == "area" else ()
    if fit == "squash":
        return (f"scale={width_px}:{height_px}:flags={scaling}", *small)
    scale = f"scale={width_px}:{height_px}:force_original_aspect_ratio=increase:flags={scaling}"
    return scale, f"crop={width_px}:{height_px}:exact=1", *small  # exact: an odd size stays odd in YCbCr


def _command(video: Video, fps: Fraction, start_s: float, n: int, sizing: tuple[str, ...]) -> list[str]:
    """ffmpeg's arguments.

    Time stamps stay the file's own (-copyts) and the grid is laid over them, so that a seek only saves
    work: -noaccurate_seek starts at a key frame before start_s and `fps` drops what is too early.  The
    picture is turned after it is made small.
    """
    zero_s = video.start_s + start_s + LATE_S
    chain = (
        f"setpts=PTS-({zero_s:.6f})/TB",
        f"fps=fps={fps}:start_time=0:round=up",  # up: a picture is not shown before its time
        *sizing,
        *TURNS[video.rotation_deg],
        *(("hflip",) if video.is_mirrored else ()),
        "format=rgb24",
    )
    seek = {"ss": f"{start_s - 1:.3f}"} if start_s > 2 else {}  # a second early: seeks are by decoding time
    n_threads = decoder_threads()
    source = open_input(video.path, noautorotate=None, noaccurate_seek=None, threads=n_threads, **seek)
    picture = source["V:0"]  # V: without cover art, so the stream that the probe chose
    output = picture.output("pipe:1", vf=",".join(chain), format="rawvideo", pix_fmt="rgb24", **{"frames:v": n})
    return ffmpeg.command(output, "-copyts", "-filter_threads", str(n_threads))
