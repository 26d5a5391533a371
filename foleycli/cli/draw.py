"""`foley draw`: a cue sheet, or the report of a reel with cues, as a picture of the session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foleycli.cli import console, options
from foleycli.errors import UsageError

if TYPE_CHECKING:
    from foleycli.report.session import Session

Source = Annotated[
    Path, typer.Argument(metavar="REPORT|SHEET", help="The .json that --report wrote beside a reel, or a cue sheet.")
]
Reel = Annotated[
    Path | None, typer.Option("--reel", metavar="FILE", help="The video that a cue sheet is of; a report names it.")
]
Out = Annotated[
    Path | None,
    typer.Option("-o", "--out", metavar="PNG", help="The picture.", show_default="REPORT|SHEET.session.png"),
]


def draw(source: Source, reel: Reel = None, out: Out = None, force: options.Force = False) -> None:
    """Draw a session: film strip, cues with their words, hits and stems, spans made anew, and time code."""
    from foleycli.cues.times import ReelClock
    from foleycli.media.output import check_outputs, replacing
    from foleycli.media.probe import probe
    from foleycli.report.files import filmstrip
    from foleycli.report.session_picture import draw_session

    out = out or source.with_name(f"{source.stem}.session.png")
    if out.suffix.lower() != ".png":
        raise UsageError(f"{out.name} is no .png", "End the name of the picture with .png")
    session = report_of(source)
    if session is not None:
        if session.kind != "cues":
            raise UsageError(f"{source.name} is of no cues or stems", "Its picture is the .png beside it")
        reel = session.inputs["video"].path
    if reel is None:
        raise UsageError(f"{source.name} does not say which video it is of", "Give it: --reel FILE")
    video = probe(reel)
    clock = ReelClock.of(video)
    check_outputs([out], [source, reel], force=force)
    if session is not None:
        from foleycli.report.session_cues import cues_of_report

        begin_s, length_s = float(session.told["start_s"]), float(session.told["duration_s"])
        cues, title = cues_of_report(session, video), session.output.path.name
    else:
        from foleycli.cues.files import read_sheet
        from foleycli.report.session_cues import cues_of_sheet

        begin_s, length_s = 0.0, video.duration_s
        cues, title = cues_of_sheet(read_sheet(source, video, clock)), source.name
    n_stems = sum(cue.stem is not None for cue in cues)
    facts = [reel.name, console.count(len(cues), "cue"), *([console.count(n_stems, "stem")] if n_stems else [])]
    with replacing(out, overwrite=force) as part:
        draw_session(
            part,
            filmstrip=filmstrip(video, begin_s, length_s),
            cues=cues,
            duration_s=length_s,
            timecode=lambda time_s: clock.timecode_of_frame(int((begin_s + time_s) * float(clock.fps) + 1e-6)),
            title=title,
            facts="   ".join(facts),
        )
    console.result(str(out))


def report_of(path: Path) -> Session | None:
    """The report that a file is; None for a cue sheet."""
    from foleycli.report.session import read_session

    if path.suffix.lower() != ".json":
        return None
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return read_session(path)  # which says what is wrong
    return read_session(path) if isinstance(told, dict) and "model_sha256" in told else None
