"""Subtitles of a part: the words that are shown in it, on its clock.

ffmpeg's own cut shifts and stretches them, by up to the distance to the key frame before.
"""

from __future__ import annotations

import re
from pathlib import Path

from foleycli.media import ffmpeg
from foleycli.media.source import open_input

ARROW = re.compile(r"^([\d:]+[,.]\d{3}) --> ([\d:]+[,.]\d{3})(.*)$")
DIALOGUE = re.compile(r"^(Dialogue: [^,]*),([\d:.]+),([\d:.]+),(.*)$")
SUFFIXES = {"ass": ".ass", "ssa": ".ass", "webvtt": ".vtt"}  # others are plain words: .srt
CODECS = {".ass": "ass", ".vtt": "webvtt", ".srt": "srt"}


def cut_subtitles(
    path: Path, index: int, codec: str, folder: Path, *, start_s: float, duration_s: float
) -> Path | None:
    """A file in `folder` with the words of stream `index` that are shown from `start_s` (on the file's clock) on.

    Times count from `start_s`; words that reach over an end are shown up to it.  None: there are none.
    """
    suffix = SUFFIXES.get(codec, ".srt")
    whole = folder / f"whole{index}{suffix}"
    output = ffmpeg.output_of([open_input(path)[str(index)]], whole, **{"c:s": CODECS[suffix]})
    ffmpeg.run(ffmpeg.command(output, "-copyts"), f"reading the subtitles of {path}")
    words = whole.read_text(encoding="utf-8", errors="replace")
    cut = _cut_dialogue(words, start_s, duration_s) if suffix == ".ass" else _cut_cues(words, start_s, duration_s)
    if cut is None:
        return None
    out = folder / f"part{index}{suffix}"
    out.write_text(cut, encoding="utf-8")
    return out


def _cut_cues(words: str, start_s: float, duration_s: float) -> str | None:
    """SubRip and WebVTT: blocks with a line of two times."""
    blocks = re.split(r"\n\s*\n", words.strip())
    kept = []
    for block in blocks:
        lines = block.split("\n")
        place = next((k for k, line in enumerate(lines) if ARROW.match(line)), None)
        if place is None:
            if block.startswith("WEBVTT") or block.startswith(("STYLE", "REGION", "NOTE")):
                kept.append((block, False))
            continue
        found = ARROW.match(lines[place])
        assert found is not None
        times = _within(_seconds(found[1]), _seconds(found[2]), start_s, duration_s)
        if times:
            comma = "," if "," in found[1] else "."
            lines[place] = f"{_clock(times[0], comma, 3)} --> {_clock(times[1], comma, 3)}{found[3]}"
            kept.append(("\n".join(lines), True))
    return "\n\n".join(block for block, _ in kept) + "\n" if any(is_cue for _, is_cue in kept) else None


def _cut_dialogue(words: str, start_s: float, duration_s: float) -> str | None:
    """(Advanced) SubStation Alpha: lines of events."""
    kept, has_words = [], False
    for line in words.splitlines():
        found = DIALOGUE.match(line)
        if not found:
            kept.append(line)
            continue
        times = _within(_seconds(found[2]), _seconds(found[3]), start_s, duration_s)
        if times:
            has_words = True
            kept.append(f"{found[1]},{_clock(times[0], '.', 2)},{_clock(times[1], '.', 2)},{found[4]}")
    return "\n".join(kept) + "\n" if has_words else None


def _within(begin_s: float, end_s: float, start_s: float, duration_s: float) -> tuple[float, float] | None:
    begin_s, end_s = max(0.0, begin_s - start_s), min(duration_s, end_s - start_s)
    return (begin_s, end_s) if end_s - begin_s > 0.005 else None


def _seconds(clock: str) -> float:
    total_s = 0.0
    for number in clock.replace(",", ".").split(":"):
        total_s = 60 * total_s + float(number)
    return total_s


def _clock(time_s: float, comma: str, digits: int) -> str:
    ticks = round(time_s * 10**digits)
    seconds, rest = divmod(ticks, 10**digits)
    hours = f"{seconds // 3600:02}" if digits == 3 else f"{seconds // 3600}"
    return f"{hours}:{seconds // 60 % 60:02}:{seconds % 60:02}{comma}{rest:0{digits}}"
