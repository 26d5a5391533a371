"""How a codec's round trip sounds, by kind of sound: held-out recordings in; distances, levels and clicks out.

python -m foleycli.lab.round_trip --sounds ../shared/sounds --zimtohrli --pictures worst
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Container, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated

import numpy as np
import soxr
import torch
import torch.nn.functional as F
import typer

from foleycli.codecs.base import Codec
from foleycli.errors import FoleyError
from foleycli.evaluation.metrics.clicks import clicks
from foleycli.models.model import load_part
from foleycli.report.picture import draw_pair
from foleycli.soundset.held_out import held_out_of
from foleycli.soundset.kinds import RATE_HZ
from foleycli.soundset.sounds import Sound, list_sounds, read_sounds
from foleycli.training.codec import mel_loss

STRANGERS = "all of strange series"
HEARD_HZ = 20.0
LONGEST_S = 4.0
ZIMTOHRLI_HZ = 48000
ZIMTOHRLI_SHORTEST_S = 0.25  # of what it is given: shorter sounds are followed by silence
QUIET_POWER = 1e-10  # -100 dB: below, levels are not compared

Distance = Callable[[np.ndarray, np.ndarray], float]  # of two sounds [N] at the codec's rate


@dataclass(frozen=True)
class RoundTrip:
    """One sound's figures."""

    mel_latents: float  # L1 of log10 mels, summed over seven resolutions, through the latents
    mel_codes: float  # and through the residual codes
    zimtohrli_latents: float | None  # what an ear would notice, 0 to 1; None: not asked for
    zimtohrli_codes: float | None
    level_db: float  # RMS of what comes back from the latents over that of the sound, both above HEARD_HZ
    clicks: int  # in what comes back from the latents and not in the sound


@dataclass(frozen=True)
class Row:
    """The sounds of one kind: means, and what is furthest from right."""

    sounds: int
    mel_latents: float
    mel_codes: float
    zimtohrli_latents: float | None
    zimtohrli_codes: float | None
    level_db: float
    level_worst_db: float  # of the sound whose level changes most
    clicks: int  # in all of them together


@torch.inference_mode()
def there_and_back(codec: Codec, sound: Sound) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The sound (its first seconds), what comes back from its latents, and from its codes: [1, N] each."""
    samples = torch.from_numpy(sound.as_float()[: round(LONGEST_S * codec.rate_hz)])[None]
    samples = F.pad(samples, (0, -samples.shape[1] % codec.hop))
    made = codec.decode(codec.encode(samples))
    return samples, made, codec.decode(codec.codes_to_latents(codec.encode_codes(samples)))


def measure(codec: Codec, sound: Sound, heard: Distance | None = None) -> RoundTrip:
    """The figures of one sound; `heard` is a distance like `zimtohrli`."""
    samples, made, from_codes = there_and_back(codec, sound)
    power, made_power = (heard_power(x, codec.rate_hz) + QUIET_POWER for x in (samples, made))
    real, *others = (x[0].numpy() for x in (samples, made, from_codes))
    return RoundTrip(
        mel_loss(made, samples).item(),
        mel_loss(from_codes, samples).item(),
        *(heard(real, other) if heard else None for other in others),
        10 * float(np.log10(made_power / power)),
        len(clicks(others[0], real, codec.rate_hz)),
    )


def heard_power(samples: torch.Tensor, rate_hz: int) -> float:
    """Mean power of sound [1, N] above HEARD_HZ: some recordings have an offset that is louder than they are."""
    spectrum = torch.fft.rfft(samples)
    is_heard = torch.linspace(0, rate_hz / 2, spectrum.shape[-1]) >= HEARD_HZ
    return float(torch.fft.irfft(spectrum * is_heard, n=samples.shape[-1]).square().mean())


def zimtohrli(rate_hz: int) -> Distance:
    """The psychoacoustic distance of Google's Zimtohrli; errors: FoleyError where it is not installed."""
    try:
        from zimtohrli import Pyohrli
    except ImportError as error:
        raise FoleyError(
            "--zimtohrli needs the package zimtohrli", "pip install 'foleycli[evaluate]', or leave the option out"
        ) from error
    judge = Pyohrli()

    def distance(real: np.ndarray, made: np.ndarray) -> float:
        n = round(ZIMTOHRLI_SHORTEST_S * rate_hz)
        filled = (np.pad(x, (0, max(0, n - len(x)))) for x in (real, made))
        return float(judge.distance(*(soxr.resample(x, rate_hz, ZIMTOHRLI_HZ) for x in filled)))

    return distance


