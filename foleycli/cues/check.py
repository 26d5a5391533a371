"""What a cue must be, wherever it comes from: within its reel, with values that can be used."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from foleycli.cues.cue import Cue
from foleycli.cues.times import ReelClock, shown
from foleycli.errors import FoleyError

MOST_TAKES = 32
LEAST_GAIN_DB, MOST_GAIN_DB = -60.0, 24.0
MOST_SEED = 2**63 - 1
SHORTEST_S = Fraction(1, 100)


def fault(cue: Cue, clock: ReelClock, reel_s: Fraction) -> str:
    """What is wrong with a cue, in words that follow its row; "": nothing.

    reel_s   how long the reel is; a cue may end a picture later
    """
    begin, end = clock.timecode(cue.start_s), clock.timecode(cue.end_s)
    if cue.start_s < 0:
        return f"begins at {begin}, before the reel, whose first picture is {clock.timecode(Fraction(0))}"
    if cue.start_s >= reel_s:
        return f"begins at {begin} ({shown(cue.start_s)} s), after the reel, which lasts {shown(reel_s)} s"
    if cue.end_s <= cue.start_s:
        return f"ends at {end}, not after it begins ({begin})"
    if cue.end_s - cue.start_s < SHORTEST_S:
        return f"lasts {shown(cue.end_s - cue.start_s)} s, which is too short to be heard"
    if cue.end_s > reel_s + 1 / clock.fps:
        return f"ends at {end} ({shown(cue.end_s)} s), after the reel, which lasts {shown(reel_s)} s"
    return _fault_of_values(cue, clock)


def _fault_of_values(cue: Cue, clock: ReelClock) -> str:
    outside = [time_s for time_s in cue.hits_s or () if not cue.start_s <= time_s < cue.end_s]
    if outside:
        return f"has a hit at {clock.timecode(outside[0])} ({shown(outside[0])} s), which is not in it"
    if cue.silent and cue.hits_s:
        return "is silent and has hits"
    if cue.takes is not None and not 1 <= cue.takes <= MOST_TAKES:
        return f"has {cue.takes} takes, not 1 to {MOST_TAKES}"
    if cue.seed is not None and not 0 <= cue.seed <= MOST_SEED:
        return f"has the seed {cue.seed}, not 0 to {MOST_SEED}"
    if not LEAST_GAIN_DB <= cue.gain_db <= MOST_GAIN_DB:
        return f"has a gain of {cue.gain_db:g} dB, not {LEAST_GAIN_DB:g} to {MOST_GAIN_DB:g}"
    return ""


def check_cues(cues: Sequence[Cue], clock: ReelClock, reel_s: Fraction) -> None:
    """Errors: FoleyError for the first cue that cannot be made, or two with one number."""
    if not cues:
        raise FoleyError("there are no cues", "Give a sheet with one cue at least")
    numbers: set[str] = set()
    silences = [cue for cue in cues if cue.silent]
    for cue in cues:
        if wrong := fault(cue, clock, reel_s):
            raise FoleyError(f"cue {cue.number} {wrong}", "Change it in the sheet")
        if cue.number in numbers:
            raise FoleyError(f"two cues have the number {cue.number}", "Give each its own")
        numbers.add(cue.number)
        for hole in silences:
            muted = [time_s for time_s in cue.hits_s or () if hole.start_s <= time_s < hole.end_s]
            if muted:
                raise FoleyError(
                    f"cue {cue.number} has a hit at {clock.timecode(muted[0])}, where cue {hole.number} is silent",
                    "Move one of them",
                )
