"""SMPTE time codes: where a part of a film stands on its reel (SMPTE ST 12-1)."""

from __future__ import annotations

import re
from fractions import Fraction

FORM = re.compile(r"^(\d{1,2}):(\d{2}):(\d{2})([:;.,])(\d{2,3})$")
DROPPED_SECONDS = 2 / 30  # of a second's numbers are left out at every minute but each tenth: 2 of 30, 4 of 60


def is_timecode(text: str) -> bool:
    """Whether a text is a time of the day; what readers make of a camera's telemetry often is none."""
    found = FORM.match(text.strip())
    return found is not None and int(found[1]) < 24 and int(found[2]) < 60 and int(found[3]) < 60


def advance_timecode(timecode: str, n_frames: int, fps: Fraction) -> str:
    """A time code so many frames later, in its own form; drop-frame numbers (after ; or .) stay drop-frame.

    A text that is no time code is given back as it is.
    """
    found = FORM.match(timecode.strip())
    if not found:
        return timecode
    hours, minutes, seconds, frames = (int(found[k]) for k in (1, 2, 3, 5))
    rate = round(fps)  # numbers a second: 30 at 29.97
    n_dropped = round(rate * DROPPED_SECONDS) if found[4] in ";." else 0
    minute = 60 * hours + minutes
    number = (60 * minute + seconds) * rate + frames - n_dropped * (minute - minute // 10)
    per_minute, per_ten = 60 * rate - n_dropped, 600 * rate - 9 * n_dropped
    number = (number + n_frames) % (144 * per_ten)  # a day
    tens, rest = divmod(number, per_ten)
    # Nine of ten minutes leave numbers out; the first is a whole one.
    after_first = max(0, rest - 60 * rate) // per_minute + (rest >= 60 * rate)
    number += n_dropped * (9 * tens + after_first)
    seconds, frames = divmod(number, rate)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{found[4]}{frames:0{len(found[5])}}"
