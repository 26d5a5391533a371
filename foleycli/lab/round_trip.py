"""What a codec changes, by kind of sound: held-out recordings are encoded and decoded, and compared with themselves.

python -m foleycli.lab round_trip --sounds SOUNDS --zimtohrli --pictures worst
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Container, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import soxr
import torch
import torch.nn.functional as F
import typer

from foleycli.codecs.base import ResidualCodec
from foleycli.errors import FoleyError
from foleycli.evaluation.metrics.clicks import clicks
from foleycli.hub.resolve import resolve
from foleycli.lab.tables import Column, markdown
from foleycli.models.model import load_part_folder
from foleycli.report.picture import draw_pair
from foleycli.soundset.held_out import held_out_of
from foleycli.soundset.kinds import RATE_HZ
from foleycli.soundset.sounds import Sound, list_sounds, read_sounds
from foleycli.training.codec import mel_loss

UNSEEN_SERIES = "all of unseen series"
AUDIBLE_HZ = 20.0
MAX_S = 4.0  # of each sound
ZIMTOHRLI_HZ = 48000
ZIMTOHRLI_MIN_S = 0.25  # shorter sounds are padded with silence
COLUMNS = (
    Column("kind", "kind"),
    Column("sounds", "sounds"),
    Column("mel_latents", "mel, latents", 2),
    Column("mel_codes", "mel, codes", 2),
    Column("zimtohrli_latents", "zimtohrli, latents", 4),
    Column("zimtohrli_codes", "zimtohrli, codes", 4),
    Column("level_db", "level", 2, signed=True, unit="dB"),
    Column("level_worst_db", "level, worst", 1, signed=True),
    Column("clicks", "clicks"),
)
QUIET_POWER = 1e-10  # -100 dB: below, levels are not compared

Distance = Callable[[np.ndarray, np.ndarray], float]  # of two sounds [N] at the codec's rate


@dataclass(frozen=True)
class RoundTrip:
    """One sound's figures."""

    mel_latents: float  # L1 of log10 mels, summed over seven resolutions, through the latents
    mel_codes: float  # and through the residual codes
    zimtohrli_latents: float | None  # psychoacoustic distance, 0 to 1; None: not measured
    zimtohrli_codes: float | None
    level_db: float  # RMS after the latents over that of the sound, both above AUDIBLE_HZ
    clicks: int  # after the latents and not in the sound


@dataclass(frozen=True)
class Row:
    """The sounds of one kind: means, and the worst level."""

    sounds: int
    mel_latents: float
    mel_codes: float
    zimtohrli_latents: float | None
    zimtohrli_codes: float | None
    level_db: float
    level_worst_db: float  # of the sound whose level changes most
    clicks: int  # in all of them together


@torch.inference_mode()
def code_and_decode(codec: ResidualCodec, sound: Sound) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The sound (its first seconds), decoded from its latents, and decoded from its codes: [1, N] each."""
    samples = torch.from_numpy(sound.as_float()[: round(MAX_S * codec.rate_hz)])[None]
    samples = F.pad(samples, (0, -samples.shape[1] % codec.hop))
    from_latents = codec.decode(codec.encode(samples))
    return samples, from_latents, codec.decode(codec.codes_to_latents(codec.encode_codes(samples)))


def measure(codec: ResidualCodec, sound: Sound, ear: Distance | None = None) -> RoundTrip:
    """The figures of one sound; `ear` is a psychoacoustic distance like `zimtohrli`."""
    samples, from_latents, from_codes = code_and_decode(codec, sound)
    power, decoded_power = (audible_power(x, codec.rate_hz) + QUIET_POWER for x in (samples, from_latents))
    real, by_latents, by_codes = (x[0].numpy() for x in (samples, from_latents, from_codes))
    return RoundTrip(
        mel_latents=mel_loss(from_latents, samples).item(),
        mel_codes=mel_loss(from_codes, samples).item(),
        zimtohrli_latents=ear(real, by_latents) if ear else None,
        zimtohrli_codes=ear(real, by_codes) if ear else None,
        level_db=10 * float(np.log10(decoded_power / power)),
        clicks=len(clicks(by_latents, real, codec.rate_hz)),
    )


def audible_power(samples: torch.Tensor, rate_hz: int) -> float:
    """Mean power of sound [1, N] above AUDIBLE_HZ: some recordings have a louder offset than sound."""
    spectrum = torch.fft.rfft(samples)
    is_audible = torch.linspace(0, rate_hz / 2, spectrum.shape[-1]) >= AUDIBLE_HZ
    return float(torch.fft.irfft(spectrum * is_audible, n=samples.shape[-1]).square().mean())


def zimtohrli(rate_hz: int) -> Distance:
    """The psychoacoustic distance of Google's Zimtohrli; errors: FoleyError where it is not installed."""
    try:
        from zimtohrli import Pyohrli
    except ImportError as error:
        raise FoleyError(
            "--zimtohrli needs the package zimtohrli", "Run pip install 'foleycli[evaluate]', or leave the option out"
        ) from error
    metric = Pyohrli()

    def distance(real: np.ndarray, generated: np.ndarray) -> float:
        n = round(ZIMTOHRLI_MIN_S * rate_hz)
        padded = (np.pad(x, (0, max(0, n - len(x)))) for x in (real, generated))
        return float(metric.distance(*(soxr.resample(x, rate_hz, ZIMTOHRLI_HZ) for x in padded)))

    return distance


