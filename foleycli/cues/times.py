"""Times as people write them, and the clock of a reel: time code, seconds and frames to exact seconds and back.

| written | meaning |
|---|---|
| `01:00:02:12`, `01:00:02;12` | time code of the reel, whose first picture has the file's own start time code |
| `2.5`, `2.5s`, `1:02.5`, `0:01:02.5` | seconds (or minutes, or hours) from the first picture |
| `120f` | frames from the first picture |

A time code counts as the reel counts: where the file's own time code is drop-frame, `01:00:02:12` is too, as two
counts on one reel would be minutes apart.  `;` on a reel that leaves out no numbers is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from foleycli.media.timecode import (
    FORM,
    frame_number,
    frames_a_day,
    is_drop_frame,
    is_timecode,
    samples_a_day,
    start_timecode,
    timecode_of,
)
from foleycli.records import Video

NTSC = Fraction(30000, 1001)  # drop-frame exists at this rate and its multiples alone
SECONDS = re.compile(r"^([+-]?)(?:(?:(\d{1,3}):)?(\d{1,4}):)?(\d{1,9}(?:[.,]\d{1,12})?|[.,]\d{1,12}) ?s?$")
FRAMES = re.compile(r"^([+-]?)(\d{1,12}) ?f(?:rames?)?$")
SAME_RATE = Fraction(1, 5000)  # 30 and 29.97 differ by five times as much
SAME_TIME_S = Fraction(1, 2000)
FORMS = "Write time code (01:00:02:12), seconds (2.5) or frames (60f)"


@dataclass(frozen=True)
class ReelClock:
    """How a reel counts its pictures."""

    fps: Fraction
    start: str = ""  # time code of the first picture; "": the file has none, and the reel begins at zero

    @classmethod
    def of(cls, video: Video) -> ReelClock:
        """The clock of a video file."""
        start, fps = start_timecode(video)
        try:
            frame_number(start, fps)
        except ValueError:
            return cls(standard_rate(video.fps))
        fps = standard_rate(fps)
        # A file that says it leaves out numbers at a rate where none are left out counts all of them.
        return cls(fps, start if not is_drop_frame(start) or can_drop(fps) else re.sub("[;.]", ":", start))

    @property
    def is_drop(self) -> bool:
        """Whether the reel's own time code leaves numbers out."""
        return is_drop_frame(self.start)

    @property
    def start_frame(self) -> int:
        """Pictures from midnight to the first picture."""
        return frame_number(self.start, self.fps) if self.start else 0

    @property
    def start_s(self) -> Fraction:
        """Real seconds from midnight, as the numbers count, to the first picture."""
        return self.start_frame / self.fps

    def time_reference(self, sample: int, rate_hz: int) -> int:
        """Samples from midnight, of any day, to a sample counted from the first picture."""
        return nearest(self.start_s * rate_hz + sample) % samples_a_day(rate_hz)

    def frame(self, time_s: Fraction) -> int:
        """The nearest picture's edge, counted from the first picture."""
        return nearest(time_s * self.fps)

    def snapped(self, time_s: Fraction | float) -> Fraction:
        """A measured time as the picture's edge that it is, within half a millisecond; others as they are."""
        edge_s = self.frame(Fraction(time_s)) / self.fps
        return edge_s if abs(edge_s - Fraction(time_s)) < SAME_TIME_S else Fraction(time_s)

    def timecode(self, time_s: Fraction) -> str:
        """The reel's time code at the nearest picture's edge."""
        return self.timecode_of_frame(self.frame(time_s))

    def timecode_of_frame(self, frame: int) -> str:
        """The reel's time code of a picture, counted from the first."""
        return timecode_of(self.start_frame + frame, self.fps, ";" if self.is_drop else ":", self.n_digits)

    @property
    def n_digits(self) -> int:
        """With how many digits the pictures of a second are counted."""
        return 3 if round(self.fps) > 100 else 2

    def of_lengths(self) -> ReelClock:
        """The same count from zero, for lengths as time code: 00:00:02:12 is two seconds and twelve pictures."""
        return ReelClock(self.fps, "00:00:00;00" if self.is_drop else "00:00:00:00")

    def parse(self, text: str) -> Fraction:
        """Exact seconds from the first picture; a time code before the reel's start comes out negative.

        Errors: ValueError with what is wrong, in words that follow the text.
        """
        text = text.strip()
        if found := FRAMES.match(text):
            return int(found[1] + found[2]) / self.fps
        if (found := FORM.match(text)) and found[4] in ":;":
            return self._of_timecode(text)
        if found := SECONDS.match(text):
            hours, minutes = int(found[2] or 0), int(found[3] or 0)
            seconds = Fraction(found[4].replace(",", "."))
            if found[3] is not None and (seconds >= 60 or (found[2] is not None and minutes >= 60)):
                raise ValueError("has minutes or seconds of 60 or more")
            return (-1 if found[1] == "-" else 1) * (3600 * hours + 60 * minutes + seconds)
        raise ValueError("is no time")

    def _of_timecode(self, text: str) -> Fraction:
        if not is_timecode(text):
            raise ValueError("has hours above 23, or minutes or seconds above 59")
        text = text if text.index(":") != 1 else f"0{text}"
        wants_drop = ";" in text
        if wants_drop and not can_drop(self.fps):
            raise ValueError(f"is drop-frame, which there is not at {rate_name(self.fps)} pictures a second")
        if wants_drop and self.start and not self.is_drop:
            raise ValueError(f"is drop-frame, but the reel begins at {self.start} and leaves out no numbers")
        is_drop = wants_drop or self.is_drop
        head, frames = text[:8], text[9:]
        try:
            number = frame_number(f"{head}{';' if is_drop else ':'}{frames}", self.fps)
        except ValueError:
            if int(frames) >= round(self.fps):
                raise ValueError(f"has frame {int(frames)}, but a second has {round(self.fps)}") from None
            raise ValueError("is a number that drop-frame leaves out") from None
        day = frames_a_day(self.fps, is_drop)
        since = (number - self.start_frame) % day  # a reel may pass midnight
        return (since if 2 * since <= day else since - day) / self.fps


def can_drop(fps: Fraction) -> bool:
    """Whether drop-frame time code exists at a rate: 29.97, 59.94 and 119.88 alone."""
    return any(abs(fps / (k * NTSC) - 1) < SAME_RATE for k in (1, 2, 4))


def standard_rate(fps: Fraction) -> Fraction:
    """The rate of films and television that a measured one is meant to be, or itself: 2997/100 is 30000/1001."""
    whole = Fraction(round(fps))
    near = [rate for rate in (whole, whole * 1000 / 1001) if rate and abs(fps / rate - 1) < SAME_RATE]
    return near[0] if near else fps


def nearest(value: Fraction) -> int:
    """The nearest whole number; halves go up, so that equal steps stay equal."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def rate_name(fps: Fraction) -> str:
    """23.976 for 24000/1001."""
    return f"{float(fps):.3f}".rstrip("0").rstrip(".")


def shown(time_s: Fraction | float, n_digits: int = 3) -> str:
    """Seconds as short as they are exact to so many digits: 2.5."""
    text = f"{float(time_s):.{n_digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
