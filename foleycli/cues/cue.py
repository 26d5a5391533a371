"""A cue: one sound that is wanted on a reel, from here to there; and the sound that was made of it.

Times are exact seconds from the reel's first picture.  The reel's own time code is added and taken away where files
are read and written (`cues.times`), nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foleycli.library.library import Match


@dataclass(frozen=True)
class Cue:
    """One row of a cue sheet; what is empty or None is as the call's own options say."""

    number: str  # as in the sheet; 1, 2, ... where it has none
    start_s: Fraction
    end_s: Fraction
    name: str = ""
    prompt: str = ""
    negative_prompt: str = ""
    preset: str | None = None
    model: str | None = None
    reference: Path | None = None  # a sound whose timbre is matched
    seed: int | None = None
    takes: int | None = None
    gain_db: float = 0.0
    hits_s: tuple[Fraction, ...] | None = None  # these times must be struck, and no others; None: as the picture says
    silent: bool = False  # nothing is heard
    track: str = ""
    category: str = ""  # UCS CatID, where the sheet names one
    notes: str = ""

    @property
    def duration_s(self) -> Fraction:
        """From in to out."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Event:
    """Something seen that makes a sound."""

    time_s: Fraction
    strength: float  # 0 to 1


@dataclass(frozen=True)
class CueSheet:
    """The cues of a reel, by their beginnings."""

    cues: tuple[Cue, ...]
    notes: tuple[str, ...] = ()  # for the user: columns that are not known, things that were left out
    events: Mapping[str, tuple[Event, ...]] = field(default_factory=dict)  # that were seen, by the cues' numbers


@dataclass(frozen=True)
class Stem:
    """The sound of one take of one cue, as it goes into the mix: what `stems` writes out and `timeline` places."""

    cue: Cue | None  # None: what lies between cues (room tone)
    take: int  # from 1; 1 is in the mix
    wav: Path  # float32 WAV, mono or stereo, exactly what is summed into the mix
    start: int  # sample of its first sample, from the first picture; handles included
    n_samples: int
    rate_hz: int
    handle_in: int = 0  # samples before the cue's own start
    handle_out: int = 0  # samples after its end
    seed: int = 0
    recordings: tuple[Match, ...] = ()  # library sounds that were used, for the credits