def by_category(
    sounds: Sequence[Sound], measured: Sequence[RoundTrip], strangers: Container[str] = ()
) -> dict[str, Row]:
    """One row a category, in the order of the alphabet, one for all, and one for those files that are strangers."""
    groups: dict[str, list[RoundTrip]] = defaultdict(list)
    for sound, figures in zip(sounds, measured, strict=True):
        groups[sound.category].append(figures)
    rows = {**{name: row_of(groups[name]) for name in sorted(groups)}, "all": row_of(measured)}
    apart = [figures for sound, figures in zip(sounds, measured, strict=True) if sound.file in strangers]
    return {**rows, STRANGERS: row_of(apart)} if apart else rows


def strangers_in(folder: Path) -> set[str]:
    """The held-out files of a folder no training file of which has their name but for numbers ("hit 1", "hit 2")."""
    listed = list_sounds(folder)
    kept_back = held_out_of(one.file for one in listed)
    known = {one.key for one in listed if one.file not in kept_back}
    return {one.file for one in listed if one.file in kept_back and one.key not in known}


def row_of(measured: Sequence[RoundTrip]) -> Row:
    """Means of several sounds' figures."""

    def mean(name: str) -> float | None:
        values = [getattr(figures, name) for figures in measured]
        return None if None in values else round(float(np.mean(values)), 4)

    worst = max((figures.level_db for figures in measured), key=abs)
    means = {field.name: mean(field.name) for field in fields(RoundTrip) if field.name != "clicks"}
    return Row(len(measured), **means, level_worst_db=round(worst, 2), clicks=sum(f.clicks for f in measured))


def markdown(table: dict[str, Row]) -> str:
    """The rows as a table."""
    columns = {
        "sounds": lambda row: str(row.sounds),
        "mel, latents": lambda row: f"{row.mel_latents:.2f}",
        "mel, codes": lambda row: f"{row.mel_codes:.2f}",
        "zimtohrli, latents": lambda row: f"{row.zimtohrli_latents:.4f}",
        "zimtohrli, codes": lambda row: f"{row.zimtohrli_codes:.4f}",
        "level, dB": lambda row: f"{row.level_db:+.2f}",
        "level, worst": lambda row: f"{row.level_worst_db:+.1f}",
        "clicks": lambda row: str(row.clicks),
    }
    if table["all"].zimtohrli_latents is None:
        columns = {name: cell for name, cell in columns.items() if not name.startswith("zimtohrli")}
    lines = [["kind", *columns], ["---"] * (1 + len(columns))]
    lines += [[name, *(cell(row) for cell in columns.values())] for name, row in table.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw_worst(codec: Codec, sounds: Sequence[Sound], measured: Sequence[RoundTrip], folder: Path, n: int) -> None:
    """Pictures of the `n` sounds that come back worst from the latents, by mel distance: real above, made below."""
    folder.mkdir(parents=True, exist_ok=True)
    worst_first = sorted(zip(sounds, measured, strict=True), key=lambda pair: -pair[1].mel_latents)
    for number, (sound, figures) in enumerate(worst_first[:n], start=1):
        samples, made, _ = there_and_back(codec, sound)
        facts = f"mel {figures.mel_latents:.2f}   level {figures.level_db:+.1f} dB   clicks {figures.clicks}"
        path = folder / f"{number:02d}-{sound.category}.png"
        draw_pair(path, samples[0].numpy(), made[0].numpy(), codec.rate_hz, f"{sound.category}: {sound.words}", facts)


app = typer.Typer(add_completion=False)


@app.command()
def main(
    sounds: Annotated[Path, typer.Option(help="A folder of labelled sounds; its held-out tenth is used.")],
    model: Annotated[list[str] | None, typer.Option(help="Name or folder of a codec; several: a table each.")] = None,
    with_zimtohrli: Annotated[
        bool, typer.Option("--zimtohrli", help="Also what an ear notices: pip install 'foleycli[evaluate]'.")
    ] = False,
    pictures: Annotated[Path | None, typer.Option(help="A folder for pictures of what comes back worst.")] = None,
    worst: Annotated[int, typer.Option(help="How many pictures of each codec.", min=1)] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object: codecs, in them kinds.")] = False,
) -> None:
    """Print a Markdown table for each codec, or JSON."""
    heard = zimtohrli(RATE_HZ) if with_zimtohrli else None
    kept_back, strangers = read_sounds(sounds, held_out=True), strangers_in(sounds)
    tables = {}
    for name in model or ["mel-mini"]:
        codec = load_part(Path(), {"codec": name}, "codec", torch.device("cpu"))
        measured = [measure(codec, sound, heard) for sound in kept_back]
        tables[name] = by_category(kept_back, measured, strangers)
        if pictures:
            draw_worst(codec, kept_back, measured, pictures / Path(name).name, worst)
    if as_json:
        typer.echo(json.dumps({name: {k: asdict(row) for k, row in t.items()} for name, t in tables.items()}, indent=2))
    else:
        typer.echo("\n\n".join(f"{name}\n\n{markdown(table)}" for name, table in tables.items()))


if __name__ == "__main__":
    app()
