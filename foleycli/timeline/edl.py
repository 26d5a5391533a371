"""CMX3600: the picture and the first takes as events by time code; what it has no place for is said in comments.

Source time code is that of the files' own bext, so that source and record agree.  It knows whole pictures only.
"""

from __future__ import annotations

from foleycli.cues.edl import check_two_digits
from foleycli.cues.times import ReelClock
from foleycli.errors import UsageError
from foleycli.timeline.timeline import Clip, Timeline

MOST_EVENTS = 999
FEWER = "Write .otio or .fcpxml, or fewer cues"


def check_edl(clock: ReelClock, n_clips: int) -> None:
    """Errors: UsageError for more events, or pictures a second, than the format counts."""
    check_two_digits(clock)
    if n_clips + 1 > MOST_EVENTS:
        raise UsageError(f"an .edl holds {MOST_EVENTS} events, this timeline has {n_clips + 1}", FEWER)


def edl_text(timeline: Timeline) -> str:
    """The list; errors: see `check_edl`."""
    clips = sorted(
        ((n, clip) for n, track in enumerate(timeline.tracks, start=1) for clip in track.clips),
        key=lambda each: (each[1].start, each[0]),
    )
    check_edl(timeline.clock, len(clips))
    lines = [f"TITLE: {' '.join(timeline.name.split())[:70]}"]
    lines += [f"FCM: {'DROP FRAME' if timeline.clock.is_drop else 'NON-DROP FRAME'}"]
    lines += [_event(timeline, 1, "REEL", "V", 0, timeline.n_frames), f"* FROM CLIP NAME: {_line(timeline.video.name)}"]
    for number, (channel, clip) in enumerate(clips, start=2):
        first, end = timeline.frame(clip.start), timeline.frame(clip.end)
        name = "A" if channel == 1 else f"A{channel}"
        lines += [
            _event(timeline, number, f"F{number:03}", name, first, max(end, first + 1)),
            *_comments(timeline, clip, channel),
        ]
    return "\n".join(lines) + "\n"


def _event(timeline: Timeline, number: int, reel: str, channel: str, first: int, end: int) -> str:
    edges = " ".join(timeline.clock.timecode_of_frame(frame) for frame in (first, end))
    return f"{number:03}  {reel:8} {channel:5} C        {edges} {edges}"


def _comments(timeline: Timeline, clip: Clip, channel: int) -> list[str]:
    handles = clip.start - clip.media.start, clip.media.end - clip.end
    lines = [
        f"* FROM CLIP NAME: {_line(clip.media.path.name)}",
        f"* COMMENT: {_line(clip.name)}",
        f"* TRACK: {_line(timeline.tracks[channel - 1].name)}",
        f"* HANDLES: {handles[0]} AND {handles[1]} SAMPLES",
    ]
    return lines + [f"* TAKE {take.take}: {_line(take.path.name)}" for take in clip.takes[1:]]


def _line(text: str) -> str:
    return " ".join(text.splitlines())  # spaces stay, since names of files have them