def by_category(sounds: Sequence[Sound], measured: Sequence[RoundTrip], unseen: Container[str] = ()) -> dict[str, Row]:
    """One row a category, in the order of the alphabet, one for all, and one for the `unseen` files."""
    groups: dict[str, list[RoundTrip]] = defaultdict(list)
    for sound, figures in zip(sounds, measured, strict=True):
        groups[sound.category].append(figures)
    rows = {**{name: row_of(groups[name]) for name in sorted(groups)}, "all": row_of(measured)}
    apart = [figures for sound, figures in zip(sounds, measured, strict=True) if sound.file in unseen]
    return {**rows, UNSEEN_SERIES: row_of(apart)} if apart else rows


def unseen_series_files(folder: Path) -> set[str]:
    """The held-out files of a folder of whose series ("hit 1", "hit 2") no file was trained on."""
    listed = list_sounds(folder)
    held_out = held_out_of(one.file for one in listed)
    known = {one.key for one in listed if one.file not in held_out}
    return {one.file for one in listed if one.file in held_out and one.key not in known}


def row_of(measured: Sequence[RoundTrip]) -> Row:
    """Means of several sounds' figures."""

    def mean(values: Sequence[float]) -> float:
        return round(float(np.mean(values)), 4)

    def mean_or_none(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return mean(known) if known else None

    return Row(
        sounds=len(measured),
        mel_latents=mean([one.mel_latents for one in measured]),
        mel_codes=mean([one.mel_codes for one in measured]),
        zimtohrli_latents=mean_or_none([one.zimtohrli_latents for one in measured]),
        zimtohrli_codes=mean_or_none([one.zimtohrli_codes for one in measured]),
        level_db=mean([one.level_db for one in measured]),
        level_worst_db=round(float(max((one.level_db for one in measured), key=abs)), 2),
        clicks=sum(one.clicks for one in measured),
    )


def draw_worst(
    codec: ResidualCodec, sounds: Sequence[Sound], measured: Sequence[RoundTrip], folder: Path, n: int
) -> None:
    """Draw the `n` sounds with the largest mel distance after the latents: the sound above, decoded below."""
    folder.mkdir(parents=True, exist_ok=True)
    worst_first = sorted(zip(sounds, measured, strict=True), key=lambda pair: -pair[1].mel_latents)
    for number, (sound, figures) in enumerate(worst_first[:n], start=1):
        samples, decoded, _ = code_and_decode(codec, sound)
        facts = f"mel {figures.mel_latents:.2f}   level {figures.level_db:+.1f} dB   clicks {figures.clicks}"
        path = folder / f"{number:02d}-{sound.category}.png"
        draw_pair(
            path,
            real=samples[0].numpy(),
            generated=decoded[0].numpy(),
            rate_hz=codec.rate_hz,
            title=f"{sound.category}: {sound.words}",
            facts=facts,
        )


def main(
    sounds: Annotated[Path, typer.Option(help="A folder of labelled sounds; its held-out tenth is used.")],
    model: Annotated[list[str] | None, typer.Option(help="Name or folder of a codec; several: a table each.")] = None,
    with_zimtohrli: Annotated[
        bool, typer.Option("--zimtohrli", help="Also Zimtohrli's distance: pip install 'foleycli[evaluate]'.")
    ] = False,
    pictures: Annotated[Path | None, typer.Option(help="A folder for pictures of the sounds that change most.")] = None,
    worst: Annotated[int, typer.Option(help="How many pictures of each codec.", min=1)] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON line a row.")] = False,
) -> None:
    """Print a Markdown table for each codec, or JSON."""
    ear = zimtohrli(RATE_HZ) if with_zimtohrli else None
    held_out, unseen = read_sounds(sounds, held_out=True), unseen_series_files(sounds)
    for number, name in enumerate(model or ["mel-mini"]):
        codec = load_part_folder(resolve(name), "codec", torch.device("cpu"), True)
        measured = [measure(codec, sound, ear) for sound in held_out]
        if pictures:
            draw_worst(codec, held_out, measured, folder=pictures / Path(name).name, n=worst)
        rows = [{"kind": kind, **asdict(row)} for kind, row in by_category(held_out, measured, unseen).items()]
        if as_json:
            typer.echo("\n".join(json.dumps({"codec": name, **row}) for row in rows))
        else:
            typer.echo(("\n" if number else "") + f"{name}\n\n{markdown(COLUMNS, rows)}")
