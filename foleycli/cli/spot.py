"""`foley spot`: a reel in, a cue sheet of what could be heard out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foleycli.cli import console, fetched, options
from foleycli.errors import FoleyError
from foleycli.hub.catalog import DEFAULT_MODEL
from foleycli.threads import import_torch

if TYPE_CHECKING:
    from foleycli.cues.cue import CueSheet
    from foleycli.cues.times import ReelClock
    from foleycli.records import Video

Outs = Annotated[
    list[Path] | None,
    typer.Option(
        "-o",
        "--out",
        metavar="SHEET",
        help="Where the cues go, by its ending: .csv .json .edl .otio .fcpxml .srt .reaper.csv, .txt (Audacity) or "
        ".mid (a note an event); may be given several times.",
        show_default="REEL.cues.csv",
    ),
]
Hits = Annotated[bool, typer.Option("--hits", help="Write the events as hits, which a render must strike.")]
Start = Annotated[
    str | None,
    typer.Option("--start", metavar="TIME", help="Begin here: seconds, frames (120f) or time code.", show_default="0"),
]
Duration = Annotated[
    str | None, typer.Option("--duration", metavar="TIME", help="Only so long: seconds, frames or time code.")
]


def spot(
    reel: Annotated[Path, typer.Argument(metavar="REEL", help="The video.")],
    out: Outs = None,
    hits: Hits = False,
    start: Start = None,
    duration: Duration = None,
    model: options.Model = DEFAULT_MODEL,
    force: options.Force = False,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
    accept_license: options.AcceptLicense = False,
) -> None:
    """Watch a reel and propose its cues: one a shot, with what is seen in it and when something sounds.

    Change the sheet as you like, then: foley render REEL --cues SHEET -o OUT.
    """
    from foleycli.cues.edl import check_two_digits
    from foleycli.cues.files import ending_of
    from foleycli.cues.times import ReelClock
    from foleycli.media.output import check_outputs
    from foleycli.media.probe import probe
    from foleycli.rendering.job import check_span

    outs = out or [reel.with_name(f"{reel.stem}.cues.csv")]
    for path in outs:
        ending_of(path)
    video = probe(reel)
    if any(ending_of(path) == ".edl" for path in outs):
        check_two_digits(ReelClock.of(video))
    start_s = 0.0 if start is None else options.place_s("--start", start, video)
    duration_s = None if duration is None else options.length_s("--duration", duration, video)
    check_span(start_s, duration_s, video)
    check_outputs(outs, [reel], force=force)
    fetched.check_name(model)
    folder = fetched.model_folder(model, accept_license, quiet)
    import_torch(threads)
    from foleycli.device import oom_as_foley_error
    from foleycli.media.part import choose_part
    from foleycli.models.model import load_model
    from foleycli.rendering.spot import spot as find_cues

    part = choose_part(video, start_s, duration_s)
    clock = ReelClock.of(video)
    with console.progress(quiet) as report, oom_as_foley_error():
        report("load", 0, 1)
        loaded = load_model(folder, device, dtype)
        report("load", 1, 1)
        sheet = find_cues(
            video, loaded, clock, start_s=part.start_s, duration_s=part.duration_s, as_hits=hits, report=report
        )
    written, fault = write_sheets(sheet, outs, video, clock, force=force)
    for path in written if not json else ():
        console.result(str(path))
    if fault:
        raise fault
    if json:
        console.result_json({"input": str(reel), "outputs": [str(path) for path in written], **facts(sheet, clock)})
    n_events = sum(map(len, sheet.events.values()))
    console.note(f"{console.count(len(sheet.cues), 'cue')}, {console.count(n_events, 'event')}", quiet)


def write_sheets(
    sheet: CueSheet, outs: Sequence[Path], video: Video, clock: ReelClock, *, force: bool
) -> tuple[list[Path], FoleyError | None]:
    """Write the cues in each format: which files were, and the first fault; that stops no other."""
    from foleycli.cues.files import sheet_bytes
    from foleycli.media.output import replacing

    written, fault = [], None
    for path in outs:
        try:
            data = sheet_bytes(sheet, path, video, clock)
        except FoleyError as error:
            fault = fault or error
            continue
        with replacing(path, overwrite=force) as part_path:
            part_path.write_bytes(data)
        written.append(path)
    return written, fault


def facts(sheet: CueSheet, clock: ReelClock) -> dict[str, Any]:
    """The cues as plain values."""
    return {
        "cues": [
            {
                "number": cue.number,
                "in": clock.timecode(cue.start_s),
                "out": clock.timecode(cue.end_s),
                "start_s": round(float(cue.start_s), 6),
                "end_s": round(float(cue.end_s), 6),
                "seen": cue.prompt,
                "events": [
                    {"s": round(float(event.time_s), 3), "strength": round(event.strength, 3)}
                    for event in sheet.events[cue.number]
                ],
            }
            for cue in sheet.cues
        ]
    }
