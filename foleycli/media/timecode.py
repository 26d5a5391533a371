"""SMPTE time codes: where a part of a film stands on its reel (SMPTE ST 12-1).

Drop-frame numbers leave out 2 of 30 (4 of 60) numbers at the start of every minute but each tenth, so that 29.97
pictures a second keep up with the clock.  No picture is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from foleycli.media.source import open_container, picture_stream
from foleycli.records import Video

FORM = re.compile(r"^(\d{1,2}):(\d{2}):(\d{2})([:;.,])(\d{2,3})$")
DAY_S = 86_400
DROPPED_SECONDS = 2 / 30  # of a second's numbers are left out at every minute but each tenth: 2 of 30, 4 of 60


def is_timecode(text: str) -> bool:
    """Whether a text is a time of the day; what readers make of a camera's telemetry often is none."""
    found = FORM.match(text.strip())
    return found is not None and int(found[1]) < 24 and int(found[2]) < 60 and int(found[3]) < 60


def start_timecode(video: Video) -> tuple[str, Fraction]:
    """The time code of a video's first picture, and the rate that it counts; "" where the file has none."""
    with open_container(video.path) as container:
        picture = picture_stream(container)
        streams = [picture, *(stream for stream in container.streams if stream.type == "data")]
        tags: list[Mapping[str, str]] = [container.metadata]
        tags += [stream.metadata for stream in streams if stream is not None]
        lowered = [{key.lower(): value for key, value in tag.items()} for tag in tags]
        timecode = next((tag["timecode"] for tag in lowered if is_timecode(tag.get("timecode", ""))), "")
        fps = picture.average_rate or video.fps if picture is not None else video.fps
    return timecode, Fraction(fps)


def is_drop_frame(timecode: str) -> bool:
    """Whether a time code leaves numbers out, by the sign before its frames."""
    found = FORM.match(timecode.strip())
    return found is not None and found[4] in ";."


def frames_a_day(fps: Fraction, is_drop: bool) -> int:
    """Pictures from midnight to midnight, as the numbers count them."""
    rate = round(fps)
    return 144 * (600 * rate - 9 * _n_dropped(rate, is_drop))


def samples_a_day(rate_hz: int) -> int:
    """Samples from midnight to midnight, of a clock that keeps time."""
    return DAY_S * rate_hz


def frame_number(timecode: str, fps: Fraction) -> int:
    """Pictures from midnight to a time code; errors: ValueError for a text that is none, or a number left out."""
    found = FORM.match(timecode.strip())
    rate = round(fps)  # numbers a second: 30 at 29.97
    if not found or not is_timecode(timecode) or int(found[5]) >= rate:
        raise ValueError(timecode)
    minutes, seconds, frames = (int(found[k]) for k in (2, 3, 5))
    if minutes % 10 and not seconds and frames < _n_dropped(rate, found[4] in ";."):
        raise ValueError(timecode)
    return _counted(found, rate)


def timecode_of(number: int, fps: Fraction, separator: str = ":", n_digits: int = 2) -> str:
    """The time code of a picture counted from midnight, of any day; `;` as separator is drop-frame."""
    rate = round(fps)
    n_dropped = _n_dropped(rate, separator in ";.")
    per_minute, per_ten = 60 * rate - n_dropped, 600 * rate - 9 * n_dropped
    number %= 144 * per_ten  # a day
    tens, rest = divmod(number, per_ten)
    # Nine of ten minutes leave numbers out; the first is a whole one.
    after_first = max(0, rest - 60 * rate) // per_minute + (rest >= 60 * rate)
    number += n_dropped * (9 * tens + after_first)
    seconds, frames = divmod(number, rate)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{separator}{frames:0{n_digits}}"


def advance_timecode(timecode: str, n_frames: int, fps: Fraction) -> str:
    """A time code so many frames later, in its own form; drop-frame numbers (after ; or .) stay drop-frame.

    A text that is no time code is given back as it is.
    """
    found = FORM.match(timecode.strip())
    if not found:
        return timecode
    return timecode_of(_counted(found, round(fps)) + n_frames, fps, found[4], len(found[5]))


def _counted(found: re.Match[str], rate: int) -> int:
    """Pictures from midnight to what FORM found, whether or not there is such a number."""
    hours, minutes, seconds, frames = (int(found[k]) for k in (1, 2, 3, 5))
    minute = 60 * hours + minutes
    return (60 * minute + seconds) * rate + frames - _n_dropped(rate, found[4] in ";.") * (minute - minute // 10)


def _n_dropped(rate: int, is_drop: bool) -> int:
    """Numbers left out at a minute, of `rate` numbers a second."""
    return round(rate * DROPPED_SECONDS) if is_drop else 0
