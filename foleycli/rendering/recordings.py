"""Which recordings are placed along a video: what the prompt names, or else the labels, and the room tone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from foleycli.features.base import Extractor
from foleycli.library.library import AMBIENCE, SHIPPED_LIBRARY, Match, Recording, open_library
from foleycli.recordings.engine import ChosenSound, Events
from foleycli.recordings.mix import MODEL_GAIN, NAMED_MODEL_GAIN, USUAL_ROOM_DB, Recorded, auto_room_db
from foleycli.settings.settings import Settings

if TYPE_CHECKING:
    from foleycli.rendering.analyze import VideoAnalysis

# Takes are placed so much after predicted events.  What the encoder has learnt as an event is 22 ms before an onset is
# detected in a film; a take's onset is detected at its attack.
LATE_S = 0.02
MAX_LABELLED = 2  # labels that are used; a prompt may name three sounds
# Room tone where no place is named, and no picture says where it is: things of these categories sound outdoors.
OUTSIDE, INSIDE = "outdoors", "room tone"
OUTSIDE_CATEGORIES = frozenset(
    ["animal", "bird", "insect", "vehicle", "gun", "weather", "water", "sport", "explosion", "fire"]
)


@dataclass(frozen=True)
class RecordingChoice:
    """Recordings for one video, with the words that found them."""

    matches: list[Match] = field(default_factory=list)  # placed along the picture, the most important first
    room_tone: Recording | None = None  # under everything
    folder: Path = SHIPPED_LIBRARY

    def read(self, settings: Settings, analysis: VideoAnalysis, sync: Extractor, rate_hz: int) -> Recorded:
        """The takes of all, at a rate; errors: FoleyError for a file that cannot be read."""
        library = open_library(self.folder, settings.allow_licence)
        events_s = np.asarray(analysis.events_s, np.float64)
        stream = analysis.streams.get(sync.name)
        strengths = sync.event_strengths(stream, analysis.events_s) if stream is not None else np.ones(len(events_s))
        return Recorded(
            chosen=[ChosenSound(one.recording.name, *library.takes(one.recording, rate_hz)) for one in self.matches],
            room_tone=self.read_room_tone(rate_hz),
            room_db=room_level_db(settings, auto_room_db(strengths, has_recordings=bool(self.matches))),
            events=Events(events_s + LATE_S, strengths),
            loudness_db=np.zeros(1) if analysis.loudness_db is None else analysis.loudness_db,
            dynamics_db=analysis.dynamics_db,
            model_gain=NAMED_MODEL_GAIN if settings.prompt else MODEL_GAIN,
            evenness=settings.ride,
            cuts_s=analysis.cuts_s if settings.cuts else (),
        )

    def read_room_tone(self, rate_hz: int) -> ChosenSound | None:
        """The takes of the room tone at a rate; None where there is none."""
        if self.room_tone is None:
            return None
        return ChosenSound(self.room_tone.name, *open_library().takes(self.room_tone, rate_hz))


def room_level_db(settings: Settings, auto_db: float = USUAL_ROOM_DB) -> float:
    """RMS of room tone under these settings, dB of full scale; `auto_db` where they leave it open."""
    return settings.room if isinstance(settings.room, float) else auto_db


def choose_recordings(
    settings: Settings,
    labels: Sequence[tuple[str, float]] = (),
    *,
    is_outdoors: bool | None = None,
    sounds: Path | None = None,
    reference: Path | None = None,
    in_video: bool = True,
) -> RecordingChoice:
    """What is placed under these settings; nothing where the engine is "flow" and no room tone is wanted.

    labels       of the picture, most probable first: used where there is no prompt
    is_outdoors  whether the picture was taken outdoors, for the room tone; None: by what is named
    sounds       a folder in place of the shipped library
    reference    a sound that the user gave as timbre: then only the model makes sound
    in_video     whether the sound goes into a video: "auto" is room tone there alone
    """
    if settings.engine == "flow" and (settings.room == "off" or (settings.room == "auto" and not in_video)):
        return RecordingChoice()
    folder = sounds or SHIPPED_LIBRARY
    library = open_library(folder, settings.allow_licence)
    if settings.prompt:
        found = library.find(settings.prompt)
    else:
        found = [match for label, _ in labels for match in library.find(label, 1)][: MAX_LABELLED + 1]
    named = list({match.recording.name: match for match in found}.values())
    places = [match for match in named if match.recording.category == AMBIENCE]
    things = [match for match in named if match.recording.category != AMBIENCE]
    if settings.engine == "flow" or reference is not None or not (settings.library or sounds):
        things = []
    elif not settings.prompt:
        things = things[:MAX_LABELLED]
    room_tone = None
    if settings.room != "off" and (in_video or settings.room != "auto"):
        room_tone = places[0].recording if places else _usual_place(named, is_outdoors, settings.allow_licence)
    return RecordingChoice(things, room_tone, folder)


def _usual_place(named: Sequence[Match], is_outdoors: bool | None, licences: str) -> Recording | None:
    """The shipped room tone of where the picture is, or of what is named first; None where its licence is barred."""
    if is_outdoors is None:
        is_outdoors = bool(named) and named[0].recording.category in OUTSIDE_CATEGORIES
    wanted = OUTSIDE if is_outdoors else INSIDE
    found = next(one for one in open_library().recordings if one.name == wanted)
    return found if found.is_allowed(licences) else None
