"""The cues of a report or of a cue sheet as `session_picture` draws them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile

from foleycli.cues.cue import CueSheet
from foleycli.records import Video
from foleycli.rendering.delivery import StemDelivery, planned_stems
from foleycli.report.session import Session, cue_job
from foleycli.report.session_picture import DrawnCue


def cues_of_sheet(sheet: CueSheet) -> list[DrawnCue]:
    """The cues of a sheet, with the hits that they ask for."""
    return [
        DrawnCue(
            number=cue.number,
            words=cue.prompt or cue.name,
            start_s=float(cue.start_s),
            end_s=float(cue.end_s),
            hits_s=tuple(map(float, cue.hits_s or ())),
            takes=cue.takes or 1,
            is_silent=cue.silent,
        )
        for cue in sheet.cues
    ]


def cues_of_report(session: Session, video: Video) -> list[DrawnCue]:
    """The cues of a report in the part that has sound, with what was struck, and the stems that are on the disk."""
    begin_s, length_s = float(session.told["start_s"]), float(session.told["duration_s"])
    stems = _stems(session, video)
    drawn = []
    for told in session.told["cues"]:
        start_s, end_s = (float(Fraction(told[name])) - begin_s for name in ("start_s", "end_s"))
        if end_s <= 0 or start_s >= length_s:
            continue
        stem, stem_s = stems.get(told["number"], (None, (0.0, 0.0)))
        spans = [one for one in told.get("spans", ()) if one["take"] == 1]
        drawn.append(
            DrawnCue(
                number=told["number"],
                words=told["settings"]["prompt"] or told["name"],
                start_s=max(0.0, start_s),
                end_s=min(length_s, end_s),
                hits_s=tuple(time_s - begin_s for time_s in told["events_s"]),
                takes=max(1, len(told["seeds"])),
                is_silent=told["silent"],
                stem=stem,
                stem_s=(stem_s[0] - begin_s, stem_s[1] - begin_s),
                spans_s=tuple((one["start_s"] - begin_s, one["end_s"] - begin_s) for one in spans),
            )
        )
    return drawn


def _stems(session: Session, video: Video) -> dict[str, tuple[np.ndarray, tuple[float, float]]]:
    """The first take of each cue whose stem is there, mono, and where it begins and ends from the first picture."""
    job = cue_job(session, video, session.output.path)
    now = job.after(len(job.edits))
    delivery = next((one for one in job.deliveries if isinstance(one, StemDelivery) and one.by == "cue"), None)
    if delivery is None:
        return {}
    found = {}
    for file in delivery.files(now, planned_stems(now)):
        stem, path = file.stems[0], delivery.folder / file.name
        if stem.cue is not None and stem.take == 1 and path.is_file():
            place_s = (stem.start / stem.rate_hz, (stem.start + stem.n_samples) / stem.rate_hz)
            found[stem.cue.number] = _mono(path), place_s
    return found


def _mono(path: Path) -> np.ndarray:
    samples: np.ndarray = soundfile.read(path, dtype="float32", always_2d=True)[0].mean(axis=1)
    return samples
