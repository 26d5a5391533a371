"""How a codec's round trip sounds, by kind of sound: held-out recordings in, distances and level changes out.

python -m foleycli.evaluation.round_trip --model dac-mini --sounds ../shared/sounds
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
import typer

from foleycli.codecs import dacvae
from foleycli.hub.resolve import resolve
from foleycli.training.codec import mel_loss
from foleycli.training.sounds import Sound, read_sounds

LONGEST_S = 4.0


@dataclass(frozen=True)
class RoundTrip:
    """Means over the sounds of one kind."""

    sounds: int
    mel_latents: float  # L1 of log10 mels, summed over seven resolutions, through the latents
    mel_codes: float  # and through the residual codes
    level_db: float  # RMS of the result over that of the sound


@torch.inference_mode()
def measure(codec: dacvae.DacVae, sound: Sound) -> tuple[float, float, float]:
    """Mel distance through latents, through codes, and the change of level in dB."""
    samples = torch.from_numpy(sound.as_float()[: round(LONGEST_S * codec.rate_hz)])[None]
    samples = F.pad(samples, (0, -samples.shape[1] % codec.hop))  # [1, N]
    made = codec.decode(codec.encode(samples))
    from_codes = codec.decode(codec.codes_to_latents(codec.encode_codes(samples)))
    power, made_power = (float(x.square().mean()) + 1e-10 for x in (samples, made))
    level_db = 10 * float(np.log10(made_power / power))
    return mel_loss(made, samples).item(), mel_loss(from_codes, samples).item(), level_db


def by_category(codec: dacvae.DacVae, sounds: list[Sound]) -> dict[str, RoundTrip]:
    """One row a category, and one for all."""
    rows: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for sound in sounds:
        measured = measure(codec, sound)
        rows[sound.category].append(measured)
        rows["all"].append(measured)
    return {
        name: RoundTrip(len(r), *(round(float(v), 3) for v in np.mean(r, axis=0))) for name, r in sorted(rows.items())
    }


def main(
    sounds: Annotated[Path, typer.Option(help="A folder of labelled sounds; its held-out tenth is used.")],
    model: Annotated[str, typer.Option(help="Name or folder of a codec.")] = "dac-mini",
) -> None:
    """Print a JSON object, one entry a category."""
    codec = dacvae.load(resolve(model), torch.device("cpu"))
    table = by_category(codec, read_sounds(sounds, held_out=True))
    typer.echo(json.dumps({name: asdict(row) for name, row in table.items()}, indent=2))


if __name__ == "__main__":
    typer.run(main)
