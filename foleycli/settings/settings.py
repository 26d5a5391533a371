"""`Settings`: how a sound is made, each setting with its default, its bounds and its sentence for `--help`."""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields
from functools import cache
from typing import Any

from foleycli.settings.loudness import SPECIFICATIONS


def _setting(
    default: object,
    help: str,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[int | str, ...] = (),
    words: tuple[str, ...] = (),
) -> Any:
    """One definition of a setting: its default, its bounds (or choices, or words beside numbers) and `--help`."""
    metadata = {"help": help, "low": low, "high": high, "choices": choices, "words": words}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """How a sound is made: what presets and options set.  Paths and devices are not settings.

    The defaults are what the default model is best rendered with; other models bring what differs.
    """

    prompt: str = _setting("", "What is heard, in words; without it, what the picture shows is recognised.")
    negative_prompt: str = _setting("", "What must not be heard.")
    steps: int = _setting(8, "Sampler steps; 4: draft quality, 32: highest quality.", 1, 64)
    guidance: float = _setting(4.0, "How strongly the picture steers, and words with it; 1: not at all.", 0.0, 20.0)
    words_guidance: float = _setting(4.0, "How strongly words, or what is recognised, choose the sound.", 0.0, 40.0)
    seed: int = _setting(0, "Same seed, same sound.", 0, 2**63 - 1)
    context_s: float = _setting(0.5, "Seconds of the finished sound that each window continues.", 0.0, 2.0)
    cuts: bool = _setting(True, "Start afresh at scene cuts.")
    library: bool = _setting(
        True, "If the prompt matches one of the bundled sounds, use it as the reference, unless --ref names one."
    )
    allow_licence: str = _setting("", "Use only library sounds under these licences, such as CC0-1.0,CC-BY.")
    engine: str = _setting(
        "both",
        "What sounds: the model (flow), recordings that match the prompt, at the events of the picture, or both.",
        choices=("flow", "recordings", "both"),
    )
    room: float | str = _setting(
        "auto", "Room tone of the place under everything: auto (in videos), off, or its level in dB.", -90.0, -10.0,
        words=("auto", "off"),
    )  # fmt: skip
    ride: float = _setting(1.0, "Follow the loudness predicted from the picture; 0: off, 1: fully.", 0.0, 1.0)
    ref_s: float = _setting(2.0, "Seconds of the reference that are used, at most.", 0.1, 2.0)
    rate_hz: int = _setting(48000, "Sample rate of the result: 44100, 48000 or 96000.", choices=(44100, 48000, 96000))
    channels: int = _setting(0, "1 or 2; 0 is 2 in a video and 1 in a sound file.", 0, 2)
    width: float = _setting(0.5, "How wide two channels sound, events where they are seen; 0: alike.", 0.0, 1.0)
    loudness_lufs: float | str | None = _setting(
        None, "Loudness of the result: r128, atsc, netflix (each with its peak), or LUFS.", -60.0, -5.0,
        words=tuple(SPECIFICATIONS),
    )  # fmt: skip
    loudness_per: str = _setting(
        "mix", "What has that loudness: the mix, each cue in it, or each stem alone (their sum is not the mix then).",
        choices=("mix", "cue", "stem"),
    )  # fmt: skip
    gain_db: float = _setting(0.0, "Gain of the generated sound.", -60.0, 24.0)
    mix: bool = _setting(False, "Keep the video's own sound under the new one.")
    original_gain_db: float = _setting(0.0, "Gain of the video's own sound when it is kept.", -60.0, 24.0)


@cache
def setting_fields() -> dict[str, Field]:
    """The fields of `Settings` by name, with help, bounds and choices in their metadata."""
    return {field.name: field for field in fields(Settings)}


def flag(name: str) -> str:
    """The option that sets `name`, without its unit: `rate_hz` is set by --rate (decibels stay)."""
    return "--" + name.removesuffix("_hz").removesuffix("_lufs").removesuffix("_s").replace("_", "-")
