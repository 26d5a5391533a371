"""What a timeline holds: the reel's picture, tracks of clips with their takes, and regions.

Places are samples from the reel's first picture, so that every writer counts from the same whole numbers; its own time
code is added where a file is written.  A clip is where its cue is: what its file has before and after are handles.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from foleycli.cues.times import ReelClock


@dataclass(frozen=True)
class Media:
    """The file of one take."""

    name: str
    path: Path
    take: int  # from 1
    start: int  # of its first sample, from the reel's first picture
    n_samples: int
    channels: int
    bits: int = 24

    @property
    def end(self) -> int:
        """The sample after its last."""
        return self.start + self.n_samples


@dataclass(frozen=True)
class Clip:
    """A cue on a track."""

    name: str
    start: int  # where the cue begins, after the handle of its files
    n_samples: int
    takes: tuple[Media, ...]  # the first is heard
    notes: str = ""

    @property
    def end(self) -> int:
        """The sample after its last."""
        return self.start + self.n_samples

    @property
    def media(self) -> Media:
        """The file that is heard."""
        return self.takes[0]

    def name_of(self, take: Media) -> str:
        """What a take is called on a track: as the cue, with its number where there are several."""
        return self.name if len(self.takes) == 1 else f"{self.name}, take {take.take}"


@dataclass(frozen=True)
class Track:
    """Clips in order, no two of whose files overlap."""

    name: str
    clips: tuple[Clip, ...]


@dataclass(frozen=True)
class Region:
    """A named span: a cue."""

    number: int
    name: str
    start: int
    end: int


@dataclass(frozen=True)
class Timeline:
    """A reel with its sounds."""

    name: str
    clock: ReelClock
    rate_hz: int
    video: Path
    n_frames: int  # of the reel
    width_px: int
    height_px: int
    tracks: tuple[Track, ...]
    regions: tuple[Region, ...] = ()

    @property
    def duration_s(self) -> Fraction:
        """Of the reel."""
        return self.n_frames / self.clock.fps

    def seconds(self, sample: int) -> Fraction:
        """From the reel's first picture."""
        return Fraction(sample, self.rate_hz)

    def frame(self, sample: int) -> int:
        """The nearest picture's edge, from the reel's first picture."""
        return self.clock.frame(self.seconds(sample))

    def time_reference(self, media: Media) -> int:
        """Samples from midnight to a file's first, as its bext says."""
        return self.clock.time_reference(media.start, self.rate_hz)


def laid_out(clips: Iterable[tuple[str, Clip]]) -> tuple[Track, ...]:
    """Clips with the names of their tracks; where the files of two overlap, the second goes to a further track.

    Neighbours whose handles meet end up on alternate tracks, as a mixer has them.
    """
    lanes: dict[str, list[list[Clip]]] = {}
    for name, clip in sorted(clips, key=lambda each: min(take.start for take in each[1].takes)):
        first = min(clip.start, *(take.start for take in clip.takes))
        mine = lanes.setdefault(name, [])
        free = next((lane for lane in mine if _end(lane) <= first), None)
        if free is None:
            mine.append([clip])
        else:
            free.append(clip)
    return tuple(
        Track(name if n == 1 else f"{name} {n}", tuple(lane))
        for name, found in lanes.items()
        for n, lane in enumerate(found, start=1)
    )


def _end(lane: Sequence[Clip]) -> int:
    return max(max(clip.end, *(take.end for take in clip.takes)) for clip in lane)
