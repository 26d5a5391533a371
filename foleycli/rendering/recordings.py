"""Which recordings are laid along a video: what the prompt names, or else what is seen, and the room tone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from foleycli.features.base import Extractor
from foleycli.library.library import AMBIENCE, SHIPPED_LIBRARY, Match, Recording, open_library
from foleycli.recordings.engine import Chosen, Events
from foleycli.recordings.mix import USUAL_ROOM_DB, Recorded
from foleycli.settings.settings import Settings

if TYPE_CHECKING:
    from foleycli.rendering.analyze import VideoAnalysis

MOST_SEEN = 2  # things seen that are laid; a prompt may name three
# Room tone where no place is named: of these categories things are heard outside.
OUTSIDE, INSIDE = "outdoors", "room tone"
OUTSIDE_CATEGORIES = frozenset(
    ["animal", "bird", "insect", "vehicle", "gun", "weather", "water", "sport", "explosion", "fire"]
)


@dataclass(frozen=True)
class RecordingChoice:
    """Recordings for one video, with the words that found them."""

    matches: list[Match] = field(default_factory=list)  # laid along the picture, the most important first
    bed: Recording | None = None  # under everything
    folder: Path = SHIPPED_LIBRARY

    def read(self, settings: Settings, analysis: VideoAnalysis, sync: Extractor, rate_hz: int) -> Recorded:
        """The takes of all, at a rate; errors: FoleyError for a file that cannot be read."""
        library = open_library(self.folder)
        events_s = np.asarray(analysis.events_s, np.float64)
        stream = analysis.streams.get(sync.name)
        strengths = sync.event_strengths(stream, analysis.events_s) if stream is not None else np.ones(len(events_s))
        return Recorded(
            chosen=[Chosen(one.recording.name, *library.takes(one.recording, rate_hz)) for one in self.matches],
            bed=Chosen(self.bed.name, *open_library().takes(self.bed, rate_hz)) if self.bed else None,
            room_db=settings.room if isinstance(settings.room, float) else USUAL_ROOM_DB,
            events=Events(events_s, strengths),
            loudness_db=np.zeros(1) if analysis.loudness_db is None else analysis.loudness_db,
        )


def choose_recordings(
    settings: Settings,
    labels: Sequence[tuple[str, float]] = (),
    *,
    sounds: Path | None = None,
    reference: Path | None = None,
    in_video: bool = True,
) -> RecordingChoice:
    """What is laid under these settings; nothing where the engine is "flow" and no room tone is wanted.

    labels     what is seen, most probable first: asked where there is no prompt
    sounds     a folder in place of the shipped library
    reference  a sound that the user gave as timbre: then only the model makes sound
    in_video   whether the sound goes into a video: "auto" is room tone there alone
    """
    if settings.engine == "flow" and (settings.room == "off" or (settings.room == "auto" and not in_video)):
        return RecordingChoice()
    folder = sounds or SHIPPED_LIBRARY
    library = open_library(folder)
    if settings.prompt:
        found = library.find(settings.prompt)
    else:
        found = [match for label, _ in labels for match in library.find(label, 1)][: MOST_SEEN + 1]
    named = list({match.recording.name: match for match in found}.values())
    places = [match for match in named if match.recording.category == AMBIENCE]
    things = [match for match in named if match.recording.category != AMBIENCE]
    if settings.engine == "flow" or reference is not None or not (settings.library or sounds):
        things = []
    elif not settings.prompt:
        things = things[:MOST_SEEN]
    bed = None
    if settings.room != "off" and (in_video or settings.room != "auto"):
        bed = places[0].recording if places else _usual_place(named)
    return RecordingChoice(things, bed, folder)


def _usual_place(named: Sequence[Match]) -> Recording:
    """The shipped room tone that goes with what is named first."""
    is_outside = bool(named) and named[0].recording.category in OUTSIDE_CATEGORIES
    wanted = OUTSIDE if is_outside else INSIDE
    return next(one for one in open_library().recordings if one.name == wanted)
