"""Spotting: which cues a reel asks for, from its shots, what is seen in them and when things sound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from foleycli.cues.cue import Cue, CueSheet, Event
from foleycli.cues.times import ReelClock
from foleycli.features.tagger import labels_of
from foleycli.models.model import Model
from foleycli.records import Report, Video, silent
from foleycli.rendering.analyze import VideoAnalysis, analyze

SHORTEST_S = Fraction(2, 5)  # of a shot that is a cue of its own: a shorter one belongs to the shot before
MOST_LABELS = 2  # that are named in a cue's words


def spot(
    video: Video,
    model: Model,
    clock: ReelClock,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    as_hits: bool = False,
    report: Report = silent,
) -> CueSheet:
    """A cue for each shot of a reel, or of a part of it: its words are what is seen, its events when things sound.

    as_hits   events become the cues' hits, which a render must strike
    Errors: FoleyError when the video cannot be read.
    """
    analysis = analyze(video, model, start_s=start_s, duration_s=duration_s, locate_motion=False, report=report)
    return sheet_of_analysis(analysis, model, clock, clock.snapped(start_s), as_hits)


def sheet_of_analysis(
    analysis: VideoAnalysis, model: Model, clock: ReelClock, start_s: Fraction, as_hits: bool = False
) -> CueSheet:
    """The cues of an analysed reel whose analysis begins at `start_s`; cues begin and end with pictures."""
    edges = shot_edges(analysis.cuts_s, Fraction(analysis.duration_s), start_s, clock)
    seen, stream = analysis.streams[model.semantic.name], analysis.streams[model.sync.name]
    strengths = model.sync.event_strengths(stream, analysis.events_s)
    found = [
        Event(start_s + Fraction(time_s).limit_denominator(1_000_000), float(strength))
        for time_s, strength in zip(analysis.events_s, strengths, strict=True)
    ]
    cues, events = [], {}
    for n, (first_s, end_s) in enumerate(zip(edges, edges[1:], strict=False), start=1):
        labels = labels_of(seen, float(first_s - start_s), float(end_s - start_s))
        words = ", ".join(label for label, _ in labels[:MOST_LABELS])
        inside = tuple(event for event in found if first_s <= event.time_s < end_s)
        hits_s = tuple(event.time_s for event in inside) if as_hits and inside else None
        told = ", ".join(f"{label} {confidence:.2f}" for label, confidence in labels)
        cues.append(
            Cue(str(n), first_s, end_s, name=words, prompt=words, hits_s=hits_s, notes=f"seen {told}" * bool(told))
        )
        events[str(n)] = inside
    return CueSheet(tuple(cues), events=events)


def shot_edges(cuts_s: Sequence[float], duration_s: Fraction, start_s: Fraction, clock: ReelClock) -> list[Fraction]:
    """Where shots begin, and the end of the last: at pictures' edges, counted from the reel's first picture."""
    end_s = clock.snapped(start_s + duration_s)
    edges = [start_s]
    for cut_s in cuts_s:
        # The first picture of a shot is the one that shows at the step of the features after the cut.
        edge_s = Fraction(math.floor((start_s + Fraction(cut_s)) * clock.fps + Fraction(1, 100))) / clock.fps
        if edge_s - edges[-1] >= SHORTEST_S and end_s - edge_s >= SHORTEST_S:
            edges.append(edge_s)
    return [*edges, end_s]
