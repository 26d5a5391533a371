"""The options that commands share, as Annotated types.

Those that set a field of `Settings` take their sentence, default and bounds from that field; their
arguments carry the field's name and are None when not given, so that a preset can speak.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from foleycli.errors import UsageError
from foleycli.hub import places
from foleycli.hub.catalog import entries
from foleycli.settings import preset
from foleycli.settings.checking import short_repr
from foleycli.settings.settings import flag, setting_fields

if TYPE_CHECKING:
    from foleycli.cues.times import ReelClock
    from foleycli.records import Video

SOUND, VIDEO, OUTPUT, RUN = "Sound", "Part of the video and its own sound", "Output", "How it runs"
STEMS = "Stems"


def _setting(name: str, panel: str, declared: str = "") -> Any:
    """The option of one field of `Settings`."""
    field = setting_fields()[name]
    help, facts = field.metadata["help"], [_range(name)]
    if isinstance(field.default, bool):
        facts.append("default: on" if field.default else "default: off")
    elif field.default not in ("", None):
        facts.append(f"default: {field.default}" if isinstance(field.default, str) else f"default: {field.default:g}")
    if any(facts):
        help = f"{help.rstrip('.')} ({', '.join(filter(None, facts))})."
    return typer.Option(declared or flag(name), help=help, show_default=False, rich_help_panel=panel)


def _range(name: str) -> str:
    """`1 to 64`; nothing where there are no bounds or where they say nothing."""
    low, high = (setting_fields()[name].metadata[key] for key in ("low", "high"))
    return f"{low:g} to {high:g}" if low is not None and high < 1e6 else ""


def _run_fact(*declared: str, help: str, panel: str = RUN, **more: Any) -> Any:
    """An option that is no setting: a path, a device, how to report."""
    return typer.Option(*declared, help=help, rich_help_panel=panel, **more)


def complete_models(begun: str) -> list[str]:
    """Names of models that make sound, for the shell; after anything else it completes folders itself."""
    names = [*(entry.name for entry in entries("family")), *(folder.name for folder in places.installed())]
    return [name for name in dict.fromkeys(names) if name.startswith(begun)]


def complete_presets(begun: str) -> list[str]:
    """Names of presets, for the shell; after anything else it completes files itself."""
    return [name for name in preset.names() if name.startswith(begun)]


# Settings: None is "not given".
Prompt = Annotated[str | None, _setting("prompt", SOUND)]
NegativePrompt = Annotated[str | None, _setting("negative_prompt", SOUND)]
Steps = Annotated[int | None, _setting("steps", SOUND)]
Guidance = Annotated[float | None, _setting("guidance", SOUND)]
WordsGuidance = Annotated[float | None, _setting("words_guidance", SOUND)]
Seed = Annotated[int | None, _setting("seed", SOUND)]
Library = Annotated[bool | None, _setting("library", SOUND, "--library/--no-library")]
AllowLicence = Annotated[str | None, _setting("allow_licence", SOUND)]
Engine = Annotated[str | None, _setting("engine", SOUND)]
Room = Annotated[str | None, _setting("room", SOUND)]
Ride = Annotated[float | None, _setting("ride", SOUND)]
Cuts = Annotated[bool | None, _setting("cuts", VIDEO, "--cuts/--no-cuts")]
Mix = Annotated[bool | None, _setting("mix", VIDEO, "--mix/--replace")]
OriginalGain = Annotated[float | None, _setting("original_gain_db", VIDEO)]
Gain = Annotated[float | None, _setting("gain_db", OUTPUT)]
Loudness = Annotated[str | None, _setting("loudness_lufs", OUTPUT)]
LoudnessPer = Annotated[str | None, _setting("loudness_per", OUTPUT)]
Rate = Annotated[int | None, _setting("rate_hz", OUTPUT)]
Channels = Annotated[int | None, _setting("channels", OUTPUT)]
Width = Annotated[float | None, _setting("width", OUTPUT)]

# Run facts.
Preset = Annotated[
    str,
    _run_fact(
        "--preset",
        metavar="NAME|FILE",
        help="Named settings; options given here override them.",
        panel=SOUND,
        autocompletion=complete_presets,
    ),
]
Model = Annotated[
    str,
    _run_fact("--model", metavar="NAME|FOLDER", help="Which weights.", panel=SOUND, autocompletion=complete_models),
]
Out = Annotated[Path | None, _run_fact("-o", "--out", metavar="OUT", help="The file to write.", panel=OUTPUT)]
Force = Annotated[bool, _run_fact("--force/--no-force", help="Write over files that are there.", panel=OUTPUT)]
WithReport = Annotated[
    bool,
    _run_fact("--report/--no-report", help="Write a JSON and a PNG about the result beside it.", panel=OUTPUT),
]
Device = Annotated[Literal["auto", "cpu", "cuda", "mps"], _run_fact("--device", help="Where it runs.")]
Dtype = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    _run_fact("--dtype", help="Precision of the networks."),
]
Threads = Annotated[
    int | None,
    _run_fact(
        "--threads",
        min=1,
        max=1024,
        metavar="N",
        help="Processor threads of the networks.",
        show_default="all processors that this process may use, or OMP_NUM_THREADS",
    ),
]
Compile = Annotated[
    bool, _run_fact("--compile", help="Compile the network first: slow to begin, faster at every step after.")
]
Quiet = Annotated[bool, _run_fact("--quiet", "-q", help="No progress, no notes.")]
Json = Annotated[bool, _run_fact("--json", help="Results as JSON, a line each.")]
AcceptLicense = Annotated[
    bool, _run_fact("--accept-license", help="Agree to the terms of a model's weights; remembered.")
]
DryRun = Annotated[bool, _run_fact("--dry-run", help="Say what would be done, and how long; load no model.")]


def given(**settings: Any) -> dict[str, Any]:
    """The settings that were given on the command line, by name."""
    return {name: value for name, value in settings.items() if value is not None}


def place_s(option: str, text: str, video: Video) -> float:
    """The seconds from a video's first picture that an option names; errors: UsageError for what is no time."""
    from foleycli.cues.times import ReelClock

    return float(parsed(option, text, ReelClock.of(video)))


def length_s(option: str, text: str, video: Video | None = None) -> float:
    """The seconds that an option names as a length; errors: UsageError, also for frames where there is no video."""
    from foleycli.cues.times import FRAMES, ReelClock

    if video is None and (FRAMES.match(text.strip()) or text.count(":") > 2):
        raise UsageError(f"{option} is {short_repr(text)}, but there is no video to count by", "Give seconds")
    clock = ReelClock(Fraction(25)) if video is None else ReelClock.of(video)
    found_s = float(parsed(option, text, clock.of_lengths()))
    if found_s <= 0:
        raise UsageError(f"{option} is {found_s:g}", "Give a length above 0")
    return found_s


def parsed(option: str, text: str, clock: ReelClock, hint: str = "") -> Fraction:
    """The seconds that an option names, by a clock; errors: UsageError for what is no time."""
    from foleycli.cues.times import FORMS

    try:
        return clock.parse(text)
    except ValueError as error:
        raise UsageError(f"{option} is {short_repr(text)}, which {error}", hint or FORMS) from error
