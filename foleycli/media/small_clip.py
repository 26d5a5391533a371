"""Pictures to a small H.264 video in memory and back: what prepared data sets keep of the clips."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer

from foleycli.errors import FoleyError

CRF = "20"  # x264's quality: still pictures of 224 px show no blocks, a second takes about 30 kB


def encode_clip(chunks: Iterable[np.ndarray], fps: Fraction, width_px: int, height_px: int) -> bytes:
    """Pictures uint8 [n, H, W, 3] of even sides as an MP4 without sound; the same pictures give the same bytes."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": CRF, "preset": "veryfast", "g": "25"})
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        stream.codec_context.thread_count = 1  # more of them divide the picture otherwise
        for chunk in chunks:
            for picture in chunk:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def decode_clip(content: bytes, width_px: int = 0, height_px: int = 0) -> np.ndarray:
    """Pictures uint8 [T, H, W, 3] of what `encode_clip` wrote, squashed to the given size (0: as they are)."""
    try:
        with av.open(io.BytesIO(content), "r") as container:
            return np.stack(list(_pictures(container, width_px, height_px)))
    except (av.FFmpegError, ValueError) as error:
        raise FoleyError(f"a picture of the data set cannot be read: {error}", "Prepare the data set again") from error


def _pictures(container: InputContainer, width_px: int, height_px: int) -> Iterator[np.ndarray]:
    for frame in container.decode(video=0):
        wanted = (width_px, height_px) if width_px else (frame.width, frame.height)
        yield frame.to_ndarray(format="rgb24", interpolation="AREA", width=wanted[0], height=wanted[1])
