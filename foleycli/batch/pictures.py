"""Small pictures for a batch's page, drawn where a row is made: a film still, and a spectrogram of each result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from foleycli.errors import FoleyError
from foleycli.media.audio import read_audio
from foleycli.media.frames import read_frames
from foleycli.records import Video
from foleycli.report.files import PICTURE_FPS, PICTURE_RATE_HZ
from foleycli.report.picture import spectrogram

if TYPE_CHECKING:
    from foleycli.batch.work import Task
    from foleycli.rendering.result import RenderResult

STILL_WIDTH_PX = 320
SPECTROGRAM_PX = (480, 96)


def write_pictures(task: Task, results: Sequence[RenderResult]) -> None:
    """Draw a row's pictures beside its record; what cannot be read is left out: a row must not fail for them."""
    if task.job.video is not None and (still := _still(task.job.video, results[0])) is not None:
        still.save(task.record.still, quality=70)
    for index, result in enumerate(results):
        samples = read_audio(result.out, PICTURE_RATE_HZ, 1).samples[0]  # [N]
        spectrogram(samples, PICTURE_RATE_HZ, *SPECTROGRAM_PX).save(task.record.spectrogram(index), quality=70)


def _still(video: Video, result: RenderResult) -> Image.Image | None:
    """A picture from the middle of the part that has sound."""
    time_s = min(result.start_s + result.duration_s / 2, video.duration_s - 1e-3)
    height_px = max(1, round(STILL_WIDTH_PX * video.height_px / video.width_px))
    try:
        chunks = read_frames(
            video, PICTURE_FPS, STILL_WIDTH_PX, height_px, start_s=time_s, duration_s=1 / float(PICTURE_FPS)
        )
        return Image.fromarray(next(iter(chunks))[0])
    except (FoleyError, StopIteration):
        return None
