"""The sound whose timbre is matched: given by the user, or found in a library by words."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from foleycli.dsp.onsets import detect_onsets
from foleycli.errors import FoleyError
from foleycli.library.library import AMBIENCE, SHIPPED_LIBRARY, open_library
from foleycli.media.audio import read_audio
from foleycli.media.probe import probe_audio
from foleycli.settings.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from foleycli.models.model import Model

SILENCE = 1e-4  # of full scale: a sound that stays below has no timbre
SEARCHED_S = 600.0  # of a reference, from its beginning: where its most characteristic part may lie
SHORTEST_S = 0.1  # of a reference: codecs need a few steps
HOP_S = 0.05
FULL_ONSETS = 4  # so many onsets in a part are enough: more do not make it more characteristic
ONSET_DB = 3.0  # what one onset counts for, beside decibels of mean level


def find_reference(
    settings: Settings, labels: Sequence[tuple[str, float]] = (), sounds: Path | None = None
) -> Path | None:
    """The library's recording of what the prompt names, or else of a label; None: there is none.

    labels   of the picture, with confidences, most confident first
    sounds   a folder in place of the shipped library; given, it is used whatever the settings say
    """
    if not (settings.library or sounds):
        return None
    queries = [settings.prompt] if settings.prompt else [label for label, _ in labels]
    if not queries:
        return None  # reading the library takes a tenth of a second
    library = open_library(sounds or SHIPPED_LIBRARY, settings.allow_licence)
    found = [match.recording for words in queries for match in library.find(words)]
    things = [recording for recording in found if recording.category != AMBIENCE]
    # A place among the labels says nothing about the timbre of what sounds there; one in the prompt is the sound.
    best = (things or (found if settings.prompt else []))[:1]
    return best[0].path if best else None


def encode_reference(path: Path | None, start_s: float | None, model: Model, settings: Settings) -> Tensor | None:
    """Latents float32 [R, D] of up to `settings.ref_s` seconds of a sound; None without one.

    start_s   where the timbre is taken; None: the most characteristic part
    Errors: FoleyError for a file that cannot be read or is silent.
    """
    if path is None:
        return None
    from foleycli.rendering.kept_latents import latents_of_recording

    return latents_of_recording(
        path, model, lambda: _encode_part(path, start_s, model, settings.ref_s), start_s, settings.ref_s
    )


def check_timbre(path: Path, start_s: float | None = None, ref_s: float = 0.0) -> None:
    """Refuse a sound that cannot be a reference, without a model; each is read once.

    start_s, ref_s   as in `encode_reference`
    Errors: FoleyError for a file that cannot be read, has values that are no numbers, or is silent.
    """
    probe_audio(path)  # says what is wrong with a file that is none
    _check_version(path, path.stat().st_mtime_ns, _begin_s(start_s, ref_s))


@lru_cache(1024)
def _check_version(path: Path, _mtime_ns: int, begin_s: float) -> None:
    if not np.abs(read_audio(path, start_s=begin_s, duration_s=SEARCHED_S).samples).max(initial=0.0) > SILENCE:
        raise _silent(path)


def _silent(path: Path) -> FoleyError:
    return FoleyError(f"{path} is silent: it has no timbre to match", "Give another sound")


def _begin_s(start_s: float | None, ref_s: float) -> float:
    """Where reading begins: of an hour of sound only a part is read."""
    return start_s - 1 if start_s is not None and start_s + ref_s > SEARCHED_S else 0.0


def _encode_part(path: Path, start_s: float | None, model: Model, ref_s: float) -> Tensor:
    """`encode_reference` of up to `ref_s` seconds."""
    begin_s = _begin_s(start_s, ref_s)
    if start_s is not None and begin_s:
        start_s = 1.0
    rate_hz = model.codec.rate_hz
    samples = read_audio(path, rate_hz, 1, begin_s, SEARCHED_S).samples[0]  # [N]
    if not np.abs(samples).max(initial=0.0) > SILENCE:  # or two channels that cancel each other: take the louder
        channels = read_audio(path, rate_hz, 2, begin_s, SEARCHED_S).samples
        samples = max(channels, key=lambda channel: np.abs(channel).sum())
    if not np.abs(samples).max(initial=0.0) > SILENCE:
        raise _silent(path)
    if start_s is None:
        start_s = characteristic_start_s(samples, rate_hz, ref_s)
    first = round(start_s * rate_hz)
    part = samples[first : first + round(ref_s * rate_hz)]
    if len(part) < SHORTEST_S * rate_hz:
        found = f"{path} has {len(part) / rate_hz:.3f} s of sound there: too short for a timbre"
        raise FoleyError(found, "Give a longer sound, or an earlier --ref-start")
    return encode_audio(part, model)


def encode_audio(samples: np.ndarray, model: Model) -> Tensor:
    """Mono sound float32 [N] at the codec's rate to latents float32 [L, D] on the CPU."""
    import torch

    return model.codec.encode(torch.from_numpy(samples)[None].to(model.device))[0].float().cpu()


def characteristic_start_s(samples: np.ndarray, rate_hz: int, length_s: float) -> float:
    """Where the part of `length_s` begins that says most about a sound [N]: loud, with onsets, not cut off.

    Each place is scored by its energy (in dB, so that one peak does not decide) and by the onsets in it;
    the best part starts just before its first onset.
    """
    total_s = len(samples) / rate_hz
    if total_s <= length_s:
        return 0.0
    hop = round(HOP_S * rate_hz)
    power = (samples[: len(samples) // hop * hop].reshape(-1, hop).astype(np.float64) ** 2).mean(axis=1)
    level_db = np.maximum(10 * np.log10(power + 1e-12), 10 * np.log10(power.max() + 1e-12) - 60)
    n = max(1, round(length_s / HOP_S))
    loud_db = np.convolve(level_db, np.ones(n) / n, mode="valid")  # [places]
    onsets = detect_onsets(samples, rate_hz)
    places_s = np.arange(len(loud_db)) * HOP_S
    n_onsets = np.searchsorted(onsets, places_s + 0.8 * length_s) - np.searchsorted(onsets, places_s)
    best = int(np.argmax(loud_db + ONSET_DB * np.minimum(n_onsets, FULL_ONSETS)))
    inside = onsets[(onsets >= places_s[best]) & (onsets < places_s[best] + 0.5 * length_s)]
    start_s = max(0.0, float(inside[0]) - 0.05) if len(inside) else float(places_s[best])
    return min(start_s, total_s - length_s)
